#!/bin/bash
# Bad input to nfbpf-load: one line that names the thing and the next step, and nothing left behind.
# shellcheck source=tests/bpf/lib.sh
. "$(dirname "$0")/lib.sh"

nothing_left() { # NAME
    [ ! -e "$base-$1" ] || fail "$1: left pins: $(find "$base-$1")"
    [ ! -e "$work/run-$1" ] || fail "$1: left a manifest"
}

# refused NAME PATTERN ARGUMENT... : exit 1, one line with the pattern in it, nothing left
refused() {
    local name=$1 pattern=$2 output status=0
    shift 2
    output=$(load "$name" "$@" 2>&1) || status=$?
    [ $status -ne 0 ] || fail "$name: accepted: $*"
    assert_eq "$name: lines" 1 "$(wc -l <<<"$output")"
    grep -qE -- "$pattern" <<<"$output" || fail "$name: no '$pattern' in: $output"
    echo "   $output"
    nothing_left "$name"
}

link=(attach --datapath netfilter-link)
pinned=(attach --datapath pinned)

step "paths"
refused missing "/no/such.bpf.o does not exist: give" "${pinned[@]}" --program /no/such.bpf.o
echo garbage >"$work/garbage.bpf.o"
refused garbage "garbage.bpf.o is no BPF object" "${pinned[@]}" --program "$work/garbage.bpf.o"
long=/$(printf 'x%.0s' {1..5000}).bpf.o
refused long "object path is 5007 bytes long, the limit is 4095" "${pinned[@]}" --program "$long"
refused type 'xdp_pass.* is SEC\("xdp"\), the module runs SEC\("socket"\)' "${pinned[@]}" \
    --program "$build/tests/bpf/xdp_pass.bpf.o"

# One word in the file: the ABI that the program says it was built for.
section=$(readelf -SW "$NFBPF_OBJECT_DIR/traffic.bpf.o" | sed 's/\[ */[/' | awk '$2 == ".rodata" { print $5 }')
symbol=$(readelf -sW "$NFBPF_OBJECT_DIR/traffic.bpf.o" | awk '$8 == "nfbpf_abi" { print $2 }')
cp "$NFBPF_OBJECT_DIR/traffic.bpf.o" "$work/abi.bpf.o"
printf '\x07\0\0\0' | dd of="$work/abi.bpf.o" bs=1 seek=$((16#$section + 16#$symbol)) conv=notrunc status=none
refused abi "nfbpf_traffic of .*abi.bpf.o speaks ABI 7, nfbpf-load speaks 1: rebuild it" "${pinned[@]}" \
    --program "$work/abi.bpf.o"

step "no bpffs"
name=nobpffs status=0
output=$(nfbpf-load --pin-dir "$work/plain/pins" --run-dir "$work/run-$name" "${pinned[@]}" 2>&1) || status=$?
assert_eq "exit status" 1 $status
grep -q "is no bpf file system; mount one" <<<"$output" || fail "$output"
echo "   $output"
[ ! -e "$work/plain" ] || fail "left $work/plain"

step "no privilege"
status=0
output=$(setpriv --reuid 65534 --regid 65534 --clear-groups "$(command -v nfbpf-load)" attach 2>&1) || status=$?
assert_eq "exit status" 1 $status
grep -q "needs root" <<<"$output" || fail "$output"
echo "   $output"

step "another layout under our pin name"
mkdir -p "$base-layout/maps"
bpftool map create "$base-layout/maps/nfbpf_ipv4" type hash key 8 value 8 entries 16 name other
status=0
output=$(load layout "${pinned[@]}" 2>&1) || status=$?
assert_eq "exit status" 1 $status
grep -qE "map nfbpf_ipv4 pinned at .* has (type|key size) [0-9]+, the program wants [0-9]+: remove" <<<"$output" || fail "$output"
echo "   $output"
assert_eq "the other's map is still there" "$base-layout/maps/nfbpf_ipv4" "$(find "$base-layout" -type f)"
rm -r "$base-layout"

step "words"
refused hooks '--hooks: "side" is unknown; give' "${link[@]}" --hooks in,side
refused families '--families: "ipx" is unknown; give' "${link[@]}" --families ipx
refused priority '--priority: "early" is no priority; give' "${link[@]}" --priority early
refused twice '--hooks: "in" is given twice' "${link[@]}" --hooks in,out,in
refused each '--hooks in:last,out: only the module .*; give one for all with --priority' "${link[@]}" --hooks in:last,out
refused log '--log match: only the module writes log lines; leave --log out' "${link[@]}" --log match
refused datapath '--datapath: "magic" is unknown; give' attach --datapath magic
refused group 'group "no-such-group" does not exist: make it' "${link[@]}" --group no-such-group
refused library 'dns_netfilter.bpf.o does not exist: .*the built-in program alone has' "${link[@]}" --program dns

step "the run folder"
touch "$work/file"
mkdir "$work/run-foreign"
touch "$work/run-foreign/notes"
before=$(stat -c %a "$work/run-foreign")
assert_refused "another's folder" 'run-foreign holds "notes", which is not ours: give' load foreign "${pinned[@]}"
assert_eq "its mode" "$before" "$(stat -c %a "$work/run-foreign")"
assert_eq "its files" notes "$(ls -A "$work/run-foreign")"
[ ! -e "$base-foreign" ] || fail "left pins: $(find "$base-foreign")"

step "a manifest that cannot be written leaves the maps of an earlier attach"
load kept "${pinned[@]}" >/dev/null
load kept detach --keep-maps >/dev/null
pins=$(find "$base-kept" | sort)
map_id() { bpftool -j map show pinned "$base-kept/maps/nfbpf_ipv4" | jq .id; }
map=$(map_id)
assert_refused "run folder below a file" "make $work/file/run: Not a directory" \
    nfbpf-load --pin-dir "$base-kept" --run-dir "$work/file/run" "${pinned[@]}"
assert_eq "pins" "$pins" "$(find "$base-kept" | sort)"
assert_eq "map" "$map" "$(map_id)"
mkdir -p "$work/run-kept/state.json.part"
assert_refused "manifest" "write .*/state.json.part: Is a directory" load kept "${pinned[@]}"
assert_eq "pins" "$pins" "$(find "$base-kept" | sort)"
assert_eq "run folder" state.json.part "$(ls -A "$work/run-kept")"
rmdir "$work/run-kept/state.json.part"
load kept detach >/dev/null
nothing_left kept

step "the root of a bpffs, and the way to a folder in it"
mkdir "$work/bpffs"
trap 'umount -q "$work/bpffs" || true; clean_up' EXIT
mount -t bpf -o mode=0700 bpf "$work/bpffs"
assert_refused "root" "bpffs/? is the root of a bpf file system.*default /sys/fs/bpf/nfbpf" \
    nfbpf-load --pin-dir "$work/bpffs/" --run-dir "$work/run-root" "${pinned[@]}"
assert_refused "root, to detach" "is the root of a bpf file system" \
    nfbpf-load --pin-dir "$work/bpffs" --run-dir "$work/run-root" detach
assert_eq "its mode" 1700 "$(stat -c %a "$work/bpffs")"
mkdir -m 0700 "$work/bpffs/ours" "$work/bpffs/ours/pins" # there before the attach
nfbpf-load --pin-dir "$work/bpffs/ours/pins" --run-dir "$work/run-way" "${pinned[@]}" --group 9987
assert_eq "modes" "1711 711 750" "$(cd "$work/bpffs" && stat -c %a . ours ours/pins | xargs)"
nfbpf-load --pin-dir "$work/bpffs/ours/pins" --run-dir "$work/run-way" detach
umount "$work/bpffs"

step "attached already"
load twice "${pinned[@]}" >/dev/null
status=0
output=$(load twice "${pinned[@]}" 2>&1) || status=$?
assert_eq "exit status" 1 $status
grep -q "is pinned at .* already: detach first" <<<"$output" || fail "$output"
load twice detach
nothing_left twice

step "nothing to detach"
assert_eq "says" "nothing was attached" "$(load nothing detach)"

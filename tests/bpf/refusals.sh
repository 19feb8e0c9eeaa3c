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
refused datapath '--datapath: "magic" is unknown; give' attach --datapath magic
refused group 'group "no-such-group" does not exist: make it' "${link[@]}" --group no-such-group

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

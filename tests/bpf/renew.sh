#!/bin/bash
# nfbpf-load attach --renew: what the upgrade of a package calls. The module is played by files, as
# in swap.sh; the netfilter link is the real one, where the kernel has it.
if [ -z "${NFBPF_OWN_MOUNTS:-}" ] && mountpoint -q /; then
    NFBPF_OWN_MOUNTS=1 exec unshare --mount --propagation private "$0" "$@"
fi
# shellcheck source=tests/bpf/lib.sh
. "$(dirname "$0")/lib.sh"

play_module
pins=$base-renew run=$work/run-renew
objects=$work/objects
mkdir "$objects"
cp "$NFBPF_OBJECT_DIR"/traffic*.bpf.o "$objects"

renew() { load renew attach --renew --object-dir "$objects" "$@"; }
id_of() { bpftool -j prog show pinned "$pins/$1" | jq .id; }
# Another release: the same instructions in a file that is not the same. What follows an ELF file's
# sections is nobody's.
next_release() { date +%N >>"$objects/$1"; }
says() { # WHAT PATTERN COMMAND...
    local what=$1 pattern=$2 output
    shift 2
    output=$("$@" 2>&1) || fail "$what: $output"
    grep -qE -- "$pattern" <<<"$output" || fail "$what: no '$pattern' in: $output"
    echo "   $what: $output"
}
run_module() {
    load_module "$pins/program"
    id_of program >$module/program/id
}

step "nothing attached: it attaches; then again: nothing to do"
says "first" "^attached by pinned" renew --datapath pinned
program=$(id_of program)
says "again" "^unchanged by pinned" renew --datapath pinned
assert_eq "program" "$program" "$(id_of program)"
assert_refused "another datapath" "--datapath kmod: pinned is attached, .* detach first" renew --datapath kmod
next_release traffic.bpf.o
assert_refused "nobody knows who runs it" "datapath pinned: only those who run .*detach, then attach" renew

step "a check: what an attach would be refused for, and nothing changed"
state() { find "$pins" "$run" | sort; id_of program; cat "$run/state.json"; }
before=$(state)
says "of words alone" "^nothing is known" renew --check
says "of the last of two" "attach by kmod would fail at" renew --check --datapath pinned --hooks in --datapath kmod --hooks out
says "with the maps" "would fail at" renew --check --datapath pinned
assert_refused "a hook" '--hooks: "side" is unknown' renew --check --hooks side
assert_refused "a priority" '--priority: "early" is no priority' renew --check --priority early
assert_refused "a datapath" '--datapath: "magic" is unknown' renew --check --datapath magic
assert_refused "a module" "/no/such.ko does not exist" renew --check --module /no/such.ko
assert_refused "another key" "pinned at $pins/maps/" renew --check --datapath pinned --key source,service
assert_refused "a program" "kernel.* refused|kernel: " \
    renew --check --datapath kmod --program "$build/tests/bpf/not_safe.bpf.o"
[ "$before" = "$(state)" ] || fail "changed: $(diff <(echo "$before") <(state))"

step "the module: swapped if the object is another, else left alone"
sed -i 's/"datapath": "pinned"/"datapath": "kmod"/' "$run/state.json"
run_module
bpftool map update pinned "$pins/maps/nfbpf_ipv4" key hex 04 11 00 00 0a 00 00 01 0a 00 00 02 \
    value hex 07 00 00 00 00 00 00 00 46 00 00 00 00 00 00 00 \
    2>/dev/null || fail "the row was not made"
before=$(map_sum "$pins/maps/nfbpf_ipv4" packets)
says "another release" "^renewed by kmod" renew
[ "$program" != "$(id_of program)" ] || fail "still program $program"
assert_eq "kept for rollback" "$program" "$(id_of program_previous)"
program=$(id_of program)
echo "$program" >$module/program/id
says "the same release" "^unchanged by kmod" renew --datapath kmod
assert_eq "program" "$program" "$(id_of program)"
assert_eq "packets of before" "$before" "$(map_sum "$pins/maps/nfbpf_ipv4" packets)"
says "other choices" "goes on with the choices of the attach" renew --key source,destination
load renew rollback
id_of program >$module/program/id
says "after a rollback" "^renewed by kmod" renew
id_of program >$module/program/id

step "refused, and nothing changed"
before=$(state)
for wrong in "shrunk:value.bytes: is gone" "not_safe:kernel.* refused|kernel: "; do
    cp "$build/tests/bpf/${wrong%%:*}.bpf.o" "$objects/traffic.bpf.o"
    assert_refused "${wrong%%:*}" "${wrong#*:}" renew
    [ "$before" = "$(state)" ] || fail "${wrong%%:*}: changed: $(diff <(echo "$before") <(state))"
done
cp "$NFBPF_OBJECT_DIR/traffic.bpf.o" "$objects"
echo 2.0 >$module/version
assert_refused "a module of another ABI" "module nfbpf speaks ABI 2.0, nfbpf-load speaks 1: detach" renew
assert_refused "pins elsewhere" "has its pins in $pins, not in $base-other" \
    nfbpf-load --pin-dir "$base-other" --run-dir "$run" attach --renew --object-dir "$objects"
rm -r $module
load renew detach >/dev/null

step "the netfilter link: made anew on the same maps"
topology_pair
trap clean_up EXIT
know_neighbours left right
# shellcheck disable=SC2120 # options are given inside of says
in_left() { ns left nfbpf-load --pin-dir "$pins" --run-dir "$run" attach --object-dir "$objects" --datapath netfilter-link --families ipv4 "$@"; }
# shellcheck disable=SC2119
in_left --group 9987 2>"$work/refused" || skip "no netfilter link here: $(cat "$work/refused")"
send() { ns left nfbpf-traffic udp --to 10.1.0.2 --count 100 >/dev/null; }
sent() { map_sum "$pins/maps/nfbpf_ipv4" packets '.direction == "NFBPF_DIRECTION_OUT" and .protocol == 17'; }
send
program=$(id_of program)
says "the same release" "^unchanged by netfilter-link" in_left --renew
assert_eq "program" "$program" "$(id_of program)"
next_release traffic_netfilter.bpf.o
says "another release" "^renewed by netfilter-link" in_left --renew
[ "$program" != "$(id_of program)" ] || fail "still program $program"
send
assert_eq "packets of before and since" 200 "$(sent)"
readers() { stat -c '%g %a' "$pins/maps/nfbpf_ipv4" "$run/state.json" | xargs; }
assert_eq "who may read, with no group given" "9987 660 9987 440" "$(readers)"
program=$(id_of program)
# The same for an operator whose --datapath auto chose the link, and who wishes for more than it can do.
by_auto() { ns left nfbpf-load --pin-dir "$pins" --run-dir "$run" attach --object-dir "$objects" --families ipv4 --renew "$@"; }
next_release traffic_netfilter.bpf.o
assert_refused "words that are none" '--hooks: "sideways"' by_auto --hooks sideways
assert_eq "the old one is left alone" "$program" "$(id_of program)"
says "a wish" "goes on without --log match" by_auto --log match
[ "$program" != "$(id_of program)" ] || fail "still program $program"
program=$(id_of program)
echo nonsense >"$objects/traffic_netfilter.bpf.o"
assert_refused "no object" "is no BPF object" in_left --renew
assert_eq "who may read" "9987 660 9987 440" "$(readers)"
cp "$build/tests/bpf/shrunk.bpf.o" "$objects/traffic_netfilter.bpf.o"
assert_refused "an object that does not fit" "another layout" in_left --renew --group 0
assert_eq "who may read" "9987 660 9987 440" "$(readers)"
send
assert_eq "the old one counts on" "300 $program" "$(sent) $(id_of program)"

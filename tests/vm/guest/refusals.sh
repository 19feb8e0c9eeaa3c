#!/bin/bash
# Bad input to the module: an errno, a line in the kernel log that names the thing, nothing loaded.
# shellcheck source=tests/vm/guest/lib.sh
. "$NFBPF_TESTS/lib.sh"

pins=/sys/fs/bpf/refusals
mkdir -p $pins/maps
bpftool prog load "$NFBPF_BPF/traffic.bpf.o" $pins/socket type socket pinmaps $pins/maps 2>/dev/null
bpftool prog load "$NFBPF_BPF/xdp_pass.bpf.o" $pins/xdp type xdp 2>/dev/null

log_since() { dmesg | sed "1,/$1\$/d"; } # MARKER

# refused WHAT ERROR LOG_PATTERN PARAMETER...
refused() {
    local what=$1 error=$2 pattern=$3 marker="refusal $RANDOM$RANDOM" output
    shift 3
    echo "$marker" >/dev/kmsg
    if output=$(insmod "$ko" "$@" 2>&1); then
        rmmod nfbpf
        fail "$what: was accepted"
    fi
    grep -q "$error" <<<"$output" || fail "$what: insmod says: $output"
    log_since "$marker" | grep -qE "$pattern" || fail "$what: no '$pattern' in the log: $(log_since "$marker")"
    [ ! -e /sys/module/nfbpf ] || fail "$what: the module stayed"
    echo "   $what: $(log_since "$marker" | grep -oE 'nfbpf: .*' | tail -1)"
}

ko=$(modinfo -n nfbpf)
step "at load"
refused "no path" "Invalid" "bpf_path is not set: pin a program"
refused "missing path" "Unknown symbol\|No such file" 'bpf_path "/sys/fs/bpf/none": no such file' bpf_path=/sys/fs/bpf/none
refused "wrong program type" "Invalid" "bpf_path \"$pins/xdp\": not a program of type socket" bpf_path=$pins/xdp
refused "a map" "Invalid" "bpf_path \"$pins/maps/nfbpf_ipv4\": not a program" bpf_path=$pins/maps/nfbpf_ipv4
refused "a folder" "Permission denied" "bpf_path \"$pins\": not a pinned program" bpf_path=$pins
refused "a plain file" "Permission denied" 'bpf_path "/init": not a pinned program' bpf_path=/init
refused "path too long" "File name too long" "bpf_path: 5000 bytes long, the limit is 4095" \
    "bpf_path=$(printf 'x%.0s' {1..5000})"
refused "unknown hook" "Invalid" 'hooks: unknown hook "side"; known are' bpf_path=$pins/socket hooks=in,side
refused "unknown family" "Invalid" 'families: "ipx" is unknown; give' bpf_path=$pins/socket families=ipx
refused "bad priority" "Invalid" 'priority: "early" is no priority; give' bpf_path=$pins/socket priority=early
refused "bad hook priority" "Invalid" 'hooks: "soon" is no priority; give' bpf_path=$pins/socket hooks=in:soon
refused "bad netns" "Invalid" 'netns: "some" is unknown; give' bpf_path=$pins/socket netns=some
refused "bad log" "Invalid" 'log: "yes" is unknown; give' bpf_path=$pins/socket log=yes

step "a swap that is refused leaves the old program"
modprobe nfbpf bpf_path=$pins/socket
id=$(cat /sys/module/nfbpf/program/id)
for bad in /sys/fs/bpf/none $pins/xdp $pins/maps/nfbpf_ipv4 $pins /init; do
    ! echo "$bad" 2>/dev/null >/sys/module/nfbpf/parameters/bpf_path || fail "swap to $bad was accepted"
    echo "   $(cat /sys/module/nfbpf/program/last_error)"
    grep -q -- "$bad" /sys/module/nfbpf/program/last_error || fail "last_error does not name $bad"
    assert_eq "program" "$id" "$(cat /sys/module/nfbpf/program/id)"
    assert_eq "path" $pins/socket "$(cat /sys/module/nfbpf/parameters/bpf_path)"
done
assert_eq "generation" 1 "$(cat /sys/module/nfbpf/program/generation)"

step "a good swap forgets the error"
echo $pins/socket >/sys/module/nfbpf/parameters/bpf_path
assert_eq "last error" none "$(cat /sys/module/nfbpf/program/last_error)"
assert_eq "generation" 2 "$(cat /sys/module/nfbpf/program/generation)"
rmmod nfbpf

step "nfbpf-load when the module refuses, and when it is there already"
assert_refused "unknown netns" 'netns.*not in' \
    nfbpf-load attach --datapath kmod --object-dir "$NFBPF_BPF" --netns some
assert_refused "unknown netns, by the module" 'Invalid' modprobe nfbpf bpf_path=$pins/socket netns=some
[ ! -e $NFBPF_PINS ] || fail "left $NFBPF_PINS"
modprobe nfbpf bpf_path=$pins/socket
assert_refused "loaded already" "module nfbpf is loaded already: detach first" \
    nfbpf-load attach --datapath kmod --object-dir "$NFBPF_BPF"
[ ! -e $NFBPF_PINS ] || fail "left $NFBPF_PINS"
rmmod nfbpf
rm -r $pins

#!/bin/bash
# The module observes: what leaves a router is the same, byte by byte, with the module and without.
# Injected packets meet prerouting, forward and postrouting; those of raw sockets output as well.
# shellcheck source=tests/vm/guest/lib.sh
. "$NFBPF_TESTS/lib.sh"

hooks=pre,in,forward,out,post
capture_wait=600 # tenths of a second

router_mac() { ns router ip -j link show to-left | jq -r '.[0].address'; }

capture() { # FILE
    local i capturing
    ns right nfbpf-replay capture to-router >"$1" 2>"$1.ready" &
    capturing=$!
    for ((i = 0; i < capture_wait; i++)); do
        [ ! -s "$1.ready" ] || break
        sleep 0.1
    done
    ns left nfbpf-replay send to-router "$(router_mac)"
    ns left nfbpf-replay local
    wait $capturing || fail "the capture ended with status $?"
}

# Over devices that take super-packets, and over one that has them cut in the router.
capture_both() { # PREFIX
    ns router ethtool -K to-right tso on gso on >/dev/null
    capture "$1.offload"
    ns router ethtool -K to-right tso off gso off >/dev/null
    capture "$1.segments"
}

# A stream's acknowledgements, windows and retransmissions are the kernel's own; the bytes are ours.
stream_sum() { # PORT; prints what the receiver got
    ns right busybox timeout 120 busybox nc -l -p "$1" | sha256sum | cut -c1-16 &
    for _ in {1..300}; do
        ns right ss -Hltn "sport = :$1" | grep -q LISTEN && break
        sleep 0.1
    done
    ns left busybox nc 10.2.0.1 "$1" </tmp/stream
    wait
}

same() { # WHAT FILE_A FILE_B
    if ! cmp -s "$2" "$3"; then
        diff "$2" "$3" | cut -c1-160 | sed -n 1,6p
        fail "$1: the captures differ, see the first lines above"
    fi
    printf '   %s: %s packets, the same\n' "$1" "$(wc -l <"$2")"
}

topology_router
know_neighbours left router
know_neighbours router right
head -c 3000000 /dev/urandom >/tmp/stream
sum=$(sha256sum </tmp/stream | cut -c1-16)

step "without the module"
capture_both /tmp/off
assert_ge "packets captured, super-packets whole" 38 "$(wc -l </tmp/off.offload)"
assert_ge "packets captured, super-packets cut" 76 "$(wc -l </tmp/off.segments)"
capture_both /tmp/again
same "a second time" /tmp/off.offload /tmp/again.offload
same "a second time, cut" /tmp/off.segments /tmp/again.segments

step "with the module on $hooks"
nfbpf-load attach --datapath kmod --object-dir "$NFBPF_BPF" --hooks $hooks
capture_both /tmp/on
same "super-packets whole" /tmp/off.offload /tmp/on.offload
same "super-packets cut" /tmp/off.segments /tmp/on.segments
assert_ge "forwarded IPv4 packets met" 80 "$(hook_count packets ipv4_forward)"
assert_ge "forwarded IPv6 packets met" 60 "$(hook_count packets ipv6_forward)"
assert_ge "IPv4 packets of the raw sockets met" 22 "$(hook_count packets ipv4_local_out)"

step "a TCP stream"
assert_eq "sum of what was received" "$sum" "$(stream_sum 5000)"
nfbpf-load detach

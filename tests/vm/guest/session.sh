#!/bin/bash
# By hand, with standard tools: pin a program, load the module, ping, unload.
# shellcheck source=tests/vm/guest/lib.sh
. "$NFBPF_TESTS/lib.sh"

pins=/sys/fs/bpf/session

# Lines of the kernel log since the marker, "nfbpf: SRC -> DST" of one direction.
logged() { dmesg | sed "1,/session begins $1/d" | grep -c "nfbpf: $2 -> $3\$" || true; }

packets() { # MAP DIRECTION
    map_sum "$pins/maps/$1" packets ".direction == \"NFBPF_DIRECTION_$2\" and .protocol == $3"
}

one_session() { # MAP PROTOCOL FROM TO
    mkdir -p $pins/maps
    bpftool prog load "$NFBPF_BPF/traffic.bpf.o" $pins/program type socket pinmaps $pins/maps 2>/dev/null
    echo "session begins $1" >/dev/kmsg
    modprobe nfbpf bpf_path=$pins/program log=match
    answered=$(ping -c 4 -i 0.2 -q "$4" | sed -n 's/.* transmitted, \([0-9]*\) received.*/\1/p')
    assert_eq "answers, by ping" 4 "$answered"
    assert_eq "sent, by the map" 4 "$(packets "$1" OUT "$2")"
    assert_eq "received, by the map" 4 "$(packets "$1" IN "$2")"
    assert_eq "lines $3 -> $4" 4 "$(logged "$1" "$3" "$4")"
    assert_eq "lines $4 -> $3" 4 "$(logged "$1" "$4" "$3")"
    bpftool prog load "$NFBPF_BPF/deny.bpf.o" $pins/deny type socket 2>/dev/null
    echo $pins/deny >/sys/module/nfbpf/parameters/bpf_path
    assert_eq "program after a swap" nfbpf_deny "$(cat /sys/module/nfbpf/program/name)"
    assert_eq "references" 0 "$(cat /sys/module/nfbpf/refcnt)"
    rmmod nfbpf
    [ ! -e /sys/module/nfbpf ] || fail "rmmod left /sys/module/nfbpf"
    rm -r $pins
}

# Neighbours are asked for beforehand: their ICMPv6 must not be among the four.
ping -c 1 -q 10.0.2.2 >/dev/null
ping -c 1 -q fec0::2 >/dev/null
# And what the interface reports when it comes up must not take the ten lines of five seconds.
sleep 3

step "IPv4"
one_session nfbpf_ipv4 1 10.0.2.15 10.0.2.2

step "IPv6"
sleep 5 # the log's rate limit lets ten lines through in five seconds
one_session nfbpf_ipv6 58 fec0::15 fec0::2

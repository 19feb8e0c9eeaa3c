#!/bin/bash
# Two contexts of one CPU add to one row: a process sends echo replies from "left", and a softirq
# answers the pings of "right" from "left". The pings come through netem, whose timer makes the
# softirq interrupt the sender wherever it stands, inside the program too unless BH is off.
# shellcheck source=tests/vm/guest/lib.sh
. "$NFBPF_TESTS/lib.sh"

count=${NFBPF_COUNT:-200000}

# Same source, destination, protocol and direction: one row, one module total.
row() { # MAP PROTOCOL
    map_sum "$1" packets ".direction == \"NFBPF_DIRECTION_OUT\" and .protocol == $2"
}

# What the kernel of "left" says it sent as echo replies, raw ones included (RFC 4293 counters).
echo_replies() { # FAMILY
    if [ "$1" = ipv4 ]; then
        ns left cat /proc/net/snmp | awk '$1 == "Icmp:" && !at { for (i = 1; i <= NF; i++) if ($i == "OutEchoReps") at = i; next }
            $1 == "Icmp:" { print $at }'
    else
        # shellcheck disable=SC2016 # awk expands
        ns left awk '$1 == "Icmp6OutEchoReplies" { print $2 }' /proc/net/snmp6
    fi
}

# netem still holds some, and how long that takes depends on the machine: until two looks, a while
# apart, see the same count.
settle() {
    local before=none now
    now=$(hook_count packets)
    while [ "$now" != "$before" ]; do
        sleep 1
        before=$now
        now=$(hook_count packets)
    done
}

race() { # FAMILY PROTOCOL LEFT RIGHT
    local rows totals pinged sent
    rows=$(row "nfbpf_$1" "$2")
    totals=$(hook_count packets "$1_local_out")
    replies=$(echo_replies "$1")
    ns left nfbpf-traffic icmp --type reply --to "$4" --count "$count" --cpu 0 >/tmp/sent &
    ns right nfbpf-traffic icmp --type request --to "$3" --count "$count" --cpu 0 >/tmp/pinged &
    wait
    settle
    read -r sent _ </tmp/sent
    read -r pinged _ </tmp/pinged
    replies=$(($(echo_replies "$1") - replies))
    assert_ge "replies of the process and of the softirq" $((sent + 1)) "$replies"
    assert_eq "in the map" $((replies + pinged)) $(($(row "nfbpf_$1" "$2") - rows))
    assert_eq "in the module's totals" $((replies + pinged)) $(($(hook_count packets "$1_local_out") - totals))
}

topology_pair
know_neighbours left right
ns right tc qdisc add dev to-left root netem delay 200us limit 100000
nfbpf-load attach --datapath kmod --object-dir "$NFBPF_BPF"
step "IPv4"
race ipv4 1 10.1.0.1 10.1.0.2
step "IPv6"
race ipv6 58 fd01::1 fd01::2
nfbpf-load detach

# The window between load and store is two instructions wide, and an emulated CPU takes interrupts
# between blocks of them only. This program holds it open, so that a run with BH on is seen.
step "a program that is slow to add"
nfbpf-load attach --datapath kmod --object-dir "$NFBPF_BPF" --program wide_add
ns left nfbpf-traffic icmp --type reply --to 10.1.0.2 --count "$count" --cpu 0 >/tmp/sent &
ns right nfbpf-traffic icmp --type request --to 10.1.0.1 --count "$count" --cpu 0 >/tmp/pinged &
wait
settle
assert_eq "counted in local_out (direction 4)" "$(hook_count packets '*_local_out')" \
    "$(bpftool -j map lookup pinned "$NFBPF_PINS/maps/wide_add" key hex 04 00 00 00 | jq '[.formatted.values[].value.packets] | add')"
nfbpf-load detach

#!/bin/bash
# What was sent is what the map says, and what the map says is what the module saw: difference 0.
# NFBPF_COUNT packets (default 1,000,000) of each sort.
# shellcheck source=tests/vm/guest/lib.sh
. "$NFBPF_TESTS/lib.sh"

count=${NFBPF_COUNT:-1000000}

direction() { # DIRECTION: the key's direction, as a jq filter
    printf '.direction == "NFBPF_DIRECTION_%s"' "$1"
}

udp_rows() { # MAP MEMBER DIRECTION
    map_sum "$1" "$2" "$(direction "$3") and .protocol == 17"
}

# One family and hook: module totals = rows + overflow + filtered.
assert_conserved() { # FAMILY(ipv4|ipv6) HOOK DIRECTION
    local member family=NFBPF_FAMILY_${1^^} shown rest total
    for member in packets bytes; do
        total=$(hook_count "$member" "$1_$2")
        shown=$(map_sum "nfbpf_$1" "$member" "$(direction "$3")")
        rest=0
        for map in nfbpf_overflow nfbpf_filtered; do
            rest=$((rest + $(map_sum $map "$member" "$(direction "$3") and .family == \"$family\"")))
        done
        assert_eq "$1 $2 $member: rows + overflow + filtered" "$total" $((shown + rest))
    done
}

assert_all_conserved() {
    local family
    for family in ipv4 ipv6; do
        assert_conserved $family local_in IN
        assert_conserved $family forward FORWARD
        assert_conserved $family local_out OUT
    done
}

# Senders in process context, one on each CPU; veth hands each packet to the receiver in a softirq
# on the sender's CPU.
send() { # FAMILY TO "DIRECTION..." OPTION...
    local map=nfbpf_$1 to=$2 ways=$3 packets bytes way
    declare -A before before_bytes
    shift 3
    for way in $ways; do
        before[$way]=$(udp_rows "$map" packets "$way")
        before_bytes[$way]=$(udp_rows "$map" bytes "$way")
    done
    read -r packets bytes < <(ns left nfbpf-traffic udp --to "$to" "$@")
    echo "   sent $packets packets, $bytes bytes to $to"
    for way in $ways; do
        assert_eq "$way packets" "$packets" "$(($(udp_rows "$map" packets "$way") - ${before[$way]}))"
        assert_eq "$way bytes" "$bytes" "$(($(udp_rows "$map" bytes "$way") - ${before_bytes[$way]}))"
    done
}

topology_router
know_neighbours left router
know_neighbours router right
nfbpf-load attach --datapath kmod --object-dir "$NFBPF_BPF"
nfbpf-load status

half=$((count / 2))

step "IPv4 to a neighbour"
send ipv4 10.1.0.254 "OUT IN" --count $half --cpu 0,1

step "IPv6 to a neighbour"
send ipv6 fd01::fe "OUT IN" --count $half --cpu 0,1

step "IPv4 through a router"
send ipv4 10.2.0.1 "OUT FORWARD IN" --count $half --cpu 0,1

step "IPv6 through a router"
send ipv6 fd02::1 "OUT FORWARD IN" --count $((half / 10)) --cpu 0,1

step "what GSO cuts later counts as its segments"
send ipv4 10.2.0.1 "OUT FORWARD IN" --count 10 --payload 32000 --gso-segment 1000
send ipv6 fd02::1 "OUT FORWARD IN" --count 10 --payload 32001 --gso-segment 1000

step "conservation"
assert_all_conserved

step "no row was missed"
assert_eq "overflow" 0 "$(map_sum nfbpf_overflow packets)"

nfbpf-load detach

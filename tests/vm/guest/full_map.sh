#!/bin/bash
# A map that is too small by far, and 100,000 sources from two CPUs at once: what finds no row is in
# overflow, so rows and overflow are what was sent.
# shellcheck source=tests/vm/guest/lib.sh
. "$NFBPF_TESTS/lib.sh"

pairs=1024 # of each buffer
half=50000

out() { # MAP MEMBER
    map_sum "$1" "$2" '.direction == "NFBPF_DIRECTION_OUT"'
}

flood() { # FAMILY TO
    local member packets others
    read -r packets _ < <(ns left nfbpf-traffic flood --to "$2" --count $half --cpu 0,1)
    assert_eq "sent" $((2 * half)) "$packets"
    assert_eq "rows" $pairs "$(map_rows "nfbpf_$1")"
    assert_ge "in overflow" $((packets - 2 * pairs)) "$(out nfbpf_overflow packets)"
    assert_eq "in overflow because the map is full" "$(out nfbpf_overflow packets)" \
        "$(map_sum nfbpf_overflow packets '.direction == "NFBPF_DIRECTION_OUT" and .reason == "NFBPF_OVERFLOW_REASON_FULL"')"
    # The kernel may send something of its own meanwhile; overflow does not tell whose a packet was.
    others=$(($(hook_count packets "$1_local_out") - packets))
    [ $others -ge 0 ] && [ $others -le 3 ] || fail "sent $packets, the module met $others more"
    echo "   packets that the kernel sent itself: $others"
    for member in packets bytes; do
        assert_eq "$member: rows + overflow = the module's total" "$(hook_count $member "$1_local_out")" \
            $(($(out "nfbpf_$1" $member) + $(out nfbpf_overflow $member)))
    done
}

for family in ipv4 ipv6; do
    step "$family"
    topology_pair
    know_neighbours left right
    nfbpf-load attach --datapath kmod --object-dir "$NFBPF_BPF" --max-pairs $pairs --families $family --hooks out
    [ $family = ipv4 ] && to=10.1.0.2 || to=fd01::2
    flood $family "$to"
    nfbpf-load detach
    topology_down
done

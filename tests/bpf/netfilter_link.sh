#!/bin/bash
# The in-tree link counts exactly: NFBPF_COUNT packets (default 1,000,000) of each sort.
# shellcheck source=tests/bpf/lib.sh
. "$(dirname "$0")/lib.sh"

count=${NFBPF_COUNT:-1000000}

udp_rows() { # NS MAP MEMBER DIRECTION
    map_sum "$base-$1/maps/$2" "$3" ".direction == \"NFBPF_DIRECTION_$4\" and .protocol == 17"
}

send() { # FAMILY TO "NS:DIRECTION..." OPTION...
    local map=nfbpf_$1 to=$2 places=$3 place packets bytes
    declare -A before before_bytes
    shift 3
    for place in $places; do
        before[$place]=$(udp_rows "${place%:*}" "$map" packets "${place#*:}")
        before_bytes[$place]=$(udp_rows "${place%:*}" "$map" bytes "${place#*:}")
    done
    read -r packets bytes < <(ns left nfbpf-traffic udp --to "$to" "$@")
    echo "   sent $packets packets, $bytes bytes to $to"
    for place in $places; do
        assert_eq "$place packets" "$packets" \
            "$(($(udp_rows "${place%:*}" "$map" packets "${place#*:}") - ${before[$place]}))"
        assert_eq "$place bytes" "$bytes" \
            "$(($(udp_rows "${place%:*}" "$map" bytes "${place#*:}") - ${before_bytes[$place]}))"
    done
}

topology_router
trap clean_up EXIT
know_neighbours left router
know_neighbours router right
for name in left router right; do
    if ! ns $name nfbpf-load --pin-dir "$base-$name" --run-dir "$work/run-$name" attach \
        --datapath netfilter-link 2>"$work/refused"; then
        skip "no netfilter link here: $(cat "$work/refused")"
    fi
done

half=$((count / 2))
step "IPv4 to a neighbour"
send ipv4 10.1.0.254 "left:OUT router:IN" --count $half --cpu 0,1
step "IPv6 to a neighbour"
send ipv6 fd01::fe "left:OUT router:IN" --count $half --cpu 0,1
step "IPv4 through a router"
send ipv4 10.2.0.1 "left:OUT router:FORWARD right:IN" --count $half --cpu 0,1
step "IPv6 through a router"
send ipv6 fd02::1 "left:OUT router:FORWARD right:IN" --count $half --cpu 0,1
step "what GSO cuts later counts as its segments"
send ipv4 10.2.0.1 "left:OUT router:FORWARD right:IN" --count 10 --payload 32000 --gso-segment 1000
send ipv6 fd02::1 "left:OUT router:FORWARD right:IN" --count 10 --payload 32001 --gso-segment 1000

step "no row was missed"
for name in left router right; do
    assert_eq "$name overflow" 0 "$(map_sum "$base-$name/maps/nfbpf_overflow" packets)"
done

step "every part of the key, and rules"
ns left nfbpf-load --pin-dir "$base-left" --run-dir "$work/run-left" detach >/dev/null
ns left nfbpf-load --pin-dir "$base-left" --run-dir "$work/run-left" attach --datapath netfilter-link --filters \
    --key source,destination,protocol,direction,ports,service,icmp,tcp,interfaces,netns >/dev/null
load left filter - <<<'deny port 10'
for port in 9 10; do
    ns left nfbpf-traffic udp --to 10.1.0.254 --port $port --count 1000 >/dev/null
done
netns=$(ns left stat -L -c %i /proc/self/ns/net)
assert_eq "packets to port 9 out of this namespace" 1000 "$(map_sum "$base-left/maps/nfbpf_ipv4" packets \
    ".direction == \"NFBPF_DIRECTION_OUT\" and .protocol == 17 and .destination_port == $((9 << 8)) and .netns == $netns")"
assert_eq "packets that a rule left out" 1000 "$(map_sum "$base-left/maps/nfbpf_filtered" packets \
    '.direction == "NFBPF_DIRECTION_OUT" and .reason == "NFBPF_FILTERED_REASON_RULE"')"

step "a full map: rows and overflow are what was sent"
out() { map_sum "$base-left/maps/$1" "$2" '.direction == "NFBPF_DIRECTION_OUT"'; }
for family in ipv4 ipv6; do
    ns left nfbpf-load --pin-dir "$base-left" --run-dir "$work/run-left" detach >/dev/null
    ns left nfbpf-load --pin-dir "$base-left" --run-dir "$work/run-left" attach --datapath netfilter-link \
        --max-pairs 1024 --families $family --hooks out >/dev/null
    [ $family = ipv4 ] && to=10.1.0.254 || to=fd01::fe
    read -r packets bytes < <(ns left nfbpf-traffic flood --to "$to" --count 50000 --cpu 0,1)
    assert_eq "$family rows" 1024 "$(map_rows "$base-left/maps/nfbpf_$family")"
    assert_eq "$family packets" "$packets" $(($(out nfbpf_$family packets) + $(out nfbpf_overflow packets)))
    assert_eq "$family bytes" "$bytes" $(($(out nfbpf_$family bytes) + $(out nfbpf_overflow bytes)))
done

step "detach leaves nothing"
for name in left router right; do
    ns $name nfbpf-load --pin-dir "$base-$name" --run-dir "$work/run-$name" detach
    [ ! -e "$base-$name" ] || fail "$base-$name is still there"
    [ ! -e "$work/run-$name" ] || fail "$work/run-$name is still there"
done
assert_eq "netfilter links left" 0 "$(bpftool -j link list | jq '[.[] | select(.type == 10 or .type == "netfilter")] | length')"

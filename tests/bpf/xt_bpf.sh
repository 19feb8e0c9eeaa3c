#!/bin/bash
# iptables runs the same pinned program, into the same map; a deny list drops what it lists.
# shellcheck source=tests/bpf/lib.sh
. "$(dirname "$0")/lib.sh"

count=${NFBPF_COUNT:-100000}

variants() {
    local variant
    for variant in iptables-nft iptables-legacy; do
        ! command -v $variant >/dev/null || echo $variant
    done
}

# The command for a family: iptables-nft -> ip6tables-nft
for_family() { # VARIANT FAMILY
    if [ "$2" = ipv6 ]; then echo "ip6tables${1#iptables}"; else echo "$1"; fi
}

counts_the_same() { # VARIANT FAMILY TO
    local tables map=$base-counts/maps/nfbpf_$2 sent before by_rule
    tables=$(for_family "$1" "$2")
    before=$(map_sum "$map" packets ".protocol == 17")
    ns left "$tables" -A OUTPUT -p udp -m bpf --object-pinned "$base-counts/program"
    read -r sent _ < <(ns left nfbpf-traffic udp --to "$3" --count "$count" --cpu 0)
    assert_eq "$tables: in the map" "$sent" $(($(map_sum "$map" packets ".protocol == 17") - before))
    by_rule=$(ns left "$tables" -L OUTPUT -v -x -n | awk '/match bpf/ { print $1 }')
    assert_eq "$tables: by the rule's own counter" "$sent" "$by_rule"
    ns left "$tables" -F OUTPUT
}

# Keys of the deny list are IPv6 addresses, IPv4 ones as ::ffff:a.b.c.d.
deny() { # HEX BYTES of the address
    # shellcheck disable=SC2086 # sixteen words
    bpftool map update pinned "$base-deny/maps/nfbpf_denied" key hex $1 \
        value 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0
}

answers() { ns left ping -c 1 -W 1 -q "$1" >/dev/null; }

drops_what_it_lists() { # VARIANT
    local tables family
    for family in ipv4 ipv6; do
        tables=$(for_family "$1" $family)
        ns left "$tables" -A OUTPUT -m bpf --object-pinned "$base-deny/program" -j DROP
    done
    ! answers 10.1.0.2 || fail "$1: 10.1.0.2 is listed and answers"
    answers 10.1.0.3 || fail "$1: 10.1.0.3 is not listed and does not answer"
    ! answers fd01::2 || fail "$1: fd01::2 is listed and answers"
    answers fd01::3 || fail "$1: fd01::3 is not listed and does not answer"
    echo "   $1: listed destinations are dropped, others answer"
    for family in ipv4 ipv6; do
        ns left "$(for_family "$1" $family)" -F OUTPUT
    done
}

topology_pair
trap clean_up EXIT
ns right ip address add 10.1.0.3/24 dev to-left
ns right ip address add fd01::3/64 dev to-left nodad
know_neighbours left right

load counts attach --datapath pinned
ns left iptables -A OUTPUT -m bpf --object-pinned "$base-counts/program" 2>"$work/refused" ||
    skip "no xt_bpf here: $(cat "$work/refused")"
ns left iptables -F OUTPUT

step "the same program, the same map"
for variant in $(variants); do
    counts_the_same "$variant" ipv4 10.1.0.2
    counts_the_same "$variant" ipv6 fd01::2
done

step "a deny list"
load deny attach --datapath pinned --program deny
deny "0 0 0 0 0 0 0 0 0 0 ff ff 0a 01 00 02"
deny "fd 01 0 0 0 0 0 0 0 0 0 0 0 0 0 02"
for variant in $(variants); do
    drops_what_it_lists "$variant"
done
assert_ge "packets counted as denied" 2 "$(map_sum "$base-deny/maps/nfbpf_denied" packets)"

#!/bin/bash
# The key's parts, filters and sampling as they are chosen at load, with real packets on this kernel.
# tests/bpf/traffic has the particulars, natively.
# shellcheck source=tests/vm/guest/lib.sh
. "$NFBPF_TESTS/lib.sh"

attach() { nfbpf-load attach --datapath kmod --object-dir "$NFBPF_BPF" "$@" >/dev/null; }

out='.direction == "NFBPF_DIRECTION_OUT" and .protocol == 17'

topology_pair
know_neighbours left right

step "every part of the key"
attach --key source,destination,protocol,direction,ports,service,icmp,tcp,interfaces,netns
ns left nfbpf-traffic udp --to 10.1.0.2 --port 53 --count 500 >/dev/null
ns left nfbpf-traffic udp --to fd01::2 --port 53 --count 400 >/dev/null
netns=$(ns left stat -L -c %i /proc/self/ns/net)
device=$(ip -n left -j link show to-right | jq ".[0].ifindex")
port=$((53 << 8)) # big-endian, as bpftool shows it
key="$out and .destination_port == $port and .service_port == $port and .netns == $netns and .out_interface == $device"
assert_eq "IPv4 packets to port 53 out of this namespace and device" 500 "$(map_sum nfbpf_ipv4 packets "$key")"
assert_eq "IPv6 packets" 400 "$(map_sum nfbpf_ipv6 packets "$key")"
ns left nfbpf-traffic icmp --to 10.1.0.2 --type reply --count 7 >/dev/null
assert_eq "echo replies" 7 "$(map_sum nfbpf_ipv4 packets '.direction == "NFBPF_DIRECTION_OUT" and .protocol == 1 and .icmp_type == 0')"
nfbpf-load detach >/dev/null

step "networks instead of addresses"
attach --ipv4-prefix 24 --ipv6-prefix 64
ns left nfbpf-traffic udp --to 10.1.0.2 --count 100 >/dev/null
network=$((10 + (1 << 8))) # 10.1.0.0, big-endian, as bpftool shows it
assert_eq "packets out" 100 "$(map_sum nfbpf_ipv4 packets "$out and .source == $network and .destination == $network")"
nfbpf-load detach >/dev/null

step "rules, changed while the program runs"
attach --filters
printf 'deny 10.1.0.0/24\n' | nfbpf-load filter -
ns left nfbpf-traffic udp --to 10.1.0.2 --count 100 >/dev/null
assert_ge "left out by a rule (answers of ICMP, too)" 100 "$(map_sum nfbpf_filtered packets '.direction == "NFBPF_DIRECTION_OUT" and .reason == "NFBPF_FILTERED_REASON_RULE"')"
assert_eq "counted all the same" 0 "$(map_sum nfbpf_ipv4 packets)"
printf 'allow port 9\n' | nfbpf-load filter -
ns left nfbpf-traffic udp --to 10.1.0.2 --port 9 --count 100 >/dev/null
ns left nfbpf-traffic udp --to 10.1.0.2 --port 10 --count 100 >/dev/null
assert_eq "counted, of two ports" 100 "$(map_sum nfbpf_ipv4 packets "$out")"
assert_eq "rules" "allow port 9" "$(nfbpf-load filter)"
assert_refused "no verdict" 'starts with allow or deny' nfbpf-load filter - <<<'drop 10.0.0.0/8'
assert_eq "rules after a bad file" "allow port 9" "$(nfbpf-load filter)"
assert_eq "module totals" "$(hook_count packets '*_local_*')" \
    "$(($(map_sum nfbpf_ipv4 packets) + $(map_sum nfbpf_ipv6 packets) + $(map_sum nfbpf_filtered packets)))"
nfbpf-load detach >/dev/null

step "one packet in 16"
attach --count-one-in 16
ns left nfbpf-traffic udp --to 10.1.0.2 --count 100000 >/dev/null
counted=$(map_sum nfbpf_ipv4 packets "$out")
assert_eq "a multiple of 16" 0 $((counted % 16))
assert_ge "counted of 100,000, within ten standard deviations" 87000 "$counted"
[ "$counted" -le 113000 ] || fail "counted $counted of 100,000"
nfbpf-load detach >/dev/null

step "what a program does not know is refused"
assert_refused "wide_add with ports" 'no constant "key_parts"' nfbpf-load attach --datapath kmod \
    --program "$NFBPF_BPF/wide_add.bpf.o" --key ports

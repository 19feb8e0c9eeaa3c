#!/bin/bash
# Each program of the library is taken by this kernel's verifier and run by the module.
# shellcheck source=tests/vm/guest/lib.sh
. "$NFBPF_TESTS/lib.sh"

topology_pair
know_neighbours left right
for name in packet_size icmp tcp_handshake dns deny; do
    step $name
    nfbpf-load attach --datapath kmod --object-dir "$NFBPF_BPF" --program $name
    ns left ping -c 2 -i 0.2 -q 10.1.0.2 >/dev/null
    ns left nfbpf-traffic udp --to 10.1.0.2 --port 53 --count 10 >/dev/null
    assert_ge "packets met" 24 "$(hook_count packets 'ipv4_*')"
    case $name in
    packet_size | icmp | dns) assert_ge "rows" 1 "$(map_rows "nfbpf_$name")" ;;
    esac
    nfbpf-load detach >/dev/null
done

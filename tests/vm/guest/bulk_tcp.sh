#!/bin/bash
# Bulk TCP through a router, with segments of up to 64 KiB and without: packets and IP bytes are
# those of the wire. What is on the wire, the router's interfaces say, where they may: a device that
# takes super-packets counts each once, so there TCP itself is asked, whose counters know segments.
#
#   left ---- router ---- right      left sends, right reads; acknowledgements come back
# shellcheck source=tests/vm/guest/lib.sh
. "$NFBPF_TESTS/lib.sh"

writes=${NFBPF_WRITES:-100} # of 256 KiB
ethernet=14

tcp_rows() { # MEMBER DIRECTION SOURCE(last two bytes of the IPv4 address, "2 1")
    map_sum nfbpf_ipv4 "$1" ".protocol == 6 and .direction == \"NFBPF_DIRECTION_$2\" and .source == $(address_word "$3")"
}
address_word() { # A.B.C.D: as bpftool prints it on a little-endian machine
    local a b c d
    IFS=. read -r a b c d <<<"$1"
    echo $(((d << 24) + (c << 16) + (b << 8) + a))
}

device() { # NS DEVICE COUNTER
    ns "$1" ip -j -s link show "$2" | jq ".[0].stats64.$3.packets, .[0].stats64.$3.bytes" | xargs
}
# RFC 4022: tcpOutSegs has no segment that was sent again, and a busy machine has TCP send some again.
tcp_segments_out() { # NS
    echo $(($(tcp_mib "$1" OutSegs) + $(tcp_mib "$1" RetransSegs)))
}
tcp_mib() { # NS NAME
    ns "$1" cat /proc/net/snmp | awk -v name="$2" '$1 == "Tcp:" && !at { for (i = 1; i <= NF; i++) if ($i == name) at = i; next }
        $1 == "Tcp:" { print $at }'
}

stream() {
    local sent
    ns right nfbpf-traffic sink --to 10.2.0.1 --port 5001 >/tmp/sink &
    for _ in {1..300}; do
        grep -q listening /tmp/sink 2>/dev/null && break
        sleep 0.1
    done
    sent=$(ns left nfbpf-traffic tcp --to 10.2.0.1 --port 5001 --payload 262144 --count "$writes")
    wait
    assert_eq "bytes received" "$sent" "$(tail -1 /tmp/sink)"
}

offload() { # on|off
    local end
    for end in left:to-router router:to-left router:to-right right:to-router; do
        ns "${end%:*}" ethtool -K "${end#*:}" tso "$1" gso "$1" gro "$1" >/dev/null
    done
}

topology_router
# A device's counters hold whatever is sent, and neighbours and groups of IPv6 are looked for at any time.
for end in left router right; do
    ns $end sh -c 'echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6'
done
know_neighbours left router
know_neighbours router right
nfbpf-load attach --datapath kmod --object-dir "$NFBPF_BPF"

step "each segment a packet: the interfaces' own counters"
offload off
read -r packets_before bytes_before < <(device router to-left rx)
read -r acks_before ack_bytes_before < <(device router to-left tx)
stream
read -r packets_after bytes_after < <(device router to-left rx)
read -r acks_after ack_bytes_after < <(device router to-left tx)
wire=$((packets_after - packets_before)) wire_bytes=$((bytes_after - bytes_before))
acks=$((acks_after - acks_before)) ack_bytes=$((ack_bytes_after - ack_bytes_before))
assert_ge "segments" $((writes * 262144 / 1460)) $wire
for direction in OUT FORWARD; do
    assert_eq "data, $direction, packets" $wire "$(tcp_rows packets $direction 10.1.0.1)"
    assert_eq "data, $direction, bytes" $((wire_bytes - wire * ethernet)) "$(tcp_rows bytes $direction 10.1.0.1)"
done
for direction in FORWARD IN; do
    assert_eq "acknowledgements, $direction, packets" $acks "$(tcp_rows packets $direction 10.2.0.1)"
    assert_eq "acknowledgements, $direction, bytes" $((ack_bytes - acks * ethernet)) "$(tcp_rows bytes $direction 10.2.0.1)"
done

step "super-packets as far as the router's far side, which cuts them: that device counts segments"
offload on
ns router ethtool -K to-right tso off gso off >/dev/null
# With GRO its peer counts for a veth, and without the Ethernet header.
ns right ethtool -K to-router gro off >/dev/null
declare -A before counted
for direction in OUT FORWARD IN; do
    before[$direction]="$(tcp_rows packets $direction 10.1.0.1) $(tcp_rows bytes $direction 10.1.0.1)"
done
read -r packets_before bytes_before < <(device router to-right tx)
read -r whole_before _ < <(device router to-left rx)
sent_before=$(tcp_segments_out left)
stream
read -r packets_after bytes_after < <(device router to-right tx)
read -r whole_after _ < <(device router to-left rx)
wire=$((packets_after - packets_before)) wire_bytes=$((bytes_after - bytes_before))
assert_ge "segments for each packet that the router got" 4 $((wire / (whole_after - whole_before)))
assert_eq "segments, by the sender's TCP" $wire $(($(tcp_segments_out left) - sent_before))
for direction in OUT FORWARD IN; do
    read -r packets_then bytes_then <<<"${before[$direction]}"
    assert_eq "data, $direction, packets" $wire $(($(tcp_rows packets $direction 10.1.0.1) - packets_then))
    assert_eq "data, $direction, bytes" $((wire_bytes - wire * ethernet)) $(($(tcp_rows bytes $direction 10.1.0.1) - bytes_then))
done

step "super-packets that the receiver put together: as many as were sent"
ns right ethtool -K to-router gro on >/dev/null
for direction in OUT IN; do
    before[$direction]="$(tcp_rows packets $direction 10.1.0.1) $(tcp_rows bytes $direction 10.1.0.1)"
done
again_before=$(tcp_mib left RetransSegs)
stream
again=$(($(tcp_mib left RetransSegs) - again_before))
for direction in OUT IN; do
    read -r packets_then bytes_then <<<"${before[$direction]}"
    counted[$direction]="$(($(tcp_rows packets $direction 10.1.0.1) - packets_then)) $(($(tcp_rows bytes $direction 10.1.0.1) - bytes_then))"
done
# What a busy machine's queues dropped never came, and was sent again.
if [ "$again" -gt 0 ] && [ "${counted[OUT]}" != "${counted[IN]}" ]; then
    lost=$((${counted[OUT]% *} - ${counted[IN]% *}))
    assert_ge "segments that were lost, of $again that were sent again" 0 $lost
    assert_ge "segments that were sent again, $lost of them lost" $lost "$again"
else
    assert_eq "data, IN, packets and bytes" "${counted[OUT]}" "${counted[IN]}"
fi

step "module totals = rows + overflow + filtered"
for member in packets bytes; do
    assert_eq "$member" "$(hook_count $member 'ipv4_*')" \
        $(($(map_sum nfbpf_ipv4 $member) + $(map_sum nfbpf_overflow $member '.family == "NFBPF_FAMILY_IPV4"') + $(map_sum nfbpf_filtered $member '.family == "NFBPF_FAMILY_IPV4"')))
done
nfbpf-load detach

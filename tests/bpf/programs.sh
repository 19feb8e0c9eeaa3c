#!/bin/bash
# Each program of the library in rules of iptables, real packets, and the exporter's page, which
# promtool has nothing to say about.
#
#   left 10.1.0.1 ---- right 10.1.0.2, where the exporter serves
#   the programs run here
#
# shellcheck source=tests/bpf/lib.sh
. "$(dirname "$0")/lib.sh"

for tool in curl iptables; do
    command -v $tool >/dev/null || skip "needs $tool"
done
exporter_pid=''

end_exporter() {
    [ -z "$exporter_pid" ] || { kill "$exporter_pid" || true; wait "$exporter_pid" || true; }
    exporter_pid=''
}
trap 'end_exporter; clean_up' EXIT

start_exporter() { # PROGRAM
    printf '%s\n' "run_dir: $work/run-$1" 'web: {listen_addresses: ["10.1.0.2:9987"]}' >"$work/exporter.yaml"
    # Not by ns: what is in the background would be its shell, and end without the exporter.
    nsenter --net=/run/netns/right "$build/exporter/nfbpf_exporter" --allow-root --config.file "$work/exporter.yaml" --path.sysfs "$work" 2>"$work/exporter.log" &
    exporter_pid=$!
    page >"$work/page" || fail "the exporter does not answer: $(cat "$work/exporter.log")"
}

page() { ns left curl -s --retry 9 --retry-connrefused http://10.1.0.2:9987/metrics; }

each_way() { # -A|-D PROGRAM
    ns left iptables "$1" OUTPUT -m bpf --object-pinned "$base-$2/program" &&
        ns left iptables "$1" INPUT -m bpf --object-pinned "$base-$2/program"
}

# A connection that is refused, a ping, a DNS query that nobody answers.
send_packets() {
    ns left ping -c 2 -W 2 -q 10.1.0.2 >/dev/null || fail "10.1.0.2 does not answer"
    ! ns left bash -c 'exec 3<>/dev/tcp/10.1.0.2/81' 2>/dev/null || fail "port 81 is open"
    ns left bash -c 'printf "\0\1\1\0\0\1\0\0\0\0\0\0" >/dev/udp/10.1.0.2/53'
}

# In a shell of its own: that library has names of its own.
promtool_is_silent() {
    local words
    # shellcheck disable=SC2016 # for the other shell
    words=$(bash -euc '. "$1/scripts/lib.sh"; . "$1/tests/e2e/prometheus.sh"; "$(prometheus_binaries)/promtool" check metrics' \
        programs "$repo" <"$work/page" 2>&1) || fail "promtool fails: $words"
    [ -z "$words" ] || fail "promtool complains: $words"
}

shows() { # PROGRAM SERIES_OR_TYPE...
    local program=$1 line
    shift
    load "$program" attach --datapath pinned --program "$program"
    each_way -A "$program" 2>"$work/refused" || skip "no xt_bpf here: $(cat "$work/refused")"
    send_packets
    start_exporter "$program" # and scrapes, which is a handshake
    page >"$work/page"
    for line; do
        grep -qE "^$line" "$work/page" || fail "$program: no $line in $(grep -v '^#' "$work/page")"
        echo "   $line"
    done
    grep -q '^nfbpf_maps_skipped 0$' "$work/page" || fail "maps are skipped: $(cat "$work/exporter.log")"
    promtool_is_silent
    end_exporter
    each_way -D "$program"
}

topology_pair
trap 'end_exporter; clean_up' EXIT
know_neighbours left right
server='family="ipv4",server="10.1.0.2"'

step packet_size
shows packet_size '# TYPE nfbpf_packet_size_bytes histogram' \
    'nfbpf_packet_size_bytes_bucket\{direction="unknown",family="ipv4",le="127.0"\} [1-9]' \
    'nfbpf_packet_size_bytes_sum\{direction="unknown",family="ipv4"\} [1-9]'

step icmp
shows icmp '# TYPE nfbpf_icmp_messages_total counter' \
    'nfbpf_icmp_messages_total\{direction="unknown",family="ipv4",source="10.1.0.1",type="8"\} 2$' \
    'nfbpf_icmp_messages_total\{direction="unknown",family="ipv4",source="10.1.0.2",type="0"\} 2$'

step tcp_handshake
shows tcp_handshake '# TYPE nfbpf_tcp_handshake_latency_seconds histogram' \
    "nfbpf_tcp_handshake_latency_seconds_count\\{$server\\} [1-9]" \
    "nfbpf_tcp_handshake_refused_total\\{$server\\} [1-9]" \
    '# TYPE nfbpf_tcp_handshake_abandoned_total counter'

step dns
shows dns '# TYPE nfbpf_dns_latency_seconds histogram' "nfbpf_dns_queries_total\\{$server\\} 1\$"

step deny
listed='0 0 0 0 0 0 0 0 0 0 ff ff 0a 01 00 02'
load deny attach --datapath pinned --program deny
# shellcheck disable=SC2086 # sixteen words
bpftool map update pinned "$base-deny/maps/nfbpf_denied" key hex $listed value 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0
load deny detach --keep-maps >/dev/null
shows deny 'nfbpf_denied_packets_total\{destination="::ffff:10.1.0.2"\} [1-9]'

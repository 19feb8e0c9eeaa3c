#!/bin/bash
# The module is taken out and put back by hand (rmmod, insmod) while the maps stay and the exporter
# runs: no counter falls, and the time when nothing was counted is told, neither too short nor longer
# than from the scrape before.
# shellcheck source=tests/vm/guest/lib.sh
. "$NFBPF_TESTS/lib.sh"

gid=9987
module_file=$(modinfo -n nfbpf)
topology_pair
know_neighbours left right
nfbpf-load attach --datapath kmod --object-dir "$NFBPF_BPF" --group $gid
start_exporter() {
    nfbpf_exporter --run-as 65534:$gid --web.listen-address 127.0.0.1:9987 >>/tmp/exporter.log 2>&1 &
    exporter=$!
    for _ in $(seq 300); do
        ! (exec 3<>/dev/tcp/127.0.0.1/9987) 2>/dev/null || return 0
        sleep 0.1
    done
    fail "the exporter does not listen"
}
end() {
    kill "$exporter" 2>/dev/null
    wait
    cat /tmp/exporter.log
    nfbpf-load detach
    topology_down
}
trap end EXIT
start_exporter

page() { # FILE
    exec 3<>/dev/tcp/127.0.0.1/9987
    printf 'GET /metrics HTTP/1.0\r\n\r\n' >&3
    sed '1,/^\r*$/d' <&3 >"$1"
    exec 3>&-
    grep -q '^nfbpf_build_info' "$1" || fail "no page: $(head -3 "$1")"
}
value() { awk -v name="$1" '$1 == name { print $2 }' "$2"; } # NAME FILE
uptime_now() { cut -d ' ' -f 1 /proc/uptime; }
at_least() { # WHAT LEAST ACTUAL: with decimals; what /proc/uptime cuts off is a hundredth
    awk -v least="$2" -v actual="$3" 'BEGIN { exit !(actual + 0.011 >= least) }' || fail "$1: $3 is less than $2"
}
# What the exporter counts of itself begins with it.
none_fell() { # BEFORE AFTER
    awk 'NR == FNR { if ($1 ~ /_total([{]|$)/ && $1 !~ /^(process_|nfbpf_map_drain)/) before[$1] = $2; next }
        $1 in before { met++; if ($2 + 0 < before[$1] + 0) { print $1, before[$1], "->", $2; bad = 1 } }
        END { print "   " met + 0, "counters, none fell"; exit bad || met < 10 }' "$1" "$2" || fail "a counter fell"
}
send() { ns left nfbpf-traffic udp --to 10.1.0.2 --count "$1" >/dev/null; }
flow='nfbpf_source_destination_packets_total{destination="10.1.0.2",direction="out",protocol="udp",source="10.1.0.1"}'
out='nfbpf_hook_packets_total{family="ipv4",hook="local_out"}'

reload() { # leaves the bounds of the blind time in `least` and `most`
    local scraped gone since
    scraped=$(uptime_now)
    page /tmp/before
    rmmod nfbpf
    gone=$(uptime_now)
    send 50 # seen by nobody
    "$@"
    insmod "$module_file" bpf_path=$NFBPF_PINS/program
    since=$(cat $NFBPF_SYSFS/hooks/since)
    least=$(awk "BEGIN { print $since - $gone }") most=$(awk "BEGIN { print $since - $scraped }")
}
restart_exporter() {
    kill -9 "$exporter"
    wait "$exporter" || true
    start_exporter
}

page /tmp/first
assert_eq "accountable" 1 "$(value nfbpf_accountable /tmp/first)"
assert_eq "blind" 0 "$(value nfbpf_blind_seconds_total /tmp/first)"
all_least=0 all_most=0 sent=0
for way in true true 'sleep 2.3' restart_exporter; do
    step "rmmod, $way, insmod"
    send 100
    sent=$((sent + 100))
    # shellcheck disable=SC2086 # a command and its words
    reload $way
    all_least=$(awk "BEGIN { print $all_least + $least }") all_most=$(awk "BEGIN { print $all_most + $most }")
    send 10
    sent=$((sent + 10))
    page /tmp/after
    none_fell /tmp/before /tmp/after
    assert_eq "packets of the flow" "$sent" "$(value "$flow" /tmp/after)"
    assert_ge "module's total goes on" $((sent - 100)) "$(value "$out" /tmp/after)"
    blind=$(value nfbpf_blind_seconds_total /tmp/after)
    at_least "blind for" "$all_least" "$blind"
    at_least "from the last scrape on" "$blind" "$all_most"
    printf '   blind for %s s, between %s and %s\n' "$blind" "$all_least" "$all_most"
done
assert_eq "accountable" 0 "$(value nfbpf_accountable /tmp/after)"
assert_eq "up" 1 "$(value nfbpf_up /tmp/after)"

step "while it is gone"
rmmod nfbpf
sleep 1.2
page /tmp/gone
assert_eq "up" 0 "$(value nfbpf_up /tmp/gone)"
at_least "blind" "$(awk "BEGIN { print $blind + 1 }")" "$(value nfbpf_blind_seconds_total /tmp/gone)"
assert_eq "packets of the flow" "$sent" "$(value "$flow" /tmp/gone)"
insmod "$module_file" bpf_path=$NFBPF_PINS/program

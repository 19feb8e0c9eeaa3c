#!/bin/bash
# Buffers are emptied under traffic and the exporter is killed with SIGKILL, NFBPF_KILLS (default 100)
# times, whenever it likes: what is shown at the end is what was sent, no scrape shows less than the
# one before it, and with more pairs than may be series the rest is in "other".
#
#   ns left --netfilter link, hook out--> veth --> ns right          nfbpf_exporter, uid 65534
# shellcheck source=tests/bpf/lib.sh
. "$(dirname "$0")/lib.sh"

# shellcheck source=scripts/lib.sh
. "$repo/scripts/lib.sh"
# shellcheck source=tests/e2e/prometheus.sh
. "$repo/tests/e2e/prometheus.sh"

for tool in curl setpriv; do
    command -v $tool >/dev/null || skip "needs $tool"
done
kills=${NFBPF_KILLS:-100}
limit=200 # series
group=65534

pins=$base-left run=$work/run-left
topology_pair
trap 'end' EXIT
know_neighbours left right
if ! ns left nfbpf-load --pin-dir "$pins" --run-dir "$run" attach --datapath netfilter-link --hooks out \
    --families ipv4 --max-pairs 4096 --group $group 2>"$work/refused"; then
    skip "no netfilter link here: $(cat "$work/refused")"
fi

exporter='' url=''
end() {
    prometheus_stop
    [ -z "$exporter" ] || kill -KILL "$exporter" 2>/dev/null || true
    touch "$work/done"
    wait 2>/dev/null || true
    clean_up
}

own_exporter
printf 'run_dir: %s\nseries_limit: %s\nidle_timeout: 30s\nweb: {listen_addresses: ["127.0.0.1:0"]}\n' \
    "$run" $limit >"$work/exporter.yaml"

# Prometheus looks for the exporter where it was, so from the second start on it has the same port.
keep_port() {
    sed -i "s/127.0.0.1:0/$(url_target "$url")/" "$work/exporter.yaml"
}

start_exporter() { start_unprivileged $group 600; }

scrape() { # FILE
    curl -sf "$url" >"$1" || fail "no page: $(cat "$work/exporter.log")"
    grep -q '^nfbpf_up 1$' "$1" || fail "nfbpf_up is not 1: $(cat "$work/exporter.log")"
}

# All that left, wherever it is counted.
sum_of() { # FILE packets|bytes
    awk -v member="$2" '$1 ~ "^nfbpf_(source_destination|overflow|filtered)_" member "_total{" { sum += $2 } END { printf "%d\n", sum }' "$1"
}

# Of "other", and of the flow that is the busiest all the time and so never leaves.
fell() { # BEFORE AFTER
    awk '/^nfbpf_source_destination_(packets|bytes)_total/ && (/source="other"/ || /destination="10.1.0.2".*source="10.1.0.1"/ || /source="10.1.0.1".*destination="10.1.0.2"/) {
            if (FNR == NR) before[$1] = $2
            else { if ($2 < before[$1]) print $1, before[$1], "->", $2; delete before[$1] }
        }
        END { for (one in before) print one, before[one], "-> gone" }' "$1" "$2"
}

sender() { # NUMBER KIND OPTION...; writes how much it sent
    local number=$1 sent=0 bytes=0 packets size
    shift
    while [ ! -e "$work/done" ]; do
        # Behind the others in the queue for a CPU, or on a small machine they do not get any.
        read -r packets size < <(ns left nice -n 19 nfbpf-traffic "$@" --to 10.1.0.2)
        sent=$((sent + packets)) bytes=$((bytes + size))
    done
    echo "$sent $bytes" >"$work/sent_$number"
}

step "$kills kills under traffic of 3,000 pairs, $limit of them series"
sender 0 flood --count 60000 --sources 3000 --cpu 0 &
sender 1 udp --count 100000 --cpu 1 &
start_exporter
keep_port
prometheus_start "$url"
scrape "$work/before"
drains=0
for ((i = 0; i < kills; i++)); do
    sleep "0.$((RANDOM % 4))$((RANDOM % 10))"
    if ((i % 10 == 9 || i == kills - 1)); then
        sleep 11 # a third of the time-out, after which a buffer is emptied anyway
        scrape "$work/after"
        drains=$((drains + $(sed -n 's/^nfbpf_map_drains_total //p' "$work/after")))
    else
        scrape "$work/after"
    fi
    less=$(fell "$work/before" "$work/after")
    [ -z "$less" ] || fail "after kill $i less is shown than before it: $less"
    [ "$(sum_of "$work/after" packets)" -ge "$(sum_of "$work/before" packets)" ] || fail "the sum fell"
    mv "$work/after" "$work/before"
    kill -KILL $exporter
    wait $exporter 2>/dev/null || true
    start_exporter
done
touch "$work/done"
wait "$(jobs -p | head -1)" 2>/dev/null || true
while [ ! -e "$work/sent_0" ] || [ ! -e "$work/sent_1" ]; do sleep 0.1; done
read -r sent bytes < <(cat "$work"/sent_[01] | awk '{ p += $1; b += $2 } END { printf "%d %d\n", p, b }')
scrape "$work/after"
assert_eq "packets sent = packets shown" "$sent" "$(sum_of "$work/after" packets)"
assert_eq "bytes" "$bytes" "$(sum_of "$work/after" bytes)"
assert_ge "buffers emptied" 1 $drains
for metric in source_destination_packets source_destination_bytes; do
    assert_value "max(resets(nfbpf_${metric}_total[1h]))" 0
done
assert_value 'sum({__name__=~"nfbpf_(source_destination|overflow|filtered)_packets_total"})' "$sent"
prometheus_stop
series=$(grep -c '^nfbpf_source_destination_packets_total{' "$work/after")
[ "$series" -le $((limit + 2)) ] || fail "$series series, the limit is $limit"
echo "   series: $series"
assert_eq "says that there are more" 1 "$(sed -n 's/^nfbpf_series_over_limit{family="nfbpf_source_destination"} //p' "$work/after")"

step "afterwards the map drains"
for ((i = 0; i < 400; i++)); do
    scrape "$work/after"
    rows=$(sed -n 's/^nfbpf_map_entries{map="nfbpf_ipv4"} //p' "$work/after")
    [ "$rows" != 0 ] || break
    sleep 0.2
done
assert_eq "rows" 0 "$rows"
assert_eq "packets" "$sent" "$(sum_of "$work/after" packets)"
lines() { grep -c "nfbpf_source_destination" "$1" || true; }
curl -sf "${url%/metrics}/debug/cardinality" >"$work/sizes"
assert_eq "sets of labels, by the page" 15 "$(lines "$work/sizes")"
ns left nfbpf-traffic flood --to 10.1.0.2 --count 30 >/dev/null
setpriv --reuid $group --regid $group --clear-groups "$work/nfbpf_exporter" --config.file "$work/exporter.yaml" \
    --cardinality >"$work/sizes"
assert_eq "sets of labels, beside an exporter that runs" 15 "$(lines "$work/sizes")"
assert_eq "series of sources alone" "30	nfbpf_source_destination	source" "$(grep 'destination	source$' "$work/sizes")"
sent=$((sent + 30))
scrape "$work/after"
assert_eq "a second exporter" 1 "$(
    setpriv --reuid $group --regid $group --clear-groups timeout 3 "$work/nfbpf_exporter" \
        --config.file "$work/exporter.yaml" --web.listen-address 127.0.0.1:0 2>&1 | grep -c 'another nfbpf_exporter keeps these series' || true)"

step "a million spoofed pairs at the default limit"
kill -KILL $exporter
wait $exporter 2>/dev/null || true
ns left nfbpf-load --pin-dir "$pins" --run-dir "$run" detach >/dev/null
ns left nfbpf-load --pin-dir "$pins" --run-dir "$run" attach --datapath netfilter-link --hooks out \
    --families ipv4 --group $group >/dev/null
printf 'run_dir: %s\nidle_timeout: 15s\nweb: {listen_addresses: ["127.0.0.1:0"]}\n' "$run" >"$work/exporter.yaml"
start_exporter
scrape "$work/after"
read -r sent bytes < <(ns left nfbpf-traffic flood --to 10.1.0.2 --count 500000 --cpu 0,1)
scrape "$work/after"
assert_eq "packets" "$sent" "$(sum_of "$work/after" packets)"
assert_eq "bytes" "$bytes" "$(sum_of "$work/after" bytes)"
series=$(grep -c '^nfbpf_source_destination_packets_total{' "$work/after")
[ "$series" -le 10001 ] || fail "$series series, the limit is 10,000 and one of other"
echo "   series: $series"
assert_ge "in other, of a million" 500000 \
    "$(awk '/^nfbpf_(source_destination_packets_total{.*source="other"|overflow_packets)/ { sum += $2 } END { printf "%d", sum }' "$work/after")"
assert_eq "says so" 1 "$(sed -n 's/^nfbpf_series_over_limit{family="nfbpf_source_destination"} //p' "$work/after")"
rss=$(awk '/VmHWM/ { print $2 }' /proc/$exporter/status)
[ "$rss" -le 65536 ] || fail "the exporter took $rss kB"
echo "   peak RSS: $rss kB"
for ((i = 0; i < 300; i++)); do
    scrape "$work/after"
    rows=$(sed -n 's/^nfbpf_map_entries{map="nfbpf_ipv4"} //p' "$work/after")
    [ "$rows" != 0 ] || break
    sleep 0.2
done
assert_eq "rows afterwards" 0 "$rows"
for ((i = 0; i < 300; i++)); do
    scrape "$work/after"
    series=$(grep -c '^nfbpf_source_destination_packets_total{' "$work/after")
    [ "$series" != 1 ] || break
    sleep 0.2
done
assert_eq "series when all are idle: other" 1 "$series"
assert_eq "packets" "$sent" "$(sum_of "$work/after" packets)"

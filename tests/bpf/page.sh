#!/bin/bash
# The page that people look at, in Chromium, over live traffic: see page.py. With NFBPF_KEEP=FOLDER its
# pictures are kept, after NFBPF_PICTURE_SECONDS of traffic.
#
#   ns left --netfilter link, hook out--> veth --> ns right          nfbpf_exporter <-- Chromium
# shellcheck source=tests/bpf/lib.sh
. "$(dirname "$0")/lib.sh"

for tool in chromium chromedriver; do
    command -v $tool >/dev/null || skip "needs $tool"
done
/usr/bin/python3 -c 'import selenium' 2>/dev/null || skip "needs python3-selenium"

pins=$base-left run=$work/run-left
topology_pair
trap 'end' EXIT
know_neighbours left right
ns left ip route add 10.77.0.0/16 via 10.1.0.2
if ! ns left nfbpf-load --pin-dir "$pins" --run-dir "$run" attach --datapath netfilter-link --hooks out \
    --families ipv4 --group 65534 2>"$work/refused"; then
    skip "no netfilter link here: $(cat "$work/refused")"
fi
exporter=''
end() {
    [ -z "$exporter" ] || kill "$exporter" 2>/dev/null || true
    touch "$work/done"
    wait 2>/dev/null || true
    clean_up
}
cat >"$work/exporter.yaml" <<YAML
run_dir: $run
series_limit: 20000
web: {listen_addresses: ["127.0.0.1:0"]}
networks: {here: [10.1.0.1/32], peer: [10.1.0.2/32], office: [10.77.0.0/17], branch: [10.77.128.0/17]}
groups: {source: both, destination: both}
YAML
chmod 755 "$work"
install -m 755 "$build/exporter/nfbpf_exporter" "$work/nfbpf_exporter"
: >"$work/exporter.log" # it is looked into before it is there
"$work/nfbpf_exporter" --run-as 65534 --config.file "$work/exporter.yaml" 2>"$work/exporter.log" &
exporter=$!
url=''
for ((i = 0; i < 300 && ${#url} == 0; i++)); do
    url=$(sed -n 's/.*msg="listening on \([^"]*\)".*/http:\/\/\1\//p' "$work/exporter.log")
    sleep 0.05
done
[ -n "$url" ] || fail "the exporter does not listen: $(cat "$work/exporter.log")"

step "ten thousand pairs that are there already, and some that go on"
ns left nfbpf-traffic flood --to 10.1.0.2 --count 10000 >/dev/null
cat >"$work/flow" <<FLOW
#!/bin/bash
. "$NFBPF_TESTS/lib.sh"
for ((i = 0; i < 600; i++)); do
    [ ! -e "$work/done" ] || exit 0
    ns left nfbpf-traffic udp --to 10.1.0.2 --count 300 --payload 1200 >/dev/null
    sleep 0.2
done
FLOW
chmod +x "$work/flow"
# Up and down within half a minute, each at another time: a picture to look at.
background() {
    local to count turn=0 place wave
    while [ ! -e "$work/done" ]; do
        place=0
        while read -r to count; do
            wave=$(((SECONDS + place * 7) % 30))
            [ $wave -le 15 ] || wave=$((30 - wave))
            ns left nfbpf-traffic udp --to "$to" --count $((count * (10 + wave) / 20 + 1)) --payload 700 >/dev/null
            place=$((place + 1))
        done <<<"$busy"
        [ $((turn % 3)) -ne 0 ] || ns left nfbpf-traffic icmp --to 10.77.0.1 --count 2 >/dev/null
        turn=$((turn + 1))
        sleep 0.2
    done
}
# The first is the busiest at any time.
busy='10.77.0.1 200
10.77.0.2 70
10.77.130.5 60
10.77.3.9 50
10.77.4.20 40
10.77.8.8 30
10.77.40.7 25
10.77.200.1 20
10.77.9.4 15
10.77.201.9 10'
background &
step "in a terminal"
(cd "$work" && "$work/nfbpf_exporter" top --once --url "$url" --seconds 1 --rows 5) | tee "$work/top"
grep -qE '^ *[0-9.]+ kB/s +[0-9]+ /s  10.1.0.1 > 10.77.0.1  .*udp' "$work/top" || fail "the busiest is not in it"
assert_refused "top without an exporter" "127.0.0.1:1: is an nfbpf_exporter running there: Connection refused" \
    "$work/nfbpf_exporter" top --once --url http://127.0.0.1:1
assert_refused "top of something else" "is no http:// or https:// address" "$work/nfbpf_exporter" top --url ftp://x
(cd "$work" && "$work/nfbpf_exporter" top --once --url "$url" --seconds 1 --filter "UDP 10.77.0.2 out") | tee "$work/top"
if [ "$(grep -c ' > ' "$work/top")" != 2 ] || ! grep -qE '^ *[0-9.]+ kB/s +[0-9]+ /s  10.1.0.1 > 10.77.0.2  ' "$work/top"; then
    fail "the filter leaves something else"
fi
(cd "$work" && "$work/nfbpf_exporter" top --once --url "$url" --seconds 1 --limit 3) | tee "$work/top"
[ "$(grep -c '10.1.0.1 > ' "$work/top")" = 3 ] || fail "not the three with most bytes"
step "Chromium"
timeout $((200 + ${NFBPF_PICTURE_SECONDS:-0})) /usr/bin/python3 "$(dirname "$0")/page.py" "$url" "$work/flow" "$work" || fail "the page: $(tail -3 "$work/exporter.log")"
[ -z "${NFBPF_KEEP:-}" ] || cp "$work"/*.png "$NFBPF_KEEP"

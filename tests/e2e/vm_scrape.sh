#!/bin/bash
# Debian's Prometheus scrapes the exporter in the VM, where the module counts.
#   tests/e2e/vm_scrape.sh [KERNEL]
set -euo pipefail
repo=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=scripts/lib.sh
. "$repo/scripts/lib.sh"
# shellcheck source=tests/e2e/prometheus.sh
. "$repo/tests/e2e/prometheus.sh"

kernel=${1:-6.1}
run=$(mktemp -d)
vm=

# Ours to end: the guest is told to stop, and its kernel log is judged.
clean_up() {
    prometheus_stop
    [ -z "$vm" ] || ! kill -TERM "$vm" 2>/dev/null || wait "$vm" || true
    rm -rf "$run"
}
trap clean_up EXIT

free_port() { # an unlikely one; QEMU says so when it is taken
    echo $((20000 + $$ % 20000))
}

port=$(free_port)
url=http://127.0.0.1:$port/metrics
"$repo/scripts/vm" "$kernel" exporter --net-port "$port:9987" --timeout 240 --run-dir "$run/vm" >"$run/log" 2>&1 &
vm=$!
for _ in $(seq 900); do
    ! grep -q 'nfbpf-vm: ready' "$run/log" || break
    kill -0 "$vm" 2>/dev/null || { cat "$run/log" >&2; die "the VM ended before it was ready"; }
    sleep 0.2
done
grep -E 'attached|Uid|CapEff|NoNewPrivs' "$run/log"

# With the rules, because only the module can say some of what they and the dashboards ask for; but for the
# groups' intervals, as minutes are too long to wait.
mkdir "$run/rules"
cp "$repo"/dashboards/rules/nfbpf.{rules,alerts}.yaml "$run/rules"
sed -i '/^    interval: [12]m$/d' "$run/rules/nfbpf.rules.yaml"
{
    printf 'rule_files: ["%s/rules/*.yaml"]\n' "$run"
    prometheus_config "$url" | sed 's/scrape_timeout: 1s/&, evaluation_interval: 1s/'
} >"$run/prometheus.yml"
prometheus_start --config "$run/prometheus.yml"
assert_up "$url"
sleep 12 # a rate over 10 s
flow='nfbpf_source_destination_packets_total{source="10.0.2.15",destination="10.0.2.2",direction="out",protocol="icmp"}'
assert_rate "$flow" 10 10 # an emulated machine beside a busy one keeps time so far
assert_no_resets "$flow"
assert_value 'nfbpf_datapath_info{datapath="kmod"}' 1
assert_value 'nfbpf_up' 1
assert_value 'nfbpf_sampling_packets' 1
assert_value 'sum(nfbpf_hook_packets_total) > bool 0' 1
# Nothing that the module met is missing in the maps, in any scrape.
assert_value 'nfbpf_accountable' 1
assert_value 'max(max_over_time(nfbpf_unaccounted_packets[10m]))' 0
assert_value 'nfbpf_series_kept' 1
assert_value 'nfbpf_flowtables' 1
assert_value 'nfbpf_map_drains_total > bool 1' 1
python3 "$repo/tests/e2e/dashboards.py" ask --only 'nfbpf_hook_|nfbpf_run_seconds|nfbpf_unaccounted' \
    "$prometheus_url" "$repo"/dashboards/*.json
assert_value 'count(ALERTS{alertname=~"NfbpfUnaccounted|NfbpfBlind"}) or vector(0)' 0
# Every metric of the module's own is in docs/metrics.md; what others show is checked beside them.
python3 "$repo/tests/e2e/metrics_doc.py" "$repo/docs/metrics.md" --elsewhere '(?!nfbpf_(hook_|unaccounted_|flowtables$))' <(curl -fsS "$url")
assert_metrics_clean "$url"

kill -TERM "$vm"
status=0
wait "$vm" || status=$?
vm=
tail -3 "$run/log"
[ $status -eq 0 ] || { cat "$run/log" >&2; die "the VM failed"; }
log "pass: kernel $kernel, scraped at $url"

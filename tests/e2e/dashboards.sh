#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Dashboards, rules and alerts: promtool's tests of the rules, a linter for the JSON, and every query and
# rule asked of a real Prometheus. It scrapes two real exporters:
#
#    left ---- router ---- right        router: nfbpf-load has the kernel count here what left sends to right
#    10.1/16            10.2/16         static: maps of a fixture, with an overflow that real traffic has not
#
#   dashboards.sh BUILD_FOLDER
#   NFBPF_DRAW=FOLDER NFBPF_DRAW_AFTER=SECONDS     draws the panels, too: scripts/draw-dashboards
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=../bpf/lib.sh
. "$here/../bpf/lib.sh"
# shellcheck source=../../scripts/lib.sh
. "$repo/scripts/lib.sh"
# shellcheck source=prometheus.sh
. "$here/prometheus.sh"

exporter=$build/exporter/nfbpf_exporter
rules=$repo/dashboards/rules
fixture_pins=/sys/fs/bpf/nfbpf-fixture-$$
pids=()
end() {
    prometheus_stop
    [ ${#pids[@]} -eq 0 ] || { kill "${pids[@]}" && wait "${pids[@]}"; } 2>/dev/null || true
    find "$fixture_pins" -depth -delete 2>/dev/null || true
    clean_up
}
trap end EXIT

"$repo/dashboards/generate" --check
python3 "$here/dashboards.py" lint "$repo"/dashboards/*.json
bin=$(prometheus_binaries)
"$bin/promtool" check rules "$rules"/nfbpf.{rules,alerts,pods}.yaml >/dev/null
(cd "$rules" && "$bin/promtool" test rules nfbpf.test.yaml)
# Every alert says where to read on, and that is there; and every one has a test that it fires in.
for alert in $(sed -n 's/.*- alert: //p' "$rules/nfbpf.alerts.yaml"); do
    grep -q "^## $alert$" "$repo/docs/runbook.md" || die "docs/runbook.md has no section $alert"
    grep -qi "runbook_url: docs/runbook.md#$alert$" "$rules/nfbpf.alerts.yaml" || die "alert $alert does not name its section of the runbook"
    grep "alertname: $alert, exp_alerts: \[{" "$rules/nfbpf.test.yaml" >/dev/null || die "no test has $alert fire"
    grep "alertname: $alert, exp_alerts: \[\]" "$rules/nfbpf.test.yaml" >/dev/null || die "no test has $alert not fire"
done

topology_router
trap end EXIT
ns router nfbpf-load --pin-dir "$base-router" --run-dir "$work/run-router" attach --datapath netfilter-link \
    2>"$work/refused" || skip "no netfilter link here: $(cat "$work/refused")"
"$build/tests/e2e/loaded_maps" "$fixture_pins" "$work/run-static" 1000 50 >"$work/maps.log" 2>&1 &
pids+=($!)

serve() { # NAME [MORE OF THE CONFIGURATION]: sets address_NAME
    local address=''
    cat >"$work/$1.yaml" <<YAML
run_dir: $work/run-$1
${2:-}
web: {listen_addresses: ["127.0.0.1:0"]}
networks:
  left: [10.1.0.0/16, "fd01::/64", 192.0.2.0/24]
  right: [10.2.0.0/16, "fd02::/64", 198.51.100.0/24]
  office: [11.0.0.0/9]
groups: {source: both, destination: both}
YAML
    : >"$work/$1.log" # it is there before it is read
    "$exporter" --allow-root --config.file "$work/$1.yaml" >"$work/$1.log" 2>&1 &
    pids+=($!)
    for ((i = 0; i < 300 && ${#address} == 0; i++)); do
        address=$(sed -n 's/.*msg="listening on \([^" ]*\).*/\1/p' "$work/$1.log")
        sleep 0.1
    done
    [ -n "$address" ] || die "the exporter does not listen: $(cat "$work/$1.log")"
    declare -g "address_$1=$address"
}
serve router
serve static "series_limit: 20" # so that there is an "other"
# shellcheck disable=SC2154 # set by serve
page_router=http://$address_router/metrics page_static=http://$address_static/metrics

# What it sends waxes and wanes, so that there is something to look at.
send_traffic() {
    local round=0 burst
    while :; do
        burst=$((50 + (round * 37) % 400))
        ns left nfbpf-traffic udp --to 10.2.0.1 --count $((burst * 4)) --payload 900
        ns left nfbpf-traffic udp --to fd02::1 --count $burst --payload 300
        ns left nfbpf-traffic icmp --to 10.2.0.1 --count 20
        ns left nfbpf-traffic icmp --to 10.1.0.254 --count 10
        ns router nfbpf-traffic icmp --to 127.0.0.1 --count 10 # filtered: loopback
        ns right nfbpf-traffic udp --to 10.1.0.1 --count $((600 - burst)) --payload 500
        ns left nfbpf-traffic flood --to 10.2.0.1 --count $((burst / 2)) --sources 40 --payload 200
        round=$((round + 1))
        sleep 0.5
    done
}
send_traffic >"$work/traffic.log" 2>&1 &
pids+=($!)

# kube-state-metrics, played by a file.
mkdir "$work/kube"
cat >"$work/kube/metrics" <<'TEXT'
kube_pod_info{namespace="shop",pod="web",uid="1",pod_ip="10.1.0.1",host_network="false",node="router"} 1
kube_pod_info{namespace="shop",pod="db",uid="2",pod_ip="10.2.0.1",host_network="false",node="router"} 1
kube_pod_ips{namespace="shop",pod="web",uid="1",ip="fd01::1",ip_family="6"} 1
kube_pod_ips{namespace="shop",pod="db",uid="2",ip="fd02::1",ip_family="6"} 1
kube_pod_created{namespace="shop",pod="web",uid="1"} 1.7e+09
kube_pod_created{namespace="shop",pod="db",uid="2"} 1.7e+09
kube_pod_status_phase{namespace="shop",pod="web",uid="1",phase="Running"} 1
kube_pod_status_phase{namespace="shop",pod="db",uid="2",phase="Running"} 1
TEXT
: >"$work/kube.log" # it is there before it is read
python3 -u -m http.server --bind 127.0.0.1 --directory "$work/kube" 0 >"$work/kube.log" 2>&1 &
pids+=($!)
kube=''
for ((i = 0; i < 100 && ${#kube} == 0; i++)); do
    kube=$(sed -n 's/^Serving HTTP on 127.0.0.1 port \([0-9]*\).*/127.0.0.1:\1/p' "$work/kube.log")
    sleep 0.1
done

# An hour ago the exporters were there and without pairs, so all are new now; a week ago there was traffic.
history() {
    local now instance at
    now=$(date +%s)
    printf '# TYPE instance_direction:nfbpf_bytes:rate5m gauge\n'
    for instance in "$address_router" "$address_static"; do
        for ((at = now - 604800 - 900; at < now - 604800 + 3600; at += 15)); do
            echo "instance_direction:nfbpf_bytes:rate5m{job=\"nfbpf\",instance=\"$instance\",direction=\"forward\"} 200000 $at"
        done
    done
    printf '# TYPE nfbpf_up gauge\n'
    for instance in "$address_router" "$address_static"; do
        for ((at = now - 4500; at < now - 2700; at += 15)); do
            echo "nfbpf_up{job=\"nfbpf\",instance=\"$instance\"} 1 $at"
        done
    done
    echo '# EOF'
}
history >"$work/history.txt"
prometheus_history=$work/history.txt

# As shipped, but for the groups' intervals: minutes are too long to wait.
mkdir "$work/rules"
cp "$rules"/nfbpf.{rules,alerts,pods}.yaml "$work/rules"
sed -i '/^    interval: [12]m$/d' "$work/rules/nfbpf.rules.yaml"
cat >"$work/prometheus.yml" <<YAML
global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}
rule_files: ["$work/rules/*.yaml"]
scrape_configs:
  - job_name: nfbpf
    static_configs:
      - {targets: ["$address_router"], labels: {node: router}}
      - {targets: ["$address_static"], labels: {node: static}}
  - job_name: kube-state-metrics
    static_configs: [{targets: ["$kube"]}]
YAML
prometheus_start --config "$work/prometheus.yml"
prometheus_wait 15 'sum(nfbpf_up)' value_is 2
prometheus_wait 15 'count(up == 1)' value_is 3
sleep 15 # for rates
# Of pods both families count, and each byte once (groups of rules are not evaluated at the same instant): all that was forwarded to 10.2.0.1 and fd02::1 is received by "db".
prometheus_wait 20 'round(100 * sum(namespace_pod:nfbpf_received_bytes:rate5m{pod="db"})
    / sum(instance_direction_protocol_groups:nfbpf_bytes:rate5m{direction="forward",destination_group="right",instance="'"$address_router"'"}))' value_near 100 3
python3 "$here/dashboards.py" ask "$prometheus_url" "$repo"/dashboards/*.json
python3 "$here/metrics_doc.py" "$repo/docs/metrics.md" --elsewhere 'nfbpf_(hook_|unaccounted_|flowtables$|web_)' \
    <(curl -fsS "$page_router") <(curl -fsS "$page_static")
if [ -n "${NFBPF_DRAW:-}" ]; then
    sleep "${NFBPF_DRAW_AFTER:-60}"
    /usr/bin/python3 "$here/draw.py" "$prometheus_url" "$NFBPF_DRAW" "${NFBPF_DRAW_AFTER:-60}" "$repo"/dashboards/*.json
fi
log pass

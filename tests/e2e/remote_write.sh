#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# deploy/prometheus as it ships, but for the intervals: a shard and an agent scrape a real exporter and write to a
# central Prometheus, each of them Debian's. In a network namespace of its own, so that the ports are free.
#
#   exporter :9987  <--  shard :9091, agent :9092  -->  central :9090
#
#   remote_write.sh EXPORTER LOADED_MAPS
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
repo=$(cd "$here/../.." && pwd)
# shellcheck source=../../scripts/lib.sh
. "$repo/scripts/lib.sh"
# shellcheck source=prometheus.sh
. "$here/prometheus.sh"

exporter=$1
loaded_maps=$2
[ "$(id -u)" -eq 0 ] || { log "SKIPPED: making maps needs root, this is uid $(id -u)"; exit 77; }
bin=$(prometheus_binaries) # here, because inside there is no network
if [ -z "${NFBPF_E2E_INSIDE:-}" ]; then
    NFBPF_E2E_INSIDE=1 exec unshare --net "$0" "$@"
fi
ip link set lo up
work=$(mktemp -d)
pins=/sys/fs/bpf/nfbpf-remote-$$
declare -A pid=()
stop() { # NAME
    kill "${pid[$1]}" 2>/dev/null && wait "${pid[$1]}" 2>/dev/null || true
    unset "pid[$1]"
}
end() {
    local name
    for name in "${!pid[@]}"; do stop "$name"; done
    find "$pins" -depth -delete 2>/dev/null || true
    rm -rf "$work"
}
trap end EXIT

mkdir "$work/rules"
cp "$repo"/dashboards/rules/nfbpf.{rules,alerts,pods}.yaml "$work/rules"
sed -i "/^    interval: [12]m$/d" "$work/rules/nfbpf.rules.yaml"
for file in "$repo"/deploy/prometheus/*.yaml; do
    sed 's/: 30s/: 1s/' "$file" >"$work/${file##*/}"
    "$bin/promtool" check config "$work/${file##*/}" >/dev/null || die "promtool refuses $file"
done
start() { # NAME PORT OPTION...
    local name=$1 port=$2 _
    shift 2
    "$bin/prometheus" --config.file="$work/$name.yaml" --web.listen-address="127.0.0.1:$port" "$@" >>"$work/$name.log" 2>&1 &
    pid[$name]=$!
    for _ in $(seq 300); do
        ! curl -fsS "http://127.0.0.1:$port/-/ready" >/dev/null 2>&1 || return 0
        kill -0 "${pid[$name]}" 2>/dev/null || { cat "$work/$name.log" >&2; die "$name ended at its start"; }
        sleep 0.1
    done
    die "$name is not ready after 30 s"
}
central() { start central 9090 --storage.tsdb.path="$work/central" --web.enable-remote-write-receiver; }

mountpoint -q /sys/fs/bpf || mount -t bpf bpf /sys/fs/bpf 2>/dev/null || { log "SKIPPED: no bpffs at /sys/fs/bpf"; exit 77; }
"$loaded_maps" "$pins" "$work/run" 1000 50 >"$work/maps.log" 2>&1 &
pid[maps]=$!
printf 'run_dir: %s\nweb: {listen_addresses: ["127.0.0.1:9987"]}\n' "$work/run" >"$work/exporter.yaml"
"$exporter" --allow-root --config.file "$work/exporter.yaml" >"$work/exporter.log" 2>&1 &
pid[exporter]=$!
central
start shard 9091 --storage.tsdb.path="$work/shard" --storage.tsdb.retention.time=3d
prometheus_url=http://127.0.0.1:9090
prometheus_wait 30 'instance_direction:nfbpf_bytes:rate5m{shard="1",direction="in"} > bool 0' value_is 1
prometheus_wait 10 'count(instance_pair:nfbpf_bytes:topk20_rate5m{shard="1"}) > bool 0' value_is 1
prometheus_wait 10 'nfbpf_up{shard="1"}' value_is 1
prometheus_wait 10 'count(nfbpf_source_destination_bytes_total{shard="1"}) or vector(0)' value_is 0
prometheus_url=http://127.0.0.1:9091 prometheus_wait 10 'count(nfbpf_source_destination_bytes_total) > bool 50' value_is 1

start agent 9092 --enable-feature=agent --storage.agent.path="$work/agent"
prometheus_wait 30 'count(nfbpf_source_destination_bytes_total{shard="2"}) > bool 50' value_is 1
log "the central one is away for ten seconds: the agent sends what it scraped meanwhile, later"
stop central
away=$(date +%s)
sleep 10
central
# It scrapes each second: of the eight in the middle none is missing (or one, when a scrape came late).
prometheus_wait 60 "count_over_time(nfbpf_up{shard=\"2\"}[8s] @ $((away + 9))) >= bool 7" value_is 1
prometheus_wait 10 'max(resets(nfbpf_source_destination_packets_total{shard="2"}[5m]))' value_is 0
stop exporter
prometheus_wait 20 'count(ALERTS{alertname="NfbpfExporterDown",alertstate="pending"})' value_is 2
log pass

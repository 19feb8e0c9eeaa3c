#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Dashboards, rules and alerts: promtool's tests of the rules, a linter for the JSON, and every query and
# rule asked of a real Prometheus that scrapes a real exporter.
#
#   dashboards.sh EXPORTER LOADED_MAPS
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
repo=$(cd "$here/../.." && pwd)
# shellcheck source=../../scripts/lib.sh
. "$repo/scripts/lib.sh"
# shellcheck source=prometheus.sh
. "$here/prometheus.sh"

exporter=$1
loaded_maps=$2
skip() { log "SKIPPED: $*"; exit 77; }
[ "$(id -u)" -eq 0 ] || skip "making maps needs root, this is uid $(id -u)"
mountpoint -q / || skip "/ is no mount point, so nothing can be mounted for this test alone: for a chroot, \"mount --bind DIR DIR\" before entering it"
if [ -z "${NFBPF_E2E_INSIDE:-}" ]; then
    NFBPF_E2E_INSIDE=1 exec unshare --mount --propagation private "$0" "$@"
fi
dir=$(mktemp -d)
pids=()
end() {
    prometheus_stop
    [ ${#pids[@]} -eq 0 ] || { kill "${pids[@]}" && wait; } 2>/dev/null || true
    umount -l "$dir/bpf" 2>/dev/null || true
    rm -rf "$dir"
}
trap end EXIT

python3 "$here/dashboards.py" lint "$repo"/dashboards/*.json
bin=$(prometheus_binaries)
"$bin/promtool" check rules "$repo"/dashboards/rules/nfbpf.{rules,alerts,pods}.yaml >/dev/null
(cd "$repo/dashboards/rules" && "$bin/promtool" test rules nfbpf.test.yaml)
# Every alert says where to read on, and that is there; and every one has a test that it fires in.
for alert in $(sed -n 's/.*- alert: //p' "$repo/dashboards/rules/nfbpf.alerts.yaml"); do
    grep -q "^## $alert$" "$repo/docs/runbook.md" || die "docs/runbook.md has no section $alert"
    grep "alertname: $alert, exp_alerts: \[{" "$repo/dashboards/rules/nfbpf.test.yaml" >/dev/null ||
        die "no test has $alert fire"
    grep "alertname: $alert, exp_alerts: \[\]" "$repo/dashboards/rules/nfbpf.test.yaml" >/dev/null ||
        die "no test has $alert not fire"
done

mkdir "$dir/bpf" "$dir/run"
mount -t bpf bpf "$dir/bpf" 2>/dev/null || skip "cannot mount a bpffs here"
"$loaded_maps" "$dir/bpf/nfbpf" "$dir/run" 1000 50 >"$dir/maps.log" 2>&1 &
pids+=($!)
cat >"$dir/exporter.yaml" <<YAML
run_dir: $dir/run
web: {listen_addresses: ["127.0.0.1:0"]}
networks: {documentation: [192.0.2.0/24, 198.51.100.0/24]}
groups: {source: both, destination: both}
YAML
"$exporter" --allow-root --config.file "$dir/exporter.yaml" >"$dir/log" 2>&1 &
pids+=($!)
address=''
for ((i = 0; i < 300 && ${#address} == 0; i++)); do
    address=$(sed -n 's/.*msg="listening on \([^" ]*\).*/\1/p' "$dir/log")
    sleep 0.1
done
[ -n "$address" ] || die "the exporter does not listen: $(cat "$dir/log")"
cat >"$dir/prometheus.yml" <<YAML
global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}
rule_files: ["$repo/dashboards/rules/nfbpf.rules.yaml", "$repo/dashboards/rules/nfbpf.alerts.yaml", "$repo/dashboards/rules/nfbpf.pods.yaml"]
scrape_configs: [{job_name: nfbpf, static_configs: [{targets: ["$address"]}]}]
YAML
prometheus_start --config "$dir/prometheus.yml"
prometheus_wait 15 'nfbpf_up' value_is 1
sleep 12 # for rates
python3 "$here/dashboards.py" ask "$prometheus_url" "$repo"/dashboards/*.json
log pass

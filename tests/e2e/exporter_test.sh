#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The exporter without privilege, real maps under it, a real Prometheus before it:
#
#   loaded_maps (root: maps, pins, manifest) -> bpffs, run dir -> nfbpf_exporter (uid 65534) -> Prometheus
#
#   exporter_test.sh EXPORTER LOADED_MAPS
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=lib.sh
. "$here/lib.sh"
# shellcheck source=prometheus.sh
. "$here/prometheus.sh"

exporter=$1
loaded_maps=$2
need_tools curl jq setpriv
# The bpffs goes with us, whatever happens.
own_mounts "making maps" "$0" "$@"

dir=$(mktemp -d)
maps_pid='' exporter_pid=''
stop() { # PID
    [ -z "$1" ] || { kill "$1" && wait "$1"; } 2>/dev/null || true
}
end() {
    prometheus_stop
    stop "$exporter_pid"
    stop "$maps_pid"
    umount -l "$dir/bpf" 2>/dev/null || true
    rm -rf "$dir"
}
trap end EXIT

chmod 755 "$dir"
mkdir "$dir/bpf" "$dir/run"
mount -t bpf bpf "$dir/bpf" 2>/dev/null || skip "cannot mount a bpffs here"
chmod 755 "$dir/bpf"
# The exporter may be below a home that another user cannot enter.
install -m 755 "$exporter" "$dir/nfbpf_exporter"

start_maps() {
    "$loaded_maps" "$dir/bpf/nfbpf" "$dir/run" 1000 >"$dir/maps.log" 2>&1 &
    maps_pid=$!
    for _ in $(seq 300); do
        grep -q ready "$dir/maps.log" && return 0
        kill -0 "$maps_pid" 2>/dev/null || skip "no maps here: $(cat "$dir/maps.log")"
        sleep 0.1
    done
    die "loaded_maps is not ready after 5 s"
}

start_exporter() {
    printf 'run_dir: %s\nweb: {listen_addresses: ["127.0.0.1:0"]}\n' "$dir/run" >"$dir/exporter.yaml"
    printf 'networks: {documentation: [192.0.2.0/24, 2001:db8::/32]}\ngroups: {source: both}\n' >>"$dir/exporter.yaml"
    setpriv --reuid 65534 --regid 65534 --clear-groups --no-new-privs --bounding-set=-all \
        "$dir/nfbpf_exporter" --config.file "$dir/exporter.yaml" --path.sysfs "$dir/sys" 2>"$dir/exporter.log" &
    exporter_pid=$!
    local _
    for _ in $(seq 300); do
        url=$(sed -n 's/.*msg="listening on \([^"]*\)".*/http:\/\/\1\/metrics/p' "$dir/exporter.log")
        [ -z "$url" ] || return 0
        sleep 0.1
    done
    die "the exporter does not listen after 5 s: $(cat "$dir/exporter.log")"
}

start_exporter
prometheus_start "$url"
assert_up "$url"
log "before anything is loaded: the page is there and says so"
assert_value nfbpf_up 0
assert_metrics_clean "$url"
[ "$(curl -s -o /dev/null -w '%{http_code}' "${url%/metrics}/-/ready")" = 503 ] || die "ready without maps"

start_maps
log "loaded: the next scrape has the traffic"
assert_value nfbpf_up 1
udp='nfbpf_source_destination_packets_total{source="192.0.2.1",destination="198.51.100.2",direction="in",protocol="udp"}'
assert_rate "$udp" 1000 3
assert_rate "${udp/packets/bytes}" 100000 3
assert_value 'nfbpf_source_destination_packets_total{source="2001:db8::1",direction="out",protocol="tcp"}' 4242
assert_value 'nfbpf_overflow_packets_total{direction="in",family="ipv4",reason="full"}' 77
assert_value 'nfbpf_map_capacity{map="nfbpf_ipv4"}' 1024
assert_metrics_clean "$url"
assert_openmetrics "$url"
assert_value "count($udp) by (source_group)" 1
assert_value "count(${udp/source=/source_group=\"documentation\",source=})" 1
assert_no_resets "$udp"

log "a reload: all or nothing, and no series falls"
before=$(curl -fsS "$url" | sed -n 's/^nfbpf_config_last_reload_success_timestamp_seconds //p')
cp "$dir/exporter.yaml" "$dir/good.yaml"
echo 'series_limit: 0' >>"$dir/exporter.yaml"
kill -HUP "$exporter_pid"
assert_value nfbpf_config_last_reload_successful 0
assert_value "$udp > bool 0" 1
grep -q 'configuration not reloaded.*exporter.yaml:[0-9]*:[0-9]*: series_limit: has .*0.*allowed is a whole number' "$dir/exporter.log" ||
    die "the log does not say why: $(tail -3 "$dir/exporter.log")"
{ cat "$dir/good.yaml"; echo 'series_limit: 5000'; } >"$dir/exporter.yaml"
kill -HUP "$exporter_pid"
assert_value nfbpf_config_last_reload_successful 1
assert_value 'nfbpf_series_limit{family="nfbpf_source_destination"}' 5000
assert_value "nfbpf_config_last_reload_success_timestamp_seconds > bool $before" 1
assert_no_resets "$udp"

log "detached: down and still serving"
kill "$maps_pid"; wait "$maps_pid" || true
maps_pid=
assert_value nfbpf_up 0
assert_up "$url"
log "loaded again: found within one scrape"
start_maps
assert_value nfbpf_up 1

log "a second exporter on the same port says which and what to do"
if "$exporter" --allow-root --config.file "$dir/exporter.yaml" --web.listen-address "$(url_target "$url")" 2>"$dir/second.log"; then
    die "two exporters on one port"
fi
grep -q "cannot listen on $(url_target "$url"): Address already in use; choose another" "$dir/second.log" ||
    die "unclear: $(cat "$dir/second.log")"

kill "$exporter_pid"; wait "$exporter_pid" || die "the exporter did not end cleanly: $?"
exporter_pid=
log "all as it should be"

#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Clients that hold on: 100 that send half a request and 100 that ask for a page of 20,000 series and
# never read it, each again as soon as it is cut. A scrape each second meanwhile: none is refused, and
# nobody holds on for more than five seconds. NFBPF_SECONDS (default 15) of it.
#
#   hostile.sh EXPORTER LOADED_MAPS
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=lib.sh
. "$here/lib.sh"

exporter=$1
loaded_maps=$2
own_mounts "making maps" "$0" "$@"
dir=$(mktemp -d)
pids=()
end() {
    [ ${#pids[@]} -eq 0 ] || { kill "${pids[@]}" && wait; } 2>/dev/null || true
    umount -l "$dir/bpf" 2>/dev/null || true
    rm -rf "$dir"
}
trap end EXIT
mkdir "$dir/bpf" "$dir/run"
mount -t bpf bpf "$dir/bpf" 2>/dev/null || skip "cannot mount a bpffs here"
wait_for() { # FILE PATTERN
    for _ in $(seq 600); do
        ! grep -q "$2" "$1" || return 0
        sleep 0.1
    done
    die "no '$2' in: $(cat "$1")"
}
"$loaded_maps" "$dir/bpf/nfbpf" "$dir/run" 1000 10000 >"$dir/maps.log" 2>&1 &
pids+=($!)
wait_for "$dir/maps.log" ready
printf 'run_dir: %s\nseries_limit: 20000\nweb: {listen_addresses: ["127.0.0.1:0"]}\n' "$dir/run" >"$dir/exporter.yaml"
"$exporter" --allow-root --config.file "$dir/exporter.yaml" >"$dir/log" 2>&1 &
pids+=($!)
wait_for "$dir/log" 'listening on'
address=$(sed -n 's/.*msg="listening on \([^" ]*\).*/\1/p' "$dir/log")

result=$(python3 "$here/../../bench/hostile.py" "$address" /metrics --seconds "${NFBPF_SECONDS:-15}")
log "$result"
number() { jq ".$1" <<<"$result"; }
at_most() { awk -v a="$2" -v m="$3" 'BEGIN { exit !(a <= m) }' || die "$1: $2, at most $3 is good"; }
[ "$(number refused)" = 0 ] || die "good scrapes were refused"
[ "$(number scrapes)" -ge 5 ] || die "too few scrapes"
[ "$(number cuts)" -ge 200 ] || die "the bad clients were not cut, or were none"
# Five is what the server is made for; twice that for a busy machine. Without time-outs it is for ever.
at_most "a half-open client held on for" "$(number half_open_held)" 10
at_most "one that never reads held on for" "$(number never_reading_held)" 10
kill -0 "${pids[1]}" || die "the exporter is gone"
log pass

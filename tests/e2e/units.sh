#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The systemd units: systemd understands them, and finds the exporter's exposure at most 2.0 of 10, with
# the drop-in for old kernels, too.
set -euo pipefail
repo=$(cd "$(dirname "$0")/../.." && pwd)
command -v systemd-analyze >/dev/null || { echo "skipped: systemd-analyze is not installed"; exit 77; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
for unit in nfbpf.service nfbpf-exporter.service; do
    # What they start need not be installed here.
    sed -E 's,/usr/s?bin/nfbpf(_exporter|-load),/bin/true,' "$repo/deploy/systemd/$unit" >"$dir/$unit"
done
exposure() {
    systemd-analyze security --offline=true --threshold=20 "$dir/nfbpf-exporter.service" >"$dir/exposure" ||
        { echo "FAILED: exposed too much: $(tail -1 "$dir/exposure")"; exit 1; }
    tail -1 "$dir/exposure"
}
verify() {
    complaints=$(systemd-analyze verify --man=no "$dir/$1" 2>&1 | grep -F "$1" || true)
    [ -z "$complaints" ] || { echo "FAILED: $complaints"; exit 1; }
}

verify nfbpf.service
verify nfbpf-exporter.service
exposure

dropin=nfbpf-exporter-before-5.19.conf
install -D -m 644 -t "$dir/nfbpf-exporter.service.d" "$repo/deploy/systemd/$dropin"
verify nfbpf-exporter.service
exposure
grep -qE '^✗ CapabilityBoundingSet=~CAP_BPF' "$dir/exposure" || { echo "FAILED: $dropin gives no CAP_BPF"; exit 1; }

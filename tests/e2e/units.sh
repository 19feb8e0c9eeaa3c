#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The systemd units: systemd understands them, and finds the exporter's exposure at most 2.0 of 10.
set -euo pipefail
repo=$(cd "$(dirname "$0")/../.." && pwd)
command -v systemd-analyze >/dev/null || { echo "skipped: systemd-analyze is not installed"; exit 77; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
for unit in nfbpf.service nfbpf-exporter.service; do
    # What they start need not be installed here.
    sed -E 's,/usr/s?bin/nfbpf(_exporter|-load),/bin/true,' "$repo/deploy/systemd/$unit" >"$dir/$unit"
done
for unit in nfbpf.service nfbpf-exporter.service; do
    complaints=$(systemd-analyze verify --man=no "$dir/$unit" 2>&1 | grep -F "$unit" || true)
    [ -z "$complaints" ] || { echo "FAILED: $complaints"; exit 1; }
done
systemd-analyze security --offline=true --threshold=20 "$dir/nfbpf-exporter.service" | tail -1
systemd-analyze security --offline=true --threshold=20 "$dir/nfbpf-exporter.service" >/dev/null

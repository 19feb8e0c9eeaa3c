#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The page in Chromium over made-up answers: see page.py. Needs no privilege and no map.
#
#   page.sh EXPORTER
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=lib.sh
. "$here/lib.sh"

exporter=$1
need_tools chromium chromedriver
/usr/bin/python3 -c 'import selenium' 2>/dev/null || skip "python3-selenium is not installed"
dir=$(mktemp -d)
pid=''
end() {
    [ -z "$pid" ] || { kill "$pid" && wait "$pid"; } 2>/dev/null || true
    rm -rf "$dir"
}
trap end EXIT

printf 'run_dir: %s/run\nweb: {listen_addresses: ["127.0.0.1:0"]}\n' "$dir" >"$dir/exporter.yaml"
: >"$dir/log" # it is looked into before it is there
"$exporter" --allow-root --config.file "$dir/exporter.yaml" >"$dir/log" 2>&1 &
pid=$!
fail() { log "FAILED: $*"; cat "$dir/log" >&2; exit 1; }
await_address "$pid" "$dir/log"
timeout 200 /usr/bin/python3 "$here/page.py" "http://$address/" "$dir" || { log "FAILED: the page over made-up answers"; exit 1; }
[ -z "${NFBPF_KEEP:-}" ] || cp "$dir"/*.png "$NFBPF_KEEP"

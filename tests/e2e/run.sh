#!/bin/bash
# scripts/run as a user runs it: it serves, shows pairs, and Ctrl-C leaves nothing.
set -euo pipefail
repo=$(cd "$(dirname "$0")/../.." && pwd)
out=$(mktemp)
run=
# Also when a check failed: what was started is ended and detaches.
clean_up() {
    if [ -n "$run" ] && kill -TERM "$run" 2>/dev/null; then
        wait "$run" || true
    fi
    rm -f "$out"
}
trap clean_up EXIT
port=$((20000 + ($$ + 7) % 20000))

fail() { echo "FAILED: $*"; cat "$out"; exit 1; }

# In a session of its own, so that the signal reaches the script alone and its trap does the rest;
# and a shell starts what it puts into the background with SIGINT ignored.
setsid env --default-signal=INT "$repo/scripts/run" --listen "127.0.0.1:$port" --count-loopback >"$out" 2>&1 &
run=$!
for _ in $(seq 900); do
    grep -q 'busiest pairs' "$out" && break
    kill -0 $run 2>/dev/null || fail "scripts/run ended by itself"
    sleep 1
done
page=$(curl -fsS "http://127.0.0.1:$port/metrics")
grep -q '^nfbpf_up 1$' <<<"$page" || fail "nfbpf_up is not 1"
# Our own scrapes pass through lo and are counted.
for _ in $(seq 10); do
    grep -q '127.0.0.1 -> 127.0.0.1' "$out" && break
    sleep 1
done
grep -q '127.0.0.1 -> 127.0.0.1' "$out" || fail "no busiest pair"
kill -INT -- -$run # as a terminal does: the whole group
status=0
wait $run || status=$?
run=
[ $status -eq 130 ] || fail "exit status $status after Ctrl-C, not 130"
grep -q '^detached: ' "$out" || fail "nothing was detached"
[ ! -e /sys/fs/bpf/nfbpf ] || fail "pins are left"
[ ! -e /run/nfbpf ] || fail "the run directory is left"
grep -E 'attached by|not taken|metrics at|->' "$out" | head -8

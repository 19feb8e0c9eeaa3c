#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What a machine runs out of: descriptors, under clients that hold on to theirs; room for the log. The
# exporter stays up, says what it can, and is right again when there is some. (A clock that steps, modules
# and maps that go: the guest test privileges, which has a clock of its own to set.)
#
#   faults.sh EXPORTER LOADED_MAPS
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=lib.sh
. "$here/lib.sh"

exporter=$1
loaded_maps=$2
own_mounts "making maps" "$0" "$@"
dir=$(mktemp -d)
pid='' maps=''
end() {
    for one in $pid $maps; do { kill "$one" && wait "$one"; } 2>/dev/null || true; done
    umount -l "$dir/bpf" "$dir/small" 2>/dev/null || true
    rm -rf "$dir"
}
trap end EXIT
fail() { log "FAILED: $*"; [ ! -e "$dir/log" ] || tail -5 "$dir/log" >&2; exit 1; }
mkdir "$dir/bpf" "$dir/run" "$dir/small"
mount -t bpf bpf "$dir/bpf" || skip "cannot mount a bpffs here"
mount -t tmpfs -o size=64k small "$dir/small" || skip "cannot mount a tmpfs here"
"$loaded_maps" "$dir/bpf/nfbpf" "$dir/run" 1000 >"$dir/maps.log" 2>&1 &
maps=$!
for _ in $(seq 300); do ! grep -qs ready "$dir/maps.log" || break; sleep 0.1; done
port=0
configure() { printf 'run_dir: %s/run\nweb: {listen_addresses: ["127.0.0.1:%d"]}\n' "$dir" "$port" >"$dir/exporter.yaml"; }
page() { curl -fsS --max-time 10 -o "$dir/page" "http://127.0.0.1:$port/metrics" 2>"$dir/curl"; }
value() { sed -n "s/^$1 //p" "$dir/page"; }
alive() { kill -0 "$pid" 2>/dev/null || fail "$1: the exporter has ended"; }
is_right() { # WHAT
    alive "$1"
    page || fail "$1: no page: $(cat "$dir/curl")"
    [ "$(value nfbpf_up)" = 1 ] || fail "$1: nfbpf_up is $(value nfbpf_up)"
}
await() { # WHAT: right within ten seconds
    for _ in $(seq 100); do
        if page && [ "$(value nfbpf_up)" = 1 ]; then break; fi
        sleep 0.1
    done
    is_right "$1"
}
stop() { { kill "$pid" && wait "$pid"; } || fail "$1: the exporter did not end well: $?"; pid=''; } # WHAT
ticks() { awk '{ sub(/.*\) /, ""); print $12 + $13 }' "/proc/$pid/stat"; }

start() { # COMMAND...: in front of the exporter
    : >"$dir/log" # it is looked into before it is there
    "$@" "$exporter" --allow-root --config.file "$dir/exporter.yaml" >"$dir/log" 2>&1 &
    pid=$!
    port=0
    for ((i = 0; i < 300 && port == 0; i++)); do
        sleep 0.1
        port=$(sed -n 's/.*msg="listening on 127.0.0.1:\([0-9]*\).*/\1/p' "$dir/log")
        port=${port:-0}
    done
    [ "$port" -gt 0 ] || fail "the exporter does not listen"
}
# 200 clients that hold on, each again as soon as it is cut.
hold() { # SECONDS
    python3 - "$port" "$1" <<'PYTHON'
import select, socket, sys, time
held, until = [], time.monotonic() + float(sys.argv[2])
while time.monotonic() < until:
    while len(held) < 200:
        held.append(socket.socket())
        held[-1].setblocking(False)
        held[-1].connect_ex(("127.0.0.1", int(sys.argv[1])))
    for cut in select.select(held, [], [], 0.2)[0]:
        held.remove(cut)
        cut.close()
PYTHON
}
descriptors() { find "/proc/$pid/fd" -mindepth 1 | wc -l; }
is_idle() { # WHAT TICKS_BEFORE SECONDS: a loop that does not wait uses a processor whole
    local used=$(($(ticks) - $2)) hz
    hz=$(getconf CLK_TCK)
    log "  $used ticks of processor time in about $3 s, of $((hz * $3))"
    [ $used -le $((hz * $3 / 6)) ] || fail "$1: it is busy with nothing"
}
has_let_go() { # WHAT
    for _ in $(seq 100); do
        page && [ "$(value process_open_fds)" -gt "$at_rest" ] || break
        sleep 0.1
    done
    [ "$(value process_open_fds)" -le "$at_rest" ] || fail "$1: $(value process_open_fds) descriptors, $at_rest before"
}

log "few descriptors, and more clients than that: some are left for its own files"
configure
start prlimit --nofile=64
grep -q 'RLIMIT_NOFILE is 64: 8 connections are served' "$dir/log" || fail "it does not say that it is short of descriptors"
is_right "with 64 descriptors"
[ "$(value process_max_fds)" = 64 ] || fail "process_max_fds is $(value process_max_fds)"
at_rest=$(value process_open_fds)
before=$(ticks)
hold 8 &
holding=$!
sleep 4
[ "$(descriptors)" -ge $((at_rest + 8)) ] || fail "nobody holds on: $(descriptors) descriptors"
[ "$(descriptors)" -le 50 ] || fail "clients have $(descriptors) descriptors of 64"
wait $holding || fail "the clients ended by themselves"
is_idle "few descriptors" "$before" 8
alive "few descriptors"
await "when the clients are gone"
has_let_go "few descriptors"
stop "few descriptors"

log "a soft limit that is too low is raised"
port=0
configure
start prlimit --nofile=64:4096
is_right "with a soft limit"
[ "$(value process_max_fds)" = 560 ] || fail "process_max_fds is $(value process_max_fds)"
at_rest=$(value process_open_fds)

log "no descriptor at all, and some again"
prlimit --pid $pid --nofile=3:4096
before=$(ticks)
hold 6 &
holding=$!
sleep 4
! curl -s --max-time 1 -o /dev/null "http://127.0.0.1:$port/metrics" || fail "it takes connections"
wait $holding || fail "the clients ended by themselves"
is_idle "no descriptor" "$before" 6
alive "no descriptor"
[ "$(grep -c 'cannot take another connection: Too many open files; RLIMIT_NOFILE is 3' "$dir/log")" = 1 ] ||
    fail "it does not say once that it has no descriptors"
prlimit --pid $pid --nofile=560:4096
await "when there are descriptors again"
has_let_go "no descriptor"
stop "no descriptor"

configure # the port is known now, since the log will not tell it
reloads() { # WHAT
    kill -HUP "$pid"
    for _ in $(seq 50); do
        page || fail "$1: no page"
        [ "$(value nfbpf_config_last_reload_successful)" != "$2" ] || return 0
        sleep 0.1
    done
    fail "$1: a reload does not come out as $2"
}
goes_on() { # WHAT
    await "$1"
    reloads "$1" 1
    echo 'no: such' >>"$dir/exporter.yaml"
    reloads "$1" 0 # which is an error that it would log
    configure
    reloads "$1" 1
    is_right "$1"
}
rm "$dir/log"
log "a log that cannot be written: /dev/full"
"$exporter" --allow-root --config.file "$dir/exporter.yaml" >/dev/full 2>&1 &
pid=$!
goes_on "/dev/full"
stop "/dev/full"

log "a log whose reader is gone"
"$exporter" --allow-root --config.file "$dir/exporter.yaml" > >(exec sed 1q >/dev/null) 2>&1 &
pid=$!
goes_on "a pipe without a reader"
stop "a pipe without a reader"

log "a disk that is full, and has room again"
"$exporter" --allow-root --config.file "$dir/exporter.yaml" >>"$dir/small/log" 2>&1 &
pid=$!
await "before the disk is full"
dd if=/dev/zero of="$dir/small/fill" bs=4k 2>/dev/null && fail "the disk is not full"
# Until the last block that the log has is full, too.
for _ in $(seq 40); do kill -HUP "$pid"; sleep 0.05; done
size=$(stat -c %s "$dir/small/log")
goes_on "a full disk"
[ "$(stat -c %s "$dir/small/log")" -le $((size / 4096 * 4096 + 4096)) ] || fail "the disk was not full"
rm "$dir/small/fill"
reloads "room again" 1
for ((i = 0; i < 50 && $(stat -c %s "$dir/small/log") <= size; i++)); do sleep 0.1; done
tail -1 "$dir/small/log" | grep -q 'configuration reloaded' || fail "nothing is logged when there is room again"
stop "a full disk"
log pass

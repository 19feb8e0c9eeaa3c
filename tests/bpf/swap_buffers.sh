#!/bin/bash
# Swaps between a program with two buffers and one without, beside a module that plain files play
# (see swap.sh), under an exporter that has no privilege: what the second buffer has stays part
# of the same series, and a note to empty a buffer can be worked off whichever program runs.
if [ -z "${NFBPF_OWN_MOUNTS:-}" ] && mountpoint -q /; then
    NFBPF_OWN_MOUNTS=1 exec unshare --mount --propagation private "$0" "$@"
fi
# shellcheck source=tests/bpf/lib.sh
. "$(dirname "$0")/lib.sh"

for tool in curl setpriv; do
    command -v $tool >/dev/null || skip "needs $tool"
done
play_module
pins=$base-buffers run=$work/run-buffers group=65534
traffic=$NFBPF_OBJECT_DIR/traffic.bpf.o without=$NFBPF_OBJECT_DIR/deny.bpf.o

exporter='' url=''
end() {
    [ -z "$exporter" ] || kill -KILL "$exporter" 2>/dev/null || true
    wait 2>/dev/null || true
    rm -rf "${module:?}" # or detach wants to remove it
    clean_up
}
trap end EXIT

own_exporter
start_exporter() {
    printf 'run_dir: %s\nseries_limit: 3\nidle_timeout: 15s\nweb: {listen_addresses: ["127.0.0.1:0"]}\n' \
        "$run" >"$work/exporter.yaml"
    start_unprivileged $group 200
}
scrape() {
    curl -sf "$url" >"$work/page" || fail "no page: $(cat "$work/exporter.log")"
    # The module that files play has no totals.
    grep -q '^nfbpf_scrape_success{collector="maps"} 1$' "$work/page" ||
        fail "the maps are not read: $(cat "$work/exporter.log")"
}
value_of() { # OF: a source, or nothing for all
    awk -v of="source=\"${1:-}" '/^nfbpf_source_destination_packets_total/ && index($0, of) { sum += $NF } END { printf "%d\n", sum }' "$work/page"
}
emptied() { sed -n 's/^nfbpf_map_drains_total //p' "$work/page"; }
swap_to() { # OBJECT
    load buffers swap "$1"
    bpftool -j prog show pinned "$pins/program" | jq .id >$module/program/id
}
put() { # MAP SOURCE PACKETS, on each CPU
    # shellcheck disable=SC2046 # words are bytes
    bpftool map update pinned "$pins/maps/$1" key hex 04 11 00 00 0a 00 00 0"$2" 0a 00 00 09 \
        value hex $(printf '%02x %02x 00 00 00 00 00 00' $(($3 & 255)) $(($3 >> 8))) 01 00 00 00 00 00 00 00
}
cpus=$(awk -F- '{ print $NF + 1 }' /sys/devices/system/cpu/possible)

load buffers attach --datapath pinned --group $group
sed -i 's/"datapath": "pinned"/"datapath": "kmod"/' "$run/state.json"
load_module "$pins/program"
bpftool -j prog show pinned "$pins/program" | jq .id >$module/program/id

step "rows of both buffers are one series, whichever program runs"
put nfbpf_ipv4 1 10
put nfbpf_ipv4_b 1 100
for object in "$without" "$traffic" "$without"; do
    swap_to "$object"
    [ -n "$exporter" ] || start_exporter
    scrape
    assert_eq "10.0.0.1 under $(basename "$object")" $((110 * cpus)) "$(value_of 10.0.0.1)"
    assert_eq "all" $((110 * cpus)) "$(value_of)"
    assert_eq "no table of the second" 0 "$(grep -c 'map="nfbpf_ipv4_b"' "$work/page" || true)"
done

step "a program without buffers: no rows are taken out, and what a note may speak of can be emptied"
rows=$(map_rows "$pins/maps/nfbpf_ipv4_b")
put nfbpf_ipv4_b 2 1000
sleep 6 # a third of the time-out, and a second
scrape
assert_eq "all" $((1110 * cpus)) "$(value_of)"
assert_eq "rows in the second" $((rows + 1)) "$(map_rows "$pins/maps/nfbpf_ipv4_b")"
for map in nfbpf_ipv4 nfbpf_ipv4_b; do
    id=$(bpftool -j map show pinned "$pins/maps/$map" | jq .id)
    flags=$(grep -lP "^map_id:\t$id\$" /proc/"$exporter"/fdinfo/* | xargs sed -n 's/^flags:.*\(.\)$/\1/p')
    assert_eq "$map is open for reading and writing" 2 "$flags"
done

step "back with buffers, they are emptied"
swap_to "$traffic"
scrape
assert_eq "all" $((1110 * cpus)) "$(value_of)"
for ((try = 0; try < 100; try++)); do
    [ "$(map_rows "$pins/maps/nfbpf_ipv4_b")" = 0 ] && break
    sleep 0.2
done
assert_eq "rows in the second" 0 "$(map_rows "$pins/maps/nfbpf_ipv4_b")"
scrape
assert_eq "all" $((1110 * cpus)) "$(value_of)"
assert_ge "emptied, it says" 1 "$(emptied)"

step "what was emptied is told on over a reload and a swap"
before=$(emptied)
kill -HUP "$exporter"
sleep 1
scrape
assert_ge "after a reload" "$before" "$(emptied)"
swap_to "$without"
scrape
assert_ge "after a swap" "$before" "$(emptied)"

step "pins that are read-only to the exporter are no failure under a program that takes nothing out"
chmod 440 "$pins"/maps/nfbpf_ipv4*
kill -HUP "$exporter"
sleep 1
scrape
assert_eq "all" $((1110 * cpus)) "$(value_of)"
chmod 660 "$pins"/maps/nfbpf_ipv4*

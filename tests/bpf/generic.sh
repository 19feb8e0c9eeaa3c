#!/bin/bash
# A program whose maps hold a member of each kind, and maps that cannot be shown: the exporter's page
# is the one below, the log names each map that is not in it, and promtool has nothing to say.
# shellcheck source=tests/bpf/lib.sh
. "$(dirname "$0")/lib.sh"

for tool in curl setpriv; do
    command -v $tool >/dev/null || skip "needs $tool"
done
exporter=$build/exporter/nfbpf_exporter
cpus=$(awk -F- '{ print $NF + 1 }' /sys/devices/system/cpu/possible)
pins=$base-generic/maps
exporter_pid='' url='' as=()

end_exporter() {
    [ -z "$exporter_pid" ] || { kill "$exporter_pid"; wait "$exporter_pid" || true; }
    exporter_pid=''
}
trap 'end_exporter; clean_up' EXIT

start_exporter() { # CONFIG_LINES...; ${as[@]} runs it
    local _
    printf '%s\n' "run_dir: ${run:-$work/run-generic}" 'web: {listen_addresses: ["127.0.0.1:0"]}' "$@" >"$work/exporter.yaml"
    "${as[@]}" "$exporter" --allow-root --config.file "$work/exporter.yaml" --path.sysfs "$work" 2>"$work/exporter.log" &
    exporter_pid=$!
    for _ in $(seq 50); do
        url=$(sed -n 's/.*msg="listening on \([^"]*\)".*/http:\/\/\1\/metrics/p' "$work/exporter.log")
        [ -z "$url" ] || return 0
        sleep 0.1
    done
    fail "the exporter does not listen after 5 s: $(cat "$work/exporter.log")"
}

put() { # MAP KEY_BYTES VALUE_BYTES, hex; each CPU of a per-CPU map gets the value
    # shellcheck disable=SC2086 # words
    bpftool map update pinned "$pins/$1" key hex $2 value hex $3
}

# Little-endian words as bytes.
u64() { local n; for n; do printf '%016x\n' "$n" | fold -w2 | tac | paste -sd' '; done | paste -sd' '; }
u32() { local n; for n; do printf '%08x\n' "$n" | fold -w2 | tac | paste -sd' '; done | paste -sd' '; }
text() { printf '%s' "$1" | od -An -tx1 -v | tr -d '\n'; }
zeros() { printf ' 00%.0s' $(seq "$1"); }

fill() {
    local ipv6='20 01 0d b8 00 00 00 00 00 00 00 00 00 00 00 01' mac='02 00 0a ff 10 05'
    # packets open balance (-5) resets busy_ns; the struct has 32 bytes
    local value
    value="$(u64 5 7) fb ff ff ff $(u32 1) $(u64 1500000007)"
    # An IPv4 address with and without rubbish behind it are one client.
    put session "c0 00 02 01$(zeros 12) $mac 01 12 $(u32 1)" "$value"
    put session "c0 00 02 01 ff$(zeros 11) $mac 01 12 $(u32 1)" "$value"
    put session "$ipv6 $mac 02 40 $(u32 4000000)" "$value"
    # Text up to the first NUL; a quote, a backslash and a byte that is no text.
    value="$(u64 1 0 2 0 0 0 0 4) $(u64 5000) $(u64 10 20 30 40) $(u64 70000)"
    put command "$(text 'sshd') 00$(text 'rubbish')$(zeros 4)" "$value"
    put command "$(text 'a"b\c') ff$(zeros 10)" "$value"
    put tagged "c6 33 64 02 $(text dns) 00" "$(u64 3)"
    put unnamed "$(u32 1)" "$(u64 9)"
}

# The families of this program's maps and the number of those that are not shown.
shown() { curl -s "$url" | grep -E '^(# [A-Z]+ )?(nfbpf_(session|command|tagged|unnamed|theirs|maps_skipped)|site)' || true; }

# Nanoseconds as seconds, as they are written.
seconds() { printf '%d.%09d' $(($1 / 1000000000)) $(($1 % 1000000000)); }

# Twice as much for the client of which there are two rows.
session() { # FAMILY IPV6_VALUE IPV4_VALUE
    local mac='mac="02:00:0a:ff:10:05"'
    printf '%s{client="2001:db8::1",family="ipv6",flags="0x40",interface="4000000",%s} %s\n' "$1" "$mac" "$2"
    printf '%s{client="192.0.2.1",family="ipv4",flags="syn|ack",interface="lo",%s} %s\n' "$1" "$mac" "$3"
}

# The same slots for each command.
histogram() { # FAMILY SUM BOUND:CUMULATED...
    local comm pair family=$1 sum=$2
    shift 2
    for comm in 'a\"b\\x5cc\\xff' sshd; do
        for pair; do
            printf '%s_bucket{comm="%s",le="%s"} %s\n' "$family" "$comm" "${pair%:*}" "${pair#*:}"
        done
        printf '%s_sum{comm="%s"} %s\n' "$family" "$comm" "$sum"
        printf '%s_count{comm="%s"} %s\n' "$family" "$comm" "${pair#*:}"
    done
}

head_of() { # FAMILY TYPE HELP
    printf '# HELP %s %s\n# TYPE %s %s\n' "$1" "$3" "$1" "$2"
}

by_type() {
    local labels='by client, family, flags, interface, mac; summed over CPUs from session'
    head_of nfbpf_command_size_bytes histogram 'Size bytes by comm; summed over CPUs from command'
    histogram nfbpf_command_size_bytes 70000 64.0:10 576.0:30 1500.0:60 +Inf:100
    head_of nfbpf_command_wait_seconds histogram 'Wait seconds by comm; summed over CPUs from command'
    histogram nfbpf_command_wait_seconds 0.000005000 \
        1e-09:1 3e-09:1 7e-09:3 1.5e-08:3 3.1e-08:3 6.3e-08:3 1.27e-07:3 +Inf:7
    head_of nfbpf_maps_skipped gauge 'Maps that are loaded and have a layout that cannot be shown.'
    echo 'nfbpf_maps_skipped 9'
    head_of nfbpf_session_balance gauge "Balance $labels"
    session nfbpf_session_balance $((-5 * cpus)) $((-10 * cpus))
    head_of nfbpf_session_busy_seconds_total counter "Busy seconds $labels"
    session nfbpf_session_busy_seconds_total "$(seconds $((1500000007 * cpus)))" "$(seconds $((3000000014 * cpus)))"
    head_of nfbpf_session_open gauge "Open $labels"
    session nfbpf_session_open $((7 * cpus)) $((14 * cpus))
    head_of nfbpf_session_packets_total counter "Packets $labels"
    session nfbpf_session_packets_total $((5 * cpus)) $((10 * cpus))
    head_of nfbpf_session_resets_total counter "Resets $labels"
    session nfbpf_session_resets_total $((1 * cpus)) $((2 * cpus))
    head_of nfbpf_tagged_depth gauge 'Depth by name, server; summed over CPUs from tagged'
    echo 'nfbpf_tagged_depth{name="dns",server="198.51.100.2"} 3'
    head_of nfbpf_unnamed_hits_total counter 'Hits by key; summed over CPUs from unnamed'
    printf 'nfbpf_unnamed_hits_total{key="%s"} %s\n' 0 0 1 9
}

by_rule() {
    local labels='by address, family, interface; summed over CPUs from session'
    site() { # FAMILY IPV6_VALUE IPV4_VALUE
        printf '%s{address="2001:db8::1",family="ipv6",interface="4000000"} %s\n' "$1" "$2"
        printf '%s{address="192.0.2.1",family="ipv4",interface="lo"} %s\n' "$1" "$3"
    }
    head_of nfbpf_command_size_bytes histogram 'Size bytes by comm; summed over CPUs from command'
    histogram nfbpf_command_size_bytes 70000 1.0:10 2.0:30 3.0:60 +Inf:100
    head_of nfbpf_maps_skipped gauge 'Maps that are loaded and have a layout that cannot be shown.'
    echo 'nfbpf_maps_skipped 9'
    head_of site_session_busy_seconds_total counter "Busy seconds $labels"
    site site_session_busy_seconds_total "$(seconds $((1500000007 * cpus)))" "$(seconds $((3000000014 * cpus)))"
    head_of site_session_frames_total counter 'Frames.'
    site site_session_frames_total $((5 * cpus)) $((10 * cpus))
    head_of site_session_resets_bytes gauge "Resets bytes $labels"
    site site_session_resets_bytes $((1 * cpus)) $((2 * cpus))
}

# Of other tools: one that the kernel tells the types of, one that a file does, one that is not there.
by_pin() {
    head_of nfbpf_maps_skipped gauge 'Maps that are loaded and have a layout that cannot be shown.'
    echo "nfbpf_maps_skipped $1"
    [ -z "${2:-}" ] || head_of nfbpf_unnamed_hits_total counter 'Hits by key; summed over CPUs from unnamed'
    [ -z "${2:-}" ] || printf 'nfbpf_unnamed_hits_total{key="%s"} %s\n' 0 0 1 9
    head_of nfbpf_tagged_depth gauge 'Depth by name, server; summed over CPUs from theirs'
    echo 'nfbpf_tagged_depth{name="dns",server="198.51.100.2"} 3'
}

as_expected() { # EXPECTED
    diff -u "$1" <(shown) || fail "the page is another one"
}

# In a shell of its own: that library has names of its own.
clean() {
    # shellcheck disable=SC2016 # for the other shell
    bash -euc '. "$1/scripts/lib.sh"; . "$1/tests/e2e/prometheus.sh"; assert_metrics_clean "$2"' \
        generic "$repo" "$url" || fail "promtool complains"
}

named_once() { # TEXT
    assert_eq "in the log: $1" 1 "$(grep -cF "$1" "$work/exporter.log")"
}

# By the configuration: a family's name and help, a label less, a member less, bounds.
rules=(
    'maps:'
    '  session:'
    '    family: site_session'
    '    labels: {flags: {drop: true}, mac: {drop: true}, client: {rename: address}}'
    '    members:'
    '      packets: {rename: frames, help: Frames.}'
    '      open: {drop: true}'
    '      balance: {drop: true}'
    '      resets: {type: gauge, unit: bytes}'
    '  command: {members: {size_bytes: {bounds: [1, 2, 3]}, wait_ns: {drop: true}}}'
    '  tagged: {labels: {nmae: {drop: true}}}'
    '  nasty_three_bytes: {drop: true}'
    '  unnamed: {drop: true}'
)

step "maps by their types"
load generic attach --datapath pinned --program "$build/tests/bpf/generic.bpf.o"
fill
start_exporter
by_type >"$work/expected"
as_expected "$work/expected"
curl -s "$url" >/dev/null
for map in three_bytes long_key no_btf cyclic bits union hook scrape events; do
    named_once "not shown: map nasty_$map: "
done
clean
end_exporter

step "maps by the configuration"
start_exporter "${rules[@]}"
by_rule >"$work/expected"
as_expected "$work/expected"
named_once 'has no member \"nmae\", which the configuration names in labels; it has server, name'
clean
end_exporter

# No loader's manifest: these maps belong to whoever pinned them.
pinned=(
    'pinned_maps:'
    "  - {path: $pins/tagged, name: theirs, btf: $work/types.btf}"
    "  - {path: $pins/unnamed}"
    "  - {path: $pins/nothing}"
)

step "maps that another tool pinned"
llvm_objcopy=''
for tool in llvm-objcopy llvm-objcopy-{14,16,19}; do # no pipe: head may end it before it has said all
    [ -n "$llvm_objcopy" ] || llvm_objcopy=$(command -v "$tool" || true)
done
[ -n "$llvm_objcopy" ] || fail "no llvm-objcopy"
"$llvm_objcopy" --dump-section .BTF="$work/types.btf" "$build/tests/bpf/generic.bpf.o" "$work/object"
run=$work/nothing
start_exporter "${pinned[@]}"
by_pin 1 with_kernels_btf | sort >"$work/expected"
diff -u "$work/expected" <(shown | sort) || fail "the page is another one"
named_once "not shown: map nothing: $pins/nothing: cannot open the pinned map: No such file or directory; is the tool that pins it running?"
clean
end_exporter

step "the same without privilege: the kernel tells no types"
chmod 755 "$base-generic" "$pins" "$work"
chmod 644 "$pins"/{tagged,unnamed} "$work"/*
install -m 755 "$exporter" "$work/nfbpf_exporter"
exporter=$work/nfbpf_exporter
as=(setpriv --reuid 65534 --regid 65534 --clear-groups --no-new-privs "--bounding-set=-all")
start_exporter "${pinned[@]}"
by_pin 2 | sort >"$work/expected"
diff -u "$work/expected" <(shown | sort) || fail "the page is another one"
named_once "not shown: map unnamed: cannot ask the kernel for BTF"
end_exporter

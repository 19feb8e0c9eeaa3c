#!/bin/bash
# The program is replaced while packets fly, from two CPUs: each packet is counted by the old or by
# the new one, none by both, none by neither. NFBPF_SWAPS (default 1,000) in about a minute, some of
# them to things that are no program.
# shellcheck source=tests/vm/guest/lib.sh
. "$NFBPF_TESTS/lib.sh"

swaps=${NFBPF_SWAPS:-1000}
parameter=$NFBPF_SYSFS/parameters/bpf_path
pins=/sys/fs/bpf/swap

topology_pair
know_neighbours left right
nfbpf-load attach --datapath kmod --object-dir "$NFBPF_BPF" --hooks out --families ipv4

# Two programs with maps of their own: what each counted adds up, or packets were lost or doubled.
mkdir -p $pins/a $pins/b
bpftool prog load "$NFBPF_BPF/traffic.bpf.o" $pins/prog_a type socket pinmaps $pins/a 2>/dev/null
bpftool prog load "$NFBPF_BPF/traffic.bpf.o" $pins/prog_b type socket pinmaps $pins/b 2>/dev/null
bpftool prog load "$NFBPF_BPF/xdp_pass.bpf.o" $pins/xdp type xdp 2>/dev/null
echo $pins/prog_a >"$parameter"

counted() { # MEMBER [FILTER]: by both programs
    local filter=${2:-true}
    echo $(($(map_sum $pins/a/nfbpf_ipv4 "$1" "$filter") + $(map_sum $pins/b/nfbpf_ipv4 "$1" "$filter")))
}
udp='.protocol == 17' # "right" answers some packets by ICMP, and those are counted too

# Senders run until the swaps are done, in chunks, each of a known number.
sender() { # CPU
    local sent=0 bytes=0 packets size
    while [ ! -e /tmp/swaps_done ]; do
        read -r packets size < <(ns left nfbpf-traffic udp --to 10.1.0.2 --count 20000 --cpu "$1")
        sent=$((sent + packets)) bytes=$((bytes + size))
    done
    echo "$sent $bytes" >"/tmp/sent_$1"
}

step "$swaps swaps under traffic"
rm -f /tmp/swaps_done
before=$(hook_count packets ipv4_local_out)
before_bytes=$(hook_count bytes ipv4_local_out)
sender 0 &
sender 1 &
start=$(date +%s)
good=0
for ((i = 0; i < swaps; i++)); do
    case $((i % 10)) in
    3) ! echo /sys/fs/bpf/none 2>/dev/null >"$parameter" || fail "swap to a missing path was accepted" ;;
    7) ! echo $pins/xdp 2>/dev/null >"$parameter" || fail "swap to an xdp program was accepted" ;;
    *) if ((good++ % 2)); then echo $pins/prog_a; else echo $pins/prog_b; fi >"$parameter" ;;
    esac
done
echo "   $good good and $((swaps - good)) refused swaps in $(($(date +%s) - start)) s"
touch /tmp/swaps_done
wait
read -r sent bytes < <(cat /tmp/sent_0 /tmp/sent_1 | awk '{ p += $1; b += $2 } END { print p, b }')
assert_eq "sent = counted by both programs" "$sent" "$(counted packets "$udp")"
assert_eq "bytes" "$bytes" "$(counted bytes "$udp")"
assert_eq "seen by the module = counted by both" $(($(hook_count packets ipv4_local_out) - before)) "$(counted packets)"
assert_eq "bytes" $(($(hook_count bytes ipv4_local_out) - before_bytes)) "$(counted bytes)"
assert_ge "both counted: a" 1 "$(map_sum $pins/a/nfbpf_ipv4 packets)"
assert_ge "both counted: b" 1 "$(map_sum $pins/b/nfbpf_ipv4 packets)"
assert_eq "generation" $((good + 2)) "$(cat $NFBPF_SYSFS/program/generation)"

step "nfbpf-load swap: the same maps, and counters go on"
echo $NFBPF_PINS/program >"$parameter"
ns left nfbpf-traffic udp --to 10.1.0.2 --count 100 >/dev/null
before=$(map_sum nfbpf_ipv4 packets "$udp")
old=$(cat $NFBPF_SYSFS/program/id)
nfbpf-load swap "$NFBPF_BPF/traffic.bpf.o"
[ "$old" != "$(cat $NFBPF_SYSFS/program/id)" ] || fail "still program $old"
ns left nfbpf-traffic udp --to 10.1.0.2 --count 100 >/dev/null
assert_eq "packets in the map" $((before + 100)) "$(map_sum nfbpf_ipv4 packets "$udp")"
nfbpf-load status

step "rollback"
nfbpf-load rollback
assert_eq "program" "$old" "$(cat $NFBPF_SYSFS/program/id)"
ns left nfbpf-traffic udp --to 10.1.0.2 --count 100 >/dev/null
assert_eq "packets in the map" $((before + 200)) "$(map_sum nfbpf_ipv4 packets "$udp")"

step "a map of another layout is refused by its member"
assert_refused "another value" "nfbpf_ipv4 .*value.bytes: was 8 bytes, is 4; keep that member" \
    nfbpf-load swap "$NFBPF_BPF/other_layout.bpf.o"
assert_refused "a program that is not safe" "kernel: .*R[0-9] invalid mem access.*map_value_or_null" \
    nfbpf-load swap "$NFBPF_BPF/not_safe.bpf.o"
assert_refused "another type" 'is SEC\("xdp"\)' nfbpf-load swap "$NFBPF_BPF/xdp_pass.bpf.o"
assert_eq "program" "$old" "$(cat $NFBPF_SYSFS/program/id)"
assert_eq "pins" "fence fence_post links maps program program_previous series" "$(cd $NFBPF_PINS && echo *)"

step "values with more members: the rows move, under traffic"
rows() { map_sum nfbpf_ipv4 "$1" "$udp"; }
rm -f /tmp/swaps_done /tmp/sent_0 /tmp/sent_1
before=$(rows packets)
before_bytes=$(rows bytes)
sender 0 &
sender 1 &
for ((i = 0; i < 10; i++)); do
    nfbpf-load swap --drop-members "$NFBPF_BPF/traffic.bpf.o" >/dev/null # goes back
    nfbpf-load swap "$NFBPF_BPF/grown.bpf.o" >/dev/null
done
touch /tmp/swaps_done
wait
read -r sent bytes < <(cat /tmp/sent_0 /tmp/sent_1 | awk '{ p += $1; b += $2 } END { print p, b }')
assert_eq "packets of before and since" $((before + sent)) "$(rows packets)"
assert_eq "bytes" $((before_bytes + bytes)) "$(rows bytes)"
assert_eq "pins" "fence fence_post links maps program series" "$(cd $NFBPF_PINS && echo *)"
assert_refused "rollback" "no program is kept .*moved rows" nfbpf-load rollback
assert_refused "a member is gone" "nfbpf_ipv4 .*value.bytes: is gone; .*--drop-members" \
    nfbpf-load swap "$NFBPF_BPF/shrunk.bpf.o"
before=$(rows packets)
nfbpf-load swap --drop-members "$NFBPF_BPF/shrunk.bpf.o"
assert_eq "packets" "$before" "$(rows packets)"

nfbpf-load detach
rm -r $pins

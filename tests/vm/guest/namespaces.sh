#!/bin/bash
# Ten network namespaces with traffic at the same time: those that were there before the module and
# those that came after it are counted exactly; those that are deleted leave no reference.
# shellcheck source=tests/vm/guest/lib.sh
. "$NFBPF_TESTS/lib.sh"

spokes=10
count=${NFBPF_NS_COUNT:-2000}

#   +- ns spoke0 -+         +---------- ns hub ----------+
#   | 10.9.0.1/24 |--veth---| 10.9.0.2/24   fd09:0::2/64 |
#   | fd09:0::1   |         |                            |
#   +-------------+         |                            |
#         ...               |            ...             |
#   +- ns spoke9 -+         |                            |
#   | 10.9.9.1/24 |--veth---| 10.9.9.2/24   fd09:9::2/64 |
#   +-------------+         +----------------------------+
spoke_up() { # NUMBER
    make_ns "spoke$1"
    connect_ns "spoke$1" "10.9.$1.1/24" "fd09:$1::1/64" hub "10.9.$1.2/24" "fd09:$1::2/64"
    know_neighbours "spoke$1" hub
}

# Other numbers for each, so that one counted for another is seen.
packets_of() { echo $((count + $1 * 100)); } # NUMBER

send_from_all() {
    local i senders=()
    for ((i = 0; i < spokes; i++)); do
        ns "spoke$i" nfbpf-traffic udp --to "10.9.$i.2" --count "$(packets_of "$i")" >/dev/null &
        senders+=($!)
        ns "spoke$i" nfbpf-traffic udp --to "fd09:$i::2" --count "$(packets_of "$i")" >/dev/null &
        senders+=($!)
    done
    wait "${senders[@]}"
}

# One dump for all: one row of UDP per direction and source.
rows_of() { # MAP
    bpftool -j map dump pinned "$(map_pin "$1")" |
        jq -r '.[].formatted | select(.key.protocol == 17)
               | "\(.key.direction) \(.key.source | tojson) \([.values[].value.packets] | add)"'
}

source_word() { # FAMILY NUMBER: the source as bpftool prints it
    if [ "$1" = ipv4 ]; then
        echo $(((1 << 24) + ($2 << 16) + (9 << 8) + 10))
    else
        # shellcheck disable=SC2016
        jq -nc --argjson n "$2" '{byte: [253, 9, 0, $n, 0,0,0,0, 0,0,0,0, 0,0,0,1]}'
    fi
}

assert_each_counted() { # TIMES
    local family i rows direction got
    for family in ipv4 ipv6; do
        rows=$(rows_of nfbpf_$family)
        for ((i = 0; i < spokes; i++)); do
            for direction in OUT IN; do
                got=$(grep -F "NFBPF_DIRECTION_$direction $(source_word $family $i) " <<<"$rows" | awk '{ print $3 }')
                [ "${got:-0}" = $(($1 * $(packets_of $i))) ] ||
                    fail "$family $direction of spoke$i: expected $(($1 * $(packets_of $i))), got ${got:-0}"
            done
        done
        echo "   $family: $spokes namespaces, out and in, $(packets_of 0) to $(packets_of $((spokes - 1))) packets times $1: each exact"
    done
}

on_exit topology_down
make_ns hub
for ((i = 0; i < spokes / 2; i++)); do
    spoke_up $i
done

step "half of them before the module, half after"
nfbpf-load attach --datapath kmod --object-dir "$NFBPF_BPF"
program=$(cat $NFBPF_SYSFS/program/id)
for ((; i < spokes; i++)); do
    spoke_up $i
done
send_from_all
assert_each_counted 1
assert_eq "module totals" "$(hook_count packets '*_local_*')" \
    "$(($(map_sum nfbpf_ipv4 packets) + $(map_sum nfbpf_ipv6 packets) + $(map_sum nfbpf_filtered packets)))"

step "half of them die, the others go on"
for ((i = 0; i < spokes / 2; i++)); do
    ip netns delete spoke$i
done
for ((i = 0; i < spokes / 2; i++)); do
    spoke_up $i
done
send_from_all
assert_each_counted 2

step "all die"
topology_down
assert_eq "references" 0 "$(cat $NFBPF_SYSFS/refcnt)"
nfbpf-load detach
assert_program_freed "$program"

step "netns=init: the first alone"
make_ns hub
spoke_up 0
ip link add to-nowhere type dummy
ip address add 10.9.99.1/24 dev to-nowhere
ip link set to-nowhere up
nfbpf-load attach --datapath kmod --object-dir "$NFBPF_BPF" --netns init
ns spoke0 nfbpf-traffic udp --to 10.9.0.2 --count 100 >/dev/null
nfbpf-traffic udp --to 10.9.99.2 --count 100 >/dev/null
assert_eq "packets out" 100 "$(map_sum nfbpf_ipv4 packets '.direction == "NFBPF_DIRECTION_OUT" and .protocol == 17')"
nfbpf-load detach
ip link delete to-nowhere

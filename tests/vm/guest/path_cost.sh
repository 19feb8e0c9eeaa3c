#!/bin/bash
# What a packet takes with one thing or another on its way. bench/path runs this with the clock
# that ticks once an instruction, and makes the table. Prints "path_cost: PLACE ROW ROUND NS...".
#
#   NFBPF_ROWS    those to measure, by name (default all)
#   NFBPF_ROUNDS  (default 3): every row once in each, one after the other
#
# A row is a pair of functions: up_ROW puts it on the way, down_ROW takes it off. seen_ROW prints
# how many packets it saw; lacks_ROW prints why this kernel or machine cannot have it.
. "$NFBPF_TESTS/lib.sh"

rounds=${NFBPF_ROUNDS:-3}

# Place "out": local output alone. dummy drops what it is given, in the sender's context.
#
#   sender -> OUTPUT -> bench0 (dummy)
#
# Place "veth": output in process context, then input in a softirq.
#
#   sender -> OUTPUT -> to-sink === to-bench -> INPUT -> a socket whose queue is full
out_rows=(nothing empty traffic iptables xt_bpf nft_set conntrack ipt_netflow netfilter_link)
veth_rows=(nothing traffic traffic_default iptables xt_bpf xt_bpf_default nft_set nft_set_default)
declare -A first_destination=([out]=10.99.1.0 [veth]=10.98.1.0)
pins=/sys/fs/bpf/nfbpf

places_up() {
    trap places_down EXIT
    ip link add bench0 type dummy
    ip address add 10.99.0.1/16 dev bench0
    ip link set bench0 up
    make_ns sink
    ip link add to-sink type veth peer name to-bench netns sink
    ip address add 10.98.0.1/16 dev to-sink
    ip link set to-sink up
    ip -n sink link set to-bench up
    ip -n sink route add 10.98.0.1/32 dev to-bench
    ip -n sink route add local 10.98.0.0/16 dev lo
    know_sink
    ns sink nfbpf-pairs sink >/tmp/sink &
    sink=$!
}

# The neighbours of a whole network, by one process.
know_sink() {
    local mac i
    mac=$(ip -n sink -j link show to-bench | jq -r '.[0].address')
    for ((i = 256; i < 1256; i++)); do
        echo "neigh replace 10.98.$((i / 256)).$((i % 256)) lladdr $mac dev to-sink nud permanent"
    done | ip -batch -
}

places_down() {
    kill "$sink" 2>/dev/null || true
    wait "$sink" 2>/dev/null || true
    ip link delete bench0 2>/dev/null || true
    ip link delete to-sink 2>/dev/null || true
    ip netns delete sink 2>/dev/null || true
}

# Loaded once: a module that comes during the rounds would change what is called "nothing".
load_modules() {
    local name
    for name in ip_tables iptable_filter xt_bpf nf_tables nft_ct nft_counter nf_conntrack ip6_tables; do
        modprobe $name 2>/dev/null || true
    done
    modprobe -r iptable_filter
    # New entries take it from here, so that the row is conntrack with accounting.
    echo 1 >/proc/sys/net/netfilter/nf_conntrack_acct
}

# ---- rows ----

up_nothing() { :; }
down_nothing() { :; }

up_empty() {
    mkdir -p $pins
    bpftool prog load "$NFBPF_BPF/empty.bpf.o" $pins/program type socket
    modprobe nfbpf bpf_path=$pins/program hooks=out families=ipv4
}
seen_empty() { hook_count packets ipv4_local_out; }
down_empty() {
    rmmod nfbpf
    rm -r $pins
}

up_traffic() {
    nfbpf-load attach --datapath kmod --object-dir "$NFBPF_BPF" --hooks out --families ipv4 >/dev/null
}
seen_traffic() { map_sum nfbpf_ipv4 packets; }
down_traffic() { nfbpf-load detach >/dev/null; }

up_traffic_default() { nfbpf-load attach --datapath kmod --object-dir "$NFBPF_BPF" >/dev/null; }
seen_traffic_default() { map_sum nfbpf_ipv4 packets '.direction == "NFBPF_DIRECTION_IN"'; }
down_traffic_default() { nfbpf-load detach >/dev/null; }

up_iptables() { iptables-legacy -L -n >/dev/null; } # listing makes the table
seen_iptables() { iptables-legacy -L OUTPUT -v -x -n | sed -n 's/.* \([0-9]*\) packets.*/\1/p'; }
down_iptables() { modprobe -r iptable_filter; }

up_xt_bpf() {
    nfbpf-load attach --datapath pinned --object-dir "$NFBPF_BPF" >/dev/null
    iptables-legacy -A OUTPUT -m bpf --object-pinned $pins/program
}
seen_xt_bpf() { map_sum nfbpf_ipv4 packets; }
down_xt_bpf() {
    iptables-legacy -F OUTPUT
    modprobe -r iptable_filter
    nfbpf-load detach >/dev/null
}

# What the default of ours counts: everything that comes in, passes through or goes out, in every
# namespace. The rules of the others are of one namespace, so each of the two gets them.
in_both() {
    "$@"
    ns sink "$@"
}

up_xt_bpf_default() {
    local chain
    nfbpf-load attach --datapath pinned --object-dir "$NFBPF_BPF" >/dev/null
    for chain in INPUT FORWARD OUTPUT; do
        in_both iptables-legacy -A $chain -m bpf --object-pinned $pins/program
    done
}
seen_xt_bpf_default() { map_sum nfbpf_ipv4 packets; }
down_xt_bpf_default() {
    in_both iptables-legacy -F
    modprobe -r iptable_filter
    nfbpf-load detach >/dev/null
}

up_nft_set() {
    nft -f - <<'RULES'
table ip bench {
    set pairs {
        type ipv4_addr . ipv4_addr
        size 65536
        flags dynamic
    }
    chain output {
        type filter hook output priority filter
        update @pairs { ip saddr . ip daddr counter }
    }
}
RULES
}
seen_nft_set() { nft -j list set ip bench pairs | jq '[.nftables[].set?.elem? // [] | .[].elem.counter.packets] | add'; }
down_nft_set() { nft delete table ip bench; }

up_nft_set_default() {
    cat >/tmp/nft_default <<'RULES'
table ip bench {
    set pairs {
        type ipv4_addr . ipv4_addr
        size 65536
        flags dynamic
    }
    chain input {
        type filter hook input priority filter
        update @pairs { ip saddr . ip daddr counter }
    }
    chain forward {
        type filter hook forward priority filter
        update @pairs { ip saddr . ip daddr counter }
    }
    chain output {
        type filter hook output priority filter
        update @pairs { ip saddr . ip daddr counter }
    }
}
RULES
    in_both nft -f /tmp/nft_default
}
seen_nft_set_default() { seen_nft_set; }
down_nft_set_default() { in_both nft delete table ip bench; }

# A rule that no packet meets: what it needs is there, and nothing else is on the way.
up_conntrack() {
    nft -f - <<'RULES'
table ip bench {
    chain unused {
        ct state invalid drop
    }
}
RULES
}
seen_conntrack() { cat /proc/sys/net/netfilter/nf_conntrack_count; }
down_conntrack() { nft delete table ip bench; }

lacks_ipt_netflow() {
    modprobe ipt_NETFLOW 2>/dev/null || echo "${NFBPF_NETFLOW:-its module is not in the guest}"
}
up_ipt_netflow() {
    modprobe ipt_NETFLOW
    iptables-legacy -A OUTPUT -j NETFLOW
}
seen_ipt_netflow() { awk '/^Flows:/ { print $3 }' /proc/net/stat/ipt_netflow | tr -dc '0-9'; }
down_ipt_netflow() {
    iptables-legacy -F OUTPUT
    modprobe -r ipt_NETFLOW iptable_filter
}

lacks_netfilter_link() {
    local words
    if words=$(up_netfilter_link 2>&1); then
        down_netfilter_link
    else
        sed 's/.*libbpf: //; s/):.*//' <<<"$words"
    fi
}
up_netfilter_link() {
    nfbpf-load attach --datapath netfilter-link --object-dir "$NFBPF_BPF" --hooks out --families ipv4 >/dev/null
}
seen_netfilter_link() { map_sum nfbpf_ipv4 packets; }
down_netfilter_link() { nfbpf-load detach >/dev/null; }

# ---- rounds ----

wanted() { # ROW
    [ -z "${NFBPF_ROWS:-}" ] || [[ " $NFBPF_ROWS " == *" $1 "* ]] || [ "$1" = nothing ]
}

# Rows that this machine has; says of the others why not.
usable_rows() { # PLACE ROW...; sets rows
    local row reason place=$1
    shift
    rows=()
    for row in "$@"; do
        wanted "$row" || continue
        reason=''
        [ "$(type -t "lacks_$row")" != function ] || reason=$("lacks_$row")
        if [ -z "$reason" ]; then
            rows+=("$row")
        else
            echo "path_cost: $place $row lacks $reason"
        fi
    done
}

# A row that sees nothing costs nothing, and must not be taken for a cheap one.
measure() { # PLACE ROW ROUND
    local samples
    "up_$2"
    samples=$(nfbpf-pairs send --to "${first_destination[$1]}")
    if [ "$3" = 1 ] && [ "$(type -t "seen_$2")" = function ]; then
        assert_ge "$1 $2 saw" 1000 "$("seen_$2")"
    fi
    "down_$2"
    echo "path_cost: $1 $2 $3 $samples"
}

measure_place() { # PLACE ROW...
    local place=$1 round row rows
    usable_rows "$@"
    [ ${#rows[@]} -gt 1 ] || return 0
    # What the boot left to do is done now, and not in the first row.
    nfbpf-pairs send --to "${first_destination[$place]}" --samples 10 >/dev/null
    for ((round = 1; round <= rounds; round++)); do
        for row in "${rows[@]}"; do
            measure "$place" "$row" "$round"
        done
    done
}

places_up
load_modules
measure_place out "${out_rows[@]}"
measure_place veth "${veth_rows[@]}"

# shellcheck shell=bash
# For the tests beside it: . "$NFBPF_TESTS/lib.sh"
# A test is a script; it passes with status 0. Its standard input is the second serial line.
# Whatever it leaves behind (module, network namespaces, pins) counts as its failure.
set -euo pipefail

NFBPF_SYSFS=/sys/module/nfbpf
NFBPF_PINS=/sys/fs/bpf/nfbpf

step() { printf -- '-- %s\n' "$*"; }

fail() {
    printf 'FAILED: %s\n' "$*"
    exit 1
}

skip() { # REASON
    printf 'skipped: %s\n' "$*"
    exit 77
}

assert_eq() { # WHAT EXPECTED ACTUAL
    [ "$2" = "$3" ] || fail "$1: expected $2, got $3$(difference "$2" "$3")"
    printf '   %s = %s\n' "$1" "$3"
}

assert_ge() { # WHAT LEAST ACTUAL
    [ "$3" -ge "$2" ] || fail "$1: expected at least $2, got $3"
    printf '   %s = %s (>= %s)\n' "$1" "$3" "$2"
}

difference() { # EXPECTED ACTUAL
    [[ $1 =~ ^[0-9]+$ && $2 =~ ^[0-9]+$ ]] || return 0
    printf ' (difference %+d)' "$(($2 - $1))"
}

# A command that must fail, and say why.
assert_refused() { # WHAT PATTERN COMMAND...
    local what=$1 pattern=$2 output
    shift 2
    if output=$("$@" 2>&1); then
        fail "$what: was accepted: $*"
    fi
    grep -qE -- "$pattern" <<<"$output" || fail "$what: refused without '$pattern' in its words: $output"
    printf '   %s: refused: %s\n' "$what" "$output"
}

# Tests of the host read this line.
ready() { printf 'nfbpf-vm: ready %s\n' "$*"; }

# Blocks until the host writes "stop" to our line (scripts/vm does so when it is told to end).
# Other lines are commands, for a host that wants something done in between.
serve_until_stop() {
    local line
    while IFS= read -r line; do
        [ "$line" != stop ] || return 0
        bash -c ". '$NFBPF_TESTS/lib.sh'; $line" </dev/null || printf 'nfbpf-vm: status %s of: %s\n' "$?" "$line"
    done
}

# ---- what the module and the maps say ----

# hook_count packets [HOOK_GLOB]: the sum over hooks, e.g. hook_count packets 'ipv4_*'
hook_count() { # packets|bytes|matched [GLOB]
    local file sum=0
    for file in "$NFBPF_SYSFS"/hooks/${2:-*}/"$1"; do
        [ -r "$file" ] || fail "no $file: is the module loaded, and is that hook in hooks=?"
        sum=$((sum + $(cat "$file")))
    done
    echo "$sum"
}

# The sum over rows and CPUs of one member of a pinned map's values, read with the map's BTF.
# map_sum MAP packets ['.direction == "NFBPF_DIRECTION_IN"'], where the filter sees the key.
map_sum() { # MAP MEMBER [JQ_FILTER]
    bpftool -j map dump pinned "$(map_pin "$1")" |
        jq "[.[] | select(.formatted.key | ${3:-true}) | .formatted | (.values[]?.value, .value // empty) | .$2] | add // 0"
}

map_rows() { bpftool -j map dump pinned "$(map_pin "$1")" | jq length; } # MAP

map_pin() { # NAME|PATH
    case $1 in
    /*) printf '%s\n' "$1" ;;
    *) printf '%s\n' "$NFBPF_PINS/maps/$1" ;;
    esac
}

# To be asked when its pins are gone and the module is, too: is a reference left? The kernel frees
# a program after a grace period.
assert_program_freed() { # ID
    local i
    for ((i = 0; i < 300; i++)); do
        bpftool prog show id "$1" >/dev/null 2>&1 || { echo "   program $1 is gone"; return; }
        sleep 0.1
    done
    fail "program $1 is still there after its pins and the module went: a reference was leaked"
}

# ---- topologies ----

# `ip netns exec` would mount a new /sys and hide the pins.
ns() { # NAME COMMAND...
    local name=$1
    shift
    nsenter --net="/run/netns/$name" "$@"
}

made_ns=() # by make_ns, and for topology_down alone to remove

# Neither router solicitations nor duplicate address detection: they would be counted and wait.
# Link-local addresses stay: a router without one cannot ask for a neighbour.
# shellcheck disable=SC2016 # the inner shell expands
make_ns() { # NAME
    ip netns add "$1" || fail "network namespace $1 cannot be made: is it there, of somebody else or of another run?"
    made_ns+=("$1")
    ns "$1" bash -c 'for f in /proc/sys/net/ipv6/conf/{all,default}; do
        echo 0 >$f/accept_ra; echo 0 >$f/router_solicitations; echo 0 >$f/accept_dad; done'
    ip -n "$1" link set lo up
}

# A veth pair between two namespaces, both ends named after the other one.
connect_ns() { # A IPV4_A IPV6_A B IPV4_B IPV6_B
    ip link add "to-$4" netns "$1" type veth peer name "to-$1" netns "$4"
    address_up "$1" "to-$4" "$2" "$3"
    address_up "$4" "to-$1" "$5" "$6"
}

# One process for all: starting one takes long under TCG.
address_up() { # NS DEVICE IPV4/LEN IPV6/LEN
    ip -n "$1" -batch - <<COMMANDS
link set $2 up
address add $3 dev $2
address add $4 dev $2 nodad
COMMANDS
}

default_routes() { # NS IPV4 IPV6
    ip -n "$1" -batch - <<COMMANDS
route add default via $2
route add default via $3
COMMANDS
}

#   +-- ns left --+          +-- ns right -+
#   |   to-right  |----------|   to-left   |
#   | 10.1.0.1/24 |   veth   | 10.1.0.2/24 |
#   | fd01::1/64  |          | fd01::2/64  |
#   +-------------+          +-------------+
topology_pair() {
    on_exit topology_down
    make_ns left
    make_ns right
    connect_ns left 10.1.0.1/24 fd01::1/64 right 10.1.0.2/24 fd01::2/64
}

#   +-- ns left --+        +------- ns router -------+        +-- ns right -+
#   |  to-router  |--------| to-left       to-right  |--------|  to-router  |
#   | 10.1.0.1/24 |  veth  | 10.1.0.254  10.2.0.254  |  veth  | 10.2.0.1/24 |
#   | fd01::1/64  |        | fd01::fe    fd02::fe    |        | fd02::1/64  |
#   +-------------+        +-------------------------+        +-------------+
topology_router() {
    local name
    on_exit topology_down
    for name in left router right; do
        make_ns "$name"
    done
    connect_ns left 10.1.0.1/24 fd01::1/64 router 10.1.0.254/24 fd01::fe/64
    connect_ns right 10.2.0.1/24 fd02::1/64 router 10.2.0.254/24 fd02::fe/64
    ns router bash -c 'echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding'
    default_routes left 10.1.0.254 fd01::fe
    default_routes right 10.2.0.254 fd02::fe
}

# Every namespace knows its neighbours for good: while one is asked for, packets wait in a short
# queue and the rest is dropped, and the asking itself would be counted.
know_neighbours() { # NS_A NS_B
    know_neighbour "$1" "$2"
    know_neighbour "$2" "$1"
}

know_neighbour() { # WHO WHOM
    local mac address
    mac=$(ns "$2" ip -j link show "to-$1" | jq -r '.[0].address')
    for address in $(ns "$2" ip -j address show "to-$1" | jq -r '.[0].addr_info[].local'); do
        ns "$1" ip neigh replace "$address" lladdr "$mac" dev "to-$2" nud permanent
    done
}

# Unless the test has an end of its own already, which then calls it.
on_exit() { # FUNCTION
    # shellcheck disable=SC2064
    [ -n "$(trap -p EXIT)" ] || trap "$1" EXIT
}

# Namespaces die after their last socket and device: this waits for nothing else.
topology_down() {
    local name
    for name in "${made_ns[@]}"; do
        [ ! -e "/run/netns/$name" ] || ip netns delete "$name"
    done
    made_ns=()
}

#!/bin/bash
# Every allocation that loading the module makes fails in turn: the first, the second, ... until a
# load needs fewer than the number. Slab and page allocations count, the kernel's own for a module
# as well as ours. Each load is refused with a clean error and leaves nothing, or it succeeds
# because the kernel could do without; then the module must unload. Wants a debug kernel.
# shellcheck source=tests/vm/guest/lib.sh
. "$NFBPF_TESTS/lib.sh"

[ -e /proc/self/fail-nth ] || skip "kernel $(uname -r) cannot inject faults: run it on a debug kernel"

debugfs=/sys/kernel/debug
last=${NFBPF_FAIL_LAST:-3000} # more than a load can need
declare -A answers=()

# fail-nth overrides probability, so all other tasks are left alone. By default allocations that
# may sleep never fail, and those are what a load makes.
arm() {
    local kind
    for kind in failslab fail_page_alloc; do
        echo 0 >$debugfs/$kind/probability
        echo -1 >$debugfs/$kind/times
        echo 0 >$debugfs/$kind/verbose
        echo N >$debugfs/$kind/ignore-gfp-wait
    done
    echo N >$debugfs/fail_page_alloc/ignore-gfp-highmem
    echo 0 >$debugfs/fail_page_alloc/min-order
}

try_load() { # N; sets injected and answer
    read -r injected answer < <(insmod-nth "$1" "$module_file" bpf_path=$NFBPF_PINS/program \
        hooks=pre,in,forward,out,post)
    answers[$answer]=$((${answers[$answer]:-0} + 1))
}

# The kernel answers ENOMEM for nearly all; another word must be one that it gives for a load.
judge() { # N
    case $answer in
    loaded)
        rmmod nfbpf || fail "allocation $1 failed, the module loaded, but does not unload"
        ;;
    ENOMEM)
        [ ! -e $NFBPF_SYSFS ] || fail "allocation $1 failed, the load was refused, but $NFBPF_SYSFS is there"
        ;;
    *) fail "allocation $1 failed, and the load was refused with $answer instead of ENOMEM" ;;
    esac
}

fail_each() {
    local n
    for ((n = 1; n <= last; n++)); do
        try_load "$n"
        [ -n "${answer:-}" ] || fail "allocation $n: insmod-nth gave no answer, see above"
        judge "$n"
        [ "$injected" = injected ] || break
        [ $((n % 50)) -ne 0 ] || echo "   $n"
    done
    [ "$injected" = untouched ] || fail "still an allocation that fails after $last: raise NFBPF_FAIL_LAST"
    assert_eq "a load with all its allocations" loaded "$answer"
    echo "   allocations that failed in turn: $((n - 1))"
    for answer in "${!answers[@]}"; do
        echo "   $answer: ${answers[$answer]}"
    done
}

topology_pair
know_neighbours left right
module_file=$(modinfo -n nfbpf)
nfbpf-load attach --datapath kmod --object-dir "$NFBPF_BPF"
program=$(cat $NFBPF_SYSFS/program/id)
rmmod nfbpf

step "each allocation of a load fails"
arm
fail_each
assert_ge "loads refused for want of memory" 50 "${answers[ENOMEM]:-0}"

step "a load with memory works and counts"
insmod "$module_file" bpf_path=$NFBPF_PINS/program
ns left nfbpf-traffic udp --to 10.1.0.2 --count 1000
assert_ge "packets after 1,000 were sent" 2000 "$(hook_count packets 'ipv4_local_*')"
assert_eq "references" 0 "$(cat $NFBPF_SYSFS/refcnt)"

step "nothing is held by the loads that failed"
nfbpf-load detach
assert_program_freed "$program"

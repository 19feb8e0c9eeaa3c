#!/bin/bash
# Every allocation that loading the module makes fails in turn: the first, the second, ... until a
# load needs fewer than the number. The kernel's own allocations for a module count as well as ours.
# Each load is refused for want of memory and leaves nothing, or it succeeds because the kernel
# could do without; then the module must unload. Wants a debug kernel.
# shellcheck source=tests/vm/guest/lib.sh
. "$NFBPF_TESTS/lib.sh"

[ -e /proc/self/fail-nth ] || skip "kernel $(uname -r) cannot inject faults: run it on a debug kernel"

debugfs=/sys/kernel/debug
last=${NFBPF_FAIL_LAST:-2000} # more than a load can need
declare -A answers=()

mark() { printf '<6>nfbpf-vm: %s\n' "$*" >/dev/kmsg; }

# insmod-nth says which task and when; here is said which allocations count. By default those that
# may sleep never fail, and that is what a load makes.
arm() { # slab|page
    local kind
    for kind in failslab fail_page_alloc; do
        echo 0 >$debugfs/$kind/probability
        echo -1 >$debugfs/$kind/times
        echo 0 >$debugfs/$kind/verbose
        echo Y >$debugfs/$kind/ignore-gfp-wait
    done
    case $1 in
    slab) kind=failslab ;;
    page) kind=fail_page_alloc ;;
    esac
    echo N >$debugfs/$kind/ignore-gfp-wait
    echo N >$debugfs/fail_page_alloc/ignore-gfp-highmem
    echo 0 >$debugfs/fail_page_alloc/min-order
}

# The kernel answers ENOMEM, or did without that allocation.
judge() { # N WHETHER ANSWER LEFT
    [ "$4" = clean ] || fail "allocation $1 failed, the answer was $3, and $NFBPF_SYSFS is still there"
    case $3 in
    loaded | ENOMEM) answers[$3]=$((answers[$3] + 1)) ;;
    *) fail "allocation $1 failed, and the load was refused with $3 instead of ENOMEM" ;;
    esac
    [ $(($1 % 100)) -ne 0 ] || echo "   $1"
}

# tests/vm/check-log forgives the kernel what it says of its own failed allocations between the marks.
fail_each() { # slab|page
    local n=0 whether='' answer='' left=''
    arm "$1"
    answers=([loaded]=0 [ENOMEM]=0)
    mark "allocations fail from here"
    while read -r n whether answer left; do
        judge "$n" "$whether" "$answer" "$left"
        [ "$whether" = injected ] || break
    done < <(insmod-nth "$last" "$module_file" bpf_path=$NFBPF_PINS/program hooks=pre,in,forward,out,post)
    mark "allocations work again"
    [ "$whether" = untouched ] || fail "no load came to its end, the last one had number $n: raise NFBPF_FAIL_LAST?"
    assert_eq "a load with all its allocations" loaded "$answer"
    echo "   $1 allocations that failed in turn: $((n - 1)): ${answers[ENOMEM]} gave ENOMEM, $((answers[loaded] - 1)) were done without"
}

topology_pair
know_neighbours left right
module_file=$(modinfo -n nfbpf)
nfbpf-load attach --datapath kmod --object-dir "$NFBPF_BPF"
program=$(cat $NFBPF_SYSFS/program/id)
rmmod nfbpf

step "each slab allocation of a load fails"
fail_each slab
assert_ge "loads refused" 100 "${answers[ENOMEM]}"

step "each page allocation of a load fails"
fail_each page
assert_ge "loads refused" 5 "${answers[ENOMEM]}"

step "a load with memory works and counts"
insmod "$module_file" bpf_path=$NFBPF_PINS/program
ns left nfbpf-traffic udp --to 10.1.0.2 --count 1000
assert_ge "packets after 1,000 were sent" 2000 "$(hook_count packets 'ipv4_local_*')"
assert_eq "references" 0 "$(cat $NFBPF_SYSFS/refcnt)"

step "nothing is held by the loads that failed"
nfbpf-load detach
assert_program_freed "$program"

#!/bin/bash
# Loads and unloads the module NFBPF_CYCLES times (default 50) while UDP runs on both CPUs, every
# file in /sys/module/nfbpf is read, the exporter is scraped, and network namespaces come and go.
# What the kernel thinks of it is in its log, which scripts/vm judges; on a debug kernel
# (scripts/kernel, NAME-debug) that log also tells of races, leaks and uses after free.
# shellcheck source=tests/vm/guest/lib.sh
. "$NFBPF_TESTS/lib.sh"

cycles=${NFBPF_CYCLES:-50}
limit=${NFBPF_LIMIT:-$((60 + cycles * 4))} # seconds
work=/tmp/torture
readers=9987 # group of the pins
declare -A jobs=()

# ---- what goes on all the while; each round is a byte in $work/NAME ----

round() { printf . >>"$work/$1"; } # NAME

rounds() { # NAME
    if [ -e "$work/$1" ]; then stat -c %s "$work/$1"; else echo 0; fi
}

# Until the stop file is there, so that nothing is killed halfway. Nice, so that the cycles get the
# processor whenever they can use it, and these have it while the cycles wait for grace periods.
repeat() { # NAME COMMAND...
    local name=$1
    shift
    (
        set +e
        busybox renice -n 19 -p $BASHPID
        while [ ! -e $work/stop ]; do
            "$@" && round "$name"
        done
    ) >"$work/$name.log" 2>&1 &
    jobs[$name]=$!
}

send_udp() { # TO; a thread on each CPU
    ns left nfbpf-traffic udp --to "$1" --count 10000 --cpu 0,1
}

# Half of the reads fall into a load or an unload: then there is no such file, or it refuses. A
# round is one that could read something.
read_sysfs() {
    local file read_one=1
    while IFS= read -r file; do
        { read -r _ <"$file" && read_one=0; } || true
    done < <(find "$NFBPF_SYSFS" -type f -perm /444)
    return $read_one
} 2>/dev/null

# The same path again, which is a swap to the same program. It may meet a slot that is not open.
write_parameters() {
    echo "$NFBPF_PINS/program" >$NFBPF_SYSFS/parameters/bpf_path
    echo 16 >$NFBPF_SYSFS/parameters/sample
}

scrape() {
    local status
    exec 3<>/dev/tcp/127.0.0.1/9987 || return
    printf 'GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n' >&3
    read -r _ status _ <&3
    cat <&3 >/dev/null
    exec 3>&-
    [ "$status" = 200 ]
}

# It dies with its last process. busybox, because `ip` takes ten times as long to start.
churn_namespaces() {
    busybox unshare -n busybox sh -c '
        busybox ip link set lo up
        busybox ping -c 1 -q 127.0.0.1
        busybox ping -c 1 -q ::1'
}

# The kernel patches its own code whenever the first function of a netfilter hook comes or the last
# one goes. QEMU 7.2 was seen to go on running the breakpoint that is there meanwhile, for ever (a
# soft lockup with the patched instruction at RIP): hence a function that stays, in each hook.
keep_hooks_in_use() {
    ns left nft -f - <<RULES
table inet keep {
$(for hook in prerouting input forward output postrouting; do
    printf '    chain %s { type filter hook %s priority 0; }\n' $hook $hook
done)
}
RULES
}

start_exporter() {
    if [ ! -x /opt/nfbpf/bin/nfbpf_exporter ]; then
        echo "   no nfbpf_exporter here: no scrapes"
        return 0
    fi
    setpriv --reuid 65534 --regid $readers --clear-groups --no-new-privs nfbpf_exporter >$work/exporter.log 2>&1 &
    exporter=$!
    repeat scrapes scrape
}

start_jobs() {
    mkdir -p $work
    repeat udp4 send_udp 10.1.0.2
    repeat udp6 send_udp fd01::2
    repeat reads read_sysfs
    repeat writes write_parameters
    repeat namespaces churn_namespaces
    start_exporter
}

stop_jobs() {
    touch $work/stop
    wait "${jobs[@]}" || true
    if [ -n "${exporter:-}" ]; then
        kill "$exporter"
        wait "$exporter" || true
        exporter=''
    fi
}

clean_up() {
    stop_jobs
    topology_down
    rm -rf $work
}

# ---- the cycles ----

seen=0

progress() { # CYCLES
    local name line=''
    for name in "${!jobs[@]}"; do
        line+=" $name $(rounds "$name"),"
    done
    printf '   %s cycles, %s s; rounds:%s %s cycles met packets\n' "$1" $((SECONDS - start)) "$line" "$seen"
}

some_cycles() { # COUNT
    local met
    met=$(module-cycles "$1" "$module_file" bpf_path=$NFBPF_PINS/program hooks=pre,in,forward,out,post) ||
        fail "the module does not load and unload, see above; refcnt $(cat $NFBPF_SYSFS/refcnt 2>/dev/null)"
    seen=$((seen + met))
}

run_cycles() {
    local done=0 next start=$SECONDS
    while [ $done -lt "$cycles" ]; do
        next=$((cycles - done < 50 ? cycles - done : 50))
        some_cycles $next
        done=$((done + next))
        progress $done
        [ $((SECONDS - start)) -le "$limit" ] || fail "$done of $cycles cycles took more than $limit s"
    done
}

# ---- what must hold afterwards ----

assert_worked() {
    local name
    assert_ge "cycles of $((cycles / 2)) that met packets" $((cycles / 4)) "$seen"
    for name in "${!jobs[@]}"; do
        assert_ge "rounds of $name" 1 "$(rounds "$name")"
    done
}

topology_pair
know_neighbours left right
keep_hooks_in_use
module_file=$(modinfo -n nfbpf)

step "pin, load and unload once"
nfbpf-load attach --datapath kmod --object-dir "$NFBPF_BPF" --group $readers
program=$(cat $NFBPF_SYSFS/program/id)
rmmod nfbpf

step "$cycles cycles within $limit s"
trap clean_up EXIT
start_jobs
run_cycles
stop_jobs
assert_worked

step "still a working module"
insmod "$module_file" bpf_path=$NFBPF_PINS/program
ns left nfbpf-traffic udp --to 10.1.0.2 --count 1000 --cpu 0,1
assert_ge "packets after 2,000 were sent" 4000 "$(hook_count packets 'ipv4_local_*')"
assert_eq "references" 0 "$(cat $NFBPF_SYSFS/refcnt)"
nfbpf-load detach
assert_program_freed "$program"

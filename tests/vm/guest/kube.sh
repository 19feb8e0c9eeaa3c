#!/bin/bash
# A node, and on it what `kubectl kustomize deploy/kubernetes/base` prints, played by podman: the init
# container attaches, a container's traffic is in Prometheus to the packet, an upgrade loses none, the
# uninstaller leaves nothing. tests/vm/kube makes the node's disk and says NODE: open or lockdown.
#
#   +- container -+        +-------- node --------+        +- container -+
#   +-- ns left --+        |      Prometheus      |        +-- ns right -+
#   |   to-node   |--------| to-left     to-right |--------|   to-node   |
#   | 10.1.0.1/24 |  veth  | 10.1.0.254 10.2.0.254|  veth  | 10.2.0.1/24 |
#   +-------------+        +----------------------+        +-------------+
# shellcheck source=tests/vm/guest/lib.sh
. "$NFBPF_TESTS/lib.sh"

[ -n "${NODE:-}" ] || skip "no disk with podman on it: run tests/vm/kube"
disk=/run/node

# ---- the node ----

# Its root is the disk, as after a boot from it, and its mounts are shared, as systemd has them.
# It has no bpffs: somebody has to mount one.
boot_node() {
    modprobe -a virtio_blk overlay veth
    # A pod in the node's network has its name, and podman takes no "(none)".
    echo node >/proc/sys/kernel/hostname
    mkdir -p $disk
    cat >/run/boot-node <<'BOOT'
set -e
mount -t ext4 /dev/vda /run/node
cd /run/node
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t securityfs securityfs sys/kernel/security
mount -t devtmpfs devtmpfs dev
mount -t devpts devpts dev/pts
mount -t tmpfs tmpfs dev/shm
mount -t tmpfs tmpfs run
mount -t tmpfs tmpfs tmp
mount --move . /
exec chroot . /bin/bash -c 'mount --make-rshared / && touch /run/booted && exec sleep infinity'
BOOT
    unshare --mount --propagation private bash /run/boot-node </dev/null &
    node_pid=$!
    trap node_down EXIT
    for _ in $(seq 100); do
        ! node test -e /run/booted 2>/dev/null || return 0
        sleep 0.1
    done
    fail "the node did not boot"
}

node_down() {
    [ -z "${prometheus_pid:-}" ] || kill "$prometheus_pid"
    # shellcheck disable=SC2046 # two processes, or what was started of them
    kill $(jobs -p) 2>/dev/null || true
    topology_down
}

node() { # COMMAND...
    nsenter --target "$node_pid" --mount --root --wd /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root \
        LC_ALL=C DISABLE_HC_SYSTEMD=true "$@" </dev/null
}

# What podman says, when it fails or anything else does.
podman() {
    local start=$SECONDS
    node podman "$@" >/run/podman.out 2>&1 || {
        cat /run/podman.out
        node podman ps -a || true
        logs || true
        fail "podman $*"
    }
    echo "   podman $1 $2: $((SECONDS - start)) s"
}

# Podman forgets an init container when it has ended, and its log; so all go to one file.
play() { # MANIFEST [OPTION...]
    local manifest=$1
    shift
    node rm -f /run/play.log
    podman kube play --log-opt path=/run/play.log "$@" "/root/$manifest.yaml"
}

logs() { node sed 's/^[^ ]* std[a-z]* [A-Z] //' /run/play.log; }

assert_says() { # WHAT PATTERN TEXT
    grep -qE -- "$2" <<<"$3" || fail "$1: no '$2' in: $3"
    printf '   %s: %s\n' "$1" "$(grep -E -m1 -- "$2" <<<"$3")"
}

# ---- traffic ----

topology_node() {
    local side number=0
    echo 1 >/proc/sys/net/ipv4/ip_forward
    for side in left right; do
        number=$((number + 1))
        make_ns $side
        ip link add to-$side type veth peer name to-node netns $side
        ip address add 10.$number.0.254/24 dev to-$side
        ip link set to-$side up
        ip -n $side address add 10.$number.0.1/24 dev to-node
        ip -n $side link set to-node up
        ip -n $side route add default via 10.$number.0.254
        ip -n $side neigh replace 10.$number.0.254 dev to-node nud permanent \
            lladdr "$(ip -j link show to-$side | jq -r '.[0].address')"
        ip neigh replace 10.$number.0.1 dev to-$side nud permanent \
            lladdr "$(ip -n $side -j link show to-node | jq -r '.[0].address')"
    done
}

scrape() { busybox wget -q -O - http://127.0.0.1:9987/metrics; }

counted() { # DIRECTION: packets from left to right
    scrape | awk -v way="direction=\"$1\"" '
        /^nfbpf_source_destination_packets_total\{/ && /source="10.1.0.1"/ && /destination="10.2.0.1"/ && index($0, way) { sum += $NF }
        END { printf "%d\n", sum }'
}

# A pod on either side, which podman gives the namespace that the veth is in.
start_pods() {
    local side keeper
    for side in left right; do
        nsenter --net=/run/netns/$side sleep infinity &
        keeper=$!
        until [ "$(cat /proc/$keeper/comm)" = sleep ]; do sleep 0.1; done # it is there then
        podman run --detach --name $side --network "ns:/proc/$keeper/ns/net" --volume /root/pod:/pod \
            --volume /usr/local/bin/nfbpf-traffic:/usr/bin/nfbpf-traffic:ro \
            --entrypoint sleep localhost/nfbpf-init:0.1.0 infinity
    done
}

left_sends() { node podman exec left nfbpf-traffic udp --to 10.2.0.1 --count "$1"; } # PACKETS

# In little heaps until it is told to stop; prints how many it were.
left_sends_until_stopped() {
    # shellcheck disable=SC2016 # the pod's own
    node podman exec left bash -c 'sent=0
        while [ ! -e /pod/stop ]; do
            read -r packets _ < <(nfbpf-traffic udp --to 10.2.0.1 --count 100)
            sent=$((sent + packets))
            sleep 0.05
        done
        echo $sent'
}

# ---- Prometheus ----

start_prometheus() {
    node /usr/local/bin/prometheus --config.file=/root/prometheus.yml --storage.tsdb.path=/tmp/prometheus \
        --web.listen-address=127.0.0.1:9090 --log.level=warn &
    prometheus_pid=$!
}

ask() { # EXPRESSION
    busybox wget -q -O - "http://127.0.0.1:9090/api/v1/query?query=$(jq -rn --arg q "$1" '$q | @uri')" |
        jq -r '.data.result | if length == 1 then .[0].value[1] else "\(length) results" end'
}

# Once it has scraped what is there now.
assert_prometheus() { # EXPRESSION VALUE
    local value='' end=$((SECONDS + 60))
    while [ $SECONDS -lt $end ]; do
        value=$(ask "$1" 2>&1) || value='no answer'
        [ "$value" != "$2" ] || break
        sleep 1
    done
    assert_eq "$1" "$2" "$value"
}

# Every series of the first page that is a counter is on the second, and not lower.
assert_none_fell() { # BEFORE AFTER
    awk 'FNR == NR { if ($1 ~ /_total(\{|$)/ && $1 !~ /^(process_|nfbpf_(scrape|http|exporter))/) was[$1] = $2; next }
        { is[$1] = $2 }
        END {
            for (name in was) {
                if (!(name in is)) { print "gone: " name; bad = 1 }
                else if (is[name] + 0 < was[name] + 0) { print "fell: " name " from " was[name] " to " is[name]; bad = 1 }
                n++
            }
            print "   " n " counters compared"
            exit bad || n < 5
        }' "$1" "$2" || fail "a counter fell over the upgrade"
}

ways() { if [ "$NODE" = open ]; then echo out forward in; else echo forward; fi; }

assert_counted() { # PACKETS
    local way
    for way in $(ways); do
        assert_eq "packets from left to right, $way" "$1" "$(counted "$way")"
        assert_prometheus "sum(nfbpf_source_destination_packets_total{source=\"10.1.0.1\",destination=\"10.2.0.1\",direction=\"$way\"})" "$1"
    done
}

# ---- what is asked of the pods ----

assert_confined() {
    local pid
    pid=$(node podman inspect --format '{{.State.Pid}}' nfbpf-pod-exporter)
    grep -E '^(Uid|CapEff|CapPrm|NoNewPrivs|Seccomp):' "/proc/$pid/status" | sed 's/^/   /'
    assert_eq "uid" 9987 "$(awk '/^Uid:/ { print $2 }' "/proc/$pid/status")"
    assert_eq "capabilities in effect" 0000000000000000 "$(awk '/^CapEff:/ { print $2 }' "/proc/$pid/status")"
    assert_ge "seccomp filters" 2 "$(awk '/^Seccomp_filters:/ { print $2 }' "/proc/$pid/status")"
    assert_says "sandbox" '^nfbpf_sandbox_info' "$(scrape)"
    ! node podman exec nfbpf-pod-exporter /bin/sh -c true 2>/dev/null || fail "the exporter's image has a shell"
    node podman exec nfbpf-pod-exporter /usr/bin/nfbpf_exporter --health-check --config.file=/etc/nfbpf/nfbpf_exporter.yaml
    node podman exec nfbpf-pod-exporter /usr/bin/nfbpf_exporter --ready-check --config.file=/etc/nfbpf/nfbpf_exporter.yaml
    echo "   probes pass"
}

assert_attached() {
    case $NODE in
    open)
        assert_says "init" 'built a module for kernel' "$(logs)"
        assert_says "init" '^attached by kmod' "$(logs)"
        [ -d $NFBPF_SYSFS ] || fail "the module is not loaded"
        ;;
    lockdown)
        assert_says "init" 'no module built: the kernel takes signed modules only' "$(logs)"
        assert_says "init" '^attached by netfilter-link' "$(logs)"
        assert_says "init" '^not taken kmod: .*locked down \(integrity\)' "$(logs)"
        assert_says "metric" '^nfbpf_datapath_info\{datapath="netfilter-link",reason=".*; not kmod: .*locked down \(integrity\).*"\} 1' "$(scrape)"
        [ ! -d $NFBPF_SYSFS ] || fail "a module is loaded"
        ;;
    esac
}

upgrade_under_traffic() {
    local before sent family
    before=$(counted forward)
    scrape >/run/before
    left_sends_until_stopped >/run/sent &
    play next --replace
    wait_for_exporter
    node touch /root/pod/stop
    wait $!
    sent=$(cat /run/sent)
    assert_says "init" 'the module stays, ABI .*; its program is swapped' "$(logs)"
    assert_ge "packets sent meanwhile" 100 "$sent"
    assert_counted $((before + sent))
    for family in source_destination_{packets,bytes} hook_{packets,bytes} filtered_{packets,bytes}; do
        assert_prometheus "max(resets(nfbpf_${family}_total[1h]))" 0
    done
    scrape >/run/after
    assert_none_fell /run/before /run/after
    assert_eq "image" localhost/nfbpf-exporter:0.2.0 "$(node podman inspect --format '{{.ImageName}}' nfbpf-pod-exporter)"
}

wait_for_exporter() {
    for _ in $(seq 300); do
        ! scrape >/dev/null 2>&1 || return 0
        sleep 0.2
    done
    logs
    fail "no answer from the exporter"
}

assert_clean() {
    [ ! -d $NFBPF_SYSFS ] || fail "the module is still loaded"
    ! node grep -E ' (bpf|fuse.bpf) ' /proc/self/mounts || fail "a bpffs is still mounted"
    ! node test -e /run/nfbpf || fail "/run/nfbpf is still there"
    assert_eq "bpf links" 0 "$(bpftool -j link show | jq '[.[] | select(.type == "netfilter")] | length')"
    echo "   no module, no pin, no mount"
}

step "the node"
boot_node
topology_node
node podman --version
node podman images --format '{{.Repository}}:{{.Tag}} {{.Size}}'
! node grep ' bpf ' /proc/self/mounts || fail "the node has a bpffs already"

step "the manifest, as it is"
play nfbpf
wait_for_exporter
logs | sed 's/^/   | /'
assert_attached
node grep ' /sys/fs/bpf ' /proc/self/mounts
assert_confined

step "traffic between two containers"
start_prometheus
start_pods
left_sends 5000
assert_counted 5000

if [ "$NODE" = open ]; then
    step "an upgrade under traffic"
    upgrade_under_traffic
    podman kube down /root/next.yaml
else
    podman kube down /root/nfbpf.yaml
fi

step "away again"
podman rm --force --time 0 left right
play uninstall
logs | sed 's/^/   | /'
podman kube down /root/uninstall.yaml
assert_clean

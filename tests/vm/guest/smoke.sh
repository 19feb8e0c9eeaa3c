#!/bin/bash
# The loop itself: kernel, mounts, tools, network, topologies. Needs nothing of ours.
# shellcheck source=tests/vm/guest/lib.sh
. "$NFBPF_TESTS/lib.sh"

step "kernel"
echo "   $(uname -r), $(nproc) CPUs, $(awk '/MemFree/ { print int($2 / 1024) }' /proc/meminfo) MiB free"

step "mounts"
assert_eq "type of /sys/fs/bpf" bpf "$(awk '$2 == "/sys/fs/bpf" { print $3 }' /proc/mounts)"

step "loopback"
ping -c 1 -W 2 -q 127.0.0.1 >/dev/null || fail "127.0.0.1 does not answer"
ping -c 1 -W 2 -q ::1 >/dev/null || fail "::1 does not answer"

step "eth0 reaches QEMU's router"
ping -c 1 -W 2 -q 10.0.2.2 >/dev/null || fail "10.0.2.2 does not answer: $(ip -br address)"
assert_eq "IPv6 address of eth0" fec0::15/64 "$(ip -6 -br address show dev eth0 scope site | awk '{ print $3 }')"

step "a router between two namespaces"
topology_router
ns left ping -c 2 -i 0.01 -W 2 -q 10.2.0.1 >/dev/null || fail "no forwarding of IPv4"
ns left ping -c 2 -i 0.01 -W 2 -q fd02::1 >/dev/null || fail "no forwarding of IPv6"

step "tools"
bpftool -j prog list >/dev/null
nft list tables
iptables -w -L -n >/dev/null

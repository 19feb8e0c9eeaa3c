#!/bin/bash
# After packages.sh and a boot into the other kernel: the units run by themselves, and count; removed
# and purged, nothing is left.
# shellcheck source=tests/vm/guest/lib.sh
. "$NFBPF_TESTS/lib.sh"
# shellcheck source=tests/vm/guest/lib-packages.sh
. "$NFBPF_TESTS/lib-packages.sh"

leftovers() { find / -xdev -iname '*nfbpf*' ! -path '/opt/*' ! -path '/etc/nfbpf-vm.conf' ! -path '/var/log/*' ! -path '/var/cache/*' | sort; }

step "booted into $release: the module that DKMS built, by the unit"
assert_eq "kernel" "$LATER" "$release"
assert_units active
assert_eq "failed units" "" "$(systemctl list-units --failed --plain --no-legend)"
assert_eq "datapath" kmod "$(nfbpf-load status --json | jq -r .datapath)"
assert_eq "built for" "$release" "$(modinfo -F vermagic nfbpf | cut -d' ' -f1)"
assert_eq "up" 1 "$(metric nfbpf_up)"
topology_pair
know_neighbours left right
read -r packets bytes < <(send 10000)
assert_flow "$packets" "$bytes"
topology_down

step "removed: the configuration stays, nothing runs"
apt remove nfbpf-exporter nfbpf-dkms
[ ! -e $NFBPF_SYSFS ] || fail "the module is still loaded"
[ ! -e $NFBPF_PINS ] || fail "left pins: $(find $NFBPF_PINS)"
[ ! -e /run/nfbpf ] || fail "left /run/nfbpf: $(ls /run/nfbpf)"
assert_eq "modules" "" "$(find /usr/lib/modules -name 'nfbpf*')"
assert_eq "processes" "" "$(cat /proc/[0-9]*/comm 2>/dev/null | grep nfbpf || true)"
[ -e /etc/nfbpf/nfbpf_exporter.yaml ] || fail "the configuration went with remove"

step "purged: nothing is left"
apt purge nfbpf-exporter nfbpf-dkms
assert_eq "files" "" "$(leftovers)"
assert_eq "user and group" "" "$(getent passwd nfbpf-exporter || true)$(getent group nfbpf-exporter || true)"
assert_eq "units" "" "$(systemctl list-unit-files --plain --no-legend 'nfbpf*')"
assert_eq "mounts" "" "$(grep nfbpf /proc/self/mounts || true)"
assert_eq "pins" "" "$(find /sys/fs/bpf -mindepth 1)"

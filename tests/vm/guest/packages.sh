#!/bin/bash
# The packages under a real systemd: installed, DKMS builds, the units run as they are shipped; an
# upgrade under traffic counts on; the headers of another kernel arrive. tests/vm/packages brings
# what this needs.
# shellcheck source=tests/vm/guest/lib.sh
. "$NFBPF_TESTS/lib.sh"
# shellcheck source=tests/vm/guest/lib-packages.sh
. "$NFBPF_TESTS/lib-packages.sh"

generation() { cat $NFBPF_SYSFS/program/generation; }

step "installed: DKMS has built, both units run"
assert_eq "nothing of ours before" "" "$(find / -xdev -iname '*nfbpf*' ! -path '/opt/*' ! -path '/etc/nfbpf-vm.conf')"
install "$OLD"
assert_eq "state" installed "$(dkms_state "$OLD" "$release")"
assert_units active
for unit in nfbpf.service nfbpf-exporter.service; do
    assert_eq "$unit at boot" enabled "$(systemctl is-enabled $unit)"
done
assert_eq "failed units" "" "$(systemctl list-units --failed --plain --no-legend)"
nfbpf-load status
grep -q 'updates/dkms' <<<"$(modinfo -n nfbpf)" || fail "modprobe would take $(modinfo -n nfbpf)"

step "the exporter as systemd has it"
pid=$(systemctl show -P MainPID nfbpf-exporter)
assert_eq "type and what it told" "notify serving" "$(systemctl show -P Type nfbpf-exporter) $(systemctl show -P StatusText nfbpf-exporter | sed 's/[^a-z].*//')"
assert_eq "user" nfbpf-exporter "$(getent passwd "$(awk '/^Uid:/ { print $3 }' "/proc/$pid/status")" | cut -d: -f1)"
assert_eq "what it may" "0000000000000000 1 2" "$(awk '/^(CapBnd|NoNewPrivs|Seccomp):/ { print $2 }' "/proc/$pid/status" | xargs)"
assert_eq "up" 1 "$(metric nfbpf_up)"
assert_eq "accountable, unaccounted" "1 0" "$(metric nfbpf_accountable) $(metric nfbpf_unaccounted_packets)"
page | grep -E '^nfbpf_(sandbox|datapath)_info'
systemctl kill -s KILL nfbpf-exporter
sleep 3 # RestartSec=2
page >/dev/null
assert_units active
[ "$pid" != "$(systemctl show -P MainPID nfbpf-exporter)" ] || fail "still process $pid after SIGKILL"

step "a known flow"
topology_pair
know_neighbours left right
read -r packets bytes < <(send 10000)
assert_flow "$packets" "$bytes"

step "reload: another object is taken, the same one is not"
date >>/usr/lib/nfbpf/traffic.bpf.o # behind its sections: another release of the same program
before=$(generation)
systemctl reload nfbpf.service
assert_eq "generation" $((before + 1)) "$(generation)"
systemctl reload nfbpf.service
assert_eq "generation" $((before + 1)) "$(generation)"
systemctl reload nfbpf-exporter.service
assert_eq "reloads" "1 1" "$(systemctl is-active -q nfbpf-exporter && echo 1) $(metric nfbpf_config_last_reload_successful)"

step "upgrade under traffic"
started=$(cat $NFBPF_SYSFS/hooks/ipv4_local_out/packets)
sender() {
    local p b
    while [ ! -e /run/upgraded ]; do
        read -r p b < <(send 2000)
        packets=$((packets + p)) bytes=$((bytes + b))
        sleep 0.2 # or there is no processor left for what is to be upgraded
    done
    echo "$packets $bytes" >/run/sent
}
sender &
scraper 1 &
install "$NEW"
touch /run/upgraded
wait
read -r packets bytes </run/sent
assert_units active
assert_eq "version" "$NEW" "$(page | sed -n 's/^nfbpf_build_info{.*version="\([^"]*\)".*/\1/p')"
assert_eq "state" installed "$(dkms_state "$NEW" "$release")"
assert_eq "state of the old one" "" "$(dkms_state "$OLD" "$release")"
assert_eq "generation: the program was swapped" $((before + 2)) "$(generation)"
assert_ge "the module stayed: packets" $((started + packets - 20000)) "$(cat $NFBPF_SYSFS/hooks/ipv4_local_out/packets)"
assert_flow "$packets" "$bytes"
assert_eq "unaccounted" 0 "$(metric nfbpf_unaccounted_packets)"
page >/run/pages/99999
assert_ge "scrapes" 5 "$(find /run/pages -type f | wc -l)"
assert_eq "counters that fell" "" "$(falls /run/pages/*)"

step "a kernel upgrade: its headers arrive, DKMS builds"
apt install /var/later/*.deb
assert_eq "state" installed "$(dkms_state "$NEW" "$LATER")"

step "stopped, nothing is attached; at the next boot it will be"
systemctl stop nfbpf-exporter.service nfbpf.service
assert_units inactive
[ ! -e /run/nfbpf ] || fail "left /run/nfbpf: $(ls /run/nfbpf)"
topology_down

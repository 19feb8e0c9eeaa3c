#!/bin/bash
# Runs in the namespaces of tests/packaging/systemd.
# shellcheck source=tests/vm/guest/lib.sh
. "$NFBPF_TESTS/lib.sh"
# shellcheck source=tests/vm/guest/lib-packages.sh
. "$NFBPF_TESTS/lib-packages.sh"

program() { nfbpf-load status --json | jq .program.id; }

step "installed: both units run"
install "$OLD"
assert_units active
assert_eq "failed units" "" "$(systemctl list-units --failed --plain --no-legend)"
assert_eq "datapath" netfilter-link "$(nfbpf-load status --json | jq -r .datapath)"
pid=$(systemctl show -P MainPID nfbpf-exporter)
assert_eq "type and what it told" "notify serving" "$(systemctl show -P Type nfbpf-exporter) $(systemctl show -P StatusText nfbpf-exporter | sed 's/[^a-z].*//')"
assert_eq "what it may" "0000000000000000 1 2" "$(awk '/^(CapBnd|NoNewPrivs|Seccomp):/ { print $2 }' "/proc/$pid/status" | xargs)"
assert_eq "up" 1 "$(metric nfbpf_up)"
systemctl kill -s KILL nfbpf-exporter
sleep 3 # RestartSec=2
page >/dev/null
assert_units active

step "a known flow"
ip netns add right
ip link add to-right type veth peer name to-left netns right
ip link set to-right up
ip -n right link set to-left up
ip address add 10.1.0.1/24 dev to-right
ip neigh add 10.1.0.2 lladdr "$(ip -n right -j link show to-left | jq -r '.[0].address')" dev to-right nud permanent
read -r packets bytes < <(nfbpf-traffic udp --to 10.1.0.2 --count 10000)
assert_eq "sent = counted" "$packets $bytes" "$(flow packets out) $(flow bytes out)"

step "reload: another object is taken, the same one is not"
before=$(program)
systemctl reload nfbpf.service
assert_eq "program" "$before" "$(program)"
date >>/usr/lib/nfbpf/traffic_netfilter.bpf.o # behind its sections: another release of the same program
systemctl reload nfbpf.service
[ "$before" != "$(program)" ] || fail "still program $before"
systemctl reload nfbpf-exporter.service
page >/dev/null
assert_units active

step "upgrade: no counter falls"
before=$(program)
scraper 0.2 &
install "$NEW"
touch /run/upgraded
wait
assert_units active
assert_eq "version" "$NEW" "$(page | sed -n 's/^nfbpf_build_info{.*version="\([^"]*\)".*/\1/p')"
[ "$before" != "$(program)" ] || fail "still program $before"
page >/run/pages/99999
assert_ge "scrapes" 3 "$(find /run/pages -type f | wc -l)"
assert_eq "counters that fell" "" "$(falls /run/pages/*)"
read -r more more_bytes < <(nfbpf-traffic udp --to 10.1.0.2 --count 10000)
assert_eq "sent before and since = counted" "$((packets + more)) $((bytes + more_bytes))" "$(flow packets out) $(flow bytes out)"

step "removed, then purged: nothing is left, not even what was kept by hand"
systemctl stop nfbpf-exporter.service nfbpf.service
nfbpf-load attach >/dev/null 2>&1
nfbpf-load detach --keep-maps
[ -d $NFBPF_PINS/maps ] || fail "no maps were kept"
apt remove nfbpf-exporter nfbpf-dkms
[ ! -e $NFBPF_PINS ] || fail "left pins: $(find $NFBPF_PINS)"
[ ! -e /run/nfbpf ] || fail "left /run/nfbpf: $(ls /run/nfbpf)"
assert_eq "processes" "" "$(cat /proc/[0-9]*/comm 2>/dev/null | grep nfbpf || true)"
[ -e /etc/nfbpf/nfbpf_exporter.yaml ] || fail "the configuration went with remove"
apt purge nfbpf-exporter nfbpf-dkms
assert_eq "files" "" "$(find / -xdev -iname '*nfbpf*' ! -path '/opt/*' ! -path '/var/log/*' ! -path '/var/cache/*')"
assert_eq "user" "" "$(getent passwd nfbpf-exporter || true)"
assert_eq "units" "" "$(systemctl list-unit-files --plain --no-legend 'nfbpf*')"
echo pass

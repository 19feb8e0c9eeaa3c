#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Who the exporter is while it serves, and what it can go on reading: its groups and capabilities, its
# figures of itself, certificates that are renewed behind symbolic links. Its user and group exist for
# this test alone, in a mount namespace of its own.
#
#   privilege.sh EXPORTER LOADED_MAPS
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=lib.sh
. "$here/lib.sh"

exporter=$1
loaded_maps=$2
own_mounts "becoming another user" "$0" "$@"
dir=$(mktemp -d)
pid='' maps=''
end() {
    for one in $pid $maps; do kill "$one" 2>/dev/null && wait "$one" || true; done
    umount -l "$dir/bpf" 2>/dev/null || true
    rm -rf "$dir"
}
trap end EXIT
fail() { log "FAILED: $*"; [ ! -e "$dir/log" ] || tail -5 "$dir/log" >&2; exit 1; }
chmod 755 "$dir"
mkdir "$dir/bpf" "$dir/run"
mount -t bpf bpf "$dir/bpf" || skip "cannot mount a bpffs here"
chmod 755 "$dir/bpf"
install -m 755 "$exporter" "$dir/nfbpf_exporter" # this user may not enter where it was built

# ---- a user with a group of its own and a further one ----
uid=48611 gid=48612 further=48613 other=48614
cp /etc/passwd "$dir/passwd"
cp /etc/group "$dir/group"
echo "nfbpf-test:x:$uid:$gid::/nonexistent:/bin/false" >>"$dir/passwd"
printf 'nfbpf-test:x:%d:\ncertificates:x:%d:nfbpf-test\npins:x:%d:\n' $gid $further $other >>"$dir/group"
mount --bind "$dir/passwd" /etc/passwd
mount --bind "$dir/group" /etc/group

configure() { # LINE...
    printf 'run_dir: %s/run\nweb: {listen_addresses: ["127.0.0.1:0"]}\n' "$dir" >"$dir/exporter.yaml"
    [ $# -eq 0 ] || printf '%s\n' "$@" >>"$dir/exporter.yaml"
}
stop() { { kill "$pid" && wait "$pid"; } 2>/dev/null || true; pid=''; }
start() { # FLAG...
    [ -z "$pid" ] || stop
    : >"$dir/log" # it is looked into before the next one has it
    "$dir/nfbpf_exporter" --config.file "$dir/exporter.yaml" "$@" >"$dir/log" 2>&1 &
    pid=$!
    await_address "$pid" "$dir/log"
}
refuses() { # PATTERN FLAG...
    local pattern=$1 status=0
    shift
    timeout 20 "$dir/nfbpf_exporter" --config.file "$dir/exporter.yaml" "$@" >"$dir/log" 2>&1 || status=$?
    [ $status -eq 1 ] || fail "status $status instead of 1 for: $*"
    grep -qE "$pattern" "$dir/log" || fail "does not say '$pattern'"
}
status() { sed -n "s/^$1:[[:space:]]*//p" "/proc/$pid/status" | tr '\t' ' ' | sed 's/ *$//'; } # WORD
is() { [ "$2" = "$3" ] || fail "$1 is '$3' instead of '$2'"; } # WHAT WANTED GOT
page() { curl -fsS --max-time 10 "$@" -o "$dir/page"; }
value() { sed -n "s/^$1 //p" "$dir/page"; }
# What is built with a sanitizer confines itself to nothing.
confined=yes
configure
start --run-as nfbpf-test
! grep -q 'built with a sanitizer' "$dir/log" || confined=

log "groups"
is "Uid" "$uid $uid $uid $uid" "$(status Uid)"
is "Gid" "$gid $gid $gid $gid" "$(status Gid)"
is "Groups" "$gid $further" "$(status Groups)"
start --run-as "nfbpf-test:pins"
is "Gid" "$other $other $other $other" "$(status Gid)"
is "Groups" "$further $other" "$(status Groups)"
start --run-as $uid
is "Groups by the user's number" "$gid $further" "$(status Groups)"
start --run-as 48699:$other
is "Groups of a number that is nobody's" "" "$(status Groups)"
is "its Gid" "$other $other $other $other" "$(status Gid)"
refuses 'there is no user \\"nobody-of-that-name\\" here' --run-as nobody-of-that-name

log "figures of itself, after the kernel has forgotten what it knew of /proc"
start --run-as nfbpf-test
page "http://$address/metrics"
grep '^process_' "$dir/page" | cut -d' ' -f1 >"$dir/before"
is "number of process_*" 6 "$(wc -l <"$dir/before")"
# Some containers may not: the guest test privileges does it, too.
# What was used since the last time is spared once.
for _ in 1 2 3; do
    { echo 2 >/proc/sys/vm/drop_caches; } 2>/dev/null || { log "  this machine does not let us: not tried"; break; }
    sleep 0.5
done
page "http://$address/metrics"
grep '^process_' "$dir/page" | cut -d' ' -f1 | cmp - "$dir/before" || fail "process_* are gone"
is "process_open_fds" $(($(find "/proc/$pid/fd" -mindepth 1 | wc -l) + 1)) "$(value process_open_fds)" # and the scrape's own

log "capabilities: none, of root too"
none=0000000000000000 sys_admin=0000000000200000
[ "$(uname -r | cut -d. -f1)" -ge 6 ] || none=0000008000000000 sys_admin=0000008000200000
start --allow-root
for set in CapEff CapPrm; do is $set $none "$(status $set)"; done
for set in CapInh CapAmb CapBnd; do is $set 0000000000000000 "$(status $set)"; done
is NoNewPrivs 1 "$(status NoNewPrivs)"
[ -z "$confined" ] || is Seccomp 2 "$(status Seccomp)"
log "CAP_SYS_ADMIN alone where types are asked of the kernel"
"$loaded_maps" "$dir/bpf/nfbpf" "$dir/run" 10 >"$dir/maps.log" 2>&1 &
maps=$!
for _ in $(seq 300); do ! grep -qs ready "$dir/maps.log" || break; sleep 0.1; done
pin=$(find "$dir/bpf/nfbpf" -name 'nfbpf_ipv4*' | sort | sed -n 1p)
[ -n "$pin" ] || fail "loaded_maps made no map"
configure "pinned_maps: [{name: foreign, path: $pin}]"
start --allow-root
is CapEff $sys_admin "$(status CapEff)"
page "http://$address/metrics"
is "maps that cannot be shown" 0 "$(value nfbpf_maps_skipped)"
is nfbpf_up 1 "$(value nfbpf_up)"
start --run-as nfbpf-test
is "CapEff of another user" $none "$(status CapEff)"
start --allow-root --run-as nfbpf-test
is "CapEff of another user, where root would be let" $none "$(status CapEff)"

# ---- certificates ----
configure
make_certificate() { # FILE DAYS: FILE.crt, FILE.key
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days "$2" -subj /CN=localhost \
        -addext 'subjectAltName=IP:127.0.0.1' -keyout "$1.key" -out "$1.crt" 2>/dev/null
}
# As certbot has them: live/NAME/x.pem -> ../../archive/NAME/xN.pem.
certs=$dir/letsencrypt
mkdir -p "$certs/live/name" "$certs/archive/name" "$dir/etc" "$dir/private"
issue() { # N DAYS [GROUP]
    make_certificate "$certs/archive/name/$1" "$2"
    chgrp "${3:-certificates}" "$certs/archive/name/$1.key"
    chmod 640 "$certs/archive/name/$1.key"
    for kind in crt key; do
        ln -s "../../archive/name/$1.$kind" "$certs/live/name/new"
        mv -T "$certs/live/name/new" "$certs/live/name/$kind.pem"
    done
}
printf 'tls_server_config: {cert_file: %s/crt.pem, key_file: %s/key.pem}\n' "$certs/live/name" "$certs/live/name" >"$dir/etc/web.yml"
served() { openssl s_client -connect "$address" </dev/null 2>/dev/null | openssl x509 -noout -serial; }
serial() { openssl x509 -noout -serial -in "$certs/archive/name/$1.crt"; }
until_is() { # WHAT WANTED COMMAND...
    local what=$1 wanted=$2 got=''
    shift 2
    for _ in $(seq 50); do
        got=$("$@") || true
        [ "$got" != "$wanted" ] || return 0
        sleep 0.1
    done
    fail "$what is '$got' instead of '$wanted'"
}
metric() { page -k "https://$address/metrics" && value "$1"; }
ends() { date -d "$(openssl x509 -noout -enddate -in "$certs/archive/name/$1.crt" | cut -d= -f2)" +%s; }

log "a key that root may read and who serves may not is refused at the start"
issue 1 2 root
refuses "live/name/key.pem: .*uid $uid and gid $gid.*Permission denied" --run-as nfbpf-test --web.config.file "$dir/etc/web.yml"
chgrp certificates "$certs/archive/name/1.key"
chmod 600 "$dir/exporter.yaml"
refuses "exporter.yaml: uid $uid and gid $gid serve, and cannot open it to read it again: Permission denied" --run-as nfbpf-test
chmod 644 "$dir/exporter.yaml"

log "by a further group it may; renewed behind symbolic links, and served"
start --run-as nfbpf-test --web.config.file "$dir/etc/web.yml"
sed -n 's/.*msg="\(uid .*\)"/  \1/p' "$dir/log"
is "what is served" "$(serial 1)" "$(served)"
is "its end" "$(ends 1)" "$(metric nfbpf_web_tls_certificate_expiry_timestamp_seconds)"
first_read=$(metric nfbpf_web_config_last_reload_success_timestamp_seconds)
issue 2 5
until_is "what is served after a renewal" "$(serial 2)" served
is "its end" "$(ends 2)" "$(metric nfbpf_web_tls_certificate_expiry_timestamp_seconds)"
is "nfbpf_web_config_last_reload_successful" 1 "$(metric nfbpf_web_config_last_reload_successful)"
awk -v a="$first_read" -v b="$(value nfbpf_web_config_last_reload_success_timestamp_seconds)" 'BEGIN { exit !(b > a) }' ||
    fail "the time of the last reload stands still"

log "renewed and not readable: the one before is served, and both metric and log say so"
issue 3 9 root
until_is "nfbpf_web_config_last_reload_successful" 0 metric nfbpf_web_config_last_reload_successful
is "what is served" "$(serial 2)" "$(served)"
is "its end" "$(ends 2)" "$(metric nfbpf_web_tls_certificate_expiry_timestamp_seconds)"
grep -q 'key.pem: .*Permission denied.*what was read before applies' "$dir/log" || fail "not in the log"
chgrp certificates "$certs/archive/name/3.key"
until_is "what is served when it can be read" "$(serial 3)" served
is "nfbpf_web_config_last_reload_successful" 1 "$(metric nfbpf_web_config_last_reload_successful)"

log "a folder that is a symbolic link and comes to point to another"
for n in 1 2; do
    mkdir "$dir/private/$n"
    for kind in crt key; do cp -p "$certs/archive/name/$n.$kind" "$dir/private/$n/$kind.pem"; done
done
ln -s "$dir/private/1" "$dir/etc/current"
printf 'tls_server_config: {cert_file: current/crt.pem, key_file: current/key.pem}\n' >"$dir/etc/web.yml"
start --run-as nfbpf-test --web.config.file "$dir/etc/web.yml"
is "what is served" "$(serial 1)" "$(served)"
ln -s "$dir/private/2" "$dir/etc/new"
mv -T "$dir/etc/new" "$dir/etc/current"
until_is "what is served from the other folder" "$(serial 2)" served
log pass

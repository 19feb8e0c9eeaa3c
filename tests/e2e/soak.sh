#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Hours in which all goes on at once: pairs come and go, scrapes (TLS, with and without gzip, OpenMetrics),
# reloads by SIGHUP and POST, good and bad ones, certificates that are replaced, clients that hold on, maps
# taken away and attached again. At the end the exporter has as much memory and as many descriptors as in
# the first half. NFBPF_SOAK_SECONDS (default 120) of it.
#
#   a network namespace without a name: packets --LOCAL_OUT, netfilter link--> veth that nobody answers
#
#   soak.sh EXPORTER NFBPF_LOAD NFBPF_TRAFFIC OBJECT_DIR
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=lib.sh
. "$here/lib.sh"

exporter=$1 load=$2 traffic=$3 objects=$4
seconds=${NFBPF_SOAK_SECONDS:-120}
need_tools curl openssl ip
UNSHARE_OPTIONS=--net
own_mounts "making maps" "$0" "$@"
dir=$(mktemp -d)
chmod 755 "$dir"
exporter_pid='' holding=''
end() {
    for one in $exporter_pid $holding; do { kill "$one" && wait "$one"; } 2>/dev/null || true; done
    "$load" --pin-dir "$dir/bpf/nfbpf" --run-dir "$dir/run" detach >/dev/null 2>&1 || true
    umount -l "$dir/bpf" 2>/dev/null || true
    rm -rf "$dir"
}
trap end EXIT
fail() { log "FAILED: $*"; [ ! -e "$dir/log" ] || tail -5 "$dir/log" >&2; exit 1; }
mkdir "$dir/bpf"
mount -t bpf bpf "$dir/bpf" || skip "cannot mount a bpffs here"
chmod 755 "$dir/bpf"
ip link set lo up
ip link add away type veth peer name nobody
ip address add 10.255.0.1/24 dev away
ip link set away up
ip link set nobody up
ip neigh add 10.255.0.2 lladdr 02:00:00:00:00:02 dev away
ip route add 10.0.0.0/8 via 10.255.0.2
attach() {
    "$load" --pin-dir "$dir/bpf/nfbpf" --run-dir "$dir/run" attach --datapath netfilter-link --object-dir "$objects" \
        --hooks out --families ipv4 --max-pairs 4096 --group 65534 >"$dir/load.log" 2>&1
}
detach() { "$load" --pin-dir "$dir/bpf/nfbpf" --run-dir "$dir/run" detach >/dev/null; }
attach || skip "no netfilter link here: $(cat "$dir/load.log")"

for n in 0 1; do
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost \
        -addext 'subjectAltName=IP:127.0.0.1' -keyout "$dir/$n.key" -out "$dir/$n.crt" 2>/dev/null
    chmod 644 "$dir/$n.key"
done
certificate() { # 0|1
    cp "$dir/$1.crt" "$dir/now.crt"
    cp "$dir/$1.key" "$dir/now.key"
}
certificate 0
printf 'tls_server_config: {cert_file: now.crt, key_file: now.key}\n' >"$dir/web.yml"
configuration() { # LINE...
    printf 'run_dir: %s/run\nseries_limit: 2000\nidle_timeout: 10s\nweb: {listen_addresses: ["127.0.0.1:0"]}\n' "$dir"
    printf '%s\n' "$@"
}
configure() { # LINE...
    configuration "$@" >"$dir/new.yaml"
    mv "$dir/new.yaml" "$dir/exporter.yaml"
}
configure
install -m 755 "$exporter" "$dir/nfbpf_exporter"
: >"$dir/log" # it is looked into before it is there
"$dir/nfbpf_exporter" --run-as 65534 --config.file "$dir/exporter.yaml" --web.config.file "$dir/web.yml" \
    --web.enable-lifecycle >"$dir/log" 2>&1 &
exporter_pid=$!
await_address "$exporter_pid" "$dir/log"
url=https://$address

answers() { # STATUS PATH CURL_ARGUMENT...
    local wanted=$1 path=$2 got
    shift 2
    requests=$((requests + 1))
    got=$(curl -ks -o "$dir/body" -w '%{http_code}' --max-time 10 "$@" "$url$path") || true
    [ "$got" = "$wanted" ] || fail "$path: status $got instead of $wanted after $((SECONDS - start)) s"
}
is_up() { answers 200 /metrics && grep -q "^nfbpf_up $1\$" "$dir/body" || fail "nfbpf_up is not $1 after $((SECONDS - start)) s"; } # 0|1
sample() {
    local resident descriptors
    resident=$(sed -n 's/^RssAnon:[[:space:]]*\([0-9]*\) kB/\1/p' "/proc/$exporter_pid/status")
    descriptors=$(find "/proc/$exporter_pid/fd" -mindepth 1 | wc -l)
    printf '%d %d %d\n' $((SECONDS - start)) "$resident" "$descriptors" >>"$dir/samples"
}

# Each of the server's 256 threads meets each kind of request once before anything is measured: their
# stacks and the allocator's arenas grow then, and hardly any more.
warm_up() {
    local path
    for path in /metrics /api/v1/traffic; do
        for accept in identity gzip; do
            curl -kfsSZ --no-progress-meter --parallel-max 30 -H "Accept-Encoding: $accept" -o /dev/null "$url$path?limit=[1-1000]" || fail "warming up: $path"
        done
    done
}

round=0 requests=0 reloads=0 certificates=0 detached=0 start=$SECONDS
while [ $((SECONDS - start)) -lt "$seconds" ]; do
    round=$((round + 1))
    [ $round -ne 12 ] || warm_up
    "$traffic" flood --to "10.$((round / 200 % 200)).$((round % 200)).1" --count 300 >/dev/null
    "$traffic" udp --to 10.250.0.1 --count 20 >/dev/null
    answers 200 /metrics
    answers 200 /metrics -H 'Accept-Encoding: gzip'
    answers 200 /metrics -H 'Accept: application/openmetrics-text'
    answers 200 /api/v1/traffic --compressed
    answers 404 /nothing
    case $((round % 4)) in
    0) configure "networks: {n$((round % 7)): [10.0.0.0/9]}" 'groups: {destination: both}' ;;
    1) configure ;;
    2) answers 200 /-/reload -X POST && reloads=$((reloads + 1)) ;;
    3) configure 'no: such'; answers 500 /-/reload -X POST ;;
    esac
    [ $((round % 3)) -ne 0 ] || { kill -HUP "$exporter_pid"; reloads=$((reloads + 1)); }
    [ $((round % 5)) -ne 0 ] || { certificates=$((certificates + 1)); certificate $((certificates % 2)); }
    if [ $((round % 10)) -eq 0 ]; then # 20 that say nothing, until they are cut
        [ -z "$holding" ] || { kill "$holding" && wait "$holding"; } 2>/dev/null || true
        bash -c 'for i in {1..20}; do exec {fd}<>"/dev/tcp/$1/$2"; done; sleep 8' hold "${address%:*}" "${address##*:}" &
        holding=$!
    fi
    if [ $((round % 20)) -eq 0 ]; then
        detached=$((detached + 1))
        detach
        is_up 0
        attach || fail "attach: $(cat "$dir/load.log")"
        is_up 1
    fi
    sample
    sleep 0.5
done
configure
answers 200 /-/reload -X POST
counted() { is_up 1 && awk '/^nfbpf_(source_destination|overflow)_packets_total{/ { n += $NF } END { printf "%d", n }' "$dir/body"; }
before=$(counted)
"$traffic" udp --to 10.250.0.1 --count 20 >/dev/null
after=$(counted)
[ "$after" -eq $((before + 20)) ] || fail "of 20 packets $((after - before)) are counted in the end"
is_up 1
drains=$(sed -n 's/^nfbpf_map_drains_total //p' "$dir/body")
log "$requests requests, $reloads reloads, $certificates certificates, $detached times detached, ${drains:-0} drains since the last"

# The first sixth is left out: threads, and with them arenas of the allocator, come with the first
# requests. What grows without end grows by as much in the second half as in the first.
awk -v all="$seconds" '
    $1 < all / 6 { next }
    { half = $1 < all * 7 / 12 ? 1 : 2; n[half]++; rss[half, n[half]] = $2
      if ($3 > fds[half]) fds[half] = $3 }
    function median(half,   i, j, t, a) {
        for (i = 1; i <= n[half]; i++) a[i] = rss[half, i]
        for (i = 2; i <= n[half]; i++) for (j = i; j > 1 && a[j - 1] > a[j]; j--) { t = a[j]; a[j] = a[j - 1]; a[j - 1] = t }
        return a[int((n[half] + 1) / 2)]
    }
    END { printf "%d %d %d %d\n", median(1), median(2), fds[1], fds[2] }' "$dir/samples" >"$dir/halves"
read -r resident1 resident2 descriptors1 descriptors2 <"$dir/halves"
[ -z "${NFBPF_KEEP:-}" ] || cp "$dir/samples" "$NFBPF_KEEP/soak-samples"
log "resident: median of the first half $resident1 kB, of the second $resident2 kB; descriptors: at most $descriptors1, then $descriptors2"
# The allocator's arenas and the threads' stacks grow with the largest page that each happened to meet, so
# ever more rarely: a twelfth. (In an hour they grew by a fortieth: docs/testing.md.)
[ "$resident2" -le $((resident1 + resident1 / 12)) ] || fail "memory grows"
# Those who are being answered or cut at the time differ by a few.
[ "$descriptors2" -le $((descriptors1 + 4)) ] || fail "descriptors grow"
log pass

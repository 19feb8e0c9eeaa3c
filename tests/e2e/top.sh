#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What /api/v1/traffic gives of what is asked for, and nfbpf_exporter top before it, over TLS and with
# a user too:
#
#   loaded_maps (root: maps, pins, manifest) -> bpffs, run dir -> nfbpf_exporter (uid 65534) -> curl, top
#
#   top.sh EXPORTER LOADED_MAPS
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=lib.sh
. "$here/lib.sh"

exporter=$1
loaded_maps=$2
need_tools curl jq openssl setpriv
own_mounts "making maps" "$0" "$@"

dir=$(mktemp -d)
maps_pid='' exporter_pid='' top_pid=''
stop() { [ -z "$1" ] || { kill "$1" && wait "$1"; } 2>/dev/null || true; } # PID
end() {
    stop "$top_pid"
    stop "$exporter_pid"
    stop "$maps_pid"
    umount -l "$dir/bpf" 2>/dev/null || true
    rm -rf "$dir"
}
trap end EXIT
fail() { log "FAILED: $*"; [ ! -s "$dir/log" ] || tail -5 "$dir/log" >&2; exit 1; }
chmod 755 "$dir"
mkdir "$dir/bpf" "$dir/run" "$dir/sys"
mount -t bpf bpf "$dir/bpf" 2>/dev/null || skip "cannot mount a bpffs here"
chmod 755 "$dir/bpf"
install -m 755 "$exporter" "$dir/nfbpf_exporter"

"$loaded_maps" "$dir/bpf/nfbpf" "$dir/run" 1000 60 >"$dir/maps.log" 2>&1 &
maps_pid=$!
for _ in $(seq 300); do
    ! grep -q ready "$dir/maps.log" || break
    kill -0 "$maps_pid" 2>/dev/null || skip "no maps here: $(cat "$dir/maps.log")"
    sleep 0.1
done

config() { # SERIES_LIMIT
    printf 'run_dir: %s\nseries_limit: %s\nweb: {listen_addresses: ["127.0.0.1:0"]}\n' "$dir/run" "$1" >"$dir/exporter.yaml"
}
start() { # FLAG...
    stop "$exporter_pid"
    : >"$dir/log"
    setpriv --reuid 65534 --regid 65534 --clear-groups --no-new-privs --bounding-set=-all \
        "$dir/nfbpf_exporter" --config.file "$dir/exporter.yaml" --path.sysfs "$dir/sys" "$@" 2>"$dir/log" &
    exporter_pid=$!
    await_address "$exporter_pid" "$dir/log"
}
config 10000
start
api=http://$address/api/v1/traffic

# ---- of the API what is asked for ----
expect() { # WHAT WANTED JQ_FILTER QUERY
    local got
    got=$(curl -sS --max-time 15 "$api$4" | jq -c "$3") || fail "$1: no JSON"
    [ "$got" = "$2" ] || fail "$1: $got instead of $2"
    log "$1: $got"
}
pairs='[.tables[] | select(.family == "nfbpf_source_destination") | .rows[]]'
expect "rows" 62 "$pairs | length" ''
expect "the three with most bytes" '["2001:db8::1","192.0.2.1"]' "$pairs | [sort_by(-.[-1])[] | .[] | select(. == \"192.0.2.1\" or . == \"2001:db8::1\")]" '?limit=2'
expect "a filter" '["10.0.0.7"]' "$pairs | map(.[] | select(type == \"string\" and startswith(\"10.\")))" '?filter=OUT+tcp%2010.0.0.7'
expect "sorted, of the IPv4 map" '["10.0.0.9","10.0.0.10","10.0.0.11"]' "$pairs | map(.[] | select(type == \"string\" and startswith(\"10.\"))) | .[9:12]" '?sort=source'
expect "reversed" '"192.0.2.1"' '.tables[0].rows[0] | map(select(. == "192.0.2.1"))[0]' '?sort=-source'
expect "all there are" 61 '.tables[0].row_count' '?limit=1'
refused() { # QUERY WORDS
    local status
    status=$(curl -sS -o "$dir/body" -w '%{http_code} %{content_type}' --max-time 15 "$api$1")
    [ "$status" = "400 text/plain; charset=utf-8" ] || fail "$1: $status instead of 400"
    grep -qF "$2" "$dir/body" || fail "$1: says $(cat "$dir/body")"
    log "$1: $(cat "$dir/body")"
}
refused '?limit=0' '400 limit: has "0", allowed is 1 to 10000000'
refused '?limit=5&limit=6' '400 limit: is there twice'
refused '?sort=rate' '400 sort: has "rate", which is no label and no counter here; there are '
refused '?page=2' '400 has a parameter "page"; there are filter, sort and limit'
refused '?filter=%ff' '400 the query has, decoded, a control character or what is no UTF-8'
refused '?filter=%0a' 'control character'
refused '?filter=%4' 'a % itself is %25'
refused "?filter=$(head -c 257 /dev/zero | tr '\0' x)" '400 filter: is 257 bytes long, the most is 256'

# ---- top: a table, some of it, and what rows leave behind ----
run_top() { timeout 20 "$dir/nfbpf_exporter" top --once --seconds 1 "$@"; }
run_top --url "http://$address" | tee "$dir/top"
# A thousand packets of 100 bytes a second.
sed -n 3p "$dir/top" | grep -qE '^ *(9[0-9]|1[01][0-9])\.[0-9] kB/s .* 192.0.2.1 > 198.51.100.2  in  udp$' || fail "the one that grows is not on top"
run_top --url "http://$address" --filter 'TCP 10.0.0.7' >"$dir/top"
[ "$(grep -c ' > 198.51.100.2' "$dir/top")" = 1 ] && grep -q '10.0.0.7 > ' "$dir/top" || fail "the filter: $(cat "$dir/top")"
run_top --url "http://$address" --limit 2 >"$dir/top"
[ "$(grep -cE ' > (198|2001)' "$dir/top")" = 2 ] || fail "the limit: $(cat "$dir/top")"
run_top --url "http://$address" | head -n 1 >/dev/null || fail "top complains of a reader that has enough"

"$dir/nfbpf_exporter" top --url "http://$address" --seconds 1 >"$dir/top" &
top_pid=$!
sleep 2.5
config 5 # so that more than fifty rows with 100 kB each leave
kill -HUP "$exporter_pid"
sleep 4.5
kill "$top_pid" && wait "$top_pid" || true
top_pid=''
grep 'other > other' "$dir/top" | sort -u || true
grep -q 'other > other' "$dir/top" || fail "nothing has left: $(cat "$dir/top")"
! grep 'other > other' "$dir/top" | grep -qE '^ *([0-9.]+ [MG]B|[2-9][0-9][0-9]\.[0-9] kB)/s' || fail "what rows had is taken for traffic of other"

# ---- over TLS, with a user ----
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=ours -keyout "$dir/ca.key" -out "$dir/ca.crt" 2>/dev/null
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=theirs -keyout "$dir/wrong.key" -out "$dir/wrong.crt" 2>/dev/null
certificate() { # NAME SAN
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$1" -keyout "$dir/$1.key" -out "$dir/$1.csr" 2>/dev/null
    openssl x509 -req -in "$dir/$1.csr" -CA "$dir/ca.crt" -CAkey "$dir/ca.key" -CAcreateserial -days 2 \
        -extfile <(echo "subjectAltName=$2") -out "$dir/$1.crt" 2>/dev/null
}
certificate server IP:127.0.0.1
certificate elsewhere DNS:elsewhere.example
certificate client DNS:somebody.example
chmod 644 "$dir"/*.key # of this test alone, and the exporter is nobody
hash=$(/usr/bin/python3 -W ignore -c 'import crypt; print(crypt.crypt("right", crypt.mksalt(crypt.METHOD_BLOWFISH, rounds=1 << 5)))')
web() { # CERTIFICATE [LINE]
    { printf 'tls_server_config:\n  cert_file: %s.crt\n  key_file: %s.key\n' "$1" "$1"
        [ $# -lt 2 ] || printf '  %s\n' "$2" 'client_ca_file: ca.crt'
        printf 'basic_auth_users: {ada: "%s"}\n' "$hash"; } >"$dir/web.yml"
    start --web.config.file "$dir/web.yml"
}
echo right >"$dir/right"
echo wrong >"$dir/wrong"
config 10000
web server
tls=(--url "https://$address" --ca-file "$dir/ca.crt")
run_top "${tls[@]}" --user ada --password-file "$dir/right" >"$dir/top" || fail "top over TLS with a user"
grep -q '192.0.2.1 > 198.51.100.2' "$dir/top" || fail "top over TLS: $(cat "$dir/top")"
top_refused() { # WORDS FLAG...
    local words=$1
    shift
    if run_top "$@" >"$dir/top" 2>&1; then fail "top was let in: $*"; fi
    grep -qF "$words" "$dir/top" || fail "top says: $(cat "$dir/top")"
    log "$(cat "$dir/top")"
}
top_refused '401 Unauthorized": 401 user and password are needed; see --user' "${tls[@]}"
top_refused '401 Unauthorized' "${tls[@]}" --user ada --password-file "$dir/wrong"
top_refused 'its certificate is refused: ' --url "https://$address" --ca-file "$dir/wrong.crt"
top_refused 'its certificate is refused: ' --url "https://$address"
top_refused 'is it https there?' --url "http://$address"
web elsewhere
top_refused 'its certificate is refused: IP address mismatch' --url "https://$address" --ca-file "$dir/ca.crt"
web server 'client_auth_type: RequireAndVerifyClientCert'
tls=(--url "https://$address" --ca-file "$dir/ca.crt" --user ada --password-file "$dir/right")
run_top "${tls[@]}" --cert-file "$dir/client.crt" --key-file "$dir/client.key" >"$dir/top" || fail "top with a certificate: $(cat "$dir/top")"
top_refused "https://$address: " "${tls[@]}"
log "ok"

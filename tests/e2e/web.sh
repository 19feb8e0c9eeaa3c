#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The exporter's server as clients meet it: routes and methods, TLS, client certificates, users, files
# that change while it runs. Needs no privilege and no map: that nothing is loaded is a page as well.
#
#   web.sh EXPORTER
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=lib.sh
. "$here/lib.sh"
# shellcheck source=prometheus.sh
. "$here/prometheus.sh"

exporter=$1
need_tools curl jq openssl
dir=$(mktemp -d)
pid=''
end() {
    prometheus_stop
    [ -z "$pid" ] || { kill "$pid" && wait "$pid"; } 2>/dev/null || true
    rm -rf "$dir"
}
trap end EXIT
fail() { log "FAILED: $*"; [ ! -e "$dir/log" ] || tail -5 "$dir/log" >&2; exit 1; }

start() { # FLAG...
    [ -z "$pid" ] || { kill "$pid" && wait "$pid"; } 2>/dev/null || true
    : >"$dir/log" # it is looked into before the next one has it
    printf 'run_dir: %s/run\nweb: {listen_addresses: ["127.0.0.1:0"]}\n' "$dir" >"$dir/exporter.yaml"
    "$exporter" --allow-root --config.file "$dir/exporter.yaml" "$@" >"$dir/log" 2>&1 &
    pid=$!
    await_address "$pid" "$dir/log"
}
status() { curl -sS -o "$dir/body" -w '%{http_code}' --max-time 15 "$@" 2>"$dir/curl.err" || true; } # CURL ARGUMENT...
expect() { # STATUS CURL_ARGUMENT...
    local wanted=$1 got
    shift
    got=$(status "$@")
    [ "$got" = "$wanted" ] || fail "status $got instead of $wanted for: $* ($(cat "$dir/curl.err"))"
}

# ---- routes ----
start
url=http://$address
for route in / /metrics /-/healthy /-/ready /debug/cardinality; do
    wanted=200
    case $route in /-/ready | /debug/cardinality) wanted=503 ;; esac # nothing is loaded
    expect $wanted "$url$route"
    expect $wanted -I "$url$route"
    for method in POST PUT DELETE OPTIONS PATCH; do
        expect 405 -X $method "$url$route"
    done
done
for path in /nothing /metrics/ /metrics/x /..%2f..%2fetc/passwd /%2e%2e/etc/passwd /-/reload /-/ /favicon.ico; do
    expect 404 --path-as-is "$url$path"
    ! grep -q root: "$dir/body" || fail "$path leaks a file"
done
expect 200 --path-as-is "$url/%6d%65trics" # the same path (RFC 3986, 6.2.2.2)
expect 200 "$url/metrics?name[]=x"
header=$(head -c 1000000 /dev/zero | tr '\0' x)
printf 'X-Long: %s' "$header" >"$dir/header"
got=$(status -H "@$dir/header" "$url/metrics")
case $got in 4?? | 000) ;; *) fail "a header of 1 MB: $got" ;; esac
raw() { # REQUEST; prints the status line
    exec 3<>"/dev/tcp/${address%:*}/${address##*:}"
    printf '%b' "$1" >&3
    IFS= read -r -t 15 line <&3 || true
    exec 3>&-
    printf '%s\n' "${line%$'\r'}"
}
for request in 'GET /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab' \
    'GET /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n' \
    'GET /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999999\r\n\r\n' \
    'GET /metrics HTTP/9.9\r\n\r\n' 'nonsense\r\n\r\n' 'GET\r\n\r\n' 'GET  HTTP/1.1\r\n\r\n' \
    'GET /metrics HTTP/1.1\r\nHo st: x\r\n\r\n' '\0\0\0\0\r\n\r\n'; do
    got=$(raw "$request")
    log "$(printf '%q' "${request:0:60}"): ${got:-closed}"
    case $got in '' | 'HTTP/1.1 4'?? | 'HTTP/1.1 4'??' '* | 'HTTP/1.1 505'*) ;; *) fail "answered: $got" ;; esac
done
kill -0 "$pid" || fail "the exporter is gone"
curl -sS -D - -o "$dir/body" "$url/metrics" >"$dir/head"
! grep -qi '^server:' "$dir/head" || fail "the head says what server it is"
grep -q '^process_cpu_seconds_total ' "$dir/body" || fail "no process_*"

# ---- reload ----
start --web.enable-lifecycle --web.disable-exporter-metrics
url=http://$address
expect 405 "$url/-/reload"
expect 200 -X POST "$url/-/reload"
echo 'no: such' >>"$dir/exporter.yaml"
expect 500 -X POST "$url/-/reload"
grep -q 'not reloaded: .*no: is no key of this file' "$dir/body" || fail "reload says: $(cat "$dir/body")"
curl -sS "$url/metrics" >"$dir/body"
grep -q '^nfbpf_config_last_reload_successful 0$' "$dir/body" || fail "the reload that failed is in no metric"
! grep -q '^process_' "$dir/body" || fail "process_* in spite of --web.disable-exporter-metrics"

# ---- certificates ----
ca() { # NAME
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=$1" \
        -keyout "$dir/$1.key" -out "$dir/$1.crt" 2>/dev/null
}
certificate() { # NAME CA SAN [OPTION...]
    local name=$1 ca=$2 san=$3
    shift 3
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$name" \
        -keyout "$dir/$name.key" -out "$dir/$name.csr" 2>/dev/null
    openssl x509 -req -in "$dir/$name.csr" -CA "$dir/$ca.crt" -CAkey "$dir/$ca.key" -CAcreateserial \
        -extfile <(echo "subjectAltName=$san") -out "$dir/$name.crt" "${@:--days}" ${1:-2} 2>/dev/null
}
ca ours
ca theirs
certificate server ours IP:127.0.0.1,DNS:localhost
certificate server2 ours IP:127.0.0.1,DNS:localhost
certificate client ours DNS:prometheus.example
certificate stranger theirs DNS:prometheus.example
certificate other_name ours DNS:somebody.example
# Expired since yesterday.
openssl x509 -req -in "$dir/client.csr" -CA "$dir/ours.crt" -CAkey "$dir/ours.key" -CAcreateserial \
    -days -1 -out "$dir/expired.crt" 2>/dev/null
cp "$dir/client.key" "$dir/expired.key"
cp "$dir/server.crt" "$dir/now.crt"
cp "$dir/server.key" "$dir/now.key"

tls() { # LINE...: the web configuration, by rename as one should
    { printf 'tls_server_config:\n  cert_file: now.crt\n  key_file: now.key\n'
        [ $# -eq 0 ] || printf '  %s\n' "$@"; } >"$dir/web.new"
    mv "$dir/web.new" "$dir/web.yml"
    sleep 0.3 # longer than the exporter goes without a look
}
by() { printf -- '--cert\n%s\n--key\n%s\n' "$dir/$1.crt" "$dir/$1.key"; } # NAME: curl's arguments

tls
start --web.config.file "$dir/web.yml"
grep -q 'listening on .* with TLS' "$dir/log" || fail "no TLS"
url=https://$address
trust=(--cacert "$dir/ours.crt")
for version in 1.2 1.3; do
    expect 200 "${trust[@]}" --tlsv$version --tls-max $version "$url/metrics"
done
expect 000 "${trust[@]}" --tlsv1.0 --tls-max 1.1 "$url/metrics"
expect 000 "$url/metrics" # an unknown CA
expect 000 "http://$address/metrics"
tls 'min_version: TLS13'
expect 000 "${trust[@]}" --tlsv1.2 --tls-max 1.2 "$url/metrics"
expect 200 "${trust[@]}" "$url/metrics"
tls 'max_version: TLS12' 'cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384]' 'curve_preferences: [CurveP256]'
curl -sSv "${trust[@]}" "$url/metrics" 2>&1 >/dev/null | grep -q 'TLSv1.2 / ECDHE-ECDSA-AES256-GCM-SHA384' ||
    fail "cipher_suites is not heeded"
log "TLS 1.2, 1.3, limits and cipher suites: as asked"

# TYPE: who is let in of nobody, ours, one of another name, a stranger, an expired one
while read -r type nobody client other_name stranger expired; do
    lines=("client_auth_type: $type")
    [ "$type" = NoClientCert ] || lines+=("client_ca_file: ours.crt")
    tls "${lines[@]}"
    expect "$nobody" "${trust[@]}" "$url/metrics"
    for who in client other_name stranger expired; do
        mapfile -t certificate < <(by $who)
        expect "${!who}" "${trust[@]}" "${certificate[@]}" "$url/metrics"
    done
    log "$type: nobody $nobody, client $client, stranger $stranger, expired $expired"
done <<'TABLE'
NoClientCert               200 200 200 200 200
RequestClientCert          200 200 200 200 200
RequireAnyClientCert       000 200 200 200 200
VerifyClientCertIfGiven    200 200 200 000 000
RequireAndVerifyClientCert 000 200 200 000 000
TABLE
tls 'client_auth_type: RequireAndVerifyClientCert' 'client_ca_file: ours.crt' 'client_allowed_sans: [prometheus.example]'
mapfile -t certificate < <(by client)
expect 200 "${trust[@]}" "${certificate[@]}" "$url/metrics"
mapfile -t other < <(by other_name)
expect 000 "${trust[@]}" "${other[@]}" "$url/metrics"
log "client_allowed_sans: the right name alone"

# ---- files that change under scrapes ----
tls
serial() { openssl s_client -connect "$address" </dev/null 2>/dev/null | openssl x509 -noout -serial; }
first=$(serial)
scrapes() {
    while [ ! -e "$dir/enough" ]; do
        curl -sS -o /dev/null "${trust[@]}" "$url/metrics" || echo failed >>"$dir/failed"
        echo . >>"$dir/done"
    done
}
scrapes &
scraping=$!
for _ in 1 2 3; do
    for name in server2 server; do
        cp "$dir/$name.crt" "$dir/now.crt" # the key does not fit for a while
        sleep 0.5
        cp "$dir/$name.key" "$dir/now.key"
        sleep 0.5
    done
done
cp "$dir/server2.crt" "$dir/now.crt"
cp "$dir/server2.key" "$dir/now.key"
sleep 0.5
echo 'not: [yaml' >"$dir/web.yml"
sleep 0.5
touch "$dir/enough"
wait $scraping
[ "$(serial)" != "$first" ] || fail "the certificate was replaced and the old one is served"
[ ! -e "$dir/failed" ] || fail "$(wc -l <"$dir/failed") of $(wc -l <"$dir/done") scrapes failed while the certificate was replaced"
grep -q 'now.key: .*what was read before applies' "$dir/log" || fail "nothing in the log of a key that does not fit"
log "certificate replaced 7 times under $(wc -l <"$dir/done") scrapes, none failed"

# ---- users ----
cost=10
hash=$(openssl rand -hex 8 >/dev/null; python3 - "$cost" <<'PYTHON'
import crypt, sys
print(crypt.crypt("right", crypt.mksalt(crypt.METHOD_BLOWFISH, rounds=1 << int(sys.argv[1]))))
PYTHON
)
users() {
    { printf 'tls_server_config: {cert_file: now.crt, key_file: now.key}\n'
        printf 'basic_auth_users: {ada: "%s"}\n' "$hash"
        printf 'http_server_config: {headers: {X-Frame-Options: deny, X-Content-Type-Options: other}}\n'; } >"$dir/web.new"
    mv "$dir/web.new" "$dir/web.yml"
    sleep 0.3
}
users
for route in / /metrics /-/healthy /-/ready /nothing; do
    expect 401 "${trust[@]}" "$url$route"
done
expect 401 "${trust[@]}" -u ada:wrong "$url/metrics"
expect 401 "${trust[@]}" -u eve:right "$url/metrics"
expect 401 "${trust[@]}" -u ada: "$url/metrics"
expect 200 "${trust[@]}" -u ada:right "$url/metrics"
expect 404 "${trust[@]}" -u ada:right "$url/nothing"
curl -sS -D - -o /dev/null "${trust[@]}" "$url/metrics" | tr -d '\r' >"$dir/head"
grep -qx 'X-Frame-Options: deny' "$dir/head" || fail "no header of ours: $(cat "$dir/head")"
[ "$(grep -ci '^X-Content-Type-Options' "$dir/head")" = 1 ] || fail "a header twice"
grep -qi '^WWW-Authenticate: Basic ' "$dir/head" || fail "401 without WWW-Authenticate"

# How long each takes, for a reader: the medians of 9.
median() { for _ in 1 2 3 4 5 6 7 8 9; do curl -sS -o /dev/null -w '%{time_total}\n' "${trust[@]}" -u "$1" "$url/-/healthy"; done | sort -n | sed -n 5p; }
log "seconds: right (remembered) $(median ada:right), wrong $(median ada:wrong), unknown user $(median eve:wrong)"

printf 'global: {scrape_interval: 1s, scrape_timeout: 1s}
scrape_configs:
  - job_name: tls
    scheme: https
    basic_auth: {username: ada, password: right}
    tls_config: {ca_file: %s/ours.crt}
    static_configs: [{targets: ["%s"]}]
' "$dir" "$address" >"$dir/prometheus.yml"
prometheus_start --config "$dir/prometheus.yml"
prometheus_wait 15 "up{job=\"tls\"}" value_is 1
log "pass"

# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# A real Prometheus beside an exporter, and what a test wants to say about it. Sourced:
#
#   . scripts/lib.sh; . tests/e2e/prometheus.sh
#   prometheus_start http://127.0.0.1:9987/metrics     # one or more; scrapes each second
#   prometheus_start --config FILE                     # with a configuration of one's own
#   prometheus_history=FILE                            # before: OpenMetrics with times, to begin with
#   assert_up http://127.0.0.1:9987/metrics
#   assert_rate 'nfbpf_source_destination_packets_total{source="192.0.2.1"}' 1000 3   # per second, percent
#   assert_value 'sum(nfbpf_hook_packets_total)' 1000000
#   assert_metrics_clean http://127.0.0.1:9987/metrics
#   prometheus_stop                                    # also to be called by the test's trap
#
# Debian's package is unpacked into the cache and not installed: installing it would start a daemon.
# Needs curl and jq. An assertion that fails says what it saw and returns 1.

# Prints the folder with prometheus and promtool.
prometheus_binaries() {
    local cache version tree work
    cache=$(cache_dir)/prometheus
    # Whatever version was fetched before will do: a test must not need the network each time.
    tree=$(find "$cache" -mindepth 1 -maxdepth 1 -name '[0-9]*' 2>/dev/null | sort -V | tail -n 1)
    if [ -z "$tree" ]; then
        mkdir -p "$cache"
        work=$(mktemp -d "$cache/fetch.XXXXXX")
        apt_lists_fresh || apt_update
        log "fetching Debian's prometheus"
        (cd "$work" && apt-get -qq -o APT::Sandbox::User=root download prometheus >&2) ||
            { rm -rf "$work"; die "cannot fetch prometheus: see apt's message above; is the package mirror reachable?"; }
        version=$(dpkg-deb -f "$work"/prometheus_*.deb Version)
        dpkg-deb -x "$work"/prometheus_*.deb "$work/tree"
        tree=$cache/$version
        # By rename: a tree that is there is whole. Another test may have won the race.
        mv -T "$work/tree" "$tree" 2>/dev/null || [ -d "$tree" ] || die "cannot write $tree"
        rm -rf "$work"
    fi
    printf '%s\n' "$tree/usr/bin"
}

# "http://127.0.0.1:9987/metrics" -> "127.0.0.1:9987"
url_target() { local rest=${1#*://}; printf '%s\n' "${rest%%/*}"; }
url_path() { local rest=${1#*://}; printf '/%s\n' "${rest#*/}"; }

prometheus_config() { # URL...
    local url number=0
    printf 'global: {scrape_interval: 1s, scrape_timeout: 1s}\nscrape_configs:\n'
    for url in "$@"; do
        printf '  - job_name: exporter%d\n    metrics_path: %s\n    static_configs: [{targets: ["%s"]}]\n' \
            "$number" "$(url_path "$url")" "$(url_target "$url")"
        number=$((number + 1))
    done
}

prometheus_start() { # URL... | --config FILE
    prometheus_bin=$(prometheus_binaries)
    prometheus_dir=$(mktemp -d)
    if [ "$1" = --config ]; then cp "$2" "$prometheus_dir/prometheus.yml"; else
        prometheus_config "$@" >"$prometheus_dir/prometheus.yml"
    fi
    "$prometheus_bin/promtool" check config "$prometheus_dir/prometheus.yml" >/dev/null ||
        die "promtool refuses $prometheus_dir/prometheus.yml"
    [ -z "${prometheus_history:-}" ] ||
        "$prometheus_bin/promtool" tsdb create-blocks-from openmetrics "$prometheus_history" "$prometheus_dir/data" >/dev/null ||
        die "promtool refuses the history $prometheus_history"
    : >"$prometheus_dir/log" # it is looked into before the other process has it
    "$prometheus_bin/prometheus" --config.file="$prometheus_dir/prometheus.yml" \
        --storage.tsdb.path="$prometheus_dir/data" --web.listen-address=127.0.0.1:0 \
        --log.level=info >"$prometheus_dir/log" 2>&1 &
    prometheus_pid=$!
    prometheus_wait_ready
}

# Port 0 lets the kernel choose a free one; the log says which.
prometheus_wait_ready() {
    local _ address
    for _ in $(seq 300); do
        kill -0 "$prometheus_pid" 2>/dev/null || { cat "$prometheus_dir/log" >&2; die "prometheus ended at its start"; }
        address=$(sed -n 's/.*msg="Listening on" address=\([^ ]*\).*/\1/p' "$prometheus_dir/log")
        prometheus_url=http://$address
        [ -z "$address" ] || ! curl -fsS "$prometheus_url/-/ready" >/dev/null 2>&1 || return 0
        sleep 0.1
    done
    die "prometheus is not ready after 10 s, see $prometheus_dir/log"
}

prometheus_stop() {
    [ -z "${prometheus_pid:-}" ] || { kill "$prometheus_pid" && wait "$prometheus_pid"; } 2>/dev/null || true
    [ -z "${prometheus_dir:-}" ] || rm -rf "$prometheus_dir"
    prometheus_pid='' prometheus_dir=''
}

# Prints the value of an expression that gives one sample or a scalar; nothing when it gives none or many.
prometheus_query() { # EXPRESSION
    curl -fsS --get "$prometheus_url/api/v1/query" --data-urlencode "query=$1" |
        jq -r '.data | if .resultType == "scalar" then .result[1]
                       elif (.result | length) == 1 then .result[0].value[1] else empty end'
}

# Asks until COMMAND, given the value, succeeds. A scrape comes each second, so an answer may take a few.
prometheus_wait() { # SECONDS EXPRESSION COMMAND...
    local end=$((SECONDS + $1)) expression=$2 value=''
    shift 2
    while [ "$SECONDS" -lt "$end" ]; do
        value=$(prometheus_query "$expression") || value=
        if [ -n "$value" ] && "$@" "$value"; then
            log "$expression is $value"
            return 0
        fi
        sleep 0.5
    done
    log "FAILED: $expression is ${value:-nothing}, wanted: $*"
    return 1
}

value_is() { [ "$2" = "$1" ]; }               # WANTED VALUE
value_near() { # WANTED PERCENT VALUE
    awk -v w="$1" -v p="$2" -v v="$3" 'BEGIN { d = v - w; if (d < 0) d = -d; exit !(d <= w * p / 100) }'
}

assert_value() { prometheus_wait 15 "$1" value_is "$2"; } # EXPRESSION VALUE

assert_up() { # URL
    prometheus_wait 15 "up{instance=\"$(url_target "$1")\"}" value_is 1
}

# The rate over the last 10 s; what grows must have grown that long.
assert_rate() { # SELECTOR PER_SECOND PERCENT
    prometheus_wait 30 "sum(rate($1[10s]))" value_near "$2" "$3"
}

# No series of one family has fallen since Prometheus began to look.
assert_no_resets() { # SELECTOR
    prometheus_wait 15 "max(resets($1[10m]))" value_is 0
}

# The OpenMetrics page by its reference parser, which is Python's client library, and the same page
# compressed is the same.
assert_openmetrics() { # URL
    local page accept='Accept: application/openmetrics-text;version=1.0.0'
    page=$(curl -fsS -H "$accept" "$1")
    [ "$(tail -1 <<<"$page")" = '# EOF' ] || { log "FAILED: $1 does not end in # EOF"; return 1; }
    /usr/bin/python3 -c '
import sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families
print("OpenMetrics:", sum(len(f.samples) for f in text_string_to_metric_families(sys.stdin.read())), "samples")' \
        <<<"$page" || { log "FAILED: the OpenMetrics parser refuses $1"; return 1; }
    curl -fsS --compressed -H "$accept" "$1" | tail -1 | grep -qx '# EOF' ||
        { log "FAILED: the compressed page of $1 is not whole"; return 1; }
}

assert_metrics_clean() { # URL
    local bin answer
    bin=$(prometheus_binaries)
    if ! answer=$(curl -fsS "$1" | "$bin/promtool" check metrics 2>&1) || [ -n "$answer" ]; then
        log "FAILED: promtool check metrics on $1: $answer"
        return 1
    fi
    log "promtool check metrics on $1 has nothing to say"
}

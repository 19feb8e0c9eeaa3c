# shellcheck shell=bash
# For packages.sh and packages_after.sh, after lib.sh: a Debian that systemd runs.
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2034 # for the tests
release=$(uname -r)
url=http://127.0.0.1:9987

[ -d /run/systemd/system ] || skip "systemd does not run here: run tests/vm/packages"

deb() { echo "/opt/nfbpf/files/nfbpf-$1_$2_$3.deb"; } # exporter|dkms VERSION ARCHITECTURE

# Its words only when it fails.
apt() { # COMMAND...
    local start=$SECONDS
    apt-get -y -o Dpkg::Use-Pty=0 --no-install-recommends "$@" >/run/apt.out 2>&1 || {
        cat /run/apt.out
        cat /var/lib/dkms/nfbpf/*/build/make.log 2>/dev/null || true
        fail "apt-get $*"
    }
    echo "   apt-get ${*##*/}: $((SECONDS - start)) s"
}

install() { apt install "$(deb exporter "$1" amd64)" "$(deb dkms "$1" all)"; } # VERSION

assert_units() { # active|inactive
    local unit
    for unit in nfbpf.service nfbpf-exporter.service; do
        [ "$(systemctl is-active $unit)" = "$1" ] || {
            systemctl status --no-pager -n 30 $unit || true
            fail "$unit is $(systemctl is-active $unit), expected $1"
        }
    done
    echo "   both units are $1"
}

dkms_state() { dkms status -m nfbpf -v "$1" -k "$2" | sed 's/.*: *//'; } # VERSION KERNEL

# A unit that is active may not serve yet after a restart; a whole page or none.
page() {
    local i
    for ((i = 0; i < 100; i++)); do
        ! curl -fsS --max-time 5 $url/metrics 2>/dev/null || return 0
        sleep 0.2
    done
    fail "no page at $url/metrics: $(journalctl -u nfbpf-exporter -n 20 --no-pager)"
}

# The sum of the series whose beginning and labels fit.
metric() { # NAME [REGEX]
    page | awk -v name="$1" -v wanted="${2:-.}" '$0 ~ "^" name "[{ ]" && $0 ~ wanted { sum += $NF } END { printf "%d\n", sum }'
}

flow() { # packets|bytes in|out: from left to right
    metric "nfbpf_source_destination_$1_total" "destination=\"10.1.0.2\",direction=\"$2\",protocol=\"udp\",source=\"10.1.0.1\""
}

assert_flow() { # PACKETS BYTES
    assert_eq "sent = counted out" "$1 $2" "$(flow packets out) $(flow bytes out)"
    assert_eq "sent = counted in" "$1 $2" "$(flow packets in) $(flow bytes in)"
}

send() { ns left nfbpf-traffic udp --to 10.1.0.2 --count "$1"; } # prints packets and bytes

# A page now and then into /run/pages until /run/upgraded is there, under names in their order.
scraper() { # SECONDS_BETWEEN
    local i
    mkdir -p /run/pages
    for ((i = 10000; ; i++)); do
        curl -fsS --max-time 5 $url/metrics -o /run/pages/$i 2>/dev/null || rm -f /run/pages/$i
        [ ! -e /run/upgraded ] || break
        sleep "$1"
    done
}

# Counters that are less on a page than on one before. Those of the process itself begin anew with it.
falls() { # PAGE...
    awk '/^nfbpf_(source_destination|overflow|filtered|hook)_[a-z_]*_total[{ ]/ {
        series = $0
        sub(/ [^ ]*$/, "", series)
        if (series in last && $NF + 0 < last[series]) print FILENAME ": " series " fell from " last[series] " to " $NF
        last[series] = $NF + 0
    }' "$@"
}

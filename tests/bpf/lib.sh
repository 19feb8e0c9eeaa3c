# shellcheck shell=bash
# For the native tests beside it. Needs root, a bpffs and network namespaces; without them a test
# is skipped, aloud. $1 of a test is the CMake build folder.
repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
NFBPF_TESTS=$repo/tests/vm/guest
# shellcheck source=tests/vm/guest/lib.sh
. "$NFBPF_TESTS/lib.sh"

build=$(cd "${1:-$repo/build/release}" && pwd)
export PATH=$build/exporter/loader:$build/tests/traffic:/usr/sbin:/sbin:$PATH
export NFBPF_OBJECT_DIR=$build/bpf

[ "$(id -u)" = 0 ] || skip "needs root"
for tool in bpftool jq nsenter ip; do
    command -v $tool >/dev/null || skip "needs $tool"
done
mountpoint -q / || skip "/ is no mount point, so nothing can be mounted for this test alone: for a chroot, \"mount --bind DIR DIR\" before entering it"
mountpoint -q /sys/fs/bpf || mount -t bpf bpf /sys/fs/bpf 2>/dev/null || skip "no bpffs at /sys/fs/bpf"

# Network namespaces have names that two runs would share.
exec {turn}>/run/nfbpf-tests.lock
flock -w 600 $turn || fail "another run of these tests holds /run/nfbpf-tests.lock for ten minutes"

work=$(mktemp -d)
base=/sys/fs/bpf/nfbpf-test-$$ # nobody else's pins

# nfbpf-load with this test's own pins and manifest; NAME keeps several apart.
load() { # NAME COMMAND...
    local name=$1
    shift
    nfbpf-load --pin-dir "$base-$name" --run-dir "$work/run-$name" "$@"
}

# Has plain files play the module, in a mount namespace of the test's own; sets `module`.
play_module() {
    [ ! -e /sys/module/nfbpf ] || skip "module nfbpf is loaded here"
    mount -t tmpfs tmpfs /sys/module || skip "cannot mount over /sys/module"
    module=/sys/module/nfbpf
}
load_module() { # BPF_PATH
    mkdir -p "$module/parameters" "$module/program"
    echo 1.0 >"$module/version"
    echo 0 >"$module/refcnt"
    echo "$1" >"$module/parameters/bpf_path"
}

# The exporter without privilege, by $work/exporter.yaml and as the group that has the pins; sets
# `exporter`, its process, and `url`.
own_exporter() {
    chmod 755 "$work"
    install -m 755 "$build/exporter/nfbpf_exporter" "$work/nfbpf_exporter"
}
start_unprivileged() { # GROUP TRIES, 20 a second
    local try
    : >"$work/exporter.log" # or the port of the one before is read
    setpriv --reuid "$1" --regid "$1" --clear-groups --no-new-privs --bounding-set=-all \
        "$work/nfbpf_exporter" --config.file "$work/exporter.yaml" 2>"$work/exporter.log" &
    # shellcheck disable=SC2034 # for the tests
    exporter=$!
    for ((try = 0; try < $2; try++)); do
        url=$(sed -n 's/.*msg="listening on \([^"]*\)".*/http:\/\/\1\/metrics/p' "$work/exporter.log")
        [ -z "$url" ] || return 0
        sleep 0.05
    done
    fail "the exporter does not listen: $(cat "$work/exporter.log")"
}

clean_up() {
    local pins name
    topology_down
    for pins in "$base"-*; do
        [ -d "$pins" ] || continue
        name=${pins#"$base-"}
        load "$name" detach >/dev/null || true
    done
    rm -rf "$work"
}
trap clean_up EXIT

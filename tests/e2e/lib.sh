# shellcheck shell=bash
# For the tests beside it, which run under `set -euo pipefail`.
# shellcheck source=../../scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib.sh"

# ctest knows this status as "skipped" (SKIP_RETURN_CODE).
skip() { log "SKIPPED: $*"; exit 77; }

need_tools() { # TOOL...
    local tool
    for tool in "$@"; do command -v "$tool" >/dev/null || skip "$tool is not installed"; done
}

# Runs the test again in a mount namespace of its own, unless it is there; with one more namespace where
# UNSHARE_OPTIONS has an option for it.
own_mounts() { # WHAT_NEEDS_ROOT SCRIPT ARGUMENT...
    [ "$(id -u)" -eq 0 ] || skip "$1 needs root, this is uid $(id -u)"
    mountpoint -q / || skip "/ is no mount point, so nothing can be mounted for this test alone: for a chroot, \"mount --bind DIR DIR\" before entering it"
    shift
    [ -n "${NFBPF_E2E_INSIDE:-}" ] ||
        NFBPF_E2E_INSIDE=1 exec unshare ${UNSHARE_OPTIONS:+"$UNSHARE_OPTIONS"} --mount --propagation private "$@"
}

# Sets `address`, as the log says it; not where the process ends, or says nothing for half a minute.
await_address() { # PID LOG
    for _ in $(seq 300); do
        address=$(sed -n 's/.*msg="listening on \([^" ]*\).*/\1/p' "$2")
        [ -z "$address" ] || return 0
        kill -0 "$1" 2>/dev/null || fail "the exporter ended"
        sleep 0.1
    done
    fail "the exporter does not listen"
}

#!/bin/bash
# docs/writing-a-program.md does what it says: its sh blocks run in order, and its C block is the file
# that it tells the reader to save. In namespaces of this test's own, so the default places are free.
if [ -z "${NFBPF_OWN_MOUNTS:-}" ] && mountpoint -q /; then
    NFBPF_OWN_MOUNTS=1 exec unshare --mount --net --propagation private "$0" "$@"
fi
# shellcheck source=tests/bpf/lib.sh
. "$(dirname "$0")/lib.sh"

for tool in clang curl iptables ping; do
    command -v $tool >/dev/null || skip "needs $tool"
done
export PATH=$build/exporter:$PATH
mount -t bpf bpf /sys/fs/bpf
mount -t tmpfs tmpfs /run
ip link set lo up

# The document as a script: what is to be saved is saved where the document has it.
script_of() { # DOCUMENT
    awk '
        /^```sh$/ { block = "sh"; next }
        /^```c$/ { block = "c"; print "cat >\"$work/ttl.bpf.c\" <<\"END_OF_C\""; next }
        /^```/ { if (block == "c") print "END_OF_C"; block = ""; next }
        block != "" { print }
    ' "$1"
}

# Of the n-th line of that metric in the output, its value.
shown() { # N
    sed -n 's/^nfbpf_ttl_packets_total{direction="unknown",source="127.0.0.1",ttl="64"} //p' "$work/output" | sed -n "$1p"
}

step "iptables runs programs here"
nfbpf-load attach --datapath pinned
iptables -A OUTPUT -m bpf --object-pinned /sys/fs/bpf/nfbpf/program 2>"$work/refused" ||
    skip "no xt_bpf here: $(cat "$work/refused")"
iptables -F OUTPUT
nfbpf-load detach

step "the document"
{ echo 'set -euxo pipefail'; script_of "$repo/docs/writing-a-program.md"; } >"$work/script"
(cd "$repo" && bash "$work/script") >"$work/output" 2>"$work/log" ||
    fail "the commands fail: $(cat "$work/output" "$work/log")"
before=$(shown 1) after=$(shown 2)
assert_ge "packets after the first ping" 6 "${before:-0}"
assert_ge "packets after the new program's ping" $((before + 6)) "${after:-0}"
[ ! -e /sys/fs/bpf/nfbpf ] || fail "pins are left: $(find /sys/fs/bpf/nfbpf)"
[ ! -e /run/nfbpf ] || fail "/run/nfbpf is left"

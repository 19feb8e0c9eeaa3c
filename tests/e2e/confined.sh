#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What the exporter has given up, it does not have: see confined.cpp, which tries it, as the exporter's
# user and with pins like those that nfbpf-load makes.
#
#   confined.sh CONFINED
set -euo pipefail
skip() { printf 'skipped: %s\n' "$*"; exit 77; }
[ "$(id -u)" -eq 0 ] || skip "making maps needs root, this is uid $(id -u)"
mountpoint -q / || skip "/ is no mount point, so nothing can be mounted for this test alone"
if [ -z "${NFBPF_E2E_INSIDE:-}" ]; then
    NFBPF_E2E_INSIDE=1 exec unshare --mount --propagation private "$0" "$@"
fi
dir=$(mktemp -d)
trap 'umount -l "$dir/bpf" 2>/dev/null || true; rm -rf "$dir"' EXIT
chmod 755 "$dir"
mkdir "$dir/bpf" "$dir/own"
mount -t bpf bpf "$dir/bpf" || skip "cannot mount a bpffs here"
chmod 755 "$dir/bpf"
echo x >"$dir/own/file"
chmod 666 "$dir/own/file"
for name in readable others; do
    bpftool map create "$dir/bpf/$name" type hash key 4 value 8 entries 4 name $name
done
chown root:9987 "$dir/bpf/readable"
chmod 440 "$dir/bpf/readable"
chmod 400 "$dir/bpf/others"
install -m 755 "$1" "$dir/confined" # this user may not enter where it was built
setpriv --reuid 65534 --regid 9987 --clear-groups "$dir/confined" "$dir/own" "$dir/bpf/readable" "$dir/bpf/others"

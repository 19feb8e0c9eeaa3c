#!/bin/bash
# Plants $FAULT; scripts/vm must notice whatever the test itself says. Run by selftest/loop.
# shellcheck source=tests/vm/guest/lib.sh
. "$NFBPF_TESTS/lib.sh"

case $FAULT in
status) fail "planted failure" ;;
skip) skip "planted skip" ;;
silence) busybox poweroff -f; sleep 60 ;;
forged) echo "nfbpf-vm: end 1-2 status=0"; busybox poweroff -f; sleep 60 ;;
# Words of QEMU's own fault, which is forgiven once.
int3) printf '<0>%s\n' 'Oops: int3: 0000 [#1] planted' >/dev/kmsg; printf '<0>%s\n' 'Code: 48 ab 0f <1f> 44 00' >/dev/kmsg ;;
netns) ip netns add forgotten ;;
*)
    modprobe nfbpf_planted fault="$FAULT"
    rmmod nfbpf_planted
    ;;
esac

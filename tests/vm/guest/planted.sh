#!/bin/bash
# Plants $FAULT; scripts/vm must notice whatever the test itself says. Run by selftest/loop.
# shellcheck source=tests/vm/guest/lib.sh
. "$NFBPF_TESTS/lib.sh"

case $FAULT in
status) fail "planted failure" ;;
skip) skip "planted skip" ;;
silence) busybox poweroff -f; sleep 60 ;;
forged) echo "nfbpf-vm: end 1-2 status=0"; busybox poweroff -f; sleep 60 ;;
netns) ip netns add forgotten ;;
*)
    modprobe nfbpf_planted fault="$FAULT"
    rmmod nfbpf_planted
    ;;
esac

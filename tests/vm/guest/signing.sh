#!/bin/bash
# A module that is not signed, signed with a key that the kernel does not know, and with one that it
# trusts. tests/vm/signing signs them and says WHERE: open, lockdown or secure_boot.
# shellcheck source=tests/vm/guest/lib.sh
. "$NFBPF_TESTS/lib.sh"

[ -n "${WHERE:-}" ] || skip "no signed modules: run tests/vm/signing"
unsigned=$(modinfo -n nfbpf)
own=/tmp/own.ko trusted=/tmp/trusted.ko changed=/tmp/changed.ko
for name in own trusted changed; do
    cp /opt/nfbpf/signed/$name /tmp/$name.ko
done

attach() { nfbpf-load attach --object-dir "$NFBPF_BPF" "$@"; }

lockdown_mode() { sed 's/.*\[\(.*\)\].*/\1/' /sys/kernel/security/lockdown; }

# O: out of tree, E: without a signature that this kernel trusts.
assert_loads() { # MODULE TAINT
    attach --datapath kmod --module "$1"
    assert_eq "taint of ${1##*/}" "$2" "$(cat $NFBPF_SYSFS/taint)"
    ping -c 4 -i 0.2 -q 10.0.2.2 >/dev/null
    assert_eq "echoes and replies" 8 "$(map_sum nfbpf_ipv4 packets '.protocol == 1')"
    nfbpf-load detach
}

# One line, and nothing left of the attempt.
assert_not_loaded() { # WHAT PATTERN MODULE
    assert_refused "$1" "^nfbpf-load: module nfbpf was refused: $2" attach --datapath kmod --module "$3"
    [ ! -e $NFBPF_SYSFS ] || fail "$1: the module is there"
    [ ! -e $NFBPF_PINS ] || fail "$1: left $NFBPF_PINS"
}

has_netfilter_link() { # from 6.4 on
    local major minor
    IFS=. read -r major minor _ < <(uname -r)
    [ $((major * 100 + minor)) -ge 604 ]
}

test_open() {
    assert_eq "lockdown" none "$(lockdown_mode)"
    assert_eq "signer" "" "$(modinfo -F signer "$unsigned")"
    assert_eq "signer" "nfbpf own key" "$(modinfo -F signer $own)"
    assert_eq "hash" sha256 "$(modinfo -F sig_hashalgo $own)"
    assert_ge "bytes of the key's name" 20 "$(modinfo -F sig_key $own | wc -c)"
    assert_loads "$unsigned" OE
    assert_loads $own OE
}

# Lockdown alone says EPERM; Secure Boot on Debian also makes signatures a must.
test_refusals() { # WORDS_BEFORE
    assert_eq "lockdown" integrity "$(lockdown_mode)"
    assert_not_loaded "unsigned" "$1 it is not signed: sign it with a key that this kernel trusts" "$unsigned"
    assert_not_loaded "key unknown" "$1 it is signed by \"nfbpf own key\", whose key this kernel does not trust.*mokutil" $own
    assert_refused "without the capability" "not permitted: run as root with CAP_SYS_MODULE" \
        setpriv --bounding-set -sys_module --inh-caps -sys_module \
        nfbpf-load attach --object-dir "$NFBPF_BPF" --datapath kmod
}

test_without_securityfs() {
    umount /sys/kernel/security
    assert_not_loaded "without securityfs" 'the kernel seems locked down \(.*\) and it is not signed' "$unsigned"
    mount -t securityfs securityfs /sys/kernel/security
}

test_auto() {
    local why='kmod: module nfbpf was refused: the kernel is locked down \(integrity\) and it is not signed'
    if ! has_netfilter_link; then
        assert_refused "auto" "no datapath works here; $why.*; netfilter-link: " attach
        return
    fi
    attach 2>&1 | tee /tmp/attach
    grep -qE "^attached by netfilter-link" /tmp/attach || fail "auto did not take the netfilter link"
    grep -qE "^not taken $why" <(nfbpf-load status) || fail "status does not say why: $(nfbpf-load status)"
    ping -c 4 -i 0.2 -q 10.0.2.2 >/dev/null
    assert_eq "echoes and replies" 8 "$(map_sum nfbpf_ipv4 packets '.protocol == 1')"
    nfbpf-load detach
}

step "$WHERE"
case $WHERE in
open) test_open ;;
lockdown)
    test_refusals 'the kernel is locked down \(integrity\) and'
    test_without_securityfs
    assert_not_loaded "a key of another machine" "the kernel is locked down .* signed by \"SnakeOil\"" $trusted
    test_auto
    ;;
secure_boot)
    test_refusals 'this kernel wants signed modules, and'
    assert_loads $trusted O
    assert_not_loaded "changed after it was signed" "this kernel wants signed modules, and it is signed by \"SnakeOil\", .* it was changed after that" $changed
    ;;
*) fail "WHERE=$WHERE is unknown" ;;
esac

#!/bin/bash
# DKMS, as its user has it: add, build, install, load, count; the hook that a kernel upgrade calls
# builds for the second kernel; removed, nothing is left. tests/vm/dkms brings what this needs.
# shellcheck source=tests/vm/guest/lib.sh
. "$NFBPF_TESTS/lib.sh"

[ -n "${OTHER:-}" ] || skip "no disk with dkms on it: run tests/vm/dkms"
debian=/run/debian
release=$(uname -r)
# DKMS finds its source by this name, so both halves must have the same version.
version=$(nfbpf-load --version)
version=${version#nfbpf-load }
modules=/usr/lib/modules

# The guest's own modules stay where modprobe looks, so that DKMS installs among them.
mount_debian() {
    local dir
    modprobe virtio_blk
    mkdir -p $debian
    mount -t ext4 /dev/vda $debian
    trap umount_debian EXIT
    [ -e "$modules/$release/build" ] || ln -s "/usr/src/linux-headers-$release" "$modules/$release/build"
    for dir in /proc /sys /dev "$modules/$release"; do
        mount --bind "$dir" "$debian$dir"
    done
}

umount_debian() {
    local dir
    for dir in /proc /sys /dev "$modules/$release" ''; do
        umount "$debian$dir" || true
    done
}

in_debian() { # COMMAND...
    chroot $debian /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C "$@"
}

# Its words, and the compiler's, only when it fails.
dkms() { # COMMAND [OPTION...]
    local start=$SECONDS
    in_debian dkms "$@" >/run/dkms.out 2>&1 || {
        cat /run/dkms.out $debian/var/lib/dkms/nfbpf/*/build/make.log
        fail "dkms $*"
    }
    echo "   dkms $*: $((SECONDS - start)) s"
}

state() { in_debian dkms status -m nfbpf -v "$version" -k "$1" | sed 's/.*: *//'; } # KERNEL

installed() { (cd $debian$modules && find . -name 'nfbpf.ko*'); }

check_signature() { # FILE SIGNER
    assert_eq "signer" "$2" "$(modinfo -F signer "$1")"
    assert_eq "hash" sha256 "$(modinfo -F sig_hashalgo "$1")"
}

# Another certificate is enough: making another key would take the guest many seconds.
sign_with_own_key() {
    in_debian openssl req -new -x509 -days 36500 -key /var/lib/dkms/mok.key -subj "/CN=Our modules" \
        -outform DER -out /root/MOK.der
    mv $debian/var/lib/dkms/mok.key $debian/root/MOK.key
    printf 'mok_signing_key=/root/MOK.key\nmok_certificate=/root/MOK.der\n' \
        >$debian/etc/dkms/framework.conf.d/nfbpf.conf
}

mount_debian
tar -x -C $debian -f /opt/nfbpf/dkms-source.tar

step "add, build, install for the kernel that runs"
dkms add -m nfbpf -v "$version"
assert_eq "state" added "$(in_debian dkms status -m nfbpf -v "$version" | sed 's/.*: *//')"
dkms build -m nfbpf -v "$version"
assert_eq "state" built "$(state "$release")"
dkms install -m nfbpf -v "$version"
assert_eq "state" installed "$(state "$release")"
assert_eq "modprobe's choice" "/lib/modules/$release/updates/dkms/nfbpf.ko" "$(modinfo -n nfbpf)"
check_signature nfbpf "DKMS module signing key"

step "nfbpf-load finds it, and it counts"
nfbpf-load attach --datapath kmod --object-dir "$NFBPF_BPF"
assert_eq "the module that runs" "$(modinfo -F srcversion nfbpf)" "$(cat $NFBPF_SYSFS/srcversion)"
ping -c 4 -i 0.2 -q 10.0.2.2 >/dev/null
icmp='.protocol == 1'
assert_eq "echoes and replies, by the map" 8 "$(map_sum nfbpf_ipv4 packets "$icmp")"
assert_ge "packets, by the module" 8 "$(hook_count packets 'ipv4_*')"
nfbpf-load detach

step "a kernel upgrade: the hook of the headers' package, and a key of one's own"
sign_with_own_key
in_debian /etc/kernel/header_postinst.d/dkms "$OTHER" >/run/dkms.out 2>&1 ||
    { cat /run/dkms.out; fail "the hook failed"; }
assert_eq "state" installed "$(state "$OTHER")"
built=$debian$modules/$OTHER/updates/dkms/nfbpf.ko
assert_eq "built for" "$OTHER" "$(modinfo -F vermagic "$built" | cut -d' ' -f1)"
check_signature "$built" "Our modules"

step "removed, nothing is left"
assert_eq "modules installed" 2 "$(installed | wc -l)"
dkms remove -m nfbpf -v "$version" --all
assert_eq "modules installed" "" "$(installed)"
assert_eq "what dkms status says" "" "$(in_debian dkms status -m nfbpf)"
[ ! -e $debian/var/lib/dkms/nfbpf ] || fail "dkms left /var/lib/dkms/nfbpf"
assert_refused "attach without it" "module nfbpf is not installed for kernel $release: .*DKMS" \
    nfbpf-load attach --datapath kmod --object-dir "$NFBPF_BPF"

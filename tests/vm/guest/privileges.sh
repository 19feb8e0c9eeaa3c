#!/bin/bash
# What the exporter is left with while it serves, started as root and by root's means; and that what
# it gave up is gone (nfbpf-confined, see tests/e2e/confined.cpp), here with the module's datapath.
# shellcheck source=tests/vm/guest/lib.sh
. "$NFBPF_TESTS/lib.sh"

gid=990
nfbpf-load attach --datapath kmod --object-dir "$NFBPF_BPF" --group $gid
assert_refused "root" "root is more than it needs: .*--run-as USER" nfbpf_exporter --web.listen-address 127.0.0.1:0
own=$(mktemp -d) exporter=''
end() {
    [ -z "$exporter" ] || kill "$exporter" 2>/dev/null
    wait
    cat /tmp/exporter.log
    rm -rf /sys/fs/bpf/confined "$own"
    nfbpf-load detach
}
trap end EXIT
page() { # [PORT]
    exec 3<>"/dev/tcp/127.0.0.1/${1:-9987}" || return 1
    printf 'GET /metrics HTTP/1.0\r\n\r\n' >&3
    sed '1,/^\r*$/d' <&3
    exec 3>&-
} 2>/dev/null
none=0000000000000000 cap_bpf=0000008000000000
case $(uname -r) in # before 5.19 maps are for CAP_BPF alone
5.10.*) wanted=$cap_bpf ;;
*) wanted=$none ;;
esac

# up_of CAPS: nfbpf_up of one that is started with these capabilities and no more, and is no root.
up_of() { # LIST of setpriv
    local other
    setpriv --reuid 65534 --regid $gid --clear-groups --no-new-privs --bounding-set="$1" --inh-caps="$1" --ambient-caps="$1" \
        nfbpf_exporter --web.listen-address 127.0.0.1:9988 >>/tmp/exporter.log 2>&1 &
    other=$!
    for _ in $(seq 300); do
        ! page 9988 >/tmp/page || break
        sleep 0.1
    done
    effective=$(sed -n 's/^CapEff:[[:space:]]*//p' /proc/$other/status)
    up=$(sed -n 's/^nfbpf_up //p' /tmp/page)
    kill $other
    wait $other
}
step "as deploy/systemd has it, without and with the drop-in for kernels before 5.19"
up_of -all
assert_eq "up without a capability" "$([ $wanted = $none ] && echo 1 || echo 0)" "$up"
up_of -all,+bpf
assert_eq "up with CAP_BPF" 1 "$up"
assert_eq "CapEff, which the kernel wants or which is given up" $wanted "$effective"

nfbpf_exporter --run-as nobody:nfbpf --web.listen-address 127.0.0.1:9987 >>/tmp/exporter.log 2>&1 &
exporter=$!
for _ in $(seq 300); do
    ! page >/tmp/page || break
    sleep 0.1
done
status() { sed -n "s/^$1:[[:space:]]*//p" /proc/$exporter/status; }

step "while it serves"
ping -c 3 -q 127.0.0.1 >/dev/null
page >/tmp/page
assert_eq "up" 1 "$(sed -n 's/^nfbpf_up //p' /tmp/page)"
grep '^nfbpf_sandbox_info' /tmp/page
assert_eq "Uid" "65534 65534 65534 65534" "$(status Uid | tr '\t' ' ')"
assert_eq "Gid" "990 990 990 990" "$(status Gid | tr '\t' ' ')"
for set in CapEff CapPrm; do assert_eq $set $wanted "$(status $set)"; done
for set in CapInh CapAmb CapBnd; do assert_eq $set $none "$(status $set)"; done
assert_eq "NoNewPrivs" 1 "$(status NoNewPrivs)"
assert_eq "Seccomp" 2 "$(status Seccomp)"

step "the kernel forgets what it knew of /proc: process_* are there"
for _ in 1 2 3; do # what was used since the last time is spared once
    echo 2 >/proc/sys/vm/drop_caches
    sleep 0.5
done
page >/tmp/page
assert_eq "process_*" 6 "$(grep -c '^process_' /tmp/page)"

step "the module gone and back: the page is there, and right again at the next scrape"
rmmod nfbpf
page >/tmp/page
assert_eq "up" 0 "$(sed -n 's/^nfbpf_up //p' /tmp/page)"
insmod "$(modinfo -n nfbpf)" bpf_path=$NFBPF_PINS/program
page >/tmp/page
assert_eq "up" 1 "$(sed -n 's/^nfbpf_up //p' /tmp/page)"

step "the maps gone and back"
nfbpf-load detach
page >/tmp/page
assert_eq "up" 0 "$(sed -n 's/^nfbpf_up //p' /tmp/page)"
nfbpf-load attach --datapath kmod --object-dir "$NFBPF_BPF" --group $gid
page >/tmp/page
assert_eq "up" 1 "$(sed -n 's/^nfbpf_up //p' /tmp/page)"

step "the clock steps"
now=$(date +%s)
date -s "@$((now + 86400 * 400))" >/dev/null
page >/tmp/page
assert_eq "up" 1 "$(sed -n 's/^nfbpf_up //p' /tmp/page)"
date -s "@$((now - 86400 * 400))" >/dev/null
page >/tmp/page
assert_eq "up" 1 "$(sed -n 's/^nfbpf_up //p' /tmp/page)"
date -s "@$now" >/dev/null

[ "$wanted" = $none ] || exit 0
step "what it cannot do any more"
chmod 755 "$own"
echo x >"$own/file"
chmod 666 "$own/file"
mkdir /sys/fs/bpf/confined
for name in readable others; do
    bpftool map create /sys/fs/bpf/confined/$name type hash key 4 value 8 entries 4 name $name
done
chmod 755 /sys/fs/bpf/confined
chown root:$gid /sys/fs/bpf/confined/readable
chmod 440 /sys/fs/bpf/confined/readable
chmod 400 /sys/fs/bpf/confined/others
setpriv --reuid 65534 --regid $gid --clear-groups nfbpf-confined "$own" /sys/fs/bpf/confined/readable /sys/fs/bpf/confined/others

#!/bin/bash
# The whole path in the guest: module, exporter without privilege on :9987, a flow of ten pings a
# second to QEMU's router. The host's Prometheus looks at it until the host says stop.
# shellcheck source=tests/vm/guest/lib.sh
. "$NFBPF_TESTS/lib.sh"

gid=9987
# A flowtable, and nothing that would put a flow into it: the exporter says that it is there.
modprobe nf_flow_table_inet
nft 'add table inet blind; add flowtable inet blind spot { hook ingress priority 0; devices = { lo }; }'
nfbpf-load attach --datapath kmod --object-dir "$NFBPF_BPF" --group $gid
echo 4 >$NFBPF_SYSFS/parameters/sample # there are too few packets here to time one in 1,024
# Buffers are emptied every few seconds, so that the scrapes see that, too.
echo 'idle_timeout: 10s' >/tmp/exporter.yaml
setpriv --reuid 65534 --regid $gid --clear-groups --no-new-privs --bounding-set=-all \
    nfbpf_exporter --config.file /tmp/exporter.yaml >/tmp/exporter.log 2>&1 &
exporter=$!
ping -q -i 0.1 10.0.2.2 >/dev/null &
flow=$!
trap 'kill $exporter $flow; wait; cat /tmp/exporter.log; nfbpf-load detach' EXIT

for _ in $(seq 300); do
    ! (exec 3<>/dev/tcp/127.0.0.1/9987) 2>/dev/null || break
    sleep 0.1
done
grep -E '^(Uid|CapEff|NoNewPrivs)' /proc/$exporter/status
ready "exporter on 9987"
serve_until_stop

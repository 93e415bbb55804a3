#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A thousand connections verify what they wrote, over IPv4 and IPv6, on two data reactors, and leave nothing behind.
. "$(dirname "$0")/lib.sh"
requires "$perf_bin"
nqn=nqn.2025-01.io.litepool:many
qpairs() { rpc nvmf_subsystem_get_qpairs "{\"nqn\":\"$nqn\"}" | json 'len(j)'; }
none_left() { [ "$(qpairs)" = 0 ]; }
verdict() { json '"%d %d %d" % (j["mismatches"], j["errors"], j["not_ended"])' < "$work/perf"; }

check "start" start_engine --cores 2
check "device" lp bdev create-ram ram0 256M --block-size 512
check "export" lp export ram0 --any-host --nqn $nqn --listen 127.0.0.1:0
port=$(port_of $nqn)
check "a thousand connections" load --port "$port" --nqn $nqn --conns 1000 --per-host 8 --qd 1 --mix 50 --ios 40000 --size 64M --verify --stall 60
check "nothing wrong, nothing failed" same "$(verdict)" "0 0 0"
check "all of them are gone" wait_for none_left
# No descriptor is left for those that come: they wait until there is one, and so does who asks by RPC.
logged() { grep -q "$1" "$work/engine.log"; }
if prlimit --pid "$engine_pid" --nofile=$(($(ls "/proc/$engine_pid/fd" | wc -l) + 5)): 2> "$work/prlimit"; then
    fds=()
    for _ in $(seq 20); do
        exec {fd}<> "/dev/tcp/127.0.0.1/$port"
        fds+=("$fd")
    done
    check "want of descriptors is told, with what to do" wait_for logged "tcp.accept.failed error=EMFILE .*LimitNOFILE"
    for fd in "${fds[@]}"; do exec {fd}>&-; done
    check "when there are some again it serves" load --port "$port" --nqn $nqn --conns 1 --qd 8 --mix 50 --ios 1000 --size 64M --verify --stall 60
    check "nothing wrong, nothing failed there" same "$(verdict)" "0 0 0"
    check "RPC, too" rpc spdk_get_version
    check "and those are gone" wait_for none_left
    prlimit --pid "$engine_pid" --nofile="$(ulimit -Hn):"
else
    echo "# no prlimit here: the want of descriptors is left out"
fi
if [ -e /proc/net/if_inet6 ] && grep -q ' lo$' /proc/net/if_inet6; then
    check "a listener on IPv6" lp listener add $nqn '[::1]:0'
    port6=$(rpc nvmf_subsystem_get_listeners "{\"nqn\":\"$nqn\"}" | json '[l["address"]["trsvcid"] for l in j if l["address"]["adrfam"] == "IPv6"][0]')
    check "I/O over IPv6, with digests" load --addr ::1 --port "$port6" --nqn $nqn --conns 4 --qd 32 --bs 64k --mix 50 --ios 4000 --size 64M --verify --hdgst --ddgst
    check "nothing wrong there" same "$(verdict)" "0 0 0"
    check "its connections are gone" wait_for none_left
else
    echo "# no IPv6 on loopback here"
fi
check "stop" stop_engine
done_testing

#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# lp-perf that ends on an error says why, with status 1 and nothing else (a leak under ASan is another status).
. "$(dirname "$0")/lib.sh"

nqn=nqn.2026-01.io.litepool:perf

# ends_with PATTERN OPTION...
ends_with() {
    local pattern=$1 rc
    shift
    timeout "$LIMIT" "$perf_bin" --seconds 0.2 "$@" > "$work/perf" 2>&1
    rc=$?
    same "$rc" 1 && grep -qE "$pattern" "$work/perf" || { cat "$work/perf"; return 1; }
}

requires "$perf_bin"
check "start" start_engine
check "a RAM disk" lp bdev create-ram m0 16M
check "is exported" lp export m0 --any-host --nqn "$nqn" --listen 127.0.0.1:0
port=$(port_of "$nqn")
check "nobody listens there" ends_with 'onnect' --port 1 --nqn "$nqn"
check "another subsystem" ends_with 'onnect' --port "$port" --nqn "$nqn.none"
check "another namespace" ends_with '.' --port "$port" --nqn "$nqn" --nsid 9
check "no such congestion control: which there are" ends_with "'nosuch' cannot be used.*available are: " --port "$port" --nqn "$nqn" --congestion nosuch
# ours NAME: what our side of a connection has
ours() { ss -tin "dport = :$port" | finds -w "$1"; }
list=/proc/sys/net/ipv4/tcp_allowed_congestion_control
[ "$(id -u)" != 0 ] || list=/proc/sys/net/ipv4/tcp_available_congestion_control
for name in default $(< $list); do
    how=() expected=cubic
    [ "$name" = default ] || { how=(--congestion "$name"); expected=$name; }
    grep -qw "$expected" $list || continue
    "$perf_bin" --port "$port" --nqn "$nqn" --seconds 60 "${how[@]}" > "$work/long" 2>&1 &
    long=$!
    check "congestion control, $name: $expected" wait_for ours "$expected"
    kill $long
    wait $long
done
"$perf_bin" --port "$port" --nqn "$nqn" --qd 32 --conns 4 --seconds 60 > "$work/long" 2>&1 &
long=$!
connected() { [ "$(rpc nvmf_subsystem_get_qpairs "{\"nqn\":\"$nqn\"}" | json 'len(j)')" -ge 5 ]; }
check "a load runs" wait_for connected
kill_engine
wait "$long"
check "the engine dies under it" same $? 1
done_testing

#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# kill -9 under verified I/O: the host reconnects to the same namespace and no byte is wrong.
. "$(dirname "$0")/lib.sh"
requires "$perf_bin"
nqn=nqn.2025-01.io.litepool:restart
kills=${LITEPOOL_KILLS:-3}

check "start" start_engine
check "export" lp export "$work/disk" --size 32M --any-host --nqn $nqn --listen 127.0.0.1:0
port=$(port_of $nqn)
ops() { rpc bdev_get_iostat | json 'sum(b["num_write_ops"] for b in j["bdevs"])'; }
busy() { [ "$(ops)" -gt 2000 ]; } # since this engine started: the host is back and writes

start_load --port "$port" --nqn $nqn --size 8M --mix 50 --qd 16 --verify --reconnect
for ((i = 1; i <= kills; i++)); do
    check "I/O runs" wait_for busy
    kill_engine
    check "start after kill $i" start_engine
done
check "I/O runs again" wait_for busy
check "I/O ends well" stop_load
check "nothing wrong, nothing failed" same "$(json 'j["mismatches"], j["errors"], j["not_ended"]' < "$work/perf")" "0 0 0"
check "it did reconnect" has "$(json 'str(j["reconnects"] > 0)' < "$work/perf")" True
grep -hE "level=(error|warn)|event=engine" "$work/engine.log" | sed "s/^/# /"
check "stop" stop_engine
done_testing

#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Hot upgrades under verified I/O on 64 connections, RAM disk, file and pool, with RPC calls all the while: no error, no reconnect, no byte wrong.
# LITEPOOL_UPGRADES: how many (20).
. "$(dirname "$0")/upgrade-lib.sh"
requires "$perf_bin"
upgrades=${LITEPOOL_UPGRADES:-20} pids=() i=0
nqn=nqn.2025-01.io.litepool:upgrade

check "start" start_supervised --cores 2
truncate -s 256M "$work/pool.img"
check "a pool" rpc bdev_aio_create "{\"name\":\"d0\",\"filename\":\"$work/pool.img\"}"
check "a pool is made" rpc bdev_lvol_create_lvstore '{"bdev_name":"d0","lvs_name":"p"}'
check "a volume" rpc bdev_lvol_create '{"lvs_name":"p","lvol_name":"v","size_in_mib":64,"thin_provision":true}'
check "export of the volume" lp export p/v --any-host --nqn $nqn-v --listen 127.0.0.1:0
check "a RAM disk" rpc bdev_malloc_create '{"name":"ram","num_blocks":16384,"block_size":4096}'
check "export of the RAM disk" lp export ram --any-host --nqn $nqn-ram --listen 127.0.0.1:0
port_v=$(port_of $nqn-v) port_ram=$(port_of $nqn-ram)

run_load() { exec "$perf_bin" "$@" > "$work/perf.$name" 2> "$work/perf.$name.err"; }
for name in v ram; do
    port=port_$name
    run_load --port "${!port}" --nqn $nqn-$name --size 32M --mix 50 --qd 4 --conns 32 --per-host 8 --seconds 600 --kato 5000 --verify --stall 60 &
    pids+=($!)
done
ops() { rpc bdev_get_iostat | json 'sum(b["num_write_ops"] for b in j["bdevs"])'; }
busy() { local a; a=$(ops); read -rt 0.1 <> <(:); [ "$(ops)" -gt "$a" ]; }

# RPC calls all the while: each must be answered well.
calls() {
    while [ ! -e "$work/end" ]; do
        rpc bdev_get_bdevs > "$work/calls.out" 2>&1 || cat "$work/calls.out" >> "$work/calls.err"
        lp snapshot create p/v "s$RANDOM$RANDOM" > "$work/calls.out" 2>&1 || :
        echo >> "$work/calls.n"
    done
}
calls &
calls_pid=$!

check "I/O runs" wait_for busy
for ((i = 1; i <= upgrades; i++)); do
    check "upgrade $i" upgrade --deadline 5000
done
check "I/O still runs" wait_for busy
: > "$work/end"
wait $calls_pid
check "all calls were answered" test ! -e "$work/calls.err"
kill -TERM "${pids[@]}"
ended_well() { wait "$1" || { cat "$work/perf.$2.err"; return 1; }; }
i=0
for name in v ram; do
    check "the load on $name ends well" ended_well "${pids[$i]}" $name
    check "nothing wrong, nothing failed, nobody reconnected on $name" same "$(json 'j["mismatches"], j["errors"], j["not_ended"], j["reconnects"]' < "$work/perf.$name")" "0 0 0 0"
    i=$((i + 1))
done
check "one engine serves" wait_for one_engine
grep -oE "stop_ms=[0-9.]+" "$work/engine.log" | sed 's/^/# /' | sort -t= -k2 -n | tail -3
check "stop" stop_supervised
check "the pool is clean" "$cli_bin" pool check "$work/pool.img"
done_testing

#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Hot upgrades under verified I/O on 64 connections to a volume (of a pool with sums of its data) and a RAM disk and four for large writes, with RPC calls and snapshots all the while: no error, no reconnect, no byte wrong.
# LITEPOOL_UPGRADES: how many (20). LITEPOOL_CONNS: on how many connections (64).
. "$(dirname "$0")/upgrade-lib.sh"
requires "$perf_bin"
upgrades=${LITEPOOL_UPGRADES:-20} conns=${LITEPOOL_CONNS:-64} pids=() i=0
nqn=nqn.2025-01.io.litepool:upgrade

check "start" start_supervised --cores 2
truncate -s 1G "$work/pool.img" # snapshots come as fast as calls are answered, and what deleted ones kept goes in the background: with 256 MiB the pool was full once
check "a pool" rpc bdev_aio_create "{\"name\":\"d0\",\"filename\":\"$work/pool.img\"}"
check "a pool is made, with sums of its data" rpc bdev_lvol_create_lvstore '{"bdev_name":"d0","lvs_name":"p","checksums":true}'
check "a volume" rpc bdev_lvol_create '{"lvs_name":"p","lvol_name":"v","size_in_mib":64,"thin_provision":true}'
check "export of the volume" lp export p/v --any-host --nqn $nqn-v --listen 127.0.0.1:0
check "a RAM disk" rpc bdev_malloc_create '{"name":"ram","num_blocks":16384,"block_size":4096}'
check "export of the RAM disk" lp export ram --any-host --nqn $nqn-ram --listen 127.0.0.1:0
port_v=$(port_of $nqn-v) port_ram=$(port_of $nqn-ram)

# Besides: writes of 128 KiB with digests, so that hand-overs fall into the data of R2Ts.
port_big=$port_ram
run_load() { exec "$perf_bin" "$@" > "$work/perf.$name" 2> "$work/perf.$name.err"; }
each=(--size 32M --mix 50 --qd 4 --conns $((conns / 2)) --per-host 8)
for name in v ram big; do
    port=port_$name
    [ $name != big ] || each=(--offset 32M --size 32M --bs 128k --mix 20 --qd 8 --conns 4 --per-host 4 --hdgst --ddgst)
    run_load --port "${!port}" --nqn $nqn-${name/big/ram} "${each[@]}" --seconds 600 --kato 30000 --verify --stall 60 &
    pids+=($!)
done
ops() { rpc bdev_get_iostat | json 'sum(b["num_write_ops"] for b in j["bdevs"])'; }
busy() { local a; a=$(ops); read -rt 0.1 <> <(:); [ "$(ops)" -gt "$a" ]; }

# RPC calls all the while: each must be answered well. A snapshot comes, the one before goes, and what it kept moves in the background.
calls() {
    local n=0
    well() { "$@" > "$work/calls.out" 2>&1 || { echo "$*:"; cat "$work/calls.out"; } >> "$work/calls.err"; }
    while [ ! -e "$work/end" ]; do
        n=$((n + 1))
        well rpc bdev_get_bdevs
        well lp volume snapshot p/v "s$n"
        [ $n = 1 ] || well lp volume delete "p/s$((n - 1))"
        echo >> "$work/calls.n"
    done
}
answered() { [ -s "$work/calls.n" ] && ! cat "$work/calls.err"; }
calls &
calls_pid=$!

check "I/O runs" wait_for busy
for ((i = 1; i <= upgrades; i++)); do
    check "upgrade $i" upgrade --deadline 30000
done
# Each part is rounded to a microsecond.
parts_sum() { same "$(rpc litepool_upgrade_status | json 'abs(sum(v for k, v in j["stop_us"].items() if k != "first-pass") - 1000 * j["stop_ms"]) < 20')" True; }
check "the parts of the stop are the stop" parts_sum
check "I/O still runs" wait_for busy
: > "$work/end"
wait $calls_pid
check "all calls were answered well" answered
kill -TERM "${pids[@]}"
ended_well() { wait "$1" || { cat "$work/perf.$2.err"; return 1; }; }
i=0
for name in v ram big; do
    check "the load on $name ends well" ended_well "${pids[$i]}" $name
    check "nothing wrong, nothing failed, nobody reconnected on $name" same "$(json 'j["mismatches"], j["errors"], j["not_ended"], j["reconnects"]' < "$work/perf.$name")" "0 0 0 0"
    i=$((i + 1))
done
# Nothing is read or written any more: what each device and namespace has counted is the same before and behind one more upgrade.
counted() {
    rpc bdev_get_iostat | json 'sorted(str(b) for b in j["bdevs"] if b["name"] != "d0")'
    rpc litepool_metrics | json 'sorted(str(b) for b in j["bdevs"] if b["name"] != "d0"), sorted(str(n) for n in j["namespaces"])'
}
before=$(counted)
check "something was counted" has "$before" "num_write_ops.: [1-9]"
check "one more upgrade" upgrade --deadline 30000
check "the counters go on, and the histograms of latency" same "$(counted)" "$before"
pool_sums() { rpc litepool_pool_stats | json 'j[0]["sums"]["wrong_blocks"], j[0]["sums"]["summed_again"]'; }
check "no block was wrong, and none had lost its sum on the way" same "$(pool_sums)" "0 0"
check "one engine serves" wait_for one_engine
check "... and its threads are in no hurry any more" unhurried
grep -oE "stop_ms=[0-9.]+" "$work/engine.log" | sed 's/^/# /' | sort -t= -k2 -n | tail -3
check "stop" stop_supervised
check "the pool is clean" "$cli_bin" pool check "$work/pool.img"
done_testing

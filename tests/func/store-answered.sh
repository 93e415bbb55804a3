#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# kill -9 of an engine under verified I/O into thin space and over snapshots: for the host that is a controller that was reset, so every write that was answered is there,
# flushed or not. LITEPOOL_KILLS: how often (4).
. "$(dirname "$0")/lib.sh"
requires "$perf_bin"
kills=${LITEPOOL_KILLS:-4}

start_engine || exit 1
check "a pool with a thin volume" lp pool create p "$work/disk.img" --size 2G
check "the volume" lp volume create p/v 256M
check "is exported" lp export p/v --nqn nqn.2025-01.io.litepool:v --listen 127.0.0.1:0 --any-host
start_load --port "$(port_of nqn.2025-01.io.litepool:v)" --nqn nqn.2025-01.io.litepool:v --size 64M --mix 30 --qd 16 --verify --reconnect
writes() { rpc bdev_get_iostat | json 'max(b["num_write_ops"] for b in j["bdevs"])'; }
busy() { [ "$(writes)" -gt 300 ]; } # since this engine started: the host is back
reads() { rpc bdev_get_iostat | json 'max(b["num_read_ops"] for b in j["bdevs"])'; }
mixed() { [ "$(reads)" -gt 300 ]; } # what is read at random has been written first
check "I/O runs" wait_for mixed
for ((k = 1; k <= kills; k++)); do
    wait_for busy
    read -rt "0.$((k * 37 % 50 + 10))" <> <(:) || true # somewhere in what goes on
    [ $((k % 2)) = 1 ] && check "snapshot $k" lp volume snapshot p/v "s$k"
    kill_engine
    start_engine || exit 1
done
check "the host is back" wait_for busy
check "the load ends" stop_load
sed "s/^/# /" "$work/perf" # for people
check "it met every kill" awk -F'"reconnects": ' -v n="$kills" '{ exit !($2 + 0 >= n) }' "$work/perf"
check "nothing that was answered is missing" grep -q '"mismatches": 0,' "$work/perf"
check "and there was something to check" grep -qE '"verified": [1-9][0-9]{3}' "$work/perf"
stop_engine || exit 1
done_testing

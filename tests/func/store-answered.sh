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
"$perf_bin" --port "$(port_of nqn.2025-01.io.litepool:v)" --nqn nqn.2025-01.io.litepool:v --mix 30 --qd 16 --seconds $((kills + 2)) \
    --verify --reconnect > "$work/perf" 2> "$work/perf.err" &
load_pid=$!
for ((k = 1; k <= kills; k++)); do
    read -rt 0.7 <> <(:) || true # somewhere in what goes on
    [ $((k % 2)) = 1 ] && check "snapshot $k" lp volume snapshot p/v "s$k"
    kill_engine
    start_engine || exit 1
done
check "the load ends" wait "$load_pid"
sed "s/^/# /" "$work/perf" # for people
check "it met every kill" awk -F'"reconnects": ' -v n="$kills" '{ exit !($2 + 0 >= n) }' "$work/perf"
check "nothing that was answered is missing" grep -q '"mismatches": 0,' "$work/perf"
check "and there was something to check" grep -qE '"verified": [1-9][0-9]{3}' "$work/perf"
stop_engine || exit 1
done_testing

#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# kill -9 of the old engine, the new one and the supervisor at steps of a hand-over (LITEPOOL_STEPS=all: at each): one engine ends up serving, and what was answered is there.
. "$(dirname "$0")/upgrade-lib.sh"
requires "$perf_bin"
export LITEPOOL_FAILPOINTS=1
nqn=nqn.2025-01.io.litepool:kill
SUPERVISOR_OPTIONS="--stuck 0"

check "start" start_supervised
truncate -s 128M "$work/pool.img"
check "a disk" rpc bdev_aio_create "{\"name\":\"d0\",\"filename\":\"$work/pool.img\"}"
check "a pool" rpc bdev_lvol_create_lvstore '{"bdev_name":"d0","lvs_name":"p"}'
check "a volume" rpc bdev_lvol_create '{"lvs_name":"p","lvol_name":"v","size_in_mib":64,"thin_provision":true}'
check "an export" lp export p/v --any-host --nqn $nqn --listen 127.0.0.1:0
port=$(port_of $nqn)
run_load() { exec "$perf_bin" "$@" > "$work/perf" 2> "$work/perf.err"; } # it is ended itself, not a shell around it
run_load --port "$port" --nqn $nqn --size 8M --mix 50 --qd 8 --conns 4 --seconds 600 --verify --reconnect --stall 60 &
perf_pid=$!
ops() { rpc bdev_get_iostat | json 'sum(b["num_write_ops"] for b in j["bdevs"])'; }
busy() { local a; a=$(ops) && read -rt 0.05 <> <(:); [ "$(ops)" -gt "$a" ]; }
check "I/O runs" wait_for busy

settled() { one_engine && rpc litepool_engine_status | finds "\"connected\": true" && ! rpc litepool_upgrade_status | finds '"running"' && busy; }
# hit SIDE STEP KIND
supervisor_died() { ! kill -0 "$supervisor_pid" 2> /dev/null; }
hit() {
    rpc litepool_upgrade_start "{\"fail_at\":\"$1:$2:$3\",\"deadline_ms\":30000}" > "$work/hit" 2>&1
    if [ "$3" = kill-supervisor ]; then
        wait_for supervisor_died || { cat "$work/hit"; return 1; }
        wait "$supervisor_pid" 2> /dev/null
        start_supervisor
    fi
    wait_for settled
}
# In make test the steps around the point of no return; LITEPOOL_STEPS=all: all.
old="freeze ready go" new="restore ready take-over" supervisor=go
# (Before "plan" the new engine has not heard of fail points.)
if [ "${LITEPOOL_STEPS:-}" = all ]; then
    old="connect hold-calls hold-pools prepare warm hold-rpc calm freeze freeze-pools save state ready go"
    new="plan replay follow warmed follow-to restore ready take-over stats serving"
    supervisor="connect warm freeze state ready go"
fi
for step in $old; do
    check "the old engine is killed at $step" hit old "$step" kill
done
for step in $new; do
    check "the new engine is killed at $step" hit new "$step" kill
done
for step in $supervisor; do
    check "the supervisor is killed at $step" hit old "$step" kill-supervisor
done
kill -TERM $perf_pid
check "I/O ends well" load_end $perf_pid
check "nothing wrong, nothing failed" same "$(json 'j["mismatches"], j["errors"], j["not_ended"]' < "$work/perf")" "0 0 0"
check "stop" stop_supervised
check "the pool is clean" "$cli_bin" pool check "$work/pool.img"
done_testing

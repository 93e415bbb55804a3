#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What runs after an engine has ended: a program that has served, or that of the supervisor's own command line; a successor that has the whole state goes on without its predecessor.
. "$(dirname "$0")/upgrade-lib.sh"
export LITEPOOL_FAILPOINTS=1
SUPERVISOR_OPTIONS="--stuck 0"
next=$work/next/litepool-engine
mkdir "$work/next"
check "start" start_supervised
check "a disk" rpc bdev_malloc_create '{"name":"ram","num_blocks":1024,"block_size":4096}'
runs() { same "$(readlink "/proc/$(serving_pid)/exe")" "$(realpath "$1")"; }
other() { local now; now=$(serving_pid) && [ "$now" != "$pid" ]; }
ends() { grep -c "event=supervisor.engine_ended" "$work/engine.log"; }

cp "$engine_bin" "$next"
pid=$(serving_pid)
rpc litepool_upgrade_start "{\"binary\":\"$next\",\"dry_run\":true,\"fail_at\":\"old:warm:kill\"}" > /dev/null 2>&1
check "an engine dies while its successor warms up" wait_for other
check "what runs then has served before" runs "$engine_bin"

pid=$(serving_pid) before=$(ends)
rpc litepool_upgrade_start '{"fail_at":"old:ready:kill","deadline_ms":30000}' > /dev/null 2>&1
check "another dies when its state has been sent" wait_for other
check "its successor goes on: none is started" same "$(ends)" "$before"
check "... with the disk" wait_for eval 'rpc bdev_get_bdevs | finds "\"ram\""'

check "an upgrade to a program elsewhere" upgrade --binary "$next" --deadline 30000
check "it runs" runs "$next"
pid=$(serving_pid)
kill -9 "$pid"
check "it is killed, and comes back" wait_for other
check "... as what served last" runs "$next"
rm -r "$work/next"
pid=$(serving_pid)
kill -9 "$pid"
check "it is killed when its program has gone, and another comes" wait_for other
check "... that of the supervisor's command line" runs "$engine_bin"
check "which was told" grep -q "supervisor.start_failed binary=$next next=$engine_bin" "$work/engine.log"
check "stop" stop_supervised
done_testing

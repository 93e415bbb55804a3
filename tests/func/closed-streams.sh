#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Programs that are started without standard input, output and error: what they open next, a disk perhaps, never becomes the place of their log lines or answers.
. "$(dirname "$0")/agent-lib.sh"
supervisor_bin=$build/src/supervisor/litepool-supervisor
pid=
trap 'kill -9 $pid 2> /dev/null; wait; end_all; cleanup' EXIT
# without COMMAND...: starts it with none of the three; its process in $pid
without() { "$@" <&- >&- 2>&- & pid=$!; }
streams() { local fd; for fd in 0 1 2; do same "$(readlink "/proc/$1/fd/$fd")" /dev/null || return; done; }
ended() { kill -TERM "$pid" && wait "$pid"; }

without "$engine_bin" --state-dir "$work/state" --rpc-socket "$socket"
check "the engine" wait_for rpc framework_wait_init
check "... has all three" streams $pid
truncate -s 16M "$work/disk"
check "... and a disk" rpc bdev_aio_create "{\"name\":\"d\",\"filename\":\"$work/disk\",\"buffered\":true}"
refused "... has something to log" "exists already" rpc bdev_aio_create "{\"name\":\"d\",\"filename\":\"$work/disk\",\"buffered\":true}"
check "... writes none of it there" cmp -n $((16 << 20)) "$work/disk" /dev/zero
check "... ends as told" ended
rm -rf "$work/state"

without "$supervisor_bin" --engine "$engine_bin" --state-dir "$work/state" -- --rpc-socket "$socket"
check "the supervisor, with its engine" wait_for rpc framework_wait_init
check "... has all three" streams $pid
check "... and its engine" streams "$(engine_of)"
check "... ends as told" ended

without "$controller_bin" --embedded --state-dir "$work/api" --socket "$api"
controller_serves() { [ "$(curl -s --max-time 5 --unix-socket "$api" http://x/healthz)" = ok ]; }
check "the controller" wait_for controller_serves
check "... has all three" streams $pid
controller_pid=$pid
without "$agent_bin" --node node-1 --server "unix:$api" --state-dir "$work/agent" --engine external --engine-socket "$socket" --metrics-socket "$work/metrics.sock"
check "the agent" wait_for "$agent_bin" --metrics-socket "$work/metrics.sock" --probe /readyz
check "... has all three" streams $pid
check "... ends as told" ended
without "$build/src/csi/litepool-csi" --mode=controller --endpoint "unix://$work/csi" --server "unix:$api"
check "the CSI driver" wait_for "$build/src/csi/litepool-csi" --endpoint "unix://$work/csi" --probe
check "... has all three" streams $pid
check "... ends as told" ended
pid=$controller_pid controller_pid=
check "the controller ends as told" ended

# What a person asked for and does not get is an error.
refused "litepool without standard output" "could not be written whole: Bad file descriptor" eval '"$cli_bin" volume list --help >&-'
refused "litepool on a full disk" "could not be written whole: No space left on device" eval '"$cli_bin" volume list --help > /dev/full'
done_testing

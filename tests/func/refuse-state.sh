#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# State that cannot be used is refused with what to do, and never overwritten; one engine per state directory.
. "$(dirname "$0")/lib.sh"

mkdir -p "$work/state"
try() { run_engine "$@"; local rc=$?; cat "$work/run.log"; [ $rc != 124 ] || echo "it ran on"; return $rc; }

for text in '{' '[]' '{"version":99,"subsystems":[]}' '{"version":1}' ''; do
    printf '%s' "$text" > "$work/state/config.json"
    refused "config.json with '$text' is refused" "config.json cannot be used and was left as it is" try
    check "and was not touched" same "$(cat "$work/state/config.json")" "$text"
done
rm "$work/state/config.json"
printf '{"version":1,"reservations":3}' > "$work/state/reservations.json"
refused "so are broken reservations" "reservations.json" try
rm "$work/state/reservations.json"

refused "--config of a file that is not there" "no such file" try --config "$work/nothing.json"
printf '{"subsystems":[{"subsystem":"bdev","config":[{"method":"bdev_null_create","params":{"name":"n0","num_blocks":100,"block_size":512}}]}]}' > "$work/first.json"
check "--config makes the first state" start_engine --config "$work/first.json"
check "with what it says" rpc bdev_get_bdevs '{"name":"n0"}'
refused "a second engine on the same state is refused" "another engine uses" try
refused "a second engine on the same socket is refused" "RPC socket" try --state-dir "$work/other"
check "the first one goes on" rpc bdev_get_bdevs
check "delete" lp bdev delete n0
check "stop" stop_engine
check "--config is not used a second time" start_engine --config "$work/first.json"
check "nothing came back" same "$(rpc bdev_get_bdevs)" "[]"
check "stop again" stop_engine

: > "$work/engine.log"
check "a state directory that cannot be written makes the change fail" start_engine
rm -rf "$work/state"
refused "and says what differs" "was carried out but could not be saved" lp bdev create-null n1 1G
check "the engine works on" rpc bdev_get_bdevs '{"name":"n1"}'
mkdir "$work/state"
check "save_config catches up" lp config save
check "on disk" grep -q n1 "$work/state/config.json"
refused "wrong options: status 2" "unknown option" try --nonsense
done_testing

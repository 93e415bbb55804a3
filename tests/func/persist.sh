#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What a client was told is there after kill -9, with the same identifiers.
. "$(dirname "$0")/lib.sh"
nqn=nqn.2025-01.io.litepool:persist

state() { rpc nvmf_get_subsystems; rpc bdev_get_bdevs; rpc framework_get_config '{"name":"bdev"}'; rpc framework_get_config '{"name":"nvmf"}'; }

truncate -s 64M "$work/disk0"
check "an engine starts on an empty state directory" start_engine
check "transport" rpc nvmf_create_transport '{"trtype":"TCP"}'
check "file device" lp bdev create-file disk0 "$work/disk0" --block-size 512
check "memory device" lp bdev create-ram ram0 16M
check "fault layer over it" lp fault create bad0 ram0 --seed 7
check "limits" lp bdev qos disk0 --iops 5000 --mbps 100 --burst-ms 50
check "subsystem" lp subsystem create $nqn --serial SER1 --ana
check "namespace" lp ns add $nqn disk0
check "second namespace" lp ns add $nqn bad0 --nsid 5
check "listener" lp listener add $nqn 127.0.0.1:0
check "host" lp host add $nqn nqn.2014-08.org.nvmexpress:uuid:6a5e29f1-6b7e-4e2a-8c8e-2a9d3a5f7c10
check "ANA state" lp listener ana $nqn 127.0.0.1:"$(port_of $nqn)" non_optimized
before=$(state)
kill_engine
check "it starts again after kill -9" start_engine
check "everything is the same" same "$(state)" "$before"
has "$before" '"nsid": 5' || echo "# no second namespace before"
check "nothing is reported as missing" same "$(rpc litepool_engine_status | json 'j["problems"]')" "[]"
check "a deletion is durable too" lp ns remove $nqn 5
check "and so is the device's" lp bdev delete bad0
after=$(state)
kill_engine
check "it starts once more" start_engine
check "what was deleted stays deleted" same "$(state)" "$after"
# A full disk: the process's limit of file size stands for it, and is lifted while it runs.
if prlimit --pid "$engine_pid" --fsize=16:unlimited 2> "$work/prlimit"; then
    refused "a change that cannot be saved says so, and what to do" "could not be saved.*save_config" rpc bdev_null_create '{"name":"full0","num_blocks":8,"block_size":512}'
    check "the status tells it" has "$(lp status)" "NOT SAVED: cannot write .*config.json"
    check "what was saved before is whole" python3 -m json.tool "$work/state/config.json"
    prlimit --pid "$engine_pid" --fsize=unlimited:unlimited
    check "with space again it is saved" lp config save
    check "the status tells that, too" same "$(rpc litepool_engine_status | json 'j["config"]["last_error"]')" ""
    check "with what was carried out meanwhile" grep -q '"full0"' "$work/state/config.json"
    check "which goes again" lp bdev delete full0
else
    echo "# no prlimit here: the full disk is left out"
fi
check "SIGTERM ends it in order" stop_engine
check "and it starts from there" start_engine
check "with the same state" same "$(state)" "$after"
check "and ends" stop_engine
done_testing

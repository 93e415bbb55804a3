#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# litepool engine export in one go, verified I/O, a resize seen by the engine, errors of the disk, and undoing on failure.
. "$(dirname "$0")/lib.sh"
requires "$perf_bin"
nqn=nqn.2025-01.io.litepool:exported

# perf OPTION...: lp-perf; its JSON is in $work/perf
perf() { load --port "$port" --nqn $nqn --size 8M "$@"; }
field() { json "j[\"$1\"]" < "$work/perf"; }

check "start" start_engine
refused "who may connect must be said" "--any-host" lp export "$work/disk" --size 16M
refused "a file that is not there: how to make it" "truncate -s" lp export "$work/disk" --any-host --nqn $nqn --listen 127.0.0.1:0
refused "an address that is not ours fails" . lp export "$work/disk" --size 16M --any-host --nqn $nqn --listen 192.0.2.77:0
check "and leaves no subsystem" same "$(rpc nvmf_get_subsystems | json 'sum(s["subtype"] == "NVMe" for s in j)')" 0
check "and no block device" same "$(rpc bdev_get_bdevs)" "[]"
check "nor is the file" test ! -e "$work/disk"
check "export" lp export "$work/disk" --size 16M --any-host --nqn $nqn --listen 127.0.0.1:0
port=$(port_of $nqn)
check "verified I/O" perf --mix 50 --qd 8 --seconds 60 --ios 2000 --verify
check "with no mismatch" same "$(field mismatches) $(field errors)" "0 0"
check "it is counted" has "$(rpc bdev_get_iostat '{"name":"disk"}' | json 'str(j["bdevs"][0]["num_write_ops"] > 100)')" True
check "a digest on everything" perf --mix 50 --qd 8 --seconds 0.3 --verify --hdgst --ddgst
check "large blocks" perf --mix 50 --bs 512k --qd 4 --seconds 0.3 --verify

blocks() { rpc bdev_get_bdevs '{"name":"disk"}' | json 'j[0]["num_blocks"] * j[0]["block_size"]'; }
check "size before" same "$(blocks)" $((16 << 20))
truncate -s 32M "$work/disk"
check "rescan" lp bdev rescan disk
check "size after" same "$(blocks)" $((32 << 20))
check "the new end can be used" perf --offset 24M --size 8M --write --qd 4 --seconds 0.2

check "limits" lp bdev qos disk --iops 500
check "limited load" perf --read --qd 16 --seconds 1
check "is limited" has "$(json 'str(j["iops"] < 1500)' < "$work/perf")" True
check "no limits" lp bdev qos disk --iops 0

check "subsystem goes" lp subsystem delete $nqn
check "device goes" lp bdev delete disk
check "device for faults" lp bdev create-file base "$work/disk"
check "fault layer" lp fault create bad base
check "export of a device by name" lp export bad --any-host --nqn $nqn --listen 127.0.0.1:0
port=$(port_of $nqn)
check "one read in ten fails" lp fault add bad error --ops read --probability 0.1 --error EIO
perf --read --qd 4 --ios 400 --seconds 20
check "the host sees errors" has "$(json 'str(j["errors"] > 0)' < "$work/perf")" True
check "they are counted" has "$(rpc bdev_get_iostat '{"name":"bad"}' | json 'str(j["bdevs"][0]["io_error"].get("read", 0) > 0)')" True
check "the rule counted too" has "$(rpc litepool_fault_list "{\"name\":\"bad\"}")" "acted"
check "rules go" lp fault remove bad
check "no error any more" perf --mix 50 --qd 4 --seconds 0.3 --verify
check "stop" stop_engine
done_testing

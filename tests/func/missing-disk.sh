#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A missing disk does not stop the others, is reported, is kept, and comes back with the same identity.
. "$(dirname "$0")/lib.sh"
nqn=nqn.2025-01.io.litepool:missing
ns_uuid() { rpc nvmf_get_subsystems "{\"nqn\":\"$nqn\"}" | json '{n["nsid"]: n["uuid"] for n in j[0]["namespaces"]}'; }
problems() { rpc litepool_engine_status | json 'len(j["problems"])'; }

truncate -s 16M "$work/disk0" "$work/disk1"
check "start" start_engine
rpc nvmf_create_transport '{"trtype":"TCP"}' > /dev/null
check "disk0" lp bdev create-file disk0 "$work/disk0"
check "disk1" lp bdev create-file disk1 "$work/disk1"
check "subsystem" lp subsystem create $nqn
check "namespace 1" lp ns add $nqn disk0
check "namespace 2" lp ns add $nqn disk1
check "listener" lp listener add $nqn 127.0.0.1:0
check "another subsystem" lp subsystem create $nqn-2
check "its listener" lp listener add $nqn-2 127.0.0.1:0
listeners() { rpc nvmf_subsystem_get_listeners "{\"nqn\":\"$1\"}" | json 'len(j)'; }
uuids=$(ns_uuid)
kill_engine
mv "$work/disk0" "$work/away"
check "it starts without disk0" start_engine
check "the other disk is there" rpc bdev_get_bdevs '{"name":"disk1"}'
check "disk, namespace and the listener of its subsystem are reported" same "$(problems)" 3
check "hosts of the missing disk are not let in: they wait" same "$(listeners $nqn)" 0
check "the other subsystem listens" same "$(listeners $nqn-2)" 1
check "status names the file" has "$(lp status)" "$work/disk0"
check "the log names the entry" grep -q "engine.config.entry_failed.*bdev_aio_create" "$work/engine.log"
check "a change is saved meanwhile" lp bdev create-null null0 1G
check "a new namespace does not take the missing one's number" same "$(lp ns add $nqn null0)" 3
kill_engine
check "start again, still without it" start_engine
check "still three entries" same "$(problems)" 3
mv "$work/away" "$work/disk0"
check "retry when the disk is back" lp config retry
check "nothing is missing" same "$(problems)" 0
check "hosts are let in" same "$(listeners $nqn)" 1
lp ns remove $nqn 3 > /dev/null
check "the identifiers are the same" same "$(ns_uuid)" "$uuids"
check "stop" stop_engine
rm "$work/disk0"
check "start without the disk, for good" start_engine
check "the namespace that is missing can be removed" lp ns remove $nqn 1
check "and the device deleted" lp bdev delete disk0
check "retry brings the listener" lp config retry
check "nothing is reported any more" same "$(problems)" 0
kill_engine
check "and it stays so" start_engine
check "after the restart" same "$(problems)" 0
refused "an unknown entry cannot be forgotten" "no failed entry" lp config forget 77
done_testing

#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Pools and volumes in the engine: the commands, I/O through NVMe/TCP, what a restart, a kill -9 and the disks alone bring back.
. "$(dirname "$0")/lib.sh"
requires "$perf_bin"

pool() { lp pool "$@"; }
volume() { lp volume "$@"; }
nqn=nqn.2025-01.io.litepool:db
disk=$work/disk0.img
io() { load --port "$port" --nqn "$nqn" --size 16M --qd 8 --seconds 1 --verify "$@"; }
prop() { rpc litepool_volume_get_props "{\"name\":\"$1\"}" | json "$2"; }
lvol() { rpc bdev_lvol_get_lvols "{\"name\":\"$1\"}" | json "j[0]$2"; }
# ids: what a host sees of the namespace
ids() { rpc nvmf_get_subsystems "{\"nqn\":\"$nqn\"}" | json '[(n["nsid"],n["nguid"],n["uuid"],n["eui64"]) for n in j[0]["namespaces"]] + [j[0]["serial_number"]]'; }

start_engine || exit 1
truncate -s 512M "$disk"

# ---- pools ----
check "a pool is made on a file" pool create fast "$disk"
check "it is listed" has "$(pool list)" 'fast +disk0.img +open'
refused "a second pool on the same disk is refused" 'in use already \(pool fast\)' pool create slow disk0.img
truncate -s 64M "$work/other.img"
printf 'x%.0s' {1..100} | dd of="$work/other.img" bs=1 seek=1080 conv=notrunc status=none
mkfs.ext4 -q "$work/other.img" 2> /dev/null || printf '\x53\xef' | dd of="$work/other.img" bs=1 seek=1080 conv=notrunc status=none
refused "a disk with a file system is refused, and says what it holds" 'ext|holds' pool create slow "$work/other.img"
refused "force wants the exact name" 'exact name' pool create slow "$work/other.img" --force other
check "forced by its name it becomes a pool, with checksums" pool create slow "$work/other.img" --force other.img --checksums
check "it says so" has "$(pool show slow)" "checksums +yes"
check "a pool is renamed" pool rename slow slower
check "limits are set" pool set slower --commit-percent 100 --reserve 1M
refused "the commit limit holds" 'commit|limit' volume create slower/big 1G
check "a pool is destroyed" pool delete slower
check "and is not found again" same "$(rpc litepool_pool_open '{"bdev_name":"other.img"}' 2>&1 | grep -c 'holds no pool')" 1

# ---- volumes ----
check "a thin volume is made" volume create fast/db 64M
refused "a name that is taken is refused" 'already' volume create fast/db 64M
refused "a pool that is not there is named" 'no open pool' volume create nowhere/db 64M
check "both names lead to it" same "$(lvol fast/db '["uuid"]')" "$(lvol "$(lvol fast/db '["uuid"]')" '["uuid"]')"
check "bdev_get_bdevs has it as SPDK does: UUID, alias" has "$(rpc bdev_get_bdevs '{"name":"fast/db"}' | json '(j[0]["name"]==j[0]["uuid"], j[0]["aliases"])')" "True, \['fast/db'\]"
check "it is exported" lp export fast/db --nqn "$nqn" --listen 127.0.0.1:0 --any-host
port=$(port_of "$nqn")
check "I/O through NVMe/TCP is right" io
check "a snapshot is made" volume snapshot fast/db monday
check "a clone of it is made" volume clone fast/monday dbtest
check "the volume goes on changing" io
check "what changed since is listed" has "$(volume changed fast/db --since fast/monday)" '[0-9]'
refused "a volume in use is not deleted" "in use by namespace 1 of $nqn" volume delete fast/db
refused "a snapshot with clones is not deleted, with names" 'db, dbtest|dbtest, db' volume delete fast/monday
check "labels are kept" volume label fast/db tier=gold,owner=me
check "whether it was formatted is kept" rpc litepool_volume_set_props '{"name":"fast/db","formatted":true}'
check "it is larger, with the host connected" volume resize fast/db 128M
check "to the same size again is fine" volume resize fast/db 128M
refused "smaller is refused without force" 'force' volume resize fast/db 64M
check "a limit is set" lp bdev qos fast/db --iops 100000
refused "what is not built says so" 'not supported' rpc bdev_lvol_clone_bdev '{"bdev":"disk0.img","lvs_name":"fast","clone_name":"x"}'
refused "a clone in another pool says what to do" 'create a volume there and copy' volume clone fast/monday other/x
check "a group snapshot has one moment" volume snapshot-group fast/db,fast/dbtest g1
check "the clone is inflated" volume inflate fast/dbtest --wait
check "and stands alone" same "$(lvol fast/dbtest '.get("base_snapshot")')" None
check "usage is told" has "$(volume usage fast/db)" 'exclusive_bytes'
refused "a pool with a volume in use is not closed" 'in use by namespace' pool close fast
refused "nor is its disk deleted" 'pool fast; close it first' lp bdev delete disk0.img

# ---- exports are on the disk ----
check "a host is allowed" lp host add "$nqn" nqn.2014-08.org.nvmexpress:uuid:6a5e29f1-6b7e-4e2a-8c8e-2a9d3a5f7c10
check "the volume knows its export" same "$(prop fast/db '(j["exports"][0]["nqn"], j["exports"][0]["nsid"], len(j["exports"][0]["hosts"]), j["exports"][0]["any_host"], j["qos"]["rw_ios_per_sec"])')" "('$nqn', 1, 1, True, 100000)"
before=$(ids)
stop_engine || exit 1
start_engine || exit 1
check "a restart has it again" same "$(ids)" "$before"
check "and the data is right" io
kill_engine
rm -rf "$work/state"
start_engine || exit 1
check "on the disks alone, opened by its path" pool open "$disk"
check "everything is exported again, with the same identity" same "$(ids)" "$before"
check "at the same address" same "$(port_of "$nqn")" "$port"
check "with its hosts" same "$(rpc nvmf_get_subsystems "{\"nqn\":\"$nqn\"}" | json '(len(j[0]["hosts"]), j[0]["allow_any_host"])')" '(1, True)'
check "its limits" same "$(rpc bdev_get_bdevs '{"name":"fast/db"}' | json 'j[0]["assigned_rate_limits"]["rw_ios_per_sec"]')" 100000
check "its labels" same "$(prop fast/db '(j["labels"]["tier"], j["formatted"])')" "('gold', True)"
check "and the data is right again" io
check "an ANA state is changed" lp listener ana "$nqn" "127.0.0.1:$port" non_optimized
check "and is on the disk" same "$(prop fast/db 'j["exports"][0]["listeners"][0]["ana_state"]')" non_optimized
check "the namespace is removed" lp ns remove "$nqn" 1
check "and no longer on the disk" same "$(prop fast/db 'j["exports"]')" '[]'
kill_engine
start_engine || exit 1
check "nor exported after a restart" same "$(ids)" "['$(ids | sed "s/.*'\(.*\)'.*/\1/")']"

# ---- unused volumes ----
check "back to the snapshot" volume revert fast/db fast/monday
check "a volume is made smaller by force" volume resize fast/dbtest 32M --force
check "the clone goes" volume delete fast/dbtest --wait
check "events tell" has "$(rpc notify_get_notifications)" 'bdev_unregister'
check "the pool is closed" pool close fast
check "and its volumes are gone" same "$(volume list | wc -l)" 1
check "and opened again" pool open disk0.img
check "with what it had" has "$(volume list)" 'fast/monday'
stop_engine || exit 1
done_testing

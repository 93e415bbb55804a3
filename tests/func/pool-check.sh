#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# litepool pool check and dump on pools that a real engine made: exit codes, places, nothing written without --repair, and after repair the data.
. "$(dirname "$0")/lib.sh"
requires "$perf_bin"
disk=$work/disk
nqn=nqn.2025-01.io.litepool:pool-check
pool() { "$cli_bin" pool "$@"; }
# exits STATUS COMMAND...
exits() {
    local want=$1 rc=0
    shift
    "$@" || rc=$?
    same "$rc" "$want"
}
sum() { sha256sum < "$disk"; }
volumes() { rpc bdev_lvol_get_lvols | json '" ".join(sorted(v["name"] for v in j))'; }

truncate -s 256M "$disk"
check "start" start_engine
check "a disk" lp bdev create-file disk0 "$disk"
check "a pool" rpc bdev_lvol_create_lvstore '{"bdev_name":"disk0","lvs_name":"p0"}'
for v in a b; do
    check "volume $v" rpc bdev_lvol_create "{\"lvs_name\":\"p0\",\"lvol_name\":\"$v\",\"size\":67108864,\"thin_provision\":true}"
done
check "a transport" rpc nvmf_create_transport '{"trtype":"TCP"}'
check "a subsystem" lp subsystem create $nqn --any-host
check "volume a is exported" lp ns add $nqn p0/a
check "listen" lp listener add $nqn 127.0.0.1:0
port=$(port_of $nqn)
check "written to" load --port "$port" --nqn $nqn --size 32M --mix 50 --qd 8 --seconds 1 --verify
check "a snapshot" rpc bdev_lvol_snapshot '{"lvol_name":"p0/a","snapshot_name":"s"}'
check "written to again" load --port "$port" --nqn $nqn --size 32M --mix 50 --qd 8 --seconds 1 --verify
refused "the engine has it" "in use|busy|locked|another" pool check "$disk"
scrubbed() { [ "$(rpc litepool_pool_scrub_status '{"lvs_name":"p0"}' | json 'j["complete"]')" = True ]; }
check "a scrub" "$cli_bin" -s "$socket" pool scrub start p0 --rate 1G
check "goes through" wait_for scrubbed
check "and finds nothing" same "$(rpc litepool_pool_scrub_status '{"lvs_name":"p0"}' | json 'j["problems_found"], j["clusters_read"] > 8')" "0 True"
check "again, slowly" "$cli_bin" -s "$socket" pool scrub start p0 --rate 1M
check "and stopped" "$cli_bin" -s "$socket" pool scrub stop p0
check "its status" "$cli_bin" -s "$socket" pool scrub status p0
refused "no such pool" "p9" "$cli_bin" -s "$socket" pool scrub start p9
check "flipped under the engine" python3 -c 'import sys
f = open(sys.argv[1], "r+b"); f.seek((2 << 20) + 60); b = f.read(1)[0]; f.seek((2 << 20) + 60); f.write(bytes([b ^ 1]))' "$disk"
check "a scrub" "$cli_bin" -s "$socket" pool scrub start p0 --rate 1G --restart
check "goes through" wait_for scrubbed
check "and mends it" same "$(rpc litepool_pool_scrub_status '{"lvs_name":"p0"}' | json 'j["problems_found"], j["mended"]')" "1 1"
kill_engine

before=$(sum)
check "after kill -9 it is clean" exits 0 pool check "$disk"
check "nothing was written" same "$(sum)" "$before"
check "--repair finds nothing to do" exits 0 pool check "$disk" --repair
check "nothing was written then either" same "$(sum)" "$before"
check "what it holds, as JSON" same "$(pool check -o json "$disk" | json 'j["verdict"], j["numbers"]["volumes"], j["numbers"]["snapshots"]')" "clean 2 1"
check "dump names the volumes" has "$(pool dump "$disk")" "name=b kind=volume"
check "dump as JSON" same "$(pool dump -o json "$disk" --journal --pages --maps | json 'len(j["superblocks"]), len(j["objects"]), len(j["layers"]), len(j["maps"]) > 0')" "4 3 3 True"
check "dump has written nothing" same "$(sum)" "$before"

check "start" start_engine
check "stop" stop_engine
check "closed, it is clean" exits 0 pool check "$disk"
before=$(sum)

# A flipped bit in a superblock copy and in a page of the layer table.
place=$(pool dump -o json "$disk" --pages | json '[p["place"] for p in j["pages"] if p.get("kind") == "LAYER"][0]')
flip() { python3 -c 'import sys
f = open(sys.argv[1], "r+b"); f.seek(int(sys.argv[2])); b = f.read(1)[0]; f.seek(int(sys.argv[2])); f.write(bytes([b ^ 4]))' "$disk" "$1"; }
check "a bit of superblock copy 2" flip $((2 * 1048576 + 60))
check "a bit of a page" flip $((place * 4096 + 100))
broken=$(sum)
check "damage is found" exits 4 pool check "$disk"
check "its place is named" has "$(pool check "$disk")" "at byte $((place * 4096)) of the device"
check "and what would be done" has "$(pool check "$disk")" "repair would: turn bit 2 of byte 100 back"
check "nothing was written" same "$(sum)" "$broken"
check "it is mended" exits 1 pool check --repair "$disk"
check "byte by byte" same "$(sum)" "$before"
check "clean" exits 0 pool check "$disk"

# Rot in a map page of the snapshot's layer: a loss, with a name.
layer=$(pool dump -o json "$disk" | json '[o["layer"] for o in j["objects"] if o["name"] == "s"][0]')
for place in $(pool dump -o json "$disk" --pages | json '" ".join(str(p["place"]) for p in j["pages"] if p.get("kind") == "MAP" and p["owner"] == '"$layer"')'); do
    check "garbage at $place" dd if=/dev/urandom of="$disk" bs=512 seek=$((place * 8 + 1)) count=2 conv=notrunc status=none
done
check "a loss is found" exits 4 pool check "$disk"
check "whose it is" has "$(pool check "$disk")" "of layer $layer is lost.* of: .*a"
broken=$(sum)
check "--repair does not lose it unasked" exits 4 pool check --repair "$disk"
check "nothing was written" same "$(sum)" "$broken"
check "with consent of all it meets" exits 1 pool check --repair --accept-data-loss a,s "$disk"
check "clean" exits 0 pool check "$disk"
check "the engine opens it" start_engine
check "with all volumes" same "$(volumes)" "a b s"
check "stop" stop_engine

check "all data of a pool without checksums is read" exits 0 pool check --data "$disk"
refused "--data only looks" "data only looks" pool check --data --repair "$disk"

# Checksums of data, and what only the notes have when the engine dies.
sums=$work/sums
check "a disk for checksums" truncate -s 128M "$sums"
check "start" start_engine
check "a disk" lp bdev create-file disk1 "$sums"
check "a pool with checksums" rpc bdev_lvol_create_lvstore '{"bdev_name":"disk1","lvs_name":"p1","checksums":true}'
check "a volume" rpc bdev_lvol_create '{"lvs_name":"p1","lvol_name":"c","size":33554432,"thin_provision":true}'
check "is exported" lp ns add $nqn p1/c
check "written to" load --port "$(port_of $nqn)" --nqn $nqn --nsid 2 --size 16M --mix 0 --qd 8 --ios 2000 --verify
check "stop" stop_engine
check "what it holds is right" exits 0 pool check --data "$sums"
check "the progress is told" has "$(pool check --data "$sums" 2>&1 > /dev/null)" "^data: 100 %  .* of "
check "blocks were compared" same "$(pool check --data -o json "$sums" 2> /dev/null | json 'j["numbers"]["blocks_compared"] > 1000 and j["numbers"]["blocks_compared"] == j["numbers"]["blocks_read"]')" True
phys=$(pool dump -o json "$sums" --maps | json '[m["phys"] for m in j["maps"] if m["phys"]][0]')
disk=$sums check "a byte of it rots" flip $((phys * 1048576 + 5))
check "that is found" exits 4 pool check --data "$sums"
check "with its volume" has "$(pool check --data "$sums" 2> /dev/null)" "^wrong data: blocks of c that do not match their sums: 1;"
check "no pool" truncate -s 64M "$work/empty"
check "is no clean pool" exits 8 pool check "$work/empty"
refused "and says so" "no pool|not a pool|no LitePool|superblock" pool check "$work/empty"
check "no file" exits 8 pool check "$work/nothing"
check "consent without repair" exits 8 pool check --accept-data-loss a "$disk"
done_testing

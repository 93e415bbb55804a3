#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A byte of a volume rots on the disk of a pool with checksums: the host gets Unrecovered Read Error for that block alone, the log, the counters, the scrub and the check say which; the other
# blocks go on, and what is written anew heals it. A pool without checksums shows the rotten byte, which is what checksums are for.
. "$(dirname "$0")/lib.sh"
requires "$perf_bin"
pool() { lp pool "$@"; }
volume() { lp volume "$@"; }
nqn=nqn.2025-01.io.litepool:sums
# on NSID OPTION...
on() {
    local nsid=$1
    shift
    load --port "$(port_of $nqn)" --nqn $nqn --nsid "$nsid" --qd 4 --seconds 60 "$@" || { cat "$work/perf" "$work/perf.err"; return 1; }
}
flip() { # DISK BYTE
    python3 -c 'import sys
f = open(sys.argv[1], "r+b"); f.seek(int(sys.argv[2])); b = f.read(1)[0]; f.seek(int(sys.argv[2])); f.write(bytes([b ^ 4]))' "$@"
}
# The first cluster of data that the maps name.
place() { "$cli_bin" pool dump -o json "$1" --maps | json '[m["phys"] for m in j["maps"] if m["phys"] and m["cluster"] == 0][0] << 20'; }
wrong_blocks() { rpc litepool_pool_stats | json '[p["sums"]["wrong_blocks"] for p in j if p["name"]=="sure"][0]'; }

start_engine || exit 1
pool create sure "$work/sure.img" --size 64M --checksums > /dev/null
pool create plain "$work/plain.img" --size 64M > /dev/null
volume create sure/v 8M > /dev/null
volume create plain/v 8M > /dev/null
check "two volumes are exported" lp export sure/v --nqn $nqn --listen 127.0.0.1:0 --any-host
check "in one subsystem" lp ns add $nqn plain/v
for nsid in 1 2; do
    check "namespace $nsid is written whole, and is right" on $nsid --mix 50 --size 8M --ios 2048 --verify
done
stop_engine || exit 1
check "block 3 of the one rots" flip "$work/sure.img" $(($(place "$work/sure.img") + 3 * 4096 + 77))
check "and of the other" flip "$work/plain.img" $(($(place "$work/plain.img") + 3 * 4096 + 77))
start_engine || exit 1
refused "with checksums the host gets Unrecovered Read Error" 'status 2/81' on 1 --size 16K --sequential --ios 4
check "it is counted" test "$(wrong_blocks)" -gt 0
check "the log has its place" has "$(grep pool.sum "$work/engine.log")" 'pool=sure'
check "the blocks before it are read" on 1 --size 12K --sequential --ios 3
check "and those behind it" on 1 --offset 16K --size 7M --ios 500
check "without checksums the block is shown" on 2 --size 16K --sequential --ios 4
check "a scrub" "$cli_bin" -s "$socket" --timeout "$LIMIT" pool scrub start sure --rate 1G --wait
check "finds the block" same "$(rpc litepool_pool_scrub_status '{"lvs_name":"sure"}' | json 'j["wrong_blocks"]')" 1
check "a snapshot is made of it" volume snapshot sure/v rotten
refused "which has the rotten block, too" 'status 2/81' on 1 --size 16K --sequential --ios 4
check "the block is written anew" on 1 --write --size 16K --sequential --ios 4
check "and is read" on 1 --size 16K --sequential --ios 4
stop_engine || exit 1
check "the check of all data finds what the snapshot has" has "$("$cli_bin" pool check --data "$work/sure.img" 2> /dev/null)" '^wrong data: blocks of .*rotten.* that do not match their sums: 1;'
start_engine || exit 1
check "the snapshot goes, and with it the rot" volume delete sure/rotten --wait
check "the volume is right" on 1 --size 8M --ios 1000
stop_engine || exit 1
check "and all data" "$cli_bin" pool check --data "$work/sure.img"
done_testing

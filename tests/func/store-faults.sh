#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Pools that run full, break or are missing: who is told, what goes on, and how it heals.
. "$(dirname "$0")/lib.sh"
requires "$perf_bin"
pool() { lp pool "$@"; }
volume() { lp volume "$@"; }
nqn() { echo "nqn.2025-01.io.litepool:$1"; }
export_it() { lp export "$1" --nqn "$(nqn "$2")" --listen 127.0.0.1:0 --any-host > /dev/null; }
on() {
    local name=$1
    shift
    load --port "$(port_of "$(nqn "$name")")" --nqn "$(nqn "$name")" --qd 8 --seconds 60 "$@" || { cat "$work/perf" "$work/perf.err"; return 1; }
}
event() { rpc notify_get_notifications | json "[x['ctx'] for x in j if x['type']=='$1']"; }
status() { "$cli_bin" -s "$socket" engine status; }

# ---- full ----
start_engine || exit 1
pool create small "$work/small.img" --size 64M > /dev/null
volume create small/a 40M --thick > /dev/null
volume create small/b 256M > /dev/null
volume create small/c 16M > /dev/null
for name in a b c; do export_it small/$name $name; done
refused "a thick volume that does not fit is refused" 'used nor reserved' volume create small/d 40M --thick
check "a thick volume is written whole" on a --write --sequential --size 40M --bs 64k --ios 640
refused "writing more than there is fails" 'status 0/81' on b --write --size 64M --ios 30000 --sequential
check "a watermark was told" has "$(event pool_space_above)" 'small 80'
check "and that the pool is full" has "$(event pool_space_above)" 'small 100'
check "a thick volume goes on" on a --mix 30 --size 32M --verify --ios 10000
lp ns remove "$(nqn b)" 1 > /dev/null
check "the volume that filled it is deleted" volume delete small/b --wait
check "and the pool heals without a restart" on c --mix 30 --size 8M --verify --ios 5000
check "that is told, too" has "$(event pool_space_below)" 'small 100'

# ---- a pool that cannot be opened ----
truncate -s 128M "$work/bad.img"
pool create bad "$work/bad.img" > /dev/null
volume create bad/v 16M > /dev/null
export_it bad/v bad
stop_engine || exit 1
cp "$work/bad.img" "$work/good.img"
for at in 0 1 2 3; do
    printf '\377\377\377\377' | dd of="$work/bad.img" bs=1 seek=$((at * 1048576 + 100)) conv=notrunc status=none
done
start_engine || exit 1
check "an engine with a damaged pool runs" rpc framework_wait_init
check "and says so" has "$(status)" 'bad.img: .*(superblock|damaged)'
check "its subsystem does not listen" same "$(rpc nvmf_subsystem_get_listeners "{\"nqn\":\"$(nqn bad)\"}" | json 'len(j)')" 0
check "the others go on" on c --mix 30 --size 8M --ios 2000
check "nothing that the disk knows was given up" has "$(rpc save_config)" "$(nqn bad)"
lp bdev delete bad.img > /dev/null
cp "$work/good.img" "$work/bad.img"
check "a good disk is opened" pool open "$work/bad.img"
check "and its subsystem listens again" on bad --mix 30 --size 8M --ios 2000
check "nothing waits any more" same "$(rpc litepool_engine_status | json '(len(j["problems"]), len(j["pool_problems"]))')" '(0, 0)'

# ---- a missing disk ----
stop_engine || exit 1
mv "$work/bad.img" "$work/away.img"
start_engine || exit 1
check "a missing disk of a pool is told" has "$(status)" 'bad.img does not exist'
check "its subsystem does not listen either" same "$(rpc nvmf_subsystem_get_listeners "{\"nqn\":\"$(nqn bad)\"}" | json 'len(j)')" 0
mv "$work/away.img" "$work/bad.img"
check "it is back: tried again" lp config retry
check "and everything is there" on bad --mix 30 --size 8M --ios 2000

# ---- the same pool twice ----
cp "$work/small.img" "$work/copy.img"
lp bdev create-file copy "$work/copy.img" > /dev/null
check "a copy of an open pool is not opened, and that is told" has "$(status)" 'copy of pool small'
check "the copy can go" lp bdev delete copy

# ---- a disk that breaks ----
truncate -s 256M "$work/flaky.img"
lp bdev create-file flaky0 "$work/flaky.img" > /dev/null
lp fault create flaky flaky0 > /dev/null
pool create frail flaky > /dev/null
volume create frail/v 32M > /dev/null
export_it frail/v frail
check "a pool on a fault layer" on frail --mix 30 --size 8M --verify --ios 3000
lp fault add flaky error --ops write,flush --error EIO > /dev/null
refused "its writes fail" 'error|write' on frail --write --size 8M --ios 2000
refused "and so do its operations, saying why" 'failed|Input/output' volume snapshot frail/v s
check "that is an event" has "$(event pool_failed)" frail
lp fault remove flaky > /dev/null
kill_engine
start_engine || exit 1
check "after a restart it is open again, under its fault layer" has "$(pool list)" 'frail +flaky +open'
check "with its volume" on frail --mix 30 --size 8M --ios 2000
stop_engine || exit 1
done_testing

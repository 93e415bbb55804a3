#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A pool on a disk that takes long, or does not answer at all for a while: nothing fails, nothing is lost, other pools do not notice, and what waits ends when the disk is back.
. "$(dirname "$0")/lib.sh"
requires "$perf_bin"
pool() { lp pool "$@"; }
volume() { lp volume "$@"; }
nqn() { echo "nqn.2025-01.io.litepool:$1"; }
on() {
    local name=$1
    shift
    load --port "$(port_of "$(nqn "$name")")" --nqn "$(nqn "$name")" --qd 8 --seconds 60 "$@" || { cat "$work/perf" "$work/perf.err"; return 1; }
}
acted() { rpc litepool_fault_list '{"name":"slow"}' | json 'sum(r["acted"] for r in j)'; }
has_acted() { [ "$(acted)" -gt 0 ]; }
wait_told() { ! wait "$job" || return 0; cat "$work/later"; return 1; }
running() { kill -0 "$1" 2> /dev/null; }
# later COMMAND...: in the background, its number in $job
later() {
    "$@" > "$work/later" 2>&1 &
    job=$!
}

start_engine --cores 2 || exit 1
truncate -s 256M "$work/slow.img"
lp bdev create-file slow0 "$work/slow.img" > /dev/null
lp fault create slow slow0 > /dev/null
pool create late slow --checksums > /dev/null
pool create quick "$work/quick.img" --size 128M > /dev/null
volume create late/v 32M > /dev/null
volume create quick/w 32M > /dev/null
lp export late/v --nqn "$(nqn v)" --listen 127.0.0.1:0 --any-host > /dev/null
lp export quick/w --nqn "$(nqn w)" --listen 127.0.0.1:0 --any-host > /dev/null

# ---- a slow disk ----
lp fault add slow delay --probability 0.2 --delay-us 20000 > /dev/null
lp fault add slow delay --ops flush --delay-us 30000 > /dev/null
lp fault add slow delay --probability 0.01 --delay-us 300000 > /dev/null
check "I/O on a slow disk is right" on v --mix 50 --size 4M --verify --versions "$work/versions" --ios 600
check "a snapshot is made" volume snapshot late/v s
check "the volume goes on" on v --mix 50 --size 4M --verify --ios 300
check "a clone is made" volume clone late/s c
check "and inflated" volume inflate late/c --wait
check "the snapshot goes" volume delete late/s --wait
check "and the clone" volume delete late/c --wait
check "the disk was slow" has_acted
check "the other pool is a pool as ever" on w --mix 50 --size 8M --verify --ios 2000

# ---- one that does not answer ----
lp fault remove slow > /dev/null
check "the volume is filled" on v --mix 0 --size 4M --verify --versions "$work/versions" --ios 2000
lp fault add slow hang > /dev/null
start_load --port "$(port_of "$(nqn v)")" --nqn "$(nqn v)" --qd 8 --mix 50 --size 4M --verify --versions "$work/versions" --keep
wait_for has_acted
later volume snapshot late/v stuck
check "another pool goes on" on w --mix 50 --size 8M --verify --ios 2000
check "with its operations" volume snapshot quick/w t
check "and its deletes" volume delete quick/t --wait
check "and takes options" pool set quick --commit-percent 200
check "the engine answers" has "$(pool list)" 'late +slow +open'
check "what is asked of the pool waits" running "$job"
check "nothing has failed" has "$(pool list)" 'late +slow +open'
lp fault remove slow > /dev/null
check "the disk is back: the snapshot is made" wait "$job"
check "and no I/O has failed, none is wrong" stop_load
check "the snapshot is there" has "$(volume list)" 'late/stuck'

# ---- closing and deleting meanwhile ----
lp ns remove "$(nqn v)" 1 > /dev/null
check "the snapshot is not needed any more" volume delete late/stuck --wait
volume create late/gone 16M > /dev/null
lp fault add slow hang --ops write,flush > /dev/null
later volume delete late/gone
wait_for has_acted
check "a delete waits for the disk" running "$job"
"$cli_bin" -s "$socket" --timeout "$LIMIT" engine pool close late > "$work/close" 2>&1 &
closing=$!
check "the other pool still goes on" on w --mix 50 --size 8M --verify --ios 2000
check "the pool is not closed before" running "$closing"
lp fault remove slow > /dev/null
check "the delete ends" wait "$job"
check "and the pool is closed" wait "$closing"
check "it is opened again" pool open slow
check "without what was deleted" same "$(volume list | grep -c late/)" 1
lp export late/v --nqn "$(nqn v2)" --listen 127.0.0.1:0 --any-host > /dev/null
check "with all data" on v2 --mix 50 --size 4M --verify --versions "$work/versions" --keep --ios 500

# ---- the engine is told to end while a pool is being made ----
truncate -s 64M "$work/half.img"
lp bdev create-file half0 "$work/half.img" > /dev/null
lp fault create half half0 > /dev/null
lp fault add half delay --delay-us 300000 > /dev/null
half_acted() { [ "$(rpc litepool_fault_list '{"name":"half"}' | json 'sum(r["acted"] for r in j)')" -gt 0 ]; }
later pool create made half
wait_for half_acted
check "it ends in order, with a pool half made" stop_engine
refused "who made it is told" 'closed the connection|stops' wait_told
start_engine || exit 1
lp pool create made half > /dev/null 2>&1 # all of it was there, or nothing
check "what it left is a pool, or becomes one" has "$(pool list)" 'made +half +open'
stop_engine || exit 1
check "and it is sound" "$cli_bin" pool check --data "$work/slow.img"
done_testing

#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# kill -9 of an engine with pools, while one volume is written and snapshots, clones and deletes of it go on: what was flushed before is right on all volumes, a snapshot does not
# change, exports come back by themselves. LITEPOOL_KILLS: how often (8).
#
# lp-perf's end is a shutdown of its controller, which flushes: what such a run has written, and keeps in its file of versions, must be there after every kill.
. "$(dirname "$0")/lib.sh"
requires "$perf_bin"
kills=${LITEPOOL_KILLS:-8}

pool() { lp pool "$@"; }
volume() { lp volume "$@"; }
export_it() { lp export "p/$1" --nqn "nqn.2025-01.io.litepool:$1" --listen 127.0.0.1:0 --any-host > /dev/null; }
# on NAME OPTION...: verified I/O on a volume; its versions are kept
on() {
    local name=$1
    shift
    load --port "$(port_of "nqn.2025-01.io.litepool:$name")" --nqn "nqn.2025-01.io.litepool:$name" --size 16M --qd 8 --seconds 60 --verify --versions "$work/$name.versions" "$@" ||
        { cat "$work/perf" "$work/perf.err"; return 1; }
}
# what a control plane does, until the engine is gone
churn() {
    trap - EXIT # lib.sh's would tidy up under the test
    local i=0
    while volume snapshot p/busy "s$1-$i" && volume clone "p/s$1-$i" "c$1-$i"; do
        [ $i = 0 ] || { volume delete "p/c$1-$((i - 1))" && volume delete "p/s$1-$((i - 1))"; } || break
        i=$((i + 1))
    done > /dev/null 2>&1
}
tidy() {
    local kind name
    for kind in c s; do
        for name in $(volume list p | awk -v kind=$kind 'NR > 1 && $1 ~ "/" kind "[0-9]" { print $1 }'); do
            volume delete "$name" || return 1
        done
    done
}

start_engine || exit 1
check "a pool with three volumes" pool create p "$work/disk.img" --size 2G
for name in db log busy; do
    volume create "p/$name" 64M > /dev/null && export_it $name
done
check "the first is written" on db --mix 0 --ios 4000
check "a snapshot keeps it" volume snapshot p/db kept
cp "$work/db.versions" "$work/kept.versions"
export_it kept
check "the second is written" on log --mix 0 --ios 4000
before=$(port_of nqn.2025-01.io.litepool:db)
for ((k = 1; k <= kills; k++)); do
    port=$(port_of nqn.2025-01.io.litepool:busy) # not within what is killed below
    "$perf_bin" --port "$port" --nqn nqn.2025-01.io.litepool:busy --size 32M --mix 30 --qd 16 --seconds 60 > /dev/null 2>&1 &
    load_pid=$!
    churn $k &
    churn_pid=$!
    [ $((k % 2)) = 0 ] && on db --keep --mix 50 --ios 3000
    read -rt "0.$((k * 37 % 90 + 10))" <> <(:) || true # somewhere in what goes on
    kill_engine
    kill "$load_pid" 2> /dev/null # its target is gone: it may have ended
    wait "$churn_pid" "$load_pid" 2> /dev/null
    load_pid=
    start_engine || exit 1
    check "kill $k: what was flushed is there, and can be written" on db --keep --mix 50 --ios 2000
    check "kill $k: on the other volume too" on log --keep --mix 50 --ios 2000
    check "kill $k: the snapshot is as it was" on kept --keep --mix 100 --ios 2000
    check "kill $k: clones and snapshots are deleted" tidy
done
check "the exports came back by themselves" same "$(port_of nqn.2025-01.io.litepool:db)" "$before"
check "background work ends" volume work --wait
check "nothing is left of what was deleted" same "$(volume list p | wc -l)" 5
stop_engine || exit 1
done_testing

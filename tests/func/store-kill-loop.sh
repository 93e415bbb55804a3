#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# kill -9 of an engine with a pool, many times, while ONE verified load goes on through all of them: overwrites of what was flushed before the first kill, on one volume; besides
# it snapshots, clones and deletes of another, which is written too. LITEPOOL_KILLS: how often (8). make kill KILLS=1000 is the long run.
. "$(dirname "$0")/lib.sh"
requires "$perf_bin"
kills=${LITEPOOL_KILLS:-8}
nqn=nqn.2025-01.io.litepool

export_it() { lp export "p/$1" --nqn "$nqn:$1" --listen 127.0.0.1:0 --any-host > /dev/null; }
as() { # as NAME: options of a verified load on it
    perf_options=(--port "$(port_of "$nqn:$1")" --nqn "$nqn:$1" --qd 8 --size 16M --verify --versions "$work/$1.versions")
}
on() { # on NAME OPTION...
    as "$1"
    shift
    "$perf_bin" "${perf_options[@]}" "$@"
}
# Since this engine started the hosts are back, and one has written some hundred times. No python here: this is asked many times between two kills.
busy() { ! kill -0 "$load_pid" 2> /dev/null || rpc bdev_get_iostat | finds -E '"num_write_ops": *([3-9][0-9]{2}|[0-9]{4,})'; }
churn() { # in every second round a snapshot and a clone come, those before go: the other kills meet the merging that this sets going
    [ $(($1 % 2)) = 1 ] || return 0
    [ "$1" = 1 ] || { lp volume delete "p/c$(($1 - 2))" && lp volume delete "p/s$(($1 - 2))"; } || return 1
    lp volume snapshot p/busy "s$1" && lp volume clone "p/s$1" "c$1"
    last=$1
}

start_engine || exit 1
check "a pool" lp pool create p "$work/disk.img" --size 2G
for name in db busy; do lp volume create "p/$name" 64M > /dev/null && export_it $name; done
check "the first volume is written" on db --mix 0 --ios 2000 --seconds 60
check "a snapshot keeps it" lp volume snapshot p/db kept
cp "$work/db.versions" "$work/kept.versions"
check "all of it in the head again" on db --mix 0 --ios 2000 --seconds 60
export_it kept
port=$(port_of $nqn:busy)
"$perf_bin" --port "$port" --nqn $nqn:busy --size 32M --mix 30 --qd 8 --seconds 36000 --reconnect > /dev/null 2>&1 &
busy_pid=$!
as db
"$perf_bin" "${perf_options[@]}" --mix 50 --seconds 36000 --keep --reconnect > "$work/load" 2> "$work/load.err" &
load_pid=$!
for ((k = 1; k <= kills; k++)); do
    wait_for busy || { check "the hosts are back after kill $((k - 1))" false; break; }
    churn $k > "$work/churn" 2>&1 || { check "snapshot, clone and delete in round $k: $(cat "$work/churn")" false; break; }
    kill_engine
    start_engine || { check "the engine starts after kill $k" false; break; }
    kill -0 "$load_pid" 2> /dev/null || break # it has found something
done
check "$kills kills" same $((k - 1)) "$kills"
wait_for busy
kill -TERM "$load_pid" 2> /dev/null
wait "$load_pid"
check "the load ends well" same $? 0
load_pid=
check "nothing wrong, nothing failed" same "$(json 'j["mismatches"], j["errors"], j["not_ended"]' < "$work/load")" "0 0 0"
sed 's/^/# /' "$work/load.err"
kill -TERM "$busy_pid"
wait "$busy_pid" 2> /dev/null
check "the snapshot is as it was" on kept --mix 100 --ios 1000 --seconds 60 --keep
check "exports kept their ports" same "$(port_of $nqn:busy)" "$port"
check "the last clone goes" lp volume delete "p/c$last"
check "the last snapshot goes" lp volume delete "p/s$last"
check "background work ends" lp volume work --wait
check "nothing is left" same "$(lp volume list p | wc -l)" 4
stop_engine || exit 1
done_testing

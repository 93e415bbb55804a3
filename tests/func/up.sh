#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# litepool up, status, down without systemd: API, controller, engine and agent of one machine; a volume through the command line, verified I/O over
# NVMe/TCP, a snapshot, a volume out of it, expansion, deletion; parts that die; nothing left behind.
. "${LITEPOOL_SOURCE:?}/tests/func/lib.sh"
requires "${LITEPOOL_AGENT:-$build/src/agent/litepool-agent}"
export LITEPOOL_SERVER=unix:$work/lp/run/api.sock LITEPOOL_ENGINE_SOCKET=$work/lp/run/engine.sock
say() { "$cli_bin" --timeout "$LIMIT" "$@"; }
socket=$work/lp/run/engine.sock
dir=(--no-systemd "$work/lp")
trap 'say down "${dir[@]}" --force > /dev/null 2>&1; cleanup' EXIT
prints() { local pattern=$1; shift; "$@" > "$work/got" 2>&1 || { cat "$work/got"; return 1; }; grep -qE -- "$pattern" "$work/got" || { echo "no /$pattern/ in:"; cat "$work/got"; return 1; }; }
of() { say -o json volume show "$1" | json "$2"; }
target() { of "$1" "j['status']['targets'][0]['$2']"; }
hostnqn() { say -o json node show n1 | json 'j["spec"]["hostNQN"]'; }
# io VOLUME OPTION...: verified I/O as node n1
io() {
    load --port "$(target "$1" port)" --nqn "$(target "$1" nqn)" --hostnqn "$(hostnqn)" \
        --size 16M --qd 16 --verify "${@:2}" || { cat "$work/perf" "$work/perf.err"; return 1; }
    json 'j["errors"] + j["mismatches"] + j["not_ended"]' < "$work/perf" | finds -x 0
}
pid_of() { cut -d' ' -f1 "$work/lp/run/$1.pid"; }

refused "status says what to do when nothing runs" "Start it: litepool up" say status "${dir[@]}"
check "up" prints 'pool n1-file on' say up "${dir[@]}" --node n1 --file 1G
check "again is fine" prints 'node n1 is ready' say up "${dir[@]}" --node n1 --file 1G
check "status" prints 'agent +active' say status "${dir[@]}"
check "a volume" prints 'volume/v1 is ready' say volume create v1 128M --wait
check "is let in" prints 'lets n1 in' say attach v1 --node n1 --no-device
check "others are not" eval '! load --port "$(target v1 port)" --nqn "$(target v1 nqn)" --size 1M --seconds 0.2'
check "verified I/O" io v1 --mix 50 --seconds 0.5 --versions "$work/v1"
cp "$work/v1" "$work/v1.then"
check "a snapshot" prints 'snapshot/s1 is ready' say snapshot create s1 v1 --wait
check "I/O goes on" io v1 --mix 0 --seconds 0.5 --seed 2 --keep --versions "$work/v1"
check "a volume out of the snapshot" prints 'volume/v2 is ready' say volume create v2 128M --from-snapshot s1 --wait
check "is let in, too" prints 'lets n1 in' say attach v2 --node n1 --no-device
check "it has what was there then" io v2 --read --seconds 0.3 --keep --versions "$work/v1.then"
check "the first has what is there now" io v1 --read --seconds 0.3 --keep --versions "$work/v1"
check "expansion" prints expanded say volume expand v1 256M --wait
check "a host sees it" eval 'rpc bdev_get_bdevs | json "[b[\"num_blocks\"]*b[\"block_size\"] for b in j]" | finds 268435456'
refused "more than there is stays a wish, with the reason" "waited 3 s.*" say --timeout 3 volume expand v1 500G --wait
refused "down while attached" "is attached to n1" say down "${dir[@]}"
agent=$(pid_of agent)
check "the agent dies" kill -9 "$agent"
check "and is started again alone" eval 'engine=$(pid_of engine); prints "node n1 is ready" say up "${dir[@]}" --node n1 && [ "$(pid_of engine)" = "$engine" ] && [ "$(pid_of agent)" != "$agent" ]'
check "detach" prints 'is detached' say detach v2 --node n1
check "delete" prints deleted say volume delete v2 --accept-volume-loss=v2 --wait
refused "who was detached is out" "." io v2 --read --seconds 0.2
check "and the last" eval 'prints detached say detach v1 --node n1 && prints deleted say volume delete v1 --accept-volume-loss=v1 --wait'
check "the snapshot" prints deleted say snapshot delete s1 --accept-volume-loss=s1 --wait
check "the engine has no volume and no export left" eval '[ "$(rpc bdev_get_bdevs | json "len(j)")" -le 1 ] && [ "$(rpc nvmf_get_subsystems | grep -c io.litepool:volume:)" = 0 ]'
pids="$(pid_of controller) $(pid_of engine) $(pid_of agent)"
check "down" prints 'all is ended' say down "${dir[@]}"
ended() { local pid; for pid; do [ ! -e "/proc/$pid" ] || grep -q '^[0-9]* ([^)]*) Z' "/proc/$pid/stat" || { echo "$pid runs"; return 1; }; done; }
check "ends all three" ended $pids
check "again is fine" prints 'all is ended' say down "${dir[@]}"
done_testing

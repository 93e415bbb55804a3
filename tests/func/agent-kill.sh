#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# 50 volumes at once while agent and engine are killed -9 at random; what the sweep may remove and what not. After each the engine has what is declared, and nothing else.
. "${LITEPOOL_SOURCE:?}/tests/func/agent-lib.sh"
requires "$perf_bin"
RANDOM=${LITEPOOL_SEED:-1}
many=50

check "API and controller" start_control
start_agent
check "the node" wait_for ready node node-1
check "a pool" pool p1 4Gi
check "is made" wait_for ready pool p1

all_ready() { [ "$(req GET "$(kind_path volume)")" = 200 ] && [ "$(json 'sum(v.get("status", {}).get("phase") == "Ready" for v in j["items"])' < "$work/answer")" = "$1" ]; }
none_left() { [ "$(req GET "$(kind_path volume)")" = 200 ] && [ "$(json 'len(j["items"])' < "$work/answer")" = 0 ]; }
make_many() { for i in $(seq $many); do volume_of "v$i" 32Mi || return 1; done; }
strike() {
    if [ $((RANDOM % 2)) = 0 ]; then
        kill_agent
        start_agent
    else
        local pid
        pid=$(engine_of) && kill -9 "$pid" 2> /dev/null
    fi
}
# As many strikes as it takes states to come by: each waits until a few more are ready.
some_ready() { [ "$(req GET "$(kind_path volume)")" = 200 ] && [ "$(json 'sum(v.get("status", {}).get("phase") == "Ready" for v in j["items"])' < "$work/answer")" -ge "$1" ]; }
check "$many volumes" make_many
for n in 3 10 20 30 40; do
    check "$n of them" wait_for some_ready $n
    strike
done
check "all become ready" wait_for all_ready $many
check "one lvol and one export each" wait_for counts $many $many
one_each() {
    same "$(rpc bdev_lvol_get_lvols | json 'len({v["uuid"] for v in j}), len({v["name"] for v in j})')" "$many $many"
}
check "each of its own" one_each

check "the host as a node" post node "{\"metadata\":{\"name\":\"node-2\"},\"spec\":{\"hostNQN\":\"$host\"}}"
check "one is used" patch volume v7 '{"spec":{"attachedNodes":["node-2"]}}'
attached() { is volume "$1" 'j["status"]["attachedNodes"] or []' "$2"; }
check "by it" wait_for attached v7 "['node-2']"
start_use v7 --size 8M --mix 30 --qd 4 --verify --reconnect
connected() { [ "$(rpc nvmf_subsystem_get_controllers "{\"nqn\":\"$(nqn_of v7)\"}" | json 'len(j)')" != 0 ]; }
check "it is connected" wait_for connected
old=$(engine_of)
kill -9 "$old"
new_engine() { local pid; pid=$(engine_of) && [ "$pid" != "$old" ]; }
check "a new engine" wait_for new_engine
check "the host is back" wait_for connected
check "verified I/O goes on" stop_load
check "with no mismatch" same "$(perf_field mismatches) $(perf_field errors)" "0 0"
event() { req GET "/api/v1/namespaces/default/events" > /dev/null; json 'any(e["reason"] == "EngineDied" for e in j["items"])' < "$work/answer" | finds True; }
check "the crash is told" wait_for event

# What is not ours stays, what is ours and declared nowhere goes.
check "a volume that an administrator made" rpc bdev_lvol_create '{"lvs_name":"p1","lvol_name":"mine","size_in_mib":16,"thin_provision":true}'
kill_agent
finalizers() { patch volume v9 '{"metadata":{"finalizers":[]}}'; }
nine=$(uid_of volume v9)
check "a volume vanishes without its agent" eval 'erase volume v9; finalizers'
check "away" wait_for gone volume v9
has_nine() { rpc bdev_get_bdevs "{\"name\":\"$nine\"}"; }
no_nine() { ! has_nine; }
check "its data is still there" has_nine
start_agent
check "the sweep removes it" wait_for no_nine
check "and its export" wait_for counts $many $((many - 1))
check "what the administrator made stays" rpc bdev_get_bdevs '{"name":"p1/mine"}'
check "it goes by hand" rpc bdev_lvol_delete '{"name":"p1/mine"}'

# The API is away: nothing is removed.
kill_control
refused "no API" . curl -sS --max-time 2 --unix-socket "$api" http://x/healthz
check "it comes back" start_control
check "all are there" counts $((many - 1)) $((many - 1))

# A pool that had data is not made anew.
check "detached" patch volume v7 '{"spec":{"attachedNodes":[]}}'
check "fenced" wait_for attached v7 '[]'
kill_agent
kill -9 "$(engine_of)"
mv "$work/p1.img" "$work/hidden.img"
start_agent
check "its file is gone" wait_for reason pool p1 DeviceMissing
check "none was made" test ! -e "$work/p1.img"
mv "$work/hidden.img" "$work/p1.img"
check "it comes back" wait_for ready pool p1
check "with all volumes" wait_for all_ready $((many - 1))

erase_many() { for i in $(seq $many); do [ "$i" = 9 ] || erase volume "v$i" || return 1; done; }
check "all are deleted" erase_many
some_left() { [ "$(req GET "$(kind_path volume)")" = 200 ] && [ "$(json 'len(j["items"])' < "$work/answer")" -le "$1" ]; }
for n in 40 20; do
    check "$n are left" wait_for some_left $n
    strike
done
check "they go" wait_for none_left
check "nothing is left on the engine" wait_for counts 0 0
check "the pool goes" erase pool p1
check "away" wait_for gone pool p1
closed() { [ "$(rpc bdev_lvol_get_lvstores)" = "[]" ] && [ "$(rpc bdev_get_bdevs)" = "[]" ]; }
check "it is closed on the engine" wait_for closed
check "its data is not touched" test -s "$work/p1.img"
done_testing

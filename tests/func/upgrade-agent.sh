#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# kill -9 of the node's agent, and of who has asked for the upgrade, at steps of a hand-over (LITEPOOL_STEPS=all: at each). The engine stands still at that step until they are dead. It goes
# on to its end: another engine serves, alone, hosts see nothing, and the next agent finds all as it was.
. "$(dirname "$0")/upgrade-lib.sh"
. "$(dirname "$0")/agent-lib.sh"
requires "$agent_bin" "$perf_bin"
export LITEPOOL_FAILPOINTS=1
state_dir=$work/engine
engines() { pgrep -f -- "--state-dir $state_dir --supervisor " || :; }
end_upgrade_agent() {
    local pid
    if [ -n "$supervisor_pid" ]; then
        kill -9 "$supervisor_pid"
        wait "$supervisor_pid"
        for pid in $(engines); do kill -9 "$pid"; done
    fi 2> /dev/null
    end_all
    cleanup
}
trap end_upgrade_agent EXIT

supervised() {
    "$supervisor_bin" --engine "$engine_bin" --state-dir "$state_dir" --stuck 0 -- --rpc-socket "$socket" >> "$work/engine.log" 2>&1 &
    supervisor_pid=$!
    wait_for answers
}
agent() { start_agent --engine external; }
check "the engine, under its supervisor" supervised
check "the controller" start_control
agent
check "a pool is declared" pool p1
check "... and ready" wait_for ready pool p1
check "a volume is declared" volume_of v1 32Mi
check "... and ready" wait_for ready volume v1
check "the host as a node" post node "{\"metadata\":{\"name\":\"node-2\"},\"spec\":{\"hostNQN\":\"$host\"}}"
check "the volume is for it" patch volume v1 '{"spec":{"attachedNodes":["node-2"]}}'
attached() { is volume v1 'j["status"]["attachedNodes"] or []' "['node-2']"; }
check "... now" wait_for attached
start_use v1 --mix 50 --qd 4 --conns 2 --size 8M --verify
ops() { rpc bdev_get_iostat | json 'sum(b["num_write_ops"] for b in j["bdevs"])'; }
busy() { local a; a=$(ops) && read -rt 0.05 <> <(:); [ "$(ops)" -gt "$a" ]; }
check "I/O runs" wait_for busy

stopped() { # the engine that stands still
    local pid
    for pid in $(engines); do grep -q '^State:.T' "/proc/$pid/status" && echo "$pid" && return; done 2> /dev/null
    return 1
}
upgraded() { one_engine && [ "$(rpc litepool_upgrade_status | json 'j["state"]')" = done ] && [ "$(serving_pid)" != "$before" ]; }
# hit SIDE STEP
hit() {
    before=$(serving_pid)
    "$cli_bin" -s "$socket" engine rpc litepool_upgrade_start "{\"fail_at\":\"$1:$2:stop\",\"deadline_ms\":60000}" > "$work/hit" 2>&1 &
    local asker=$!
    wait_for stopped > /dev/null || { cat "$work/hit"; return 1; }
    kill_agent
    kill -9 $asker 2> /dev/null # it may have its answer already
    wait $asker 2> /dev/null
    kill -CONT "$(stopped)"
    wait_for upgraded || { cat "$work/hit"; rpc litepool_upgrade_status; return 1; }
    agent
}
old="freeze" new="take-over"
# (Before "plan" the new engine has not heard of fail points.)
if [ "${LITEPOOL_STEPS:-}" = all ]; then
    old="spawn connect hold-calls hold-pools prepare warm hold-rpc calm freeze freeze-pools save state ready"
    new="plan replay follow warmed follow-to restore ready take-over stats serving"
fi
for step in $old; do check "the agent is killed when the old engine is at $step" hit old "$step"; done
for step in $new; do check "the agent is killed when the new engine is at $step" hit new "$step"; done
v2() { volume_of v2 16Mi && wait_for ready volume v2; }
check "the next agent works: another volume" v2
check "the first is as it was" ready volume v1
check "nothing twice" counts 2 2
check "I/O still runs" wait_for busy
check "the load ends well" loud stop_load
check "nothing wrong, nothing failed, nobody reconnected" same "$(json 'j["mismatches"], j["errors"], j["not_ended"], j["reconnects"]' < "$work/perf")" "0 0 0 0"
check "the agent stops" stop_agent
check "stop" stop_supervised
check "the pool is clean" "$cli_bin" pool check "$work/p1.img"
done_testing

#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The agent with a wall clock that is hours ahead, hours behind, and jumps while it runs; the controller's is right. Whether a node lives, who is let in and who is fenced, what is removed
# and what events are told depend on none of it.
export LITEPOOL_TEST_AGENT=${LITEPOOL_BUILD:?}/tests/func/litepool-agent-wrong-clock
. "${LITEPOOL_SOURCE:?}/tests/func/agent-lib.sh"
requires "$perf_bin"
export LITEPOOL_TEST_CLOCK=$work/clock
lease_path=/apis/coordination.k8s.io/v1/namespaces/litepool-node-lease/leases/node-1

clock() { echo "$1" > "$work/clock.new" && mv "$work/clock.new" "$LITEPOOL_TEST_CLOCK"; }
lease() { req GET $lease_path > /dev/null; json "j$1" < "$work/answer"; }
# Hours that the last renewal says that the clock is wrong.
lease_hours() {
    req GET $lease_path > /dev/null
    python3 -c 'import datetime, json, sys
told = datetime.datetime.fromisoformat(json.load(open(sys.argv[1]))["spec"]["renewTime"].replace("Z", "+00:00"))
print(round((told - datetime.datetime.now(datetime.timezone.utc)).total_seconds() / 3600))' "$work/answer"
}
lease_wrong_by() { same "$(lease_hours)" "$1"; }
renewals() { lease '["metadata"]["annotations"]["litepool.io/renewals"]'; }
renewed_to() { [ "$(renewals)" -ge "$1" ]; }
# For longer than a Lease holds (five renewals each) the node is Ready whenever one looks.
stays_ready() {
    local first n
    first=$(renewals)
    for n in $(seq 1 6); do
        wait_for renewed_to $((first + n)) && ready node node-1 || return 1
    done
}
silent() { is node node-1 'condition("Ready")["status"]' Unknown; }
attached() { is volume "$1" 'j["status"]["attachedNodes"] or []' "$2"; }
events_of() { req GET "/api/v1/namespaces/default/events" > /dev/null; json "sum(e.get('count', 1) for e in j['items'] if e['reason'] == '$1')" < "$work/answer"; }
died_times() { same "$(events_of EngineDied)" "$1"; }
new_engine() { local pid; pid=$(engine_of) && [ "$pid" != "$old" ]; }
engine_dies() { old=$(engine_of); kill -9 "$old"; wait_for new_engine; }
connected() { [ "$(rpc nvmf_subsystem_get_controllers "{\"nqn\":\"$(nqn_of a)\"}" | json 'len(j)')" != 0 ]; }

# What a node does, with the clock as it is. $1: hours that it is wrong, $2: how many engines have died until now.
life() {
    local writer
    check "$1 h: its Lease says so" wait_for lease_wrong_by "$1"
    check "$1 h: the node stays Ready" stays_ready
    check "$1 h: a volume" volume_of a 64Mi ',"attachedNodes":["node-2"]'
    check "$1 h: is made, and lets the host in" wait_for attached a "['node-2']"
    use a --size 8M --write --qd 16 --seconds 60 --reconnect &
    writer=$!
    check "$1 h: which writes" wait_for connected
    check "$1 h: and is sent away" patch volume a '{"spec":{"attachedNodes":[]}}'
    check "$1 h: it is fenced" wait_for attached a '[]'
    check "$1 h: its connections are cut" eval '! connected'
    kill -9 $writer
    wait $writer 2> /dev/null
    check "$1 h: an engine that dies" engine_dies
    check "$1 h: is told, once" wait_for died_times "$2"
    check "$1 h: events are listed" eval '"$cli_bin" --server "unix:$api" events | finds EngineDied'
    check "$1 h: a snapshot" post snapshot '{"metadata":{"name":"s"},"spec":{"volumeName":"a"}}'
    check "$1 h: is cut" wait_for is snapshot s 'j["status"]["readyToUse"]' True
    check "$1 h: both go" eval 'erase snapshot s && wait_for gone snapshot s && erase volume a && wait_for gone volume a'
    check "$1 h: nothing is left on the engine" wait_for counts 0 0
}

check "API and controller" start_control
clock 25200
start_agent --lease 5
check "the node" wait_for ready node node-1
check "the host as a node" post node "{\"metadata\":{\"name\":\"node-2\"},\"spec\":{\"hostNQN\":\"$host\"}}"
check "a pool" pool p1 1Gi
check "is made" wait_for ready pool p1
life 7 1

# It jumps back by half a day, while the agent runs.
clock -18000
life -5 2
check "the agent is the same process" kill -0 "$agent_pid"

# A dead agent whose Lease was renewed in the future counts as dead all the same.
clock 25200
check "ahead again" wait_for lease_wrong_by 7
check "a volume" volume_of b 64Mi
check "is made" wait_for ready volume b
kill_agent
check "a dead agent is Unknown, though its Lease is of the future" wait_for silent
check "its volume stays" is volume b 'j["status"]["nodeName"]' node-1
check "so does its export" counts 1 1
# It comes back with a clock that is far behind what its own Lease says.
clock -18000
start_agent --lease 5
check "it comes back, hours before its last sign of life" wait_for ready node node-1
check "and stays" stays_ready
check "the volume is ready" wait_for ready volume b
check "it goes" eval 'erase volume b && wait_for gone volume b'
check "SIGTERM ends the agent" stop_agent
done_testing

#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The real agent on an engine that misbehaves (faulty-engine.py: a real one, whose answers are errors of each code, lost, cut, nonsense, late, or that is killed between two calls), while
# volumes are made, expanded, limited, attached, cut, cloned and deleted. When the engine behaves again all is as declared, once each, with the data that were there.
. "${LITEPOOL_SOURCE:?}/tests/func/agent-lib.sh"
requires "$perf_bin"
many=6
faulty=$work/faulty.sock
faulty_pid=
leave() {
    [ -z "$faulty_pid" ] || { kill "$faulty_pid"; wait "$faulty_pid"; } 2> /dev/null
    [ $n_failed = 0 ] || tail -n 20 "$work/faulty.log" | sed 's/^/# /'
    end_all
    cleanup
}
trap leave EXIT

mkdir -p "$work/engine"
"$source_dir/tests/func/faulty-engine.py" "$faulty" "$socket" "$engine_bin" --state-dir "$work/engine" >> "$work/faulty.log" 2>&1 &
faulty_pid=$!
on_faulty() { "$cli_bin" -s "$faulty" --timeout 20 engine rpc "$@"; }
errors='"error:-5","error:-11","error:-12","error:-16","error:-19","error:-2","error:-17","error:-28","error:-95","error:-110","error:-32601","error:-32602","error:-32603","error:-1"'
misbehave() { on_faulty test_faults "{\"every\":${1:-11},\"actions\":[$errors,\"lost\",\"cut\",\"garbage\",\"null\",\"number\",\"object\",\"other-id\",\"late:0.3\",\"restart\",\"done-restart\"]}"; }
behave() { on_faulty test_faults '{"every":0,"actions":[]}'; }
faults() { on_faulty test_counts | json 'j["all"]'; }
more_faults() { [ "$(faults)" -ge "$1" ]; }
# suffers N: until N more faults have happened, or until there is nothing more to be done
n_faults=0
suffers() { n_faults=$((n_faults + $1)); wait_for more_faults $n_faults; }
each() { local i; for i in $(seq $many); do eval "${*//@/$i}" || return 1; done; }
list_is() { [ "$(req GET "$(kind_path "$1")")" = 200 ] && [ "$(json "$2" < "$work/answer")" = "$3" ]; }
ready_count() { list_is "$1" 'sum(any(c["type"] == "Ready" and c["status"] == "True" for c in v.get("status", {}).get("conditions", [])) and not v["metadata"].get("deletionTimestamp") for v in j["items"])' "$2"; }
none_left() { list_is "$1" 'len(j["items"])' 0; }
sizes() { list_is volume "sum(v.get('status', {}).get('size') == $1 for v in j['items'])" "$2"; }
one_each() { rpc bdev_lvol_get_lvols | json '"\n".join(str((v["name"], v["uuid"], v["labels"])) for v in j)'; same "$(rpc bdev_lvol_get_lvols | json 'len(j), len({v["uuid"] for v in j})')" "$1 $1" && same "$(exports)" "$2"; }

check "a real engine that can misbehave" wait_for on_faulty framework_wait_init
check "API and controller" start_control
"$agent_bin" --node node-1 --server "unix:$api" --state-dir "$work/agent" --engine external --engine-socket "$faulty" --addresses 127.0.0.1 --target-port 0 \
    --root "$work/root" --poll 1 --check 2 --metrics-socket "$work/metrics.sock" >> "$work/agent.log" 2>&1 &
agent_pid=$!
check "the node" wait_for ready node node-1
check "the host as a node" post node "{\"metadata\":{\"name\":\"host\"},\"spec\":{\"hostNQN\":\"$host\"}}"

# A pool is made by an engine that does not do well.
check "the engine misbehaves" misbehave 3
check "a pool" pool p1 2Gi
check "under faults" suffers 10
check "it behaves again" behave
check "the pool is there" wait_for ready pool p1
check "once" same "$(rpc bdev_lvol_get_lvstores | json 'len(j)')" 1
capacity() { is pool p1 'int(j["status"]["capacity"]) > 1 << 30' True; }
check "with its capacity" wait_for capacity
attached() { is volume "$1" 'j["status"]["attachedNodes"] or []' "$2"; }
check "a volume with data" eval 'volume_of data 64Mi ",\"attachedNodes\":[\"host\"]" && wait_for attached data "['"'host'"']"'
check "written" use data --size 8M --mix 0 --qd 8 --seconds 0.2 --verify --versions "$work/data.versions"

check "it misbehaves" misbehave
check "$many volumes" each 'volume_of v@ 32Mi'
check "under faults" suffers 24
check "it behaves again" behave
check "all are ready" wait_for ready_count volume $((many + 1))
check "one lvol and one export each" wait_for one_each $((many + 1)) $((many + 1))

check "it misbehaves" misbehave
check "all are expanded, limited and given to the host" each 'patch volume v@ "{\"spec\":{\"size\":\"64Mi\",\"qos\":{\"iops\":5000},\"attachedNodes\":[\"host\"]}}"'
check "under faults" suffers 24
check "it behaves again" behave
check "all have their size" wait_for sizes $((64 << 20)) $((many + 1))
hosts_are() { [ "$(rpc nvmf_get_subsystems | json "sum([h['nqn'] for h in s.get('hosts', [])] == ['$host'] for s in j if ':volume:' in s['nqn'])")" = "$1" ]; }
limits_are() { [ "$(rpc bdev_get_bdevs | json 'sum(b.get("assigned_rate_limits", {}).get("rw_ios_per_sec") == 5000 for b in j)')" = "$1" ]; }
check "the engine lets that host in, and nobody else" wait_for hosts_are $((many + 1))
check "and keeps the limits" wait_for limits_are $many

check "it misbehaves" misbehave
check "snapshots" each 'post snapshot "{\"metadata\":{\"name\":\"s@\"},\"spec\":{\"volumeName\":\"v@\"}}"'
check "clones of volumes" each 'volume_of c@ 64Mi ",\"source\":{\"volumeName\":\"v@\"}"'
check "under faults" suffers 24
check "it behaves again" behave
check "snapshots are ready" wait_for ready_count snapshot $many
check "clones are" wait_for ready_count volume $((2 * many + 1))
snapshots_are() { [ "$(rpc bdev_lvol_get_lvols | json 'sum(bool(v.get("labels", {}).get("litepool.io/snapshot")) for v in j)')" = "$1" ]; }
check "each was cut once" wait_for snapshots_are $many

check "it misbehaves" misbehave
check "the host is sent away" each "patch volume v@ '{\"spec\":{\"attachedNodes\":[]}}'"
check "all but the data are deleted" each 'erase volume c@ && erase snapshot s@ && erase volume v@'
check "under faults" suffers 24
check "it behaves again" behave
check "they are gone" eval 'wait_for none_left snapshot && wait_for ready_count volume 1 && wait_for list_is volume "len(j[\"items\"])" 1'
check "nothing is left on the engine but the data" eval 'wait_for one_each 1 1 || { one_each 1 1; false; }'
check "which are as they were" use data --size 8M --keep --versions "$work/data.versions" --verify --read --seconds 0.2
check "with no mismatch" same "$(perf_field mismatches) $(perf_field errors)" "0 0"
check "the agent is the same process" kill -0 "$agent_pid"
on_faulty test_counts | json '"\n".join(f"# {m}: {sum(a.values())} faults: " + " ".join(sorted(a)) for m, a in sorted(j["methods"].items()))'
check "it ends in order" stop_agent
done_testing

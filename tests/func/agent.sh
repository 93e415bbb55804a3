#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# litepool-agent with the real controller and engine: a node, a pool on a file, volumes that are used through NVMe/TCP, expansion, snapshots, clones, fencing, deletion.
. "${LITEPOOL_SOURCE:?}/tests/func/agent-lib.sh"
requires "$perf_bin"

check "--version" "$agent_bin" --version
refused "an unknown option" "unknown option --nope" "$agent_bin" --nope
refused "an unknown mode" "expected spawn or external" "$agent_bin" --engine maybe
refused "a bad name" "small letters" "$agent_bin" --node Node_1 --state-dir "$work/bad" --server "unix:$api"

# The API is not there yet: the agent waits for it.
check "agent before the API" start_agent
check "the engine runs" wait_for engine_of
check "the API comes" start_control
check "the node is declared" wait_for ready node node-1
check "with the host's name" has "$(get node node-1 'j["spec"]["hostNQN"]')" "^nqn.2014-08.org.nvmexpress:uuid:"
check "and its versions" has "$(get node node-1 'j["status"]["engineVersion"] + "/" + j["status"]["agentVersion"]')" "^[0-9.]+.*/[0-9.]+"
refused "a second agent" "another litepool-agent uses" "$agent_bin" --node node-1 --server "unix:$api" --state-dir "$work/agent"
lease() { req GET /apis/coordination.k8s.io/v1/namespaces/litepool-node-lease/leases/node-1 > /dev/null; json 'j["metadata"]["resourceVersion"]' < "$work/answer"; }
lease_moves() { [ "$(lease)" != "$1" ]; }
check "its Lease is renewed" wait_for lease_moves "$(lease)"

check "a pool" pool p1 1Gi
check "is made" wait_for ready pool p1
check "of the size that was asked for" same "$(stat -c %s "$work/p1.img")" $((1 << 30))
check "its UUID is the object's" is pool p1 'j["status"]["uuid"] == j["metadata"]["uid"]' True
check "it is healthy" is pool p1 'j["status"]["health"]' Healthy
yes precious | head -c 1M > "$work/p2.img"
check "a file with data" pool p2
check "is not touched" wait_for is pool p2 'condition("Ready")["status"]' False
check "and why" is pool p2 '"has data" in condition("Ready")["message"]' True
check "it has its data" same "$(head -n 1 "$work/p2.img")" precious
check "an lvm pool" pool p3 64Mi ',"engine":"lvm"'
check "wants a disk" wait_for reason pool p3 DeviceUnusable
for p in p2 p3; do check "$p goes" erase pool $p; check "away" wait_for gone pool $p; done

check "a volume" volume_of a 64Mi ',"qos":{"iops":100000,"bytesPerSecond":"1Gi"}'
check "is made" wait_for ready volume a
check "phase Ready" is volume a 'j["status"]["phase"]' Ready
refused "nobody may use it" . loud use a --ios 1
check "the host as a node" post node "{\"metadata\":{\"name\":\"node-2\"},\"spec\":{\"hostNQN\":\"$host\"}}"
attached() { is volume "$1" 'j["status"]["attachedNodes"] or []' "$2"; }
check "is to have it" patch volume a '{"spec":{"attachedNodes":["node-2"]}}'
check "and is let in" wait_for attached a "['node-2']"
check "verified I/O" use a --size 32M --mix 50 --qd 8 --seconds 0.5 --verify --versions "$work/a.versions"
check "with no mismatch" same "$(perf_field mismatches) $(perf_field errors)" "0 0"
bdev_is() { [ "$(rpc bdev_get_bdevs "{\"name\":\"$(uid_of volume a)\"}" | json "$1")" = "$2" ]; }
check "limits are set" bdev_is 'j[0]["assigned_rate_limits"]["rw_ios_per_sec"], j[0]["assigned_rate_limits"]["rw_mbytes_per_sec"]' "100000 1024"
check "and taken away" patch volume a '{"spec":{"qos":null}}'
check "at once" wait_for bdev_is 'j[0]["assigned_rate_limits"]["rw_ios_per_sec"]' 0

check "expansion, twice at once" eval 'patch volume a "{\"spec\":{\"size\":\"96Mi\"}}" && patch volume a "{\"spec\":{\"size\":\"128Mi\"}}"'
check "ends at the larger" wait_for is volume a 'j["status"]["size"]' $((128 << 20))
check "the new end can be used" use a --offset 120M --size 8M --write --qd 4 --seconds 0.2

check "a snapshot" post snapshot '{"metadata":{"name":"s1"},"spec":{"volumeName":"a"}}'
check "is cut" wait_for is snapshot s1 'j["status"]["readyToUse"]' True
check "a second one, at the same time" post snapshot '{"metadata":{"name":"a"},"spec":{"volumeName":"a"}}'
check "of the volume's own name" wait_for is snapshot a 'j["status"]["readyToUse"]' True
check "when it was cut" has "$(get snapshot s1 'j["status"]["creationTime"]')" "^20[0-9-]+T"
check "written over" use a --size 32M --write --qd 8 --seconds 0.3
check "a clone of it" volume_of b 128Mi ',"source":{"snapshotName":"s1"}'
check "is made" wait_for ready volume b
check "for the host" patch volume b '{"spec":{"attachedNodes":["node-2"]}}'
check "and let in" wait_for attached b "['node-2']"
check "has what the snapshot had" use b --size 32M --keep --versions "$work/a.versions" --verify --read --seconds 0.2
check "with no mismatch" same "$(perf_field mismatches) $(perf_field errors)" "0 0"
check "a clone of a volume" volume_of c 256Mi ',"source":{"volumeName":"b"}'
check "is made" wait_for ready volume c
check "of its own size" is volume c 'j["status"]["size"]' $((256 << 20))
check "a clone that is too small" volume_of d 64Mi ',"source":{"snapshotName":"s1"}'
unfit() { [ "$(get volume d 'j["status"]["phase"]')" = Pending ] || reason volume d SourceLarger; }
check "is told so, by the controller or the agent" wait_for unfit
check "it goes" erase volume d
check "away" wait_for gone volume d

member() { post snapshot "{\"metadata\":{\"name\":\"$1\",\"labels\":{\"litepool.io/group\":\"g\"},\"annotations\":{\"litepool.io/group-size\":\"2\"}},\"spec\":{\"volumeName\":\"$2\"}}"; }
check "the first of a group" member ga a
check "waits for the second" wait_for reason snapshot ga GroupIncomplete
check "the second" member gb b
for s in ga gb; do check "$s is cut" wait_for is snapshot $s 'j["status"]["readyToUse"]' True; done
check "with its object's UUID" rpc bdev_get_bdevs "{\"name\":\"$(uid_of snapshot gb)\"}"
check "a third" member gc c
check "comes too late" wait_for reason snapshot gc GroupCutAlready
for s in ga gb gc; do check "$s goes" erase snapshot $s; check "away" wait_for gone snapshot $s; done

# Fencing: queued writes of the host that is removed; when the status says that it is gone, nothing of it lands any more.
start_use b --size 8M --write --qd 32 --reconnect
busy() { [ "$(rpc nvmf_subsystem_get_controllers "{\"nqn\":\"$(nqn_of b)\"}" | json 'len(j)')" != 0 ]; }
idle() { ! busy; }
check "a host that writes" wait_for busy
check "shall have it no more" patch volume b '{"spec":{"attachedNodes":[]}}'
check "it is fenced" wait_for attached b '[]'
check "its connections are cut" idle
kill -9 "$load_pid"; wait "$load_pid" 2> /dev/null; load_pid=
refused "and it cannot come back" . loud use b --ios 1
check "one that nobody knows" patch volume b '{"spec":{"attachedNodes":["node-9"]}}'
check "is told" wait_for is volume b 'condition("Attached")["reason"]' NodeUnknown
check "nobody is attached" attached b '[]'

metrics() { curl -s --max-time 20 --unix-socket "$work/metrics.sock" http://x/metrics > "$work/metrics.txt"; }
check "metrics" metrics
probed() { "$agent_bin" --metrics-socket "$work/metrics.sock" --probe "$1"; }
check "it is well" same "$(probed /healthz)" ok
check "and has all lists" same "$(probed /readyz)" ok
refused "a page that is none" . probed /x
check "of volumes" grep -q 'litepool_volume_ops_total{node="node-1",pool="p1",volume="a",.*op="write"} [1-9]' "$work/metrics.txt"
check "with latencies" grep -q 'litepool_volume_latency_seconds_bucket{.*volume="a".*le="+Inf"} [1-9]' "$work/metrics.txt"
check "a claim's volume" patch volume a '{"metadata":{"annotations":{"csi.litepool.io/claim":"shop/data-0"}}}'
of_claim() { metrics && grep -q 'litepool_volume_bytes_total{node="node-1",pool="p1",volume="a",namespace="shop",persistentvolumeclaim="data-0",op="write"} [1-9]' "$work/metrics.txt"; }
check "has the claim's name on its numbers" wait_for of_claim
check "of pools" grep -q 'litepool_pool_ready{node="node-1",pool="p1"} 1' "$work/metrics.txt"
if command -v promtool > /dev/null; then check "Prometheus reads them" eval 'promtool check metrics < "$work/metrics.txt"'; fi

check "deletion" erase volume a
check "is refused while a node shall have it" wait_for is volume a 'condition("Deleted")["reason"]' Attached
check "its data is there" test "$(rpc bdev_get_bdevs "{\"name\":\"$(uid_of volume a)\"}" | json 'len(j)')" = 1
check "detached" patch volume a '{"spec":{"attachedNodes":[]}}'
check "it goes" wait_for gone volume a
check "a snapshot whose clone is there stays usable" is snapshot s1 'j["status"]["readyToUse"]' True
for v in b c; do check "$v goes" eval "patch volume $v '{\"spec\":{\"attachedNodes\":[]}}' && erase volume $v"; check "away" wait_for gone volume $v; done
for s in s1 a; do check "snapshot $s goes" erase snapshot $s; check "away" wait_for gone snapshot $s; done
check "nothing is left on the engine" wait_for counts 0 0

check "the pool grows" patch pool p1 '{"spec":{"size":"1280Mi"}}'
grown() { [ "$(get pool p1 'j["status"]["capacity"] > 1100 << 20')" = True ]; }
check "and says so" wait_for grown
check "SIGTERM ends the agent" stop_agent
check "the engine serves on" engine_of
done_testing

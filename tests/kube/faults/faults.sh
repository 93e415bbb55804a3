#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# litepool-controller, litepool-agent with its engine, and litepool-csi on a real kube-apiserver that is late, answers 409, 410, 429, 500 and 503, carries out and does not answer, cuts watches, and is away for
# a while (proxy.py, by rules and a seed), as the accounts of deploy/, while volumes are made, let in, grown, snapshotted, copied and deleted by CSI's calls. Whoever calls repeats what it is told
# to repeat, and nothing else; in the end there is what was asked for, and then nothing.
. "${LITEPOOL_SOURCE:?}/tests/kube/apiserver-lib.sh"
here=$source/tests/kube/faults
SEED=${SEED:-20261122} LIVES=${LIVES:-3} LIMIT=${LITEPOOL_TEST_LIMIT:-240}
lp_csi=$build/tests/csi/lp-csi
M=$((1 << 20))

agent=
end_engine() { # it outlives the agent
    local pid
    [ -z "$agent" ] || { kill -9 "$agent"; wait "$agent"; } 2> /dev/null
    pid=$(engine litepool_engine_status 2> /dev/null | json 'j["pid"]' 2> /dev/null) && [ -n "$pid" ] && kill -9 "$pid"
}
trap 'end_engine; cleanup' EXIT
engine() { "$build/src/cli/litepool" -s "$work/engine.sock" --timeout 60 engine rpc "$@"; }
json() { python3 -c "import json,sys; j=json.load(sys.stdin); print($1)"; }
same() { [ "$1" = "$2" ] || { echo "'$1' is not '$2'"; return 1; }; }
eventually() {
    local end=$((SECONDS + LIMIT))
    until "$@" > "$work/last" 2>&1; do
        [ $SECONDS -lt $end ] || { echo "not in $LIMIT s: $*"; cat "$work/last"; return 1; }
        sleep 0.2
    done
}
rules() { # rules FILE: from now on; all connections are cut
    cp "$here/$1" "$work/rules"
    kill -HUP "$proxy"
}
account() { # account NAME: a kubeconfig by way of the proxy
    kubectl -n litepool-system create token "$1" > "$work/$1" &&
        sed "s/client-certificate: admin.crt, client-key: admin.key/tokenFile: $1/; s/127.0.0.1:$api/127.0.0.1:$port/" "$work/kubeconfig" > "$work/$1.conf"
}
# call METHOD JSON [PART]: as a sidecar does it: again, as long as it is told to come again (DEADLINE_EXCEEDED, ABORTED, UNAVAILABLE), or there is no room: a node
# whose heartbeats are lost for a while has none (RESOURCE_EXHAUSTED, upon which the provisioner comes again, too).
call() {
    local end=$((SECONDS + LIMIT)) rc said=$work/said.$BASHPID
    while :; do
        "$lp_csi" "$work/csi" "$@" 2> "$said" && return
        rc=$?
        case $rc in 4 | 8 | 10 | 14) ;; *) break ;; esac
        [ $SECONDS -lt $end ] || break
        echo "$1 $(cat "$said")" >> "$work/again"
        sleep 0.1
    done
    echo "$1 $2 ended with $rc: $(cat "$said")" >&2
    return 1
}
cap='{"mount":{},"access_mode":{"mode":1}}'
volume() { call CreateVolume "{\"name\":\"$1\",\"capacity_range\":{\"required_bytes\":$2},\"volume_capabilities\":[$cap]${3:-}}" volume.volume_id > "$work/id.$1"; }
id() { cat "$work/id.$1"; }
begin() { # begin I: volume vI, let in to node-2, grown, its snapshot, and rI out of that
    volume "v$1" $((64 * M)) && call ControllerPublishVolume "{\"volume_id\":\"$(id "v$1")\",\"node_id\":\"node-2\",\"volume_capability\":$cap}" &&
        call ControllerExpandVolume "{\"volume_id\":\"$(id "v$1")\",\"capacity_range\":{\"required_bytes\":$((96 * M))}}" &&
        call CreateSnapshot "{\"name\":\"s$1\",\"source_volume_id\":\"$(id "v$1")\"}" snapshot.snapshot_id > "$work/id.s$1" &&
        volume "r$1" $((96 * M)) ",\"volume_content_source\":{\"snapshot\":{\"snapshot_id\":\"$(id "s$1")\"}}"
}
end() {
    call ControllerUnpublishVolume "{\"volume_id\":\"$(id "v$1")\",\"node_id\":\"node-2\"}" && call DeleteVolume "{\"volume_id\":\"$(id "r$1")\"}" &&
        call DeleteSnapshot "{\"snapshot_id\":\"$(id "s$1")\"}" && call DeleteVolume "{\"volume_id\":\"$(id "v$1")\"}"
}
lives() { # lives begin|end: all at once
    local i running=() rc=0
    for i in $(seq "$LIVES"); do
        "$1" "$i" > "$work/life.$i" 2>&1 &
        running+=($!)
    done
    for i in "${running[@]}"; do wait "$i" || rc=1; done
    [ $rc = 0 ] || cat "$work"/life.*
    return $rc
}
# what the engine has: volumes and snapshots, their sizes in MiB, and who may come in
there() {
    echo "$(engine bdev_lvol_get_lvols | json 'sorted(v["size_bytes"] >> 20 for v in j)') $(engine nvmf_get_subsystems | json 'sorted(len(s["hosts"]) for s in j if ":volume:" in s["nqn"])')"
}
is_there() { same "$(there)" "$1"; }
none() { ! kubectl get storagevolumes,storagesnapshots -o name | grep .; }
alive() { kill -0 "$1"; }

check "deploy/litepool.yaml" kubectl apply --server-side -f "$source/deploy/litepool.yaml"
wait_for kubectl wait --for=condition=Established --timeout=1s -f "$source/deploy/crds"
grep -v . /dev/null > "$work/rules"
start proxy "$here/proxy.py" 127.0.0.1:0 "127.0.0.1:$api" "$work/server.crt" "$work/server.key" "$work/ca.crt" "$work/rules" "$SEED"
proxy=$!
wait_for grep -q '^port ' "$work/proxy.log"
port=$(sed -n 's/^port //p' "$work/proxy.log")
for sa in litepool-controller litepool-agent litepool-csi-controller; do check "the account $sa" account $sa; done
rules rules-storm
start controller "$build/src/controller/litepool-controller" --kubeconfig "$work/litepool-controller.conf"
controller=$!
mkdir "$work/root"
start agent "$build/src/agent/litepool-agent" --node node-1 --kubeconfig "$work/litepool-agent.conf" --state-dir "$work/agent" --engine spawn --engine-bin "$build/src/engine/litepool-engine" \
    --engine-socket "$work/engine.sock" --engine-state-dir "$work/engine" --addresses 127.0.0.1 --target-port 0 --root "$work/root" --poll 1 --check 3
agent=$!
start csi "$build/src/csi/litepool-csi" --mode=controller --kubeconfig "$work/litepool-csi-controller.conf" --endpoint "unix://$work/csi"
csi=$!
declared() {
    kubectl apply -f - << END
{apiVersion: litepool.io/v1alpha1, kind: StorageNode, metadata: {name: node-2}, spec: {hostNQN: "nqn.2014-08.org.nvmexpress:uuid:11111111-2222-3333-4444-555555555555"}}
---
{apiVersion: litepool.io/v1alpha1, kind: StoragePool, metadata: {name: p1}, spec: {nodeName: node-1, device: {file: $work/p1.img}, size: 2Gi}}
END
}
ready() { same "$(kubectl get "$1" -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}')" True; }
check "the node is declared, in spite of all" eventually ready storagenode/node-1
check "another node, and a pool" declared
check "the pool is made" eventually ready storagepool/p1
check "the driver serves" wait_for test -S "$work/csi"
check "$LIVES volumes are made, let in, grown, snapshotted and copied at once" lives begin
full=$(python3 -c "n = $LIVES; print(sorted([96] * 3 * n), sorted([1] * n + [0] * n))")
check "the engine has each, as large as asked, and lets in who may" eventually is_there "$full"
rules rules-down
lives end > "$work/ends" 2>&1 &
ends=$!
check "the API is away while they are deleted" eventually eval '[ "$(grep -c "^hit down" "$work/proxy.log")" -ge 40 ]'
rules rules-storm
check "it is back, and they are" eval 'wait $ends || { cat "$work/ends"; false; }'
check "no object is left" eventually none
check "nothing is left in the engine" eventually is_there "[] []"
for rule in $(grep -hv '^#' "$here/rules-storm" "$here/rules-down" | cut -d ' ' -f 1); do
    check "it was met: $rule" eventually grep -q "^hit $rule " "$work/proxy.log" # watches and Leases go on
done
for part in controller agent csi; do check "$part lives" alive "${!part}"; done
check "nothing was forbidden" bash -c "! grep -ih forbidden '$work/controller.log' '$work/agent.log' '$work/csi.log'"
[ "$failed" = 0 ] || tail -n 25 "$work"/{controller,agent,csi}.log | sed 's/^/# /'
echo "# hits: $(grep '^hit' "$work/proxy.log" | cut -d ' ' -f 2 | sort | uniq -c | tr -s ' \n' ' ')"
echo "# $SECONDS s, calls repeated: $(grep -c . "$work/again")"
echo "1..$n"
exit "$failed"

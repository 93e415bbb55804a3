# SPDX-License-Identifier: Apache-2.0
# The steps of a volume's life through kubectl alone, for cluster.sh; needs cluster-lib.sh. Each step is a function that can be checked, and may be repeated.

classes() {
    kubectl apply -f "$source/deploy/examples/attributesclasses.yaml" -f "$source/deploy/examples/snapshotclass.yaml" && kubectl apply -f - << END
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: xfs}
provisioner: csi.litepool.io
volumeBindingMode: WaitForFirstConsumer
allowVolumeExpansion: true
parameters: {position: PreferLocal, csi.storage.k8s.io/fstype: xfs}
---
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: now}
provisioner: csi.litepool.io
volumeBindingMode: Immediate
allowVolumeExpansion: true
---
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: rack2}
provisioner: csi.litepool.io
volumeBindingMode: WaitForFirstConsumer
parameters: {access: node}
allowedTopologies: [{matchLabelExpressions: [{key: topology.litepool.io/rack, values: [rack-of-node2]}]}]
---
apiVersion: groupsnapshot.storage.k8s.io/v1
kind: VolumeGroupSnapshotClass
metadata: {name: litepool}
driver: csi.litepool.io
deletionPolicy: Delete
END
}
# pvc NAME [SIZE] [MORE of spec, JSON with a comma in front]
pvc() {
    kubectl apply -f - << END
{"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "$1", "labels": {"set": "${SET:-none}"}},
 "spec": {"storageClassName": "${CLASS:-litepool}", "accessModes": ["${MODE:-ReadWriteOnce}"], "resources": {"requests": {"storage": "${2:-256Mi}"}}${3:-}}}
END
}
# pod NAME PVC NODE ["Block"]; NODE "": any
pod() {
    local use='"volumeMounts": [{"name": "v", "mountPath": "/data"}]' where=''
    [ "${4:-}" != Block ] || use='"volumeDevices": [{"name": "v", "devicePath": "/dev/vol"}]'
    [ -z "$3" ] || where='"nodeSelector": {"kubernetes.io/hostname": "'$3'"},'
    kubectl apply -f - << END
{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "$1"}, "spec": {"terminationGracePeriodSeconds": 0, $where
 "containers": [{"name": "c", "image": "lab.test/busybox:1", "imagePullPolicy": "Never", "command": ["sleep", "100000"], $use}],
 "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "$2"}}]}}
END
}
pod_ready() { eventually field "pod/$1" '.status.conditions[?(@.type=="Ready")].status' True || { kubectl describe "pod/$1" | tail -n 12; return 1; }; }
bound() { eventually field "pvc/$1" .status.phase Bound || { kubectl describe "pvc/$1" | tail -n 12; return 1; }; }
sh_in() { kubectl exec "$1" -- sh -c "$2"; }
volume_of() { kubectl get "pv/$(kubectl get "pvc/$1" -o 'jsonpath={.spec.volumeName}')" -o 'jsonpath={.spec.csi.volumeHandle}' | cut -d: -f1; }
exactly() { local got; got=$("${@:2}") && [ "$got" = "$1" ] || { echo "'$got' is not '$1'"; return 1; }; }
write() { sh_in "$1" "dd if=/dev/urandom of=/data/blob bs=1M count=16 2> /dev/null && echo $2 > /data/word && sync && md5sum /data/blob > /data/sum && sync"; }
verify() { sh_in "$1" "md5sum -c /data/sum" && exactly "$2" sh_in "$1" "cat /data/word"; }

start_pod() { pod "$1" "$2" "$3" "${4:-}" && pod_ready "$1"; }
end_pod() { kubectl delete pod "$1" --ignore-not-found --timeout="${LIMIT}s"; }
attached() { kubectl get volumeattachments -o jsonpath='{range .items[*]}{.spec.nodeName}{" "}{.spec.source.persistentVolumeName}{"\n"}{end}'; }

grow() {
    kubectl patch pvc "$1" --type merge -p "{\"spec\":{\"resources\":{\"requests\":{\"storage\":\"$2\"}}}}" && eventually field "pvc/$1" .status.capacity.storage "$2" ||
        { kubectl describe "pvc/$1" | tail -n 12; return 1; }
}
file_system_of() { [ "$(sh_in "$1" "df -m /data | tail -n 1 | tr -s ' ' | cut -d ' ' -f 2")" -ge "$2" ]; }
snapshot() {
    kubectl apply -f - << END && eventually field "volumesnapshot/$1" .status.readyToUse true || { kubectl describe "volumesnapshot/$1" | tail -n 12; return 1; }
apiVersion: snapshot.storage.k8s.io/v1
kind: VolumeSnapshot
metadata: {name: $1}
spec: {volumeSnapshotClassName: litepool, source: {persistentVolumeClaimName: $2}}
END
}
from_snapshot() { pvc "$1" "$3" ", \"dataSource\": {\"apiGroup\": \"snapshot.storage.k8s.io\", \"kind\": \"VolumeSnapshot\", \"name\": \"$2\"}"; }
from_volume() { pvc "$1" "$3" ", \"dataSource\": {\"kind\": \"PersistentVolumeClaim\", \"name\": \"$2\"}"; }
attributes() {
    kubectl patch pvc "$1" --type merge -p "{\"spec\":{\"volumeAttributesClassName\":\"$2\"}}" && eventually field "pvc/$1" .status.currentVolumeAttributesClassName "$2" ||
        { kubectl describe "pvc/$1" | tail -n 12; return 1; }
}
group() {
    kubectl apply -f - << END && eventually field "volumegroupsnapshot/$1" .status.readyToUse true || { kubectl describe "volumegroupsnapshot/$1" volumegroupsnapshotcontents | tail -n 40; return 1; }
apiVersion: groupsnapshot.storage.k8s.io/v1
kind: VolumeGroupSnapshot
metadata: {name: $1}
spec: {volumeGroupSnapshotClassName: litepool, source: {selector: {matchLabels: {set: $2}}}}
END
}

# What differs between two VolumeSnapshots, in bytes, as a backup program asks the driver: by the socket in its pod, as the sidecar of SnapshotMetadata does. "none": all that the second has.
handle_of() { kubectl get volumesnapshotcontent "$(kubectl get volumesnapshot "$1" -o 'jsonpath={.status.boundVolumeSnapshotContentName}')" -o 'jsonpath={.status.snapshotHandle}'; }
differs() {
    local request method=GetMetadataAllocated
    request="{\"snapshot_id\": \"$(handle_of "$2")\"}"
    [ "$1" = none ] || { method=GetMetadataDelta request="{\"base_snapshot_id\": \"$(handle_of "$1")\", \"target_snapshot_id\": \"$(handle_of "$2")\"}"; }
    kubectl -n litepool-system exec deployment/litepool-csi-controller -c driver -- lp-csi /csi/csi.sock $method "$request" > "$S/blocks" &&
        python3 -c 'import json, sys; print(sum(int(b["size_bytes"]) for m in map(json.loads, sys.stdin) for b in m.get("block_metadata", [])))' < "$S/blocks"
}
between() { local got; got=$("${@:3}") && [ "$got" -ge "$1" ] && [ "$got" -le "$2" ] || { echo "'$got' is not from $1 to $2"; return 1; }; }

# ---- topology: overlay/ gives each node a rack ----
# in_rack POD: it, and the data of the claim of its name, are on node2, and nothing else may use them.
in_rack() {
    exactly node2 kubectl get pod "$1" -o 'jsonpath={.spec.nodeName}' && exactly node2 kubectl get storagevolume "$(volume_of "$1")" -o 'jsonpath={.status.nodeName}' &&
        exactly '["node2"]' kubectl get "pv/$(kubectl get "pvc/$1" -o 'jsonpath={.spec.volumeName}')" -o 'jsonpath={.spec.nodeAffinity.required.nodeSelectorTerms[0].matchExpressions[?(@.key=="topology.litepool.io/node")].values}'
}

# ---- one raw volume for pods of several nodes, as a cluster file system has it: by reservations ----
# reserve NODE OPCODE CDW10 KEY KEY: a command of that node to the volume of the claim w, through what stands for its kernel
reserve() {
    local nqn
    nqn=nqn.2026-11.io.litepool:volume:$(kubectl get "pv/$(kubectl get pvc w -o 'jsonpath={.spec.volumeName}')" -o 'jsonpath={.spec.csi.volumeHandle}' | cut -d: -f2) &&
        exactly "ok success" in_node "$1" python3 -c 'import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect("/run/litepool/hostd.sock")
s.sendall((" ".join(["reserve"] + sys.argv[1:]) + "\n").encode())
print(s.makefile().readline().strip())' "$nqn" "${@:2}"
}
REGISTER=13 ACQUIRE=17 RELEASE=21 WRITE_EXCLUSIVE=$((1 << 8)) PREEMPT=1
raw_write() { sh_in "$1" "dd if=/dev/urandom of=/dev/vol bs=4k count=1 conv=notrunc,fsync"; }
may_write() { raw_write "w$1" && ! raw_write "w$2"; }

# ---- the engine is replaced inside of its pod ----
agent_on() { kubectl -n litepool-system get pods -l app.kubernetes.io/name=litepool-agent --field-selector "spec.nodeName=$1" -o 'jsonpath={.items[0].metadata.name}'; }
engine_pod() { kubectl -n litepool-system get pods -l app.kubernetes.io/name=litepool-engine --field-selector "spec.nodeName=$1" -o "jsonpath={.items[0].metadata.uid} {.items[0].status.containerStatuses[0].restartCount}"; }
engine_pid() { engine_rpc "$1" litepool_engine_status | python3 -c 'import json, sys; print(json.load(sys.stdin)["pid"])'; }
# As docs/kubernetes.md says: the new program comes out of the agent's image, which is updated by itself, through a folder that both pods have.
upgrade_engine() {
    kubectl -n litepool-system exec "$(agent_on "$1")" -- sh -ec 'cd /var/lib/litepool && cp "$(command -v litepool-engine)" engine.new && mv engine.new litepool-engine.next
        litepool -s /run/litepool/engine.sock engine upgrade --binary /var/lib/litepool/litepool-engine.next --deadline 5000'
}
# How often a host of the node's lost a connection. nvme-file says each.
cut_off() { cat "$S/$1/run/hostd/$(cat "$S/id")-$1"/*.log | grep -c nvme-file: || true; }
# upgraded NODE POD: an upgrade under the pod's writes; the engine is another process, its pod the same, and nobody was cut off.
upgraded() {
    local pod pid cuts
    pod=$(engine_pod "$1") pid=$(engine_pid "$1") || return
    cuts=$(cut_off "$1")
    sh_in "$2" 'rm -f /tmp/end; i=0; while [ ! -e /tmp/end ]; do i=$((i + 1)); dd if=/dev/urandom of=/data/u bs=64k count=4 conv=fsync 2> /dev/null && md5sum /data/u > /tmp/u.sum && md5sum -c /tmp/u.sum || exit 1; done; echo $i rounds' > "$S/rounds" 2>&1 &
    local writer=$! rc=0
    eventually grep -q OK "$S/rounds" && upgrade_engine "$1" || rc=1
    sleep 1
    sh_in "$2" 'touch /tmp/end'
    wait "$writer" || { tail -n 3 "$S/rounds"; return 1; }
    [ $rc = 0 ] && grep rounds "$S/rounds" || return 1
    exactly "$pod" engine_pod "$1" && [ "$pid" != "$(engine_pid "$1")" ] || { echo "the engine is pid $pid as before"; return 1; }
    exactly "$cuts" cut_off "$1"
}
# restarted NODE POD: what deleting the engine's pod does: the pod that uses the volume waits, and goes on.
restarted() {
    local pod
    pod=$(engine_pod "$1") || return
    kubectl -n litepool-system delete pod -l app.kubernetes.io/name=litepool-engine --field-selector "spec.nodeName=$1" --timeout="${LIMIT}s" &&
        eventually eval '[ -n "$(engine_pod '"$1"')" ] && [ "$(engine_pod '"$1"')" != "'"$pod"'" ] && running' && sh_in "$2" 'dd if=/dev/urandom of=/data/after bs=64k count=4 conv=fsync'
}

# ---- many at once ----
# many_claims N, many_attachments N: lists for kubectl
many_claims() {
    seq "$1" | sed 's/.*/{"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "many-&"}, "spec": {"storageClassName": "now", "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "4Mi"}}}}/'
}
many_attachments() {
    local pv i=0
    for pv in $(kubectl get pv -o 'jsonpath={.items[*].metadata.name}'); do
        i=$((i + 1))
        echo "{\"apiVersion\": \"storage.k8s.io/v1\", \"kind\": \"VolumeAttachment\", \"metadata\": {\"name\": \"many-$i\"}, \"spec\": {\"attacher\": \"csi.litepool.io\", \"nodeName\": \"node$((1 + i % NODES))\", \"source\": {\"persistentVolumeName\": \"$pv\"}}}"
    done
}
are() { [ "$(kubectl get "$1" -o "jsonpath={range .items[*]}{$2}{\"\\n\"}{end}" | grep -cx "$3")" = "$4" ]; }
# No pods: their attachments are made by hand, as the attach-detach controller makes them.
many() {
    local LIMIT=$((LIMIT + $1))
    many_claims "$1" | kubectl apply --server-side -f - > /dev/null && eventually are pvc .status.phase Bound "$1" && echo "bound" &&
        many_attachments | kubectl apply --server-side -f - > /dev/null && eventually are volumeattachments .status.attached true "$1" && echo "attached" &&
        kubectl delete volumeattachments --all --timeout="${LIMIT}s" > /dev/null && kubectl delete pvc --all --timeout="${LIMIT}s" > /dev/null
}

# ---- what is left ----
objects_left() {
    kubectl get pods,pvc,pv,volumeattachments,volumesnapshots,volumesnapshotcontents,volumegroupsnapshots,volumegroupsnapshotcontents,storagevolumes,storagesnapshots -o name | grep .
}
nothing_left() {
    eventually bash -c "! $(declare -f objects_left); ! objects_left" || return 1
    local node
    for node in $(kubectl get nodes -o 'jsonpath={.items[*].metadata.name}'); do
        eventually engine_empty "$node" || return 1
        ! in_node "$node" cat /proc/self/mountinfo | grep -E 'csi.litepool.io|/dev/loop|pvc-' || return 1
        ! in_node "$node" ls "/run/hostd/$(cat "$S/id")-$node" | grep -v '\.log$' || { echo "attached on $node"; return 1; }
    done
    [ -z "$(loops)" ] || { losetup -l; return 1; }
}
engine_rpc() { in_node "$1" "$build/src/cli/litepool" -s /run/litepool/engine.sock engine rpc "${@:2}"; }
engine_empty() {
    local lvols exports
    lvols=$(engine_rpc "$1" bdev_lvol_get_lvols | python3 -c 'import json, sys; print(len(json.load(sys.stdin)))') || return 1
    exports=$(engine_rpc "$1" nvmf_get_subsystems | python3 -c 'import json, sys; print(sum(":volume:" in s["nqn"] for s in json.load(sys.stdin)))') || return 1
    [ "$lvols $exports" = "0 0" ] || { echo "$1: $lvols volumes, $exports exports"; return 1; }
}

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
 "spec": {"storageClassName": "${CLASS:-litepool}", "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "${2:-256Mi}"}}${3:-}}}
END
}
# pod NAME PVC NODE ["Block"]; NODE "": any
pod() {
    local use='"volumeMounts": [{"name": "v", "mountPath": "/data"}]' where=''
    [ "${4:-}" != Block ] || use='"volumeDevices": [{"name": "v", "devicePath": "/dev/vol"}]'
    [ -z "$3" ] || where='"nodeSelector": {"kubernetes.io/hostname": "'$3'"},'
    kubectl apply -f - << END
{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "$1"}, "spec": {"terminationGracePeriodSeconds": 0, $where
 "tolerations": [{"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 0},
                 {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 0}],
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
        ! in_node "$node" ls "/run/litepool/$(cat "$S/id")-$node" | grep -v '\.log$' || { echo "attached on $node"; return 1; }
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

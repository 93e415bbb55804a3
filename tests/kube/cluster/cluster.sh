#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# cluster.sh: a volume's whole life on a real Kubernetes, with LitePool as it is deployed (make test-k8s). KEEP=1 leaves the cluster up, and uses one that is up; S: its folder.
# ONLY=cycle|database|chaos|faults: that part alone. MANY=500: so many volumes at once, too; BENCH=1: pvc-bound. STOP=1: ends at the first failure. ENCLOSED=1: whoever started it ends the cluster (tools/test-k8s).
# Skipped without the programs (tests/kube/lab/build.sh) or root.
if [ -z "${S:-}" ]; then
    S=$(mktemp -d /tmp/lp-k8s.XXXXXX)
fi
[ "$(id -u)" = 0 ] || { echo "1..0 # SKIP a cluster's nodes need root"; exit 0; }
[ -x "${KUBELAB_CACHE:-$HOME/.cache/kubelab}/bin/csi-snapshot-metadata" ] || { echo "1..0 # SKIP no Kubernetes here: tests/kube/lab/build.sh builds it"; exit 0; }
[ -e /dev/fuse ] || { echo "1..0 # SKIP no /dev/fuse"; exit 0; }
. "${LITEPOOL_SOURCE:?}/tests/kube/cluster/cluster-lib.sh"
. "$source/tests/kube/cluster/scenario.sh"
. "$source/tests/kube/cluster/metadata.sh"
. "$source/tests/kube/cluster/database.sh"
. "$source/tests/kube/cluster/faults.sh"
supervisor=
finish() {
    echo "test-k8s: $((n - failed)) passed, $failed failed"
    [ -z "$supervisor" ] || { kill "$supervisor"; wait "$supervisor"; } 2> /dev/null
    [ -n "${KEEP:-}${ENCLOSED:-}" ] || cluster_down $([ $failed != 0 ] || echo -r)
    [ $failed = 0 ] || [ -n "${ENCLOSED:-}" ] || echo "# logs: $S/log"
}
trap finish EXIT

check "a cluster of $NODES nodes with deploy/litepool.yaml" cluster_up
[ $failed = 0 ] || exit 1
check "classes" classes

too_large() {
    CLASS=now pvc huge 1Ti && eventually eval 'kubectl describe pvc huge | grep "no room for the volume"' && kubectl delete pvc huge --timeout="${LIMIT}s"
}
grow_refused() {
    CLASS=now pvc big 64Mi && bound big && kubectl patch pvc big --type merge -p '{"spec":{"resources":{"requests":{"storage":"1Ti"}}}}' &&
        eventually eval 'kubectl describe pvc big | grep "cannot grow to"' && exactly 67108864 kubectl get "storagevolume/$(volume_of big)" -o 'jsonpath={.spec.size}'
}
# As Kubernetes has it: a claim whose growth failed may ask for less, but more than it has.
grow_less() { kubectl patch pvc big --type merge -p '{"spec":{"resources":{"requests":{"storage":"128Mi"}}}}' && eventually field "storagevolume/$(volume_of big)" .status.size 134217728 && kubectl delete pvc big --timeout="${LIMIT}s"; }
node_lost() {
    node_kill node2 && kubectl taint nodes node2 node.kubernetes.io/out-of-service=nodeshutdown:NoExecute || return
    eventually eval '! kubectl get pod m' && eventually eval '! attached | finds "^node2 .*$(kubectl get pvc m -o "jsonpath={.spec.volumeName}")"'
}
node_back() { node_start node2 && kubectl taint nodes node2 node.kubernetes.io/out-of-service- && eventually running; }
# What stands on a snapshot is gone before the snapshot is deleted: else the sidecar asks again later and later.
everything_deleted() {
    kubectl delete pods --all --timeout="${LIMIT}s" && kubectl delete pvc --all --timeout="${LIMIT}s" && eventually eval '! kubectl get pv -o name | grep .' &&
        kubectl delete volumegroupsnapshots --all --timeout="${LIMIT}s" && kubectl delete volumesnapshots --all --timeout="${LIMIT}s"
}
cycle() {
    check "a claim without room says so in an event" too_large
    check "and growth without room, of which nothing is left" grow_refused
    check "the claim asks for less, and grows" grow_less
    # xfs: growing a mounted ext4 takes CAP_SYS_RESOURCE, which root of a test machine may not have.
    local CLASS=xfs
    check "a claim and its pod" eval 'pvc a 512Mi && start_pod a a node1 && bound a'
    check "its data are on the pod's node" eval 'exactly node1 kubectl get storagevolume "$(volume_of a)" -o "jsonpath={.status.nodeName}"'
    check "data are written" write a one
    check "the pod ends, a new one on the same node has the data" eval 'end_pod a && start_pod a a node1 && verify a one'
    check "the volume grows in use" grow a 1Gi
    check "and its file system" eventually file_system_of a 900
    check "a snapshot" snapshot s a
    check "the volume goes on" write a two
    check "a volume of the snapshot, larger" eval 'from_snapshot r s 1536Mi && start_pod r r node1 && verify r one && file_system_of r 1300'
    check "a second snapshot" snapshot s2 a
    check "what it holds is listed" between $((32 << 20)) $((200 << 20)) differs none s2
    check "and what has changed since the first, less" between $((16 << 20)) $((24 << 20)) differs s s2
    check "the sidecar of snapshot metadata is told of" metadata_service
    check "to who may read the snapshot it lists the same" sidecar_agrees none s2
    check "and the same changes" sidecar_agrees s s2
    check "a token for another audience is refused" sidecar_refuses UNAUTHENTICATED backup other none s2
    check "and who may not read the snapshot" sidecar_refuses PERMISSION_DENIED stranger litepool-backup none s2
    check "the engine is replaced inside of its pod, under load" upgraded node1 a
    check "and again, by the same program" upgraded node1 a
    check "its pod is deleted: its volumes wait and go on" restarted node1 a
    check "with the data" verify a two
    check "a clone" eval 'from_volume c a 1Gi && start_pod c c node2 && verify c two'
    check "attributes change" attributes a gold
    check "and the volume has them" eval 'kubectl get storagevolume "$(volume_of a)" -o "jsonpath={.spec.qos}" | grep .'
    check "the pod moves to the other node" eval 'end_pod a && start_pod a a node2 && verify a two'
    CLASS=litepool
    check "raw block" eval 'pvc b 64Mi ", \"volumeMode\": \"Block\"" && start_pod b b node2 Block && sh_in b "echo raw-data > /tmp/x && dd if=/tmp/x of=/dev/vol conv=notrunc,fsync && head -c 8 /dev/vol | grep raw-data"'
    check "two volumes with a label" eval '(for i in 1 2; do SET=g pvc g$i && start_pod g$i g$i node1 && write g$i g$i || exit; done)'
    check "one snapshot of both" group gs g
    check "volumes of its parts" eval '(for s in $(kubectl get volumesnapshots -o "jsonpath={.items[?(@.status.volumeGroupSnapshotName==\"gs\")].metadata.name}"); do from_snapshot "of-$s" "$s" 256Mi && start_pod "of-$s" "of-$s" node1 && sh_in "of-$s" "md5sum -c /data/sum" || exit; done)'

    check "a volume of node1 is used on node2" eval 'pvc m && start_pod m m node1 && end_pod m && start_pod m m node2 && write m lost'
    check "node2 dies; told so, its pods go and its volumes are fenced from it" node_lost
    check "the volume is used on node1, with its data" eval 'start_pod m m node1 && verify m lost && write m found'
    check "node2 comes back" node_back
    check "and the volume's data are those of node1" verify m found

    check "a raw volume of which pods on both nodes are writers" eval 'MODE=ReadWriteMany pvc w 64Mi ", \"volumeMode\": \"Block\"" && pod w1 w node1 Block && start_pod w2 w node2 Block && pod_ready w1 && raw_write w1 && raw_write w2'
    check "both nodes register, the first reserves it" eval 'reserve node1 $REGISTER 0 0 17 && reserve node2 $REGISTER 0 0 34 && reserve node1 $ACQUIRE $WRITE_EXCLUSIVE 17 0'
    check "only the first may write" may_write 1 2
    check "the second takes it over" reserve node2 $ACQUIRE $((WRITE_EXCLUSIVE | PREEMPT)) 34 17
    check "only the second may" may_write 2 1
    check "released, both may" eval 'reserve node2 $RELEASE $WRITE_EXCLUSIVE 34 0 && raw_write w1 && raw_write w2'
    check "racks of the StorageNodes are labels of the nodes" eval 'eventually field node/node1 ".metadata.labels.topology\\.litepool\\.io/rack" rack-of-node1 && eventually field node/node2 ".metadata.labels.topology\\.litepool\\.io/rack" rack-of-node2'
    CLASS=rack2
    check "a claim that is allowed in one rack: its pod and its data go there" eval 'pvc t && start_pod t t "" && in_rack t'
    check "and stay" eval 'end_pod t && start_pod t t "" && in_rack t'
    CLASS=litepool
    check "everything is deleted" everything_deleted
    check "nothing is left" nothing_left
    check "nothing was forbidden to anybody" eval '! for p in $(kubectl -n litepool-system get pods -o name); do kubectl -n litepool-system logs "$p" --all-containers; done | grep -i forbidden'
}
[ "${ONLY:-cycle}" != cycle ] || cycle
[ "${ONLY:-database}" != database ] || database

# Before each step one part is killed with -9, on all nodes: CHAOS= none, once (each step another victim), all (each step with every victim), or one's name.
supervise &
supervisor=$!
touch "$S/run/supervised"
victims=(csi-node agent engine supervisor controller csi-controller kubelet apiserver)
life() { # life NAME FIRST-VICTIM [SAME]
    local v=$1 i=$2 step
    local steps=('pvc $v 512Mi && start_pod $v $v node1' 'write $v one' 'grow $v 768Mi' 'verify $v one' 'snapshot $v-s $v' 'from_snapshot $v-r $v-s 768Mi && start_pod $v-r $v-r node1 && verify $v-r one'
        'attributes $v gold' 'end_pod $v && start_pod $v $v node2' 'verify $v one' 'end_pod $v && end_pod $v-r' 'kubectl delete --timeout=${LIMIT}s volumesnapshot/$v-s pvc/$v pvc/$v-r')
    for step in "${steps[@]}"; do
        check "$(eval echo "\"$step\""), ${victims[i]} killed before" eval "kill_9 ${victims[i]}; eventually eval '$step'"
        [ -n "${3:-}" ] || i=$(((i + 1) % ${#victims[@]}))
    done
}
# A program that stands still is found by its probe, and the kubelet starts it again: within three minutes, so all kinds at once.
restarts() { kubectl -n litepool-system get pods -l "app.kubernetes.io/name=litepool-$1" -o 'jsonpath={range .items[*].status.containerStatuses[*]}{.image} {.restartCount}{"\n"}{end}' | awk '/litepool:/ { n += $2 } END { print n + 0 }'; }
stand_still() { # stand_still KIND...: each on all nodes
    local kind node pid kinds=("$@") due=()
    for kind in "${kinds[@]}"; do
        due+=($(($(restarts "$kind") + NODES)))
        for node in $(seq -f 'node%g' "$NODES"); do
            for pid in $(processes "$node" "$(pattern_of "$kind")"); do in_node "$node" kill -STOP "$pid"; done
        done
    done
    for i in "${!kinds[@]}"; do eventually eval '[ "$(restarts "${kinds[i]}")" -ge "${due[i]}" ]' || return; done
    eventually running
}
CLASS=xfs
[ "${ONLY:-chaos}" = chaos ] || CHAOS=none
case ${CHAOS:-once} in once | all) check "what stands still is started again: its probe fails" stand_still csi-node csi-controller agent controller ;; esac
case ${CHAOS:-once} in
once) life k 0 ;;
all) for i in "${!victims[@]}"; do life "k$i" "$i" same; done ;;
none) ;;
*) for i in "${!victims[@]}"; do [ "${victims[i]}" != "$CHAOS" ] || life "k$i" "$i" same; done ;;
esac
check "nothing is left of that" nothing_left
[ "${ONLY:-faults}" != faults ] || faulty
if [ -n "${MANY:-}" ]; then
    check "$MANY volumes at once are bound, attached, detached, deleted" many "$MANY"
    check "nothing is left of them" nothing_left
fi
if [ -n "${BENCH:-}" ]; then
    echo "# bench: $("$here/pvc-bound.py" "$S" 50)"
    check "nothing is left of the claims" nothing_left
fi
echo "1..$n"
[ $failed = 0 ]

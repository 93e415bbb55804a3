#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# uml.sh: a volume's life on a real Kubernetes whose nodes have a real kernel's nvme-tcp (make test-k8s-uml). etcd, kube-apiserver, scheduler, controller-manager and node1 with the engine are on
# this machine; node2 and node3 are User Mode Linux guests, with kubelet, containerd, litepool-agent and litepool-csi in them. KEEP=1 leaves the cluster up, and uses one that is up; S: its folder; STOP=1: ends at the first
# failure. ENCLOSED=1: whoever started it ends the cluster (tools/test-k8s). Skipped without the programs (tests/kube/lab/build.sh), the guests' kernel (make uml-kernel) or root.
if [ -z "${S:-}" ]; then
    S=$(mktemp -d /tmp/lp-uml.XXXXXX)
fi
[ "$(id -u)" = 0 ] || { echo "1..0 # SKIP a cluster's nodes need root"; exit 0; }
[ -x "${KUBELAB_CACHE:-$HOME/.cache/kubelab}/bin/csi-snapshot-metadata" ] || { echo "1..0 # SKIP no Kubernetes here: tests/kube/lab/build.sh builds it"; exit 0; }
"${LITEPOOL_SOURCE:?}/tests/guest/lab/mkuml.sh" -n > /dev/null || { echo "1..0 # SKIP no kernel for the guests: make uml-kernel"; exit 0; }
NODES=1 GUESTS="2 3" OVERLAY=overlay-uml
export KUBELAB_GUESTS=2
. "$LITEPOOL_SOURCE/tests/kube/cluster/cluster-lib.sh"
. "$source/tests/kube/cluster/scenario.sh"
. "$source/tests/kube/cluster/metadata.sh"
. "$source/tests/kube/cluster/uml-lib.sh"
finish() {
    local i
    echo "test-k8s-uml: $((n - failed)) passed, $failed failed"
    [ -z "${KEEP:-}${ENCLOSED:-}" ] || return 0
    for i in $GUESTS; do guest_down "$i"; done
    cluster_down $([ $failed != 0 ] || echo -r)
    [ $failed = 0 ] || echo "# logs: $S/log"
}
trap finish EXIT

guests_up() {
    local i
    for i in $GUESTS; do pid_of "node$i" > /dev/null || guest_up "$i" || return; done
    for i in $GUESTS; do eventually kubectl get csinode "node$i" -o 'jsonpath={.spec.drivers[0].name}' || return; done
    eventually running
}
no_pv() { ! kubectl get pv -o name | grep .; }
gone() {
    local i
    eventually bash -c "! $(declare -f objects_left); ! objects_left" && eventually engine_empty node1 || return
    for i in $GUESTS; do eventually detached "node$i" && no_trouble "node$i" || return; done
}
# node3 has no power any more, and nothing of what it held: told so, its pod goes, and its volume is fenced from it.
power_lost() {
    guest_down 3
    kubectl taint nodes node3 node.kubernetes.io/out-of-service=nodeshutdown:NoExecute && eventually eval '! kubectl get pod x' && eventually eval '! attached | grep "^node3 "'
}
power_back() { guest_up 3 && kubectl taint nodes node3 node.kubernetes.io/out-of-service- && eventually field node/node3 '.status.conditions[?(@.type=="Ready")].status' True && eventually running && eventually detached node3; }

check "a cluster with deploy/litepool.yaml" cluster_up
[ $failed = 0 ] || exit 1
check "node2 and node3 in User Mode Linux join, with the driver" guests_up
[ $failed = 0 ] || exit 1
check "classes" classes
check "a claim and its pod on node2" eval 'pvc a 512Mi && start_pod a a node2 && bound a'
check "staged by that kernel's nvme-tcp" on_nvme node2 a
check "data are written" write a one
check "the volume and its ext4 grow in use" eval 'grow a 1Gi && eventually file_system_of a 900'
check "the engine is killed with -9 while the pod writes: the kernel connects again, the pod sees no error" under_writes a engine_killed node2
check "the engine is replaced while the pod writes: the kernel sees nothing of it" under_writes a engine_upgraded node2
check "nor has it seen an error" no_trouble node2
check "the data are there" verify a one
check "the pod ends, and node2 has nothing any more" eval 'end_pod a && eventually detached node2'
check "it moves to node3, with the data" eval 'start_pod a a node3 && on_nvme node3 a && verify a one'
check "a snapshot, restored on node2" eval 'snapshot s a && write a two && from_snapshot r s 1Gi && start_pod r r node2 && verify r one'
check "raw block" eval 'pvc b 64Mi ", \"volumeMode\": \"Block\"" && start_pod b b node2 Block && sh_in b "echo raw-data > /tmp/x && dd if=/tmp/x of=/dev/vol conv=notrunc,fsync && head -c 8 /dev/vol | grep raw-data"'
CLASS=xfs
check "xfs" eval 'pvc x 512Mi && start_pod x x node3 && on_nvme node3 x && write x three'
check "the engine's pod is deleted: the kernels wait and go on, with the data" eval 'restarted node1 x && verify x three && verify a two && verify r one'
check "a pod ends on node3" end_pod a
check "node3 loses its power; told so, its pod goes and its volume is fenced from it" power_lost
check "the volume is used on node2, with its data" eval 'start_pod x x node2 && on_nvme node2 x && verify x three && write x four'
check "node3 comes back, with nothing" power_back
check "and the volume's data are those of node2" eval 'end_pod x && start_pod x x node3 && verify x four'
check "everything is deleted" eval 'kubectl delete pods --all --timeout=${LIMIT}s && kubectl delete pvc r --timeout=${LIMIT}s && kubectl delete volumesnapshots --all --timeout=${LIMIT}s && kubectl delete pvc --all --timeout=${LIMIT}s && eventually no_pv'
check "nothing is left" gone
echo "1..$n"
[ $failed = 0 ]

# SPDX-License-Identifier: Apache-2.0
# LitePool on a whole cluster, for the scripts that source this with $S, the cluster's state folder: images, cluster, deploy/litepool.yaml, pools; and words to say what is expected.
#
#   cluster_up, cluster_down
#   check NAME COMMAND...        one test (TAP)
#   eventually COMMAND...        until it succeeds, at most $LIMIT s;   field OBJECT JSONPATH VALUE   that it is so
#   in_node NODE COMMAND...      in the node's namespaces
#   node_kill NODE, node_start NODE      the node's power;   processes NODE PATTERN   the pids of its pods' processes whose command line has it
set -uo pipefail
build=${LITEPOOL_BUILD:?} source=${LITEPOOL_SOURCE:?}
LIMIT=${LITEPOOL_TEST_LIMIT:-300}
NODES=${NODES:-2}
mkdir -p "$S"
. "$source/tests/kube/lab/lib.sh"
here=$source/tests/kube/cluster
lab=$source/tests/kube/lab
state "$S"
export KUBECONFIG=$S/kubeconfig
n=0 failed=0

eventually() {
    local end=$((SECONDS + LIMIT))
    until "$@" > "$S/last" 2>&1; do
        [ $SECONDS -lt $end ] || { echo "not in $LIMIT s: $*"; cat "$S/last"; return 1; }
        sleep 0.2
    done
}
check() {
    local started=$SECONDS
    n=$((n + 1))
    echo "$n - $1" > "$S/now"
    if "${@:2}" > "$S/out" 2>&1; then
        echo "ok $n - $1 ($((SECONDS - started)) s)"
    else
        echo "not ok $n - $1"
        sed 's/^/# /' "$S/out" | tail -n 60
        failed=$((failed + 1))
        [ $failed != 1 ] || "$here/diagnose.sh" "$S"
        [ -z "${STOP:-}" ] || exit 1
    fi
}
# finds PATTERN: a line of stdin has it; all of it is read (grep -q ends its writer by SIGPIPE, and the pipe with it)
finds() { grep -q "$@" <<< "$(cat)"; }
field() { [ "$(kubectl get "$1" -o "jsonpath={$2}")" = "$3" ]; }
in_node() { nsenter -t "$(pid_of "$1")" -m -p -u -- "${@:2}"; }

# sidecar_image PROGRAM FOLDER: its image, named as the kustomization in that folder of deploy/ says; made once for each build of it.
sidecar_image() {
    local name tar
    name=$(sed -n "s/.*newName: \(.*$1\), newTag: \(.*\)}/\1:\2/p" "$source/deploy/$2/kustomization.yaml")
    tar=$CACHE/images/$1-${name##*:}.tar
    mkdir -p "$CACHE/images"
    [ "$tar" -nt "$CACHE/bin/$1" ] || "$lab/image.py" "$tar" "$name=/usr/bin/$1" "$1" || return
    ln -sf "$tar" "$S/images/$1.tar"
}
images() {
    local i=$S/images p
    mkdir -p "$i"
    [ ! -e "$i/litepool.tar" ] || return 0
    "$lab/image.py" "$i/busybox.tar" lab.test/busybox:1
    "$lab/image.py" "$i/pause.tar" "lab.test/pause:1=/bin/sleep 2147483647"
    for p in provisioner attacher resizer snapshotter; do sidecar_image csi-$p base || return; done
    sidecar_image csi-snapshot-metadata snapshot-metadata || return
    PATH=$build/src/engine:$build/src/supervisor:$build/src/agent:$build/src/controller:$build/src/csi:$build/src/cli:$build/tests/kube/cluster:$build/tests/csi:$PATH \
        "$lab/image.py" "$i/litepool.tar" docker.io/library/litepool:dev litepool-engine litepool-supervisor litepool-agent litepool-controller litepool-csi litepool csi-bridge lp-csi \
        mkfs.ext4 e2fsck resize2fs mkfs.xfs xfs_growfs xfs_io mkfs.btrfs btrfs blkid mount umount losetup
}
# What is not ours: the CRDs and the controller of snapshots, and the CRD of their metadata.
snapshots() {
    local crds
    crds=$(cat "$CACHE/mod/snapshot-crds.dir")
    kubectl apply --server-side -k "$crds" > /dev/null && kubectl apply --server-side -f "$(cat "$CACHE/mod/metadata-crds.dir")" && kubectl wait --for=condition=Established --timeout="${LIMIT}s" crd --all || return
    start snapshot-controller snapshot-controller --kubeconfig="$KUBECONFIG" --leader-election=false --http-endpoint="$(cat "$S/net").1:9790" \
        --retry-interval-start=500ms
}
# deploy/litepool.yaml, but for what overlay/ (or $OVERLAY) says.
deploy() {
    kubectl apply --server-side -f "$source/deploy/base/namespaces.yaml" && { kubectl -n litepool-system get secret litepool-snapshot-metadata > /dev/null 2>&1 || metadata_certificate; } || return
    kubectl kustomize --load-restrictor LoadRestrictionsNone "$here/${OVERLAY:-overlay}" | kubectl apply --server-side --validate=strict -f - &&
        kubectl label node --all --overwrite litepool.io/engine=true
}
# What stands for the node's kernel; its folder is this cluster's alone, so that its loop devices can be told from others', and none that pods mount: a copy of its mounts there would keep them.
hostd() {
    mkdir -p "$S/$1/run/litepool"
    start_in "$1" "$1-hostd" "$here/nvme-hostd.py" "$build/tests/kube/cluster/nvme-file" /run/litepool/hostd.sock "/run/hostd/$(cat "$S/id")-$1"
}
running() { ! kubectl -n litepool-system get pods --no-headers | awk '{ split($2, r, "/"); if (r[1] != r[2] || $3 != "Running") print }' | grep .; }
pool() { # pool NODE
    kubectl apply --server-side -f - << END
apiVersion: litepool.io/v1alpha1
kind: StoragePool
metadata: {name: $1}
spec: {nodeName: $1, device: {file: /var/lib/litepool/pool.img}, size: 8Gi}
END
}
ready() { field "$1" '.status.conditions[?(@.type=="Ready")].status' True; }
cluster_up() {
    local i
    images && "$lab/up.sh" "$S" "$NODES" && snapshots && deploy || return
    for i in $(seq "$NODES"); do hostd "node$i"; done
    eventually running || return
    for i in $(seq "$NODES"); do
        eventually ready "storagenode/node$i" && pool "node$i" && eventually ready "storagepool/node$i" || return
    done
    eventually kubectl get csinode node1 -o 'jsonpath={.spec.drivers[0].name}'
}
# Loop devices are the machine's, not a node's: hostd's go with it, those that the kubelet makes of raw block volumes stay.
loops() {
    local device file volume
    losetup -n -O NAME,BACK-FILE | while read -r device file; do
        for volume in "$S"/node*/kubelet/plugins/kubernetes.io/csi/volumeDevices/pvc-*; do
            case $file in */volumeDevices/"$(basename "$volume")"/*) echo "$device" ;; esac
        done
    done
}
node_kill() {
    local device devices
    rm -f "$S/run/supervised"
    devices=$(loops)
    kill -KILL "$(pid_of "$1")"
    eventually bash -c "! kill -0 $(cut -d' ' -f1 "$S/run/$1.pid") 2> /dev/null"
    rm -f "$S/run/$1"*.pid
    for device in $devices; do losetup -d "$device"; done
    # A boot would leave no cgroups; the kubelet looks for a container in each that it finds, for seconds.
    cg_dirs "$(cat "$S/id")/$1" | while read -r d; do find "$d" -mindepth 1 -depth -type d -exec rmdir {} + 2> /dev/null; done
}
node_start() { "$lab/up.sh" "$S" "$NODES" && hostd "$1"; }
# The pids of a node's pods' processes whose command line matches.
processes() { in_node "$1" pgrep -f -- "$2"; }
# kill_9 WHAT: on all nodes, and returns when it is gone. What is a pod's the kubelet starts again, the rest supervise().
kill_hosted() {
    local pid
    pid=$(pid_of "$1") || return 0
    kill -9 "$pid"
    while pid_of "$1" > /dev/null; do sleep 0.05; done
}
pattern_of() { # of the command line of what is a pod's
    case $1 in
    csi-node) echo '^csi-bridge --mode=node' ;;
    csi-controller) echo '^litepool-csi --mode=controller' ;;
    *) echo "^litepool-$1( |\$)" ;;
    esac
}
kill_9() {
    local node pid pattern
    [ "$1" != apiserver ] || { kill_hosted apiserver; return; }
    pattern=$(pattern_of "$1")
    for node in $(seq -f 'node%g' "$NODES"); do
        if [ "$1" = kubelet ]; then
            kill_hosted "$node-kubelet"
        else
            for pid in $(processes "$node" "$pattern"); do in_node "$node" kill -9 "$pid"; done
        fi
    done
}
# What systemd and static pods are elsewhere: what is not a pod's is started again when it has ended.
supervise() {
    local name
    while sleep 0.5; do
        for name in etcd apiserver controller-manager scheduler $(seq -f 'node%g-containerd' "$NODES") $(seq -f 'node%g-kubelet' "$NODES"); do
            [ -e "$S/run/supervised" ] && ! pid_of "$name" > /dev/null && "$lab/up.sh" "$S" "$NODES"
        done
    done >> "$S/log/supervise.log" 2>&1
}
cluster_down() {
    local i
    rm -f "$S/run/supervised"
    stop snapshot-controller
    for i in $(seq "$NODES"); do [ -z "$(pid_of "node$i")" ] || node_kill "node$i"; done
    "$lab/down.sh" "$@" "$S"
}

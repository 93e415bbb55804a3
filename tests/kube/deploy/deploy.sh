#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# deploy/litepool.yaml on a real kube-apiserver: it is up to date, taken with strict validation, twice; each component's rights are what it needs and no more;
# and the real litepool-controller and litepool-csi work with the rights of their service accounts.
. "${LITEPOOL_SOURCE:?}/tests/kube/apiserver-lib.sh"
can() { kubectl auth can-i --quiet "${@:2}" --as "system:serviceaccount:litepool-system:$1"; }
cannot() { ! can "$@"; }
page() { # page KIND...: what docs/kubernetes.md has people apply of these kinds, each at least once
    python3 - "$source/docs/kubernetes.md" "$@" > "$work/page.yaml" << 'END' && kubectl apply --validate=strict --dry-run=server -f "$work/page.yaml"
import re
import sys

blocks = re.findall(r"<< END\n(.*?)\n +END\n", open(sys.argv[1], encoding="utf-8").read(), re.S)
objects = [re.sub(r"^    ", "", text, flags=re.M) for block in blocks for text in re.split(r"\n +---\n", block)]
chosen = [o for o in objects if re.search(r"^kind: (%s)$" % "|".join(sys.argv[2:]), o, re.M)]
missing = [kind for kind in sys.argv[2:] if not any("kind: %s\n" % kind in o for o in chosen)]
sys.exit("not on the page: %s" % missing) if missing else print("\n---\n".join(chosen))
END
}

check "deploy/litepool.yaml is what deploy/ says" env KUBECTL="$bin/kubectl" "$source/tools/gen-deploy" --check
check "it is taken with strict validation" kubectl apply --server-side --validate=strict -f "$source/deploy/litepool.yaml"
check "the CRDs are served" wait_for kubectl wait --for=condition=Established --timeout=1s -f "$source/deploy/crds"
check "taken again it changes nothing" bash -c "! $bin/kubectl --kubeconfig '$work/kubeconfig' --cache-dir '$work/cache' diff --server-side -f '$source/deploy/litepool.yaml' | grep '^[+-] '"
check "the option of snapshot metadata" bash -c "$bin/kubectl kustomize --load-restrictor LoadRestrictionsNone '$source/tests/kube/cluster/overlay' | $bin/kubectl --kubeconfig '$work/kubeconfig' --cache-dir '$work/cache' apply --server-side --dry-run=server --validate=strict -f -"
check "and as the chart has it" bash -c "'$source/tools/gen-chart' --render snapshotMetadata=true | $bin/kubectl --kubeconfig '$work/kubeconfig' --cache-dir '$work/cache' apply --server-side --dry-run=server --validate=strict -f -"
check "a pool of the examples" kubectl apply --validate=strict -f "$source/deploy/examples/pool.yaml"
crd=$(find "${GOPATH:-${HOME:-/root}/go}/pkg/mod/github.com/kubernetes-csi" -name snapshot.storage.k8s.io_volumesnapshotclasses.yaml 2> /dev/null | sort | tail -n 1)
if [ -n "$crd" ]; then # beside the sidecars that the Kubernetes tools were built from
    check "the CRD of snapshot classes" kubectl apply --server-side -f "$crd"
    check "the snapshot class" wait_for kubectl apply --validate=strict -f "$source/deploy/examples/snapshotclass.yaml"
fi
check "the pool and the claim of docs/kubernetes.md" page StoragePool PersistentVolumeClaim
check "the classes of attributes" kubectl apply --validate=strict -f "$source/deploy/examples/attributesclasses.yaml"
check "MySQL" kubectl apply --validate=strict --dry-run=server -f "$source/deploy/examples/mysql.yaml"
for sa in litepool-agent litepool-csi-node; do
    check "$sa may not touch secrets" cannot $sa get secrets -A
    check "$sa may not make or delete volumes" cannot $sa delete storagevolumes
done
check "a CSI node may note what a volume holds" can litepool-csi-node patch storagevolumes --subresource=status
check "and may not let a node in" cannot litepool-csi-node patch storagevolumes
check "the CSI controller may ask for volumes" can litepool-csi-controller create storagevolumes
check "and may not write nodes" cannot litepool-csi-controller patch storagenodes --subresource=status
check "the controller may not touch pods" cannot litepool-controller list pods -A
check "an agent renews Leases of nodes" can litepool-agent update leases -n litepool-node-lease
check "and not those of controllers" cannot litepool-agent update leases -n litepool-system

# The real programs, as their accounts.
for sa in litepool-controller litepool-csi-controller; do
    kubectl -n litepool-system create token "$sa" > "$work/$sa"
    sed "s/client-certificate: admin.crt, client-key: admin.key/tokenFile: $sa/" "$work/kubeconfig" > "$work/$sa.conf"
done
start controller "$build/src/controller/litepool-controller" --kubeconfig "$work/litepool-controller.conf"
start csi "$build/src/csi/litepool-csi" --mode=controller --kubeconfig "$work/litepool-csi-controller.conf" --endpoint "unix://$work/csi"
csi=$!
check "the controller leads" wait_for kubectl -n litepool-system get lease litepool-controller
check "the driver serves" wait_for test -S "$work/csi"
probe() { "$build/src/csi/litepool-csi" --probe --endpoint "unix://$work/csi"; }
check "and answers its probe" probe
kill -STOP "$csi"
check "one that stands still does not" bash -c "! $(declare -f probe); build='$build' work='$work'; ! probe"
kill -CONT "$csi"
check "and does again" probe
check "a volume without room is refused with the reason, and not left behind" "$source/tests/kube/deploy/refused.py" "$work/csi" "$source/src/csi/csi.proto"
check "no volume is left" bash -c "! $bin/kubectl --kubeconfig '$work/kubeconfig' get storagevolumes -o name | grep ."
grep -iE 'forbidden' "$work/controller.log" "$work/csi.log" | head -5 | sed 's/^/# /'
check "nothing was forbidden to them" bash -c "! grep -i forbidden '$work/controller.log' '$work/csi.log'"
echo "1..$n"
exit "$failed"

#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The conformance suite against a real kube-apiserver with etcd and kube-controller-manager (for the garbage collector), our CRDs applied.
# Their programs are in $KUBELAB_BIN (etcd, kube-apiserver, kube-controller-manager, kubectl); without them the test is skipped.
. "${LITEPOOL_SOURCE:?}/tests/kube/apiserver-lib.sh"
kubectl apply -f "$source/deploy/crds" > "$work/apply.log" 2>&1 || die "the CRDs were refused"
wait_for kubectl wait --for=condition=Established --timeout=1s -f "$source/deploy/crds"
wait_for kubectl get storagevolumes

# The suite; its lines are the first of ours.
"$build/tests/kube/conformance/conformance" --kubeconfig "$work/kubeconfig" "$@" > "$work/suite"
failed=$?
grep -v '^1\.\.' "$work/suite" | sed 's/^conformance /# &/' # TAP: the count is a comment
n=$(grep -cE '^(not )?ok ' "$work/suite")

# A service account's token out of a file, and the server under another name than its address.
cat > "$work/by-token" << END
current-context: c
clusters: [{name: c, cluster: {server: "https://127.0.0.1:$api/", certificate-authority: ca.crt, tls-server-name: localhost}}]
users: [{name: u, user: {tokenFile: token}}]
contexts: [{name: c, context: {cluster: c, user: u}}]
END
sed 's/tls-server-name: localhost/tls-server-name: elsewhere/' "$work/by-token" > "$work/by-wrong-name"
kubectl create serviceaccount tester > /dev/null
kubectl create token tester > "$work/token"
suite_by() { "$build/tests/kube/conformance/conformance" --kubeconfig "$work/$1" --only "create gives identity"; }
refused_by() { ! suite_by "$1" > "$work/refused" && grep -q -- "$2" "$work/refused"; }
check "a service account without a role is told that it may not" refused_by by-token Forbidden
kubectl create clusterrolebinding tester --clusterrole=cluster-admin --serviceaccount=default:tester > /dev/null
check "with a role it may; its token comes from a file, the server has another name" suite_by by-token
check "a certificate of another name is refused" refused_by by-wrong-name certificate

# An informer that slept while the server was started anew and an object went.
told() { grep -qx -- "$1" "$work/told"; }
make_volume() { echo "{apiVersion: litepool.io/v1alpha1, kind: StorageVolume, metadata: {name: $1}, spec: {size: 1Gi}}" | kubectl create -f -; }
check "a volume" make_volume v1
"$build/tests/kube/conformance/follow" --kubeconfig "$work/kubeconfig" > "$work/told" 2> "$work/follow.log" &
follower=$!
pids=("$follower" "${pids[@]}")
check "is told by the list" wait_for told +v1
check "another" make_volume v2
check "is told by the watch" wait_for told +v2
kill -STOP "$follower"
check "one is deleted while the informer sleeps" kubectl delete storagevolume v1
kill -9 "$apiserver"
wait "$apiserver" 2> /dev/null
start_apiserver
wait_for kubectl get storagevolumes
check "a third" make_volume v3
kill -CONT "$follower"
check "is told after the server's restart" wait_for told +v3
check "and so is what went meanwhile" wait_for told -v1
check "nothing was told twice" test "$(grep -cx -- '+v2' "$work/told")" = 1
kill "$follower"
wait "$follower"
sed -n 's/^lists=/# follow: &/p' "$work/told"
echo "1..$n"
exit "$failed"

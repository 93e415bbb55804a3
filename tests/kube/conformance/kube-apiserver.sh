#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The conformance suite against a real kube-apiserver with etcd and kube-controller-manager (for the garbage collector), our CRDs applied.
# Their programs are in $KUBELAB_BIN (etcd, kube-apiserver, kube-controller-manager, kubectl); without them the test is skipped.
set -u
build=${LITEPOOL_BUILD:?} source=${LITEPOOL_SOURCE:?}
bin=${KUBELAB_BIN:-$HOME/.cache/kubelab/bin}
for program in etcd kube-apiserver kube-controller-manager kubectl; do
    [ -x "$bin/$program" ] || { echo "1..0 # SKIP no $program in $bin (KUBELAB_BIN)"; exit 0; }
done
work=$(mktemp -d "${TMPDIR:-/tmp}/litepool-kube.XXXXXX")
pids=()
cleanup() {
    for pid in "${pids[@]}"; do kill "$pid" && wait "$pid"; done 2> /dev/null
    rm -rf "$work"
}
trap cleanup EXIT
die() { echo "Bail out! $*"; tail -n 5 "$work"/*.log | sed 's/^/# /'; exit 1; }
# A port that nobody has now; the servers here take no port of 0.
port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}
wait_for() {
    for _ in $(seq 600); do
        "$@" > /dev/null 2>&1 && return
        sleep 0.2
    done
    die "not in 120 s: $*"
}
start() { # start NAME COMMAND...
    "${@:2}" > "$work/$1.log" 2>&1 &
    pids=("$!" "${pids[@]}")
}
key() { openssl ecparam -name prime256v1 -genkey -noout -out "$work/$1.key" 2> /dev/null; }
cert() { # cert NAME CN ORG [SAN]
    key "$1"
    openssl req -new -key "$work/$1.key" -subj "/O=$3/CN=$2" -out "$work/$1.csr"
    openssl x509 -req -in "$work/$1.csr" -CA "$work/ca.crt" -CAkey "$work/ca.key" -CAcreateserial -days 2 -sha256 \
        -out "$work/$1.crt" -extfile <(printf 'extendedKeyUsage=serverAuth,clientAuth\n%s' "${4:+subjectAltName=$4}") 2> /dev/null
}
kubeconfig() { # kubeconfig FILE CERT
    cat > "$1" << END
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "https://127.0.0.1:$api", certificate-authority: ca.crt}}]
users: [{name: u, user: {client-certificate: $2.crt, client-key: $2.key}}]
contexts: [{name: c, context: {cluster: c, user: u}}]
current-context: c
END
}

umask 077
client=$(port) peer=$(port) api=$(port) kcm=$(port)
key ca
key sa
openssl req -x509 -new -key "$work/ca.key" -subj /CN=litepool-test -days 2 -out "$work/ca.crt"
openssl ec -in "$work/sa.key" -pubout -out "$work/sa.pub" 2> /dev/null
cert server kube-apiserver test "IP:127.0.0.1,DNS:localhost"
cert admin admin system:masters
kubeconfig "$work/kubeconfig" admin

start etcd "$bin/etcd" --name t --data-dir "$work/etcd" --log-level warn --unsafe-no-fsync \
    --listen-client-urls "http://127.0.0.1:$client" --advertise-client-urls "http://127.0.0.1:$client" \
    --listen-peer-urls "http://127.0.0.1:$peer" --initial-advertise-peer-urls "http://127.0.0.1:$peer" \
    --initial-cluster "t=http://127.0.0.1:$peer"
wait_for curl -fsS --noproxy '*' "http://127.0.0.1:$client/health"
start_apiserver() {
    start apiserver "$bin/kube-apiserver" --etcd-servers="http://127.0.0.1:$client" --bind-address=127.0.0.1 --advertise-address=198.18.0.1 \
        --secure-port="$api" --service-cluster-ip-range=10.96.0.0/24 --authorization-mode=RBAC --client-ca-file="$work/ca.crt" \
        --tls-cert-file="$work/server.crt" --tls-private-key-file="$work/server.key" --service-account-issuer=https://kubernetes.default.svc \
        --service-account-key-file="$work/sa.pub" --service-account-signing-key-file="$work/sa.key" --cert-dir="$work" --endpoint-reconciler-type=none
    apiserver=$!
}
start_apiserver
kubectl() { "$bin/kubectl" --kubeconfig "$work/kubeconfig" --cache-dir "$work/cache" "$@"; }
wait_for kubectl get --raw /readyz
start controllers "$bin/kube-controller-manager" --kubeconfig="$work/kubeconfig" --secure-port="$kcm" --bind-address=127.0.0.1 \
    --controllers=garbage-collector-controller,namespace-controller --leader-elect=false --cert-dir="$work"
kubectl apply -f "$source/deploy/crds" > "$work/apply.log" 2>&1 || die "the CRDs were refused"
wait_for kubectl wait --for=condition=Established --timeout=1s -f "$source/deploy/crds"
wait_for kubectl get namespace default
wait_for kubectl get storagevolumes

# The suite; its lines are the first of ours.
"$build/tests/kube/conformance/conformance" --kubeconfig "$work/kubeconfig" "$@" > "$work/suite"
failed=$?
grep -v '^1\.\.' "$work/suite" | sed 's/^conformance /# &/' # TAP: the count is a comment
n=$(grep -cE '^(not )?ok ' "$work/suite")
check() {
    n=$((n + 1))
    if "${@:2}" > "$work/out.log" 2>&1; then
        echo "ok $n - $1"
    else
        echo "not ok $n - $1"
        sed 's/^/# /' "$work/out.log"
        failed=1
    fi
}

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

# SPDX-License-Identifier: Apache-2.0
# A real kube-apiserver with etcd and kube-controller-manager, for the scripts that source this: kubectl as admin, kubeconfig and certificates in $work, check for TAP.
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
        --secure-port="$api" --service-cluster-ip-range=10.96.0.0/24 --authorization-mode=RBAC --allow-privileged=true --client-ca-file="$work/ca.crt" \
        --tls-cert-file="$work/server.crt" --tls-private-key-file="$work/server.key" --service-account-issuer=https://kubernetes.default.svc \
        --service-account-key-file="$work/sa.pub" --service-account-signing-key-file="$work/sa.key" --cert-dir="$work" --endpoint-reconciler-type=none
    apiserver=$!
}
start_apiserver
kubectl() { "$bin/kubectl" --kubeconfig "$work/kubeconfig" --cache-dir "$work/cache" "$@"; }
wait_for kubectl get --raw /readyz
start controllers "$bin/kube-controller-manager" --kubeconfig="$work/kubeconfig" --secure-port="$kcm" --bind-address=127.0.0.1 \
    --controllers=garbage-collector-controller,namespace-controller --leader-elect=false --cert-dir="$work"
wait_for kubectl get namespace default

n=0 failed=0
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

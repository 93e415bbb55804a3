#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# lab up: etcd, kube-apiserver, kube-controller-manager, kube-scheduler on loopback,
# and NODES real nodes (containerd + kubelet), each in its own mount, pid and uts namespace.
# Usage: up.sh STATE [NODES]     (NODES default 1; 0 = control plane only)
# Then: export KUBECONFIG=STATE/kubeconfig. Running it again starts only what is down.
# KUBELAB_GUESTS: so many further nodes get certificates and configuration, and are started by others (tests/kube/cluster/uml-lib.sh).
# KUBELAB_NET (default 198.18.0): .129 is the API server, which is also the address of the service "kubernetes", so that pods find it without a kube-proxy; .1 is etcd and
# the other controllers, .10+i node i; put on lo as /32.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
state "${1:-}"; nodes=${2:-1}
LIMIT=${LITEPOOL_TEST_LIMIT:-300} # seconds until a part must answer; a machine may be ten times as slow as ours
net=${KUBELAB_NET:-198.18.0}; here_ip=$net.1 api=$net.129
t0=$(date +%s.%N); lap() { printf '%-28s %5.1f s\n' "$1" "$(echo "$(date +%s.%N) - $t0" | bc)"; }
[ -x "$CACHE/bin/kubelet" ] || die "run build.sh first"
[ -e "$S/images/pause.tar" ] || die "no images in $S/images: image.py makes them"
[ "$nodes" -le 9 ] || die "at most 9 nodes"
[ ${#S} -le 50 ] || die "state path too long for unix sockets below it: $S"
id=kubelab-$(printf %s "$S" | cksum | cut -d' ' -f1); echo "$id" > "$S/id"; echo "$net" > "$S/net"

# --- what changes on the host, noted so that down.sh can put it back
addr() { [ -n "$(ip -o addr show dev lo to "$1/32")" ] || { ip addr add "$1/32" dev lo; echo "$1" >> "$S/addrs"; }; }
addr "$api"; addr "$here_ip"
if [ ! -e "$S/sysctls" ]; then
  for k in net/ipv4/ip_forward vm/overcommit_memory vm/panic_on_oom kernel/panic kernel/panic_on_oops \
           kernel/keys/root_maxkeys kernel/keys/root_maxbytes; do
    echo "$k $(cat /proc/sys/$k)"
  done > "$S/sysctls.new"; mv "$S/sysctls.new" "$S/sysctls"
fi
for d in /var/lib/kubelet /var/lib/litepool /etc/nvme; do # a node binds its own over them
  if [ ! -d $d ]; then mkdir $d; echo $d >> "$S/dirs"; fi
done

# --- certificates and kubeconfigs
P=$S/pki; mkdir -p "$P"; chmod 700 "$P"
key() { openssl ecparam -name prime256v1 -genkey -noout -out "$1" 2>/dev/null; }
cert() { # cert FILE CN ORG [SAN]
  [ -e "$P/$1.crt" ] && return
  key "$P/$1.key"
  openssl req -new -key "$P/$1.key" -subj "/O=$3/CN=$2" -out "$P/$1.csr"
  openssl x509 -req -in "$P/$1.csr" -CA "$P/ca.crt" -CAkey "$P/ca.key" -CAcreateserial -days 30 -sha256 -out "$P/$1.crt" \
    -extfile <(printf 'extendedKeyUsage=serverAuth,clientAuth\n%s' "${4:+subjectAltName=$4}") 2>/dev/null
}
kubeconfig() { # kubeconfig FILE CERT
  [ -e "$1" ] && return
  ( umask 077; cat > "$1" <<END
apiVersion: v1
kind: Config
clusters: [{name: kubelab, cluster: {server: "https://$api", certificate-authority: $P/ca.crt}}]
users: [{name: u, user: {client-certificate: $P/$2.crt, client-key: $P/$2.key}}]
contexts: [{name: kubelab, context: {cluster: kubelab, user: u}}]
current-context: kubelab
END
  )
}
if [ ! -e "$P/ca.crt" ]; then
  key "$P/ca.key"; key "$P/sa.key"; openssl ec -in "$P/sa.key" -pubout -out "$P/sa.pub" 2>/dev/null
  openssl req -x509 -new -key "$P/ca.key" -subj /CN=kubelab-ca -days 30 -out "$P/ca.crt"
fi
cert apiserver kube-apiserver kubelab "IP:$api,IP:127.0.0.1,DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc"
cert admin admin system:masters
cert kubelet-client apiserver-kubelet system:masters
cert controller-manager system:kube-controller-manager kubelab "IP:$here_ip"
cert scheduler system:kube-scheduler kubelab "IP:127.0.0.1"
kubeconfig "$S/kubeconfig" admin
kubeconfig "$P/cm.conf" controller-manager
kubeconfig "$P/sched.conf" scheduler
lap certificates

# --- nodes
prepare() { # what is written to files that nodes share
  local n=node$1 ip=$net.$((10 + $1))
  [ "$1" -gt "$nodes" ] || addr "$ip"
  cert "$n" "system:node:$n" system:nodes "IP:$ip,DNS:$n"
  kubeconfig "$P/$n.conf" "$n"
  configure "$1" "$n" "$ip" "$S/$n"
}
configure() { # configure NUMBER NAME IP FOLDER
  local i=$1 n=$2 ip=$3 N=$4
  mkdir -p "$N"/{run,kubelet,log,containerd,cni,litepool,nvme}
  cat > "$N/cni/10-ptp.conflist" <<END
{"cniVersion": "1.0.0", "name": "kubelab", "plugins": [{"type": "ptp", "ipMasq": false,
 "ipam": {"type": "host-local", "dataDir": "/run/cni", "ranges": [[{"subnet": "10.244.$i.0/24"}]],
 "routes": [{"dst": "0.0.0.0/0"}]}}]}
END
  cat > "$N/containerd.toml" <<END
version = 3
root = "$N/containerd"
state = "/run/containerd"
imports = []
[grpc]
  address = "/run/containerd/containerd.sock"
[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "lab.test/pause:1"
[plugins."io.containerd.cri.v1.runtime"]
  disable_apparmor = true
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
[plugins."io.containerd.cri.v1.runtime".cni]
  bin_dirs = ["/usr/lib/cni"]
  conf_dir = "$N/cni"
END
  cat > "$N/kubelet.yaml" <<END
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: $ip
healthzBindAddress: $ip
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $P/ca.crt}}
authorization: {mode: Webhook}
tlsCertFile: $P/$n.crt
tlsPrivateKeyFile: $P/$n.key
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
cgroupDriver: cgroupfs
cgroupRoot: /$id/$n
enforceNodeAllocatable: []
failCgroupV1: false
failSwapOn: false
makeIPTablesUtilChains: false
resolvConf: ""
volumePluginDir: /var/lib/kubelet/volume-plugins # the default is below /usr
nodeLeaseDurationSeconds: 12
crashLoopBackOff: {maxContainerRestartPeriod: 2s}
syncFrequency: 2s              # a volume is grown on the node at a pod sync (default 1 min)
nodeStatusUpdateFrequency: 1s  # attach and detach wait for volumesInUse in it (default 10 s)
evictionHard: {memory.available: "0%", nodefs.available: "0%", nodefs.inodesFree: "0%", imagefs.available: "0%", imagefs.inodesFree: "0%"}
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
END
}
runtime() { # namespaces, containerd, images: all that needs no API server
  local n=node$1 N=$S/node$1
  # The node's first process: private mounts (gone when it dies, with all processes of the
  # node), shared inside so that containers can use mount propagation; then it only reaps.
  if ! pid_of "$n" >/dev/null; then
    find "$N/run" -mindepth 1 -delete # as after any boot
    # shellcheck disable=SC2016
    start "$n" unshare --mount --pid --fork --uts --propagation slave --kill-child bash -euc '
      hostname "$1"; mount --make-rshared /; mount -t proc proc /proc
      mount --bind "$2/kubelet" /var/lib/kubelet; mount --make-rshared /var/lib/kubelet
      mount --bind "$2/litepool" /var/lib/litepool; mount --bind "$2/nvme" /etc/nvme
      mount --bind "$2/log" /var/log; mount --bind "$2/run" /run; mkdir -p /run/lock
      touch /run/node-ready; trap : TERM
      while :; do sleep 3600 & wait; done' node "$n" "$N"
    wait_for "$LIMIT" "$n" test -e "$N/run/node-ready"
    # the pid file gets the inner process: the one whose namespaces nsenter joins
    note "$n" "$(pgrep -P "$(pid_of "$n")")"
  fi
  mkcg "$n"
  start_in "$n" "$n-containerd" "$CACHE/bin/containerd" -c "$N/containerd.toml"
  local ctr="ctr -a $N/run/containerd/containerd.sock -n k8s.io"
  wait_for "$LIMIT" containerd $ctr version
  if [ ! -e "$N/images-loaded" ]; then
    for tar in "$S"/images/*.tar; do $ctr images import "$tar" >/dev/null; done
    touch "$N/images-loaded"
  fi
  lap "$n containerd, images"
}
mkcg() { # the cgroup that kubelet puts its pods under must be there, in every hierarchy
  local h
  if [ -e /sys/fs/cgroup/cgroup.controllers ]; then mkdir -p "/sys/fs/cgroup/$id/$1"; return; fi
  for h in /sys/fs/cgroup/*/; do
    mkdir -p "$h$id/$1" 2>/dev/null || continue
    case $h in */cpuset/) for f in cpus mems; do # a new v1 cpuset is empty until filled
      cat "${h}cpuset.$f" > "$h$id/cpuset.$f"; cat "${h}cpuset.$f" > "$h$id/$1/cpuset.$f"; done ;;
    esac
  done
}
for i in $(seq $((nodes + ${KUBELAB_GUESTS:-0}))); do prepare "$i"; done
runtimes=()
for i in $(seq "$nodes"); do
  runtime "$i" &
  runtimes+=($!)
done

# --- control plane (the whole of it is bound to the address put on lo)
start etcd etcd --name kubelab --data-dir "$S/etcd" --log-level warn --unsafe-no-fsync \
  --listen-client-urls "http://$here_ip:2379" --advertise-client-urls "http://$here_ip:2379" \
  --listen-peer-urls "http://$here_ip:2380" --initial-advertise-peer-urls "http://$here_ip:2380" \
  --initial-cluster "kubelab=http://$here_ip:2380"
wait_up etcd curl -fsS --noproxy '*' "http://$here_ip:2379/health"
lap etcd
start apiserver kube-apiserver --etcd-servers="http://$here_ip:2379" --allow-privileged \
  --bind-address="$api" --advertise-address="$api" --secure-port=443 --service-cluster-ip-range="$net.128/25" \
  --authorization-mode=Node,RBAC --client-ca-file="$P/ca.crt" \
  --tls-cert-file="$P/apiserver.crt" --tls-private-key-file="$P/apiserver.key" \
  --service-account-issuer=https://kubernetes.default.svc --service-account-key-file="$P/sa.pub" \
  --service-account-signing-key-file="$P/sa.key" \
  --kubelet-client-certificate="$P/kubelet-client.crt" --kubelet-client-key="$P/kubelet-client.key" \
  --kubelet-certificate-authority="$P/ca.crt" --kubelet-preferred-address-types=InternalIP
curl_cert() { curl -fsS --noproxy '*' --cacert "$P/ca.crt" --cert "$P/admin.crt" --key "$P/admin.key" "$@"; }
wait_up "etcd apiserver" curl_cert "https://$api/readyz"
lap kube-apiserver
for c in controller-manager=10257=cm scheduler=10259=sched; do
  IFS== read -r name port conf <<<"$c"
  extra=
  if [ "$conf" = cm ]; then
    extra="--root-ca-file=$P/ca.crt --service-account-private-key-file=$P/sa.key --use-service-account-credentials --node-monitor-grace-period=12s --node-monitor-period=2s"
  fi
  # shellcheck disable=SC2086
  start "$name" "kube-$name" --leader-elect=false --bind-address="$here_ip" --secure-port="$port" \
    --kubeconfig="$P/$conf.conf" --authentication-kubeconfig="$P/$conf.conf" --authorization-kubeconfig="$P/$conf.conf" \
    --cert-dir="$P" --tls-cert-file="$P/$name.crt" --tls-private-key-file="$P/$name.key" $extra
done
wait_up "etcd apiserver controller-manager" curl -fsSk --noproxy '*' "https://$here_ip:10257/healthz"
wait_up "etcd apiserver scheduler" curl -fsSk --noproxy '*' "https://$here_ip:10259/readyz"
lap "controllers, scheduler"
export KUBECONFIG=$S/kubeconfig

node_ready() { [ "$(kubectl get node "$1" -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}')" = True ]; }
for i in ${runtimes[@]+"${runtimes[@]}"}; do wait "$i"; done
for i in $(seq "$nodes"); do
  start_in "node$i" "node$i-kubelet" "$CACHE/bin/kubelet" --config "$S/node$i/kubelet.yaml" --kubeconfig "$P/node$i.conf" \
    --hostname-override "node$i" --node-ip "$net.$((10 + i))"
done
lap kubelets
for i in $(seq "$nodes"); do
  wait_up "apiserver node$i-kubelet" kubectl get node "node$i"
  wait_up "apiserver node$i-kubelet" node_ready "node$i"
done
# pods are refused until the controller manager has made this one
wait_up "apiserver controller-manager" kubectl get serviceaccount default
lap "kubelab is up, $nodes node(s)"
echo "export KUBECONFIG=$S/kubeconfig"

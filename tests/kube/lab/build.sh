#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# lab build: Debian packages + Go modules -> $KUBELAB_CACHE/bin.
# Usage: build.sh [unit...]     units: packages k8s etcd containerd sidecars metadata sanity (default: all); the Debian packages are seen to in any case
# Does nothing for what is up to date. Needs go (see go.mod of K8S for the version), but for the packages.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/versions"
cache=${KUBELAB_CACHE:-$HOME/.cache/kubelab}
mkdir -p "$cache/bin" "$cache/mod"
t0=$(date +%s)

missing=
for d in $DEBS; do [ -e "${d#*=}" ] || missing="$missing ${d%%=*}"; done
if [ -n "$missing" ]; then
  apt-get update -qq
  # shellcheck disable=SC2086
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
  echo "installed:$missing"
fi

# wrap NAME MODULE@VERSION: a module of our own in the cache that requires MODULE and
# repeats its replace lines (go install refuses modules that have any); a replace that
# points into k8s' staging/ folder becomes the published module of the same name; REPLACE has
# further replace lines, for a module whose go.mod requires a version that was never published.
wrap() {
  local name=$1 mod=${2%@*} ver=${2#*@} dir=$cache/mod/$1 gomod
  rm -rf "$dir"; mkdir -p "$dir"
  gomod=$(cd "$dir" && GOFLAGS=-mod=mod go mod download -json "$2" | sed -n 's/^\t"GoMod": "\(.*\)",\{0,1\}$/\1/p')
  { echo "module lab.test/$name"
    grep -E '^(go|godebug) ' "$gomod" || true
    echo "require $mod $ver"
    awk -v sv="$K8S_STAGING" '
      function out(l) { sub(/[ \t]*\/\/.*/, "", l); sub(/^[ \t]*(replace[ \t]+)?/, "", l)
        n = split(l, f, /[ \t]+/); if (n < 3) return
        if (f[n] ~ /^\.\/staging\/src\//) print "replace " f[1] " => " f[1] " " sv
        else if (f[n] !~ /^\./) print "replace " l }
      /^replace[ \t]*\(/ { b = 1; next }
      b && /^\)/ { b = 0; next }
      b { out($0); next }
      /^replace[ \t]/ { out($0) }' "$gomod"
    echo "${REPLACE:-}"
  } > "$dir/go.mod"
}

# unit NAME MODULE@VERSION LDFLAGS TAGS OUT=PACKAGE...
unit() {
  local name=$1 modver=$2 ld=$3 tags=$4; shift 4
  local want="$modver|$ld|$tags|$*|$(go env GOVERSION)" stamp=$cache/mod/$name.stamp p out all=1
  for p in "$@"; do [ -x "$cache/bin/${p%%=*}" ] || all=0; done
  if [ $all = 1 ] && [ "$(cat "$stamp" 2>/dev/null)" = "$want" ]; then return; fi
  local s; s=$(date +%s)
  wrap "$name" "$modver"
  for p in "$@"; do
    out=${p%%=*}
    (cd "$cache/mod/$name" && GOFLAGS=-mod=mod go build -trimpath -buildvcs=false \
      -tags "$tags" -ldflags "-s -w $ld" -o "$cache/bin/$out.new" "${p#*=}")
    mv "$cache/bin/$out.new" "$cache/bin/$out"   # a running binary may be in use
  done
  printf '%s' "$want" > "$stamp"
  echo "built $name $modver: $(( $(date +%s) - s )) s"
}

build() {
  local kv=${K8S#*@} cv=${CONTAINERD#*@} v=k8s.io/component-base/version
  case $1 in
  packages) ;;
  k8s) unit k8s "$K8S" "-X $v.gitVersion=$kv -X $v.gitMajor=1 -X $v.gitMinor=$(echo "$kv" | cut -d. -f2)" "" \
    kube-apiserver=k8s.io/kubernetes/cmd/kube-apiserver \
    kube-controller-manager=k8s.io/kubernetes/cmd/kube-controller-manager \
    kube-scheduler=k8s.io/kubernetes/cmd/kube-scheduler \
    kubelet=k8s.io/kubernetes/cmd/kubelet \
    kubectl=k8s.io/kubernetes/cmd/kubectl ;;
  etcd) unit etcd "$ETCD" "" "" etcd="${ETCD%@*}" ;;
  containerd) local c=${CONTAINERD%@*}
    unit containerd "$CONTAINERD" "-X $c/version.Version=$cv" "no_btrfs no_devmapper no_zfs no_tracing" \
      containerd=$c/cmd/containerd containerd-shim-runc-v2=$c/cmd/containerd-shim-runc-v2 ctr=$c/cmd/ctr ;;
  sidecars)
    unit provisioner "$PROVISIONER" "-X main.version=${PROVISIONER#*@}" "" csi-provisioner="${PROVISIONER%@*}/cmd/csi-provisioner"
    unit attacher "$ATTACHER" "-X main.version=${ATTACHER#*@}" "" csi-attacher="${ATTACHER%@*}/cmd/csi-attacher"
    unit resizer "$RESIZER" "-X main.version=${RESIZER#*@}" "" csi-resizer="${RESIZER%@*}/cmd/csi-resizer"
    unit snapshotter "$SNAPSHOTTER" "-X main.version=${SNAPSHOTTER#*@}" "" \
      csi-snapshotter="${SNAPSHOTTER%@*}/cmd/csi-snapshotter" \
      snapshot-controller="${SNAPSHOTTER%@*}/cmd/snapshot-controller"
    # the CRDs stay in the module cache; remember where
    (cd "$cache/mod/snapshotter" && GOFLAGS=-mod=mod go list -m -f '{{.Dir}}/config/crd' \
      github.com/kubernetes-csi/external-snapshotter/client/v8) > "$cache/mod/snapshot-crds.dir" ;;
  metadata) local m=${METADATA%@*}
    REPLACE="replace $m/client => $m/client ${METADATA#*@}" \
      unit metadata "$METADATA" "-X main.version=${METADATA#*@}" "" csi-snapshot-metadata="$m/cmd/csi-snapshot-metadata"
    (cd "$cache/mod/metadata" && GOFLAGS=-mod=mod go list -m -f '{{.Dir}}/config/crd' "$m/client") > "$cache/mod/metadata-crds.dir"
    (cd "$cache/mod/metadata" && GOFLAGS=-mod=mod go list -m -f '{{.Dir}}/proto' "$m") > "$cache/mod/metadata-proto.dir" ;;
  sanity) unit sanity "$SANITY" "" "" csi-sanity="${SANITY%@*}/cmd/csi-sanity" ;;
  *) echo "build.sh: no unit $1" >&2; return 2 ;;
  esac
}
if [ $# = 0 ]; then set -- k8s etcd containerd sidecars metadata sanity; fi
for u in "$@"; do build "$u"; done
echo "lab build: $(( $(date +%s) - t0 )) s, binaries in $cache/bin"

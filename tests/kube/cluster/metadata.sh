# SPDX-License-Identifier: Apache-2.0
# Changed blocks as backup programs read them in a cluster: through kubernetes-csi's external-snapshot-metadata beside the driver (deploy/snapshot-metadata), with an account's token. For cluster.sh; needs cluster-lib.sh.

METADATA_HOST=litepool-snapshot-metadata.litepool-system
# The Secret that deploy/snapshot-metadata wants; docs/kubernetes.md has the same.
metadata_certificate() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj "/CN=$METADATA_HOST" -addext "subjectAltName=DNS:$METADATA_HOST" -keyout "$S/metadata.key" -out "$S/metadata.crt" 2> /dev/null &&
        kubectl -n litepool-system create secret tls litepool-snapshot-metadata --cert "$S/metadata.crt" --key "$S/metadata.key"
}
# What tells backup programs where to ask, and the account of one: bound in the namespace "default", and nowhere else.
metadata_service() {
    kubectl apply -f - << END
apiVersion: cbt.storage.k8s.io/v1beta1
kind: SnapshotMetadataService
metadata: {name: csi.litepool.io}
spec: {address: "$METADATA_HOST:6443", audience: litepool-backup, caCert: $(base64 -w 0 < "$S/metadata.crt")}
---
{apiVersion: v1, kind: ServiceAccount, metadata: {name: backup, namespace: default}}
---
{apiVersion: v1, kind: ServiceAccount, metadata: {name: stranger, namespace: default}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: backup, namespace: default}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: litepool-snapshot-metadata-client}
subjects: [{kind: ServiceAccount, name: backup, namespace: default}]
END
}
# sidecar ACCOUNT AUDIENCE BASE SNAPSHOT: bytes that differ; "none" for BASE: that the snapshot has. No kube-proxy here, so the pod's address stands for the service's.
sidecar() {
    local pod token base=
    pod=$(kubectl -n litepool-system get endpointslices -l kubernetes.io/service-name=litepool-snapshot-metadata -o 'jsonpath={.items[0].endpoints[?(@.conditions.ready==true)].addresses[0]}' | cut -d ' ' -f 1) &&
        token=$(kubectl create token "$1" --audience "$2") || return
    [ "$3" = none ] || base=$(handle_of "$3") || return
    "$here/snapshot-metadata.py" "$(cat "$CACHE/mod/metadata-proto.dir")" "$pod:50051" "$METADATA_HOST" "$S/metadata.crt" default "$4" "$base" <<< "$token"
}
# The same as by the driver's own socket.
sidecar_agrees() { exactly "$(differs "$1" "$2")" sidecar backup litepool-backup "$1" "$2"; }
sidecar_refuses() { # sidecar_refuses CODE ACCOUNT AUDIENCE BASE SNAPSHOT
    local text
    text=$(sidecar "${@:2}" 2>&1) && { echo "not refused: $text"; return 1; }
    grep -q "$1" <<< "$text" || { echo "$text"; return 1; }
}

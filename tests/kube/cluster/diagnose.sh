#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# diagnose.sh S: what a cluster that is in trouble shows, in its own namespaces: pods and claims, warnings, and the ends of the logs that matter. Ends in bounded time, whatever does not answer.
set -uo pipefail
S=$1
export KUBECONFIG=$S/kubeconfig PATH=${KUBELAB_CACHE:-$HOME/.cache/kubelab}/bin:$PATH
ask() { timeout -k 1 10 kubectl --request-timeout=8s "$@" 2>&1; }
section() { echo "# --- $1"; sed 's/^/# /' | cut -c 1-300; }
tail -n 8 "$S/last" 2> /dev/null | section "the last thing waited for"
ask get pods -A -o wide | section pods
ask get pvc,pv,volumeattachments,volumesnapshots,volumegroupsnapshots,storagevolumes,storagesnapshots,storagepools,storagenodes | section objects
ask get events -A --field-selector type=Warning --sort-by=.lastTimestamp -o 'custom-columns=AT:.lastTimestamp,WHAT:.involvedObject.name,REASON:.reason,MESSAGE:.message' | grep -v MissingClusterDNS | tail -n 25 | section warnings
for part in litepool-controller litepool-csi-controller litepool-agent litepool-engine litepool-csi-node; do
    ask -n litepool-system logs -l "app.kubernetes.io/name=$part" --all-containers --prefix --tail=200 > "$S/log/$part.log"
    grep -vE ' level=(info|debug) | I[0-9]{4} ' "$S/log/$part.log" | tail -n 15 | section "$part, but for information"
done
for log in "$S"/log/{apiserver,etcd,controller-manager,scheduler,snapshot-controller}.log "$S"/log/node*-kubelet.log; do
    grep -E '^[EF][0-9]{4} |"level":"(warn|error|fatal)"' "$log" 2> /dev/null | tail -n 6 | section "${log##*/}, errors"
done

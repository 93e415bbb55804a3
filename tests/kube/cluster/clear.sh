#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# clear.sh S: what a cluster in the folder S leaves of the machine's own when all its processes are gone with their namespaces (tools/test-k8s): loop devices, cgroups, sysctls, folders, S itself. Fails, and
# says what, when something is left all the same.
set -uo pipefail
: "${LITEPOOL_BUILD:?}" "${LITEPOOL_SOURCE:?}"
S=$1
[ -e "$S/id" ] || { rm -rf "$S"; exit 0; } # it never began
. "$LITEPOOL_SOURCE/tests/kube/cluster/cluster-lib.sh"
# Process ids, addresses and what is set under net/ were the namespaces' own.
rm -f "$S"/run/*.pid "$S/addrs"
[ ! -e "$S/sysctls" ] || sed -i '/^net\//d' "$S/sysctls"
id=$(cat "$S/id") left=
ours() { { loops; losetup -n -O NAME,BACK-FILE | awk -v id="$id-" 'index($2, id) { print $1 }'; } | sort -u; }
for device in $(ours); do losetup -d "$device"; done
"$lab/down.sh" "$S"
# A loop device goes when its last user has, which the kernel may still be about.
for _ in $(seq 100); do
    left=$(ours; cg_dirs "$id"; awk -v s="$S/" 'index($5, s) == 1 { print $5 }' /proc/self/mountinfo)
    [ -n "$left" ] || break
    sleep 0.1
done
rm -rf --one-file-system "$S"
[ -z "$left" ] || { echo "left behind by the cluster:"; echo "$left"; exit 1; }

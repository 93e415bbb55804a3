#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# csi-sanity's controller side (Identity, Controller, GroupController) against litepool-csi with the real controller, agent and engine: volumes are lvols of a pool, snapshots
# and clones are cut, hosts let in and fenced. The node's side needs a kernel with nvme-tcp and is not in it. Skipped without csi-sanity.
. "${LITEPOOL_SOURCE:?}/tests/func/agent-lib.sh"
sanity=${CSI_SANITY:-$(PATH=$PATH:${KUBELAB_CACHE:-${HOME:-/root}/.cache/kubelab}/bin command -v csi-sanity)}
[ -n "$sanity" ] || { echo "1..0 # SKIP no csi-sanity (set CSI_SANITY)"; exit 0; }
csi_pid=
end_csi() { [ -z "$csi_pid" ] || { kill "$csi_pid"; wait "$csi_pid"; }; }
trap 'end_csi; end_all; cleanup' EXIT
run_sanity() {
    "$sanity" --csi.endpoint="unix://$work/csi" --csi.mountdir="$work/run/m" --csi.stagingdir="$work/run/s" --csi.testvolumesize=67108864 \
        --csi.testvolumeexpandsize=134217728 --ginkgo.no-color --ginkgo.focus='Identity Service|Controller Service|ListSnapshots|Snapshot|ExpandVolume \[Controller|ModifyVolume|GroupController' \
        --ginkgo.skip='Node Service' > "$work/sanity" 2>&1 && return
    grep -E '\[FAIL|rpc error|Expected' -A3 "$work/sanity" | head -80
    tail -n 15 "$work/csi.log"
    return 1
}
none_left() { [ "$(req GET "$(kind_path "$1")")" = 200 ] && python3 -c 'import json, sys; sys.exit(bool(json.load(open(sys.argv[1]))["items"]))' "$work/answer"; }
no_subsystems() { [ "$(rpc nvmf_get_subsystems | json 'len([s for s in j if "volume:" in s["nqn"]])')" = 0 ]; }

start_control
start_agent
wait_for ready node node-1
pool p1 4Gi
wait_for ready pool p1
"$build/src/csi/litepool-csi" --mode=all --endpoint "unix://$work/csi" --node-id node-1 --server "unix:$api" 2> "$work/csi.log" &
csi_pid=$!
wait_for test -S "$work/csi"
mkdir "$work/run"
check "csi-sanity's controller side on the real parts" run_sanity
sed -n 's/.*Ran \([0-9]*\) of .*/# csi-sanity ran=\1/p; s/.*-- \([0-9]*\) Passed | \([0-9]*\) Failed.*/# passed=\1 failed=\2/p' "$work/sanity"
check "no volume is left" none_left volume
check "no snapshot is left" none_left snapshot
check "no export is left in the engine" no_subsystems
done_testing

#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# sanity.sh DRIVER [mount|block] [CONTROLLER]: csi-sanity (in $CSI_SANITY, or from PATH or the cache of the Kubernetes tools) against csi-mem, the services over the tests' control
# plane; with CONTROLLER (litepool-controller) against csi-files, the real backend over the embedded API, standin.py as controller and agents. Last line:
#   csi-sanity ran=N passed=N failed=N skipped=N
# Status 77 without csi-sanity, root or loop devices. Mounts live in a mount namespace of their own.
set -uo pipefail
driver=${1:?usage: sanity.sh DRIVER [mount|block] [CONTROLLER]} kind=${2:-mount} controller=${3:-}
sanity=${CSI_SANITY:-$(PATH=$PATH:${KUBELAB_CACHE:-${HOME:-/root}/.cache/kubelab}/bin command -v csi-sanity)}
[ -n "$sanity" ] || { echo "skipped: no csi-sanity (set CSI_SANITY)"; exit 77; }
[ "$(id -u)" = 0 ] || { echo "skipped: csi-sanity mounts, which needs root"; exit 77; }
losetup -f > /dev/null 2>&1 || { echo "skipped: no loop devices"; exit 77; }
if [ -z "${SANITY_INSIDE:-}" ]; then
    SANITY_INSIDE=1 exec unshare -m --propagation private "$0" "$@"
fi
work=$(mktemp -d)
mkdir "$work/volumes"
pid='' helpers=''
end() {
    for p in $pid $helpers; do kill "$p" 2> /dev/null && wait "$p"; done
    for d in $(losetup -n -O NAME,BACK-FILE | awk -v w="$work" 'index($2, w) { print $1 }'); do
        umount "$d" 2> /dev/null
        losetup -d "$d"
    done
    rm -rf "$work"
}
trap end EXIT
wait_line() { for _ in $(seq 1200); do grep -q "$1" "$2" 2> /dev/null && return; sleep 0.05; done; echo "no \"$1\" in:"; cat "$2"; exit 1; }
server=()
if [ -n "$controller" ]; then
    "$controller" --embedded --api-only --state-dir "$work/state" --socket "$work/api" 2> "$work/controller.log" &
    helpers=$!
    wait_line controller.serves "$work/controller.log"
    python3 "$(dirname "$0")/standin.py" "$work/api" "$work/volumes" --node node1 > "$work/standin.log" 2>&1 &
    helpers="$! $helpers"
    wait_line '^ready' "$work/standin.log"
    server=(--server "unix:$work/api")
fi
"$driver" "$work/volumes" --endpoint "unix://$work/s" --node-id node1 --max-volumes 16 "${server[@]}" 2> "$work/log" &
pid=$!
wait_line csi.ready "$work/log"
mkdir "$work/run"
"$sanity" --csi.endpoint="unix://$work/s" --csi.mountdir="$work/run/m" --csi.stagingdir="$work/run/s" \
    --csi.testvolumesize=67108864 --csi.testvolumeexpandsize=134217728 --csi.testvolumeaccesstype="$kind" --csi.testnodevolumeattachlimit \
    --ginkgo.no-color --ginkgo.junit-report="$work/junit" > "$work/out" 2>&1
status=$?
# It ends with 0 after a signal, unless it died before or a sanitizer has something to say.
kill "$pid"
wait "$pid" || { status=1; echo "the driver ended with status $?"; tail -n 40 "$work/log"; }
pid=
[ $status = 0 ] || { grep -E '\[FAIL|Unexpected|rpc error|Expected' -A3 "$work/out" | head -150; tail -n 20 "$work/log"; }
sed -n 's/.*Ran \([0-9]*\) of .*/ran=\1/p' "$work/out" > "$work/ran"
sed 's/.*-- \([0-9]*\) Passed | \([0-9]*\) Failed | \([0-9]*\) Pending | \([0-9]*\) Skipped.*/passed=\1 failed=\2 skipped=\4 pending=\3/;t;d' "$work/out" > "$work/counts"
grep -h -A1 "^S \[SKIPPED\]" "$work/out" | grep -v -e "^--" -e "^S " | sed "s/^/# skipped: /"
echo "csi-sanity $(cat "$work/ran") $(cat "$work/counts")"
exit $status

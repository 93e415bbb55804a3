# SPDX-License-Identifier: Apache-2.0
# For scenarios with litepool-csi in the guest ("# with: csi.sh"): the driver, CSI's calls, and the steps of a volume.
# needs: csi lp-csi
# The control plane is beside the guest ("# plane: yes"), or in it: NODE and API say as which node and where the driver finds it.
#
#   driver [OPTION...]       starts litepool-csi, waits until it serves: not within check;  kill_driver  kill -9
#   call METHOD JSON [PART]  one call; its answer. Its status is gRPC's code: 0, 5 NOT_FOUND, 9 FAILED_PRECONDITION, ...
#   code N COMMAND...        it ends with that status
#   many                     calls on stdin, at once
# Steps, with V a volume's name: make V [SIZE [MORE]], admit, stage, publish, unpublish, unstage, dismiss, drop. $FS is the file system, or "block".
ours() { timeout -s KILL ${LIMIT:-240} /lib64/ld-linux-x86-64.so.2 --library-path /job/in/lib /job/in/"$@"; } # without LD_LIBRARY_PATH: mkfs and the like are the guest's
for p in btrfs mkfs.btrfs; do
    [ ! -e /job/in/$p ] || { printf '#!/bin/sh\nexec /lib64/ld-linux-x86-64.so.2 --library-path /job/in/lib /job/in/%s "$@"\n' $p > /usr/bin/$p; chmod 755 /usr/bin/$p; }
done
# Not in a subshell: steps keep what they are told.
check() {
    local text=$1
    shift
    if "$@" > /tmp/check.out 2>&1; then ok "$text"; else not_ok "$text"; echo "# $*"; sed 's/^/#   /' /tmp/check.out | tail -n 25; fi
}
NODE=guest API='--kubeconfig /job/in/tls/csi.kubeconfig'
sock=/run/csi.sock pods=/var/lib/pods FS=ext4 MIB=1048576
declare -A id context
mkdir -p $pods
# Few workers: each has a connection to the API of its own, and dozens of TLS handshakes at once take an emulated machine half a minute.
serves() { [ -S $sock ] && timeout 20 /lib64/ld-linux-x86-64.so.2 --library-path /job/in/lib /job/in/lp-csi $sock Probe; }
driver() {
    rm -f $sock
    /lib64/ld-linux-x86-64.so.2 --library-path /job/in/lib /job/in/litepool-csi --mode=all --endpoint unix://$sock --node-id $NODE $API --workers 12 "$@" > /dev/null 2>> /tmp/csi.log &
    driver_pid=$!
    wait_for 60 serves || { not_ok "the driver serves"; trouble; finish; }
}
kill_driver() { kill -9 $driver_pid; wait $driver_pid 2> /dev/null; }
call() { ours lp-csi $sock "$@"; }
many() { ours lp-csi $sock -; }
code() {
    local want=$1 out rc
    shift
    out=$("$@" 2>&1)
    rc=$?
    [ $rc = "$want" ] || { echo "ended with $rc, not with $want: $out"; return 1; }
}
# cap [MODE]: a capability. 1 SINGLE_NODE_WRITER
cap() {
    local kind="\"mount\":{\"fs_type\":\"$FS\"}"
    [ $FS != block ] || kind='"block":{}'
    echo "{$kind,\"access_mode\":{\"mode\":${1:-1}}}"
}
make_json() { echo "{\"name\":\"$1\",\"capacity_range\":{\"required_bytes\":$((${2:-320} * MIB))},\"volume_capabilities\":[$(cap)]${3:-}}"; }
make() { id[$1]=$(call CreateVolume "$(make_json "$@")" volume.volume_id); }
# context CSI gives as a list of pairs, and takes as an object
to_map() { sed 's/{"key":\("[^"]*"\),"value":\("[^"]*"\)}/\1:\2/g; s/^\[/{/; s/\]$/}/'; }
admit_json() { echo "{\"volume_id\":\"${id[$1]}\",\"node_id\":\"${2:-$NODE}\",\"volume_capability\":$(cap)}"; }
admit() { local c; c=$(call ControllerPublishVolume "$(admit_json "$@")" publish_context) && context[$1]=$(to_map <<< "$c"); }
dismiss_json() { echo "{\"volume_id\":\"${id[$1]}\",\"node_id\":\"${2:-$NODE}\"}"; }
dismiss() { call ControllerUnpublishVolume "$(dismiss_json "$@")"; }
stage_json() { echo "{\"volume_id\":\"${id[$1]}\",\"staging_target_path\":\"$pods/$1.stage\",\"publish_context\":${context[$1]},\"volume_capability\":$(cap)}"; }
stage() { call NodeStageVolume "$(stage_json "$1")"; }
unstage_json() { echo "{\"volume_id\":\"${id[$1]}\",\"staging_target_path\":\"$pods/$1.stage\"}"; }
unstage() { call NodeUnstageVolume "$(unstage_json "$1")"; }
publish_json() { echo "{\"volume_id\":\"${id[$1]}\",\"staging_target_path\":\"$pods/$1.stage\",\"target_path\":\"$pods/$1\",\"publish_context\":${context[$1]},\"volume_capability\":$(cap)${2:-}}"; }
publish() { call NodePublishVolume "$(publish_json "$@")"; }
unpublish_json() { echo "{\"volume_id\":\"${id[$1]}\",\"target_path\":\"$pods/$1\"}"; }
unpublish() { call NodeUnpublishVolume "$(unpublish_json "$1")"; }
drop() { call DeleteVolume "{\"volume_id\":\"${id[$1]}\"}"; }
up() { make "$@" && admit "$1" && stage "$1" && publish "$1"; }
down() { unpublish "$1" && unstage "$1" && dismiss "$1" && drop "$1"; }
n_devices() { ls /sys/block | grep -c '^nvme[0-9]*n[0-9]*$'; }
n_ctrls() { ls /sys/class/nvme | wc -l; }
nothing_left() { same "$(n_devices) $(n_ctrls) $(grep -c $pods /proc/mounts)" "0 0 0"; }
trouble() { [ $failures = 0 ] || { echo "--- litepool-csi"; tail -n "${1:-40}" /tmp/csi.log; dmesg | tail -n 20; }; }

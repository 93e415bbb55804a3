# SPDX-License-Identifier: Apache-2.0
# litepool-csi on a real kernel, with the real controller, agent and engine: volumes by CSI's own calls, from creation to nothing left; the driver killed after each step and in the middle.
# with: csi.sh
# plane: yes
# suites: trixie
# needs: btrfs mkfs.btrfs
driver
json() { printf '{"volume_id":"%s","%s":"%s"%s}' "${id[$1]}" "$2" "$3" "${4:-}"; }
grow_to=$((448 * MIB))
range=",\"capacity_range\":{\"required_bytes\":$grow_to}"
usage() { call NodeGetVolumeStats "$(json "$1" volume_path $pods/$1)" usage.0."$2"; }

# The life of a file system.
life() {
    FS=$1
    local v=$1 sum
    check "$FS: from nothing to a pod's folder" up $v
    check "$FS: again" eval "stage $v && publish $v"
    echo kept > $pods/$v/file
    dd if=/dev/urandom of=$pods/$v/data bs=64k count=32 conv=fsync 2> /dev/null
    sum=$(sha256sum < $pods/$v/data)
    check "$FS: grown behind" call ControllerExpandVolume "{\"volume_id\":\"${id[$v]}\"$range}"
    check "$FS: grown here, mounted" same "$(call NodeExpandVolume "$(json $v volume_path $pods/$v "$range")" capacity_bytes)" $grow_to
    check "$FS: the file system is as large" [ "$(usage $v total)" -gt $((380 * MIB)) ]
    check "$FS: given up" eval "unpublish $v && unstage $v && nothing_left"
    check "$FS: and taken again" eval "stage $v && publish $v"
    check "$FS: the data are there" same "$(cat $pods/$v/file; sha256sum < $pods/$v/data)" "$(printf 'kept\n%s' "$sum")"
    case $(host get storagevolumes/$v status format) in *'"state": "Done"'*"\"$FS\""* | *"\"$FS\""*'"state": "Done"'*) ok "$FS: the record says so" ;; *) not_ok "$FS: the record" ;; esac
}
life xfs
# Copies beside their source: xfs has the same UUID in both.
check "snapshot" call CreateSnapshot "{\"name\":\"s\",\"source_volume_id\":\"${id[xfs]}\"}" snapshot.snapshot_id
snap=$(cat /tmp/check.out)
echo later > $pods/xfs/file; sync -f $pods/xfs
check "restored, larger" up restored 512 ",\"volume_content_source\":{\"snapshot\":{\"snapshot_id\":\"$snap\"}}"
check "has what the snapshot had" same "$(cat $pods/restored/file)" kept
check "fills its volume" [ "$(usage restored total)" -gt $((440 * MIB)) ]
check "cloned" up cloned 448 ",\"volume_content_source\":{\"volume\":{\"volume_id\":\"${id[xfs]}\"}}"
check "has what the source has" same "$(cat $pods/cloned/file)" later
nouuid() { awk -v p="$pods/" '$2 == p "xfs.stage" || $2 == p "restored.stage" || $2 == p "cloned.stage" { n = n ($4 ~ /nouuid/) } END { print n }' /proc/mounts; }
check "nouuid only for the copies" same "$(nouuid)" 011
check "gone" eval "down cloned && down restored && call DeleteSnapshot '{\"snapshot_id\":\"$snap\"}' && down xfs && nothing_left"
modprobe btrfs; ! grep -qw btrfs /proc/filesystems || [ ! -e /job/in/mkfs.btrfs ] || { life btrfs; check "btrfs: gone" down btrfs; }

# A raw device: noted before it is handed out, never formatted.
FS=block
check "raw: from nothing to a pod's device" up raw 64
check "raw: a block device" [ -b $pods/raw ]
check "raw: the record" same "$(host get storagevolumes/raw status format fs)" raw
check "raw: written" fio --name=t --filename=$pods/raw --direct=1 --rw=randwrite --bs=4k --size=4m --verify=crc32c --do_verify=1 --minimal
check "raw: size" same "$(usage raw total)" $((64 * MIB))
check "raw: given up" eval "unpublish raw && unstage raw"
FS=block
context[raw]=${context[raw]%\}},\"readonly\":\"true\"}
check "raw: read-only" eval "stage raw && publish raw"
refused "raw: the kernel takes no writes" dd if=/dev/zero of=$pods/raw bs=4k count=1 oflag=direct
check "raw: given up again" eval "unpublish raw && unstage raw"
FS=ext4
check "raw: not mountable as a file system" code 9 stage raw
check "raw: gone" eval "unstage raw && dismiss raw && drop raw && nothing_left"

# The driver is killed after each step, and each is repeated; then in the middle of some.
FS=ext4
step() { check "$*" "$@"; kill_driver; driver; check "$* again, after kill -9" "$@"; }
for s in "make killed" "admit killed" "stage killed" "publish killed"; do step $s; done
echo kept > $pods/killed/file
for s in "unpublish killed" "unstage killed" "dismiss killed" "drop killed"; do step $s; done
check "nothing is left" nothing_left
check "the middle" eval "make middle && admit middle"
for ms in 1 3 6; do
    stage middle > /tmp/middle.out 2>&1 & pid=$!
    sleep 0.$ms
    kill_driver; wait $pid
    driver
    check "staged, where it was killed after 0.$ms s" stage middle
    publish middle > /tmp/middle.out 2>&1
    [ $ms = 1 ] && echo kept > $pods/middle/file
    check "the same file system" same "$(cat $pods/middle/file)" kept
    unpublish middle > /tmp/middle.out 2>&1
    unstage middle > /tmp/middle.out 2>&1 & pid=$!
    sleep 0.$ms
    kill_driver; wait $pid
    driver
    check "unstaged, likewise" eval "unstage middle && nothing_left"
done

# Out of order, and at once.
check "published without being staged" code 9 publish middle
check "staged" stage middle
check "unstaged while published" eval "publish middle && code 9 unstage middle"
check "deleted while attached" code 9 drop middle
check "unpublished and unstaged" eval "unpublish middle && unstage middle"
calls() { for _ in 1 2 3 4 5 6; do echo "$1 $2"; done | many; }
only() { grep -v -e ^OK -e ^ABORTED /tmp/calls.out && return 1; grep ^OK /tmp/calls.out; }
calls NodeStageVolume "$(stage_json middle)" > /tmp/calls.out 2>&1
check "staged six times at once" only
calls NodePublishVolume "$(publish_json middle)" > /tmp/calls.out 2>&1
check "published six times at once" only
check "once each" same "$(grep -c "$pods/middle" /proc/mounts) $(n_ctrls)" "2 1"
for _ in 1 2 3; do echo "NodeUnpublishVolume $(unpublish_json middle)"; echo "NodePublishVolume $(publish_json middle)"; echo "NodeUnstageVolume $(unstage_json middle)"; done | many > /tmp/mixed.out 2>&1
check "mixed at once, and then in order" eval "stage middle && publish middle && same \"\$(cat $pods/middle/file)\" kept"
check "gone" eval "down middle && nothing_left"
check "unknown volumes are no trouble" eval "unpublish middle && unstage middle && dismiss middle && drop middle"
check "no object is left" same "$(host count storagevolumes) $(host count storagesnapshots)" "0 0"
trouble

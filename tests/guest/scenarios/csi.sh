# SPDX-License-Identifier: Apache-2.0
# litepool-csi on a real kernel: the life of volumes by CSI's own calls, with the real controller, agent and engine.
# with: csi.sh
# needs: btrfs mkfs.btrfs
driver

whole_life() {
    FS=$1 v=life-$1
    check "$FS: made" make $v
    check "$FS: let in" admit $v
    check "$FS: staged" stage $v
    check "$FS: staged again" stage $v
    check "$FS: published" publish $v
    echo kept > $pods/$v/file
    dd if=/dev/urandom of=$pods/$v/data bs=64k count=32 conv=fsync 2> /dev/null
    sum=$(sha256sum < $pods/$v/data)
    check "$FS: grown behind" call ControllerExpandVolume "{\"volume_id\":\"${id[$v]}\",\"capacity_range\":{\"required_bytes\":$((448 * MIB))}}"
    check "$FS: grown here" same "$(call NodeExpandVolume "{\"volume_id\":\"${id[$v]}\",\"volume_path\":\"$pods/$v\",\"capacity_range\":{\"required_bytes\":$((448 * MIB))}}" capacity_bytes)" $((448 * MIB))
    check "$FS: its file system is as large" [ "$(call NodeGetVolumeStats "{\"volume_id\":\"${id[$v]}\",\"volume_path\":\"$pods/$v\"}" usage.0.total)" -gt $((380 * MIB)) ]
    check "$FS: unpublished" unpublish $v
    check "$FS: unstaged" unstage $v
    check "$FS: nothing is left" nothing_left
    check "$FS: staged anew" stage $v
    check "$FS: published anew" publish $v
    check "$FS: the data are there" same "$(cat $pods/$v/file; sha256sum < $pods/$v/data)" "kept
$sum"
    check "$FS: all undone" down $v
}
whole_life ext4
nothing_left || trouble
trouble

# SPDX-License-Identifier: Apache-2.0
# Thin volumes of a pool as disks: make, mount, verify, trim gives the space back, grow while mounted; a clone is mounted beside its origin and has what the snapshot had.
# suites: trixie
setup pool 3221225472
setup lvol small 671088640 512
setup lvol big 671088640
setup subsystem $NQN p/small p/big
check "connect" connect
check "both namespaces" wait_for 20 block_dev 2
mkdir -p /mnt/t /mnt/clone

try_fs() { # try_fs VOLUME NSID FS CLONE_NSID [OPTIONS FOR THE CLONE'S MOUNT]
    local vol=$1 nsid=$2 fs=$3 clone_nsid=$4 opts=${5:-rw} d full
    d=$(by_nsid $nsid)
    check "mkfs.$fs" mkfs.$fs -q $d
    check "mount $fs" mount $d /mnt/t
    check "fio verifies on $fs" fio --name=t --directory=/mnt/t --size=24m --rw=randwrite --bsrange=512-128k --bs_unaligned=0 \
        --ioengine=libaio --iodepth=8 --verify=crc32c --do_verify=1 --end_fsync=1 --minimal
    sha256sum /mnt/t/* > /tmp/sums
    sync -f /mnt/t
    setup snapshot $vol $vol-snap
    check "writes go on behind the snapshot" fio --name=t --directory=/mnt/t --size=24m --rw=randwrite --bs=4k --ioengine=libaio --iodepth=8 \
        --number_ios=1500 --end_fsync=1 --minimal
    dd if=/dev/urandom of=/mnt/t/later bs=1M count=24 conv=fsync status=none
    setup clone $vol-snap $vol-clone
    setup add $NQN p/$vol-clone $clone_nsid
    check "the clone's namespace comes by itself" wait_for 20 has_nsid $clone_nsid
    check "the clone is mounted" mount -o $opts "$(by_nsid $clone_nsid)" /mnt/clone
    check "the clone has what the snapshot had" sh -c "sed s,/mnt/t/,/mnt/clone/, /tmp/sums | sha256sum -c --quiet"
    check "and nothing of later" [ ! -e /mnt/clone/later ]
    check "the clone is writable" dd if=/dev/zero of=/mnt/clone/own bs=1M count=2 conv=fsync status=none
    check "the origin does not see that" [ ! -e /mnt/t/own ]
    check "unmount the clone" umount /mnt/clone

    full=$(host lvol-is $vol allocated_bytes)
    rm /mnt/t/later
    sync -f /mnt/t
    check "fstrim" fstrim -v /mnt/t
    check "fstrim gives the space back ($full, now $(host lvol-is $vol allocated_bytes))" [ "$(host lvol-is $vol allocated_bytes)" -le $((full - 20 * 1048576)) ]

    setup lvol-size $vol 805306368
    grown() { [ "$(sectors "${d##*/}")" = 1572864 ]; }
    check "the host sees the new size by itself" wait_for 20 grown
    if [ $fs = xfs ]; then check "xfs_growfs" xfs_growfs /mnt/t; else check "resize2fs" resize2fs $d; fi
    check "the new space takes data" fio --name=g --directory=/mnt/t --size=32m --rw=write --bs=64k --verify=crc32c --do_verify=1 --end_fsync=1 --minimal
    check "unmount" umount /mnt/t
    if [ $fs = xfs ]; then check "xfs_repair -n" xfs_repair -n $d; else check "e2fsck" e2fsck -fn $d; fi
}
try_fs small 1 ext4 3
try_fs big 2 xfs 4 nouuid

check "restart" host restart
back() { live && [ -b "$(by_nsid 2)" ]; }
check "the host is back" wait_for 60 back
check "the volume is whole after a restart" xfs_repair -n "$(by_nsid 2)"
check "mount again" mount "$(by_nsid 4)" /mnt/clone
check "the clone too" sh -c "sed s,/mnt/t/,/mnt/clone/, /tmp/sums | sha256sum -c --quiet"
check "unmount" umount /mnt/clone

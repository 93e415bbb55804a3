# SPDX-License-Identifier: Apache-2.0
# What people do with a disk: make, mount, verify, trim, unmount, check; 512 and 4096-byte blocks, with and without digests.
setup disk small 671088640 512
setup disk big 671088640 4096
setup subsystem $NQN small big

try_fs() { # try_fs DEVICE FS
    local d=$1 fs=$2
    check "mkfs.$fs on $d" mkfs.$fs ${3:-} $d
    mkdir -p /mnt/t
    check "mount $fs" mount $d /mnt/t
    check "fio verifies on $fs" fio --name=t --directory=/mnt/t --size=24m --rw=randwrite --bsrange=512-128k --bs_unaligned=0 \
        --ioengine=libaio --iodepth=8 --verify=crc32c --do_verify=1 --end_fsync=1 --minimal
    check "fstrim" fstrim -v /mnt/t
    check "unmount" umount /mnt/t
    if [ $fs = xfs ]; then check "xfs_repair -n" xfs_repair -n $d; else check "e2fsck" e2fsck -fn $d; fi
}

for digests in "" "-g -G"; do
    check "connect $digests" connect $digests
    check "both namespaces" wait_for 20 block_dev 2
    d512=$(by_block_size 512) d4096=$(by_block_size 4096)
    check "one with blocks of 512 bytes" [ -b "$d512" ]
    check "one with blocks of 4096 bytes" [ -b "$d4096" ]
    if [ -z "$digests" ]; then
        try_fs $d512 ext4 -q
        try_fs $d4096 xfs -fq
    else
        try_fs $d4096 ext4 -qF
        for bs in 4k 128k 512k; do
            for depth in 1 16; do
                check "raw fio verify bs=$bs depth=$depth" fio --name=r --filename=$d512 --direct=1 --rw=randwrite --bs=$bs --size=16m \
                    --ioengine=libaio --iodepth=$depth --verify=crc32c --do_verify=1 --minimal
            done
        done
    fi
    check "disconnect" nvme disconnect -n $NQN
    check "gone" wait_for 20 device_gone
done

check "connect" connect
check "both namespaces again" wait_for 20 block_dev 2
d512=$(by_block_size 512)
full=$(host allocated small)
check "blkdiscard" blkdiscard $d512
check "discard gives the space back" [ "$(host allocated small)" -lt $((full / 4 + 1048576)) ]
check "blkdiscard --zeroout" blkdiscard --zeroout -l 8388608 $d512
check "zeroes are read" cmp -n 8388608 /dev/zero $d512

#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Disks that hold what others made, by the programs that make it: refused with what it is and how it is forced, taken when forced by the exact name, and then nothing of it is left. What is
# mounted, held or swapped to is refused even when forced.
. "$(dirname "$0")/lib.sh"
PATH=$PATH:/usr/sbin:/sbin
loop=

# shellcheck disable=SC2317 # by trap
release() {
    [ -z "$loop" ] || {
        umount "$work/mnt"
        swapoff "$loop"
        dmsetup remove --noudevsync "litepool-test-$$"
        cleanup # the engine may have it
        losetup -d "$loop"
    } 2> /dev/null
    cleanup
}
trap release EXIT

pool() { lp pool "$@"; }
# skip NAME REASON
skip() {
    n_tests=$((n_tests + 1))
    echo "ok $n_tests - $1 # SKIP $2"
}
# What creating a pool would write to, and the end.
sum() { { head -c 8M "$1"; tail -c 1M "$1"; } | sha256sum; }
no_signature() { same "$(wipefs --noheadings "$image")" ""; }

# holds MIB WORDS NAME TOOL COMMAND...: the command makes it on $image, by that tool
holds() {
    local mib=$1 words=$2 name=$3 tool=$4 before
    shift 4
    image=$work/$name.img
    truncate -s "${mib}M" "$image"
    command -v "$tool" > /dev/null || { skip "$name is refused, and taken by force" "$tool is not there"; return; }
    check "$name is made" "$@"
    before=$(sum "$image")
    refused "$name is refused, with what it is and what to do" "$name.img holds $words.*--force $name.img" pool create p "$image"
    refused "$name: another name does not force it" "exact name.*$name.img" pool create p "$image" --force "$image"
    check "$name: nothing of it was changed" same "$(sum "$image")" "$before"
    check "$name: forced, it is a pool" pool create p "$image" --force "$name.img"
    check "$name: the pool goes" pool delete p
    check "$name: nothing is left that wipefs finds" no_signature
    check "$name: nor that we find" pool create p "$name.img"
    check "$name: the pool goes again" pool delete p
    check "$name: and its disk" lp bdev delete "$name.img"
    rm -f "$image"
}
# part LABEL: a table with one partition
part() { sfdisk -q --no-tell-kernel --label "$1" "$image" <<< ',8M'; }
# bytes OFFSET FORMAT...
bytes() {
    while [ $# -gt 0 ]; do
        # shellcheck disable=SC2059 # the format is the bytes
        printf "$2" | dd of="$image" bs=1 seek="$(($1))" conv=notrunc status=none || return
        shift 2
    done
}
# Where the kernel does not let cryptsetup work: the beginning of its header.
luks() {
    cryptsetup luksFormat -q --type luks2 --pbkdf pbkdf2 --pbkdf-force-iterations 1000 "$image" <<< secret ||
        bytes 0 'LUKS\xba\xbe\0\x02'
}
# Four labels of 256 KiB, and in each of them a few uberblocks.
zfs() {
    local size label i
    size=$(stat -c %s "$image")
    for label in 0 262144 $((size - 524288)) $((size - 262144)); do
        for i in 4 5 6; do bytes $((label + 131072 + i * 1024)) '\x0c\xb1\xba\0\0\0\0\0\x88\x13' || return; done
    done
}
# A software RAID member: superblocks of format 1.2 and 1.0.
md() { bytes "$1" '\xfc\x4e\x2b\xa9\x01\0\0\0'; }

start_engine || exit 1

holds 64 'an ext2/3/4 file system' ext4 mkfs.ext4 mkfs.ext4 -q -F "$work/ext4.img"
holds 320 'an XFS file system' xfs mkfs.xfs mkfs.xfs -q "$work/xfs.img"
holds 128 'a btrfs file system' btrfs mkfs.btrfs mkfs.btrfs -q "$work/btrfs.img"
holds 64 'swap space' swap mkswap mkswap "$work/swap.img"
holds 64 'a FAT file system' vfat mkfs.vfat mkfs.vfat "$work/vfat.img"
holds 64 'a GPT partition table' gpt sfdisk part gpt
holds 64 'an MBR partition table' mbr sfdisk part dos
holds 64 'a LUKS encrypted volume' luks2 cryptsetup luks
# What takes the kernel's modules or more of a system to make, by its bytes.
holds 64 'an LVM2 physical volume' lvm dd bytes 512 'LABELONE\x01\0\0\0\0\0\0\0' 536 'LVM2 001'
holds 64 'a Linux software RAID member' md12 dd md 4096
holds 64 'a Linux software RAID member' md10 dd md $((64 * 1048576 - 8192))
holds 64 'a ZFS pool member' zfs dd zfs

# What only libblkid knows.
cramfs() {
    mkdir -p "$work/cramfs" && cp "$0" "$work/cramfs" && mkfs.cramfs "$work/cramfs" "$image" && truncate -s 64M "$image"
}
holds 64 'minix' minix mkfs.minix mkfs.minix "$work/minix.img"
holds 64 'cramfs' cramfs mkfs.cramfs cramfs
holds 64 'a partition table .sun' sun sfdisk part sun
holds 64 'a partition table .sgi' sgi sfdisk part sgi
holds 64 'isw_raid_member .raid' isw dd bytes $((64 * 1048576 - 1024)) 'Intel Raid ISM Cfg Sig. 1.1.00\0'
# A layer over the disk holds what is below.
truncate -s 64M "$work/below.img"
image=$work/below.img bytes $((64 * 1048576 - 1024)) 'Intel Raid ISM Cfg Sig. 1.1.00\0'
lp bdev create-file below "$work/below.img" > /dev/null
lp fault create above below > /dev/null
refused "below a fault layer it is found" 'above holds isw_raid_member .raid.*--force above' pool create p above
lp bdev delete above > /dev/null
lp bdev delete below > /dev/null

# ---- devices that somebody has ----

image=$work/held.img
truncate -s 64M "$image"
mkdir "$work/mnt"
if [ "$(id -u)" != 0 ] || ! loop=$(losetup -f --show "$image" 2> /dev/null); then
    loop=
    skip "what is mounted or held is refused" "no loop devices here"
    stop_engine || exit 1
    done_testing
    exit
fi
name=${loop##*/}

if command -v pvcreate > /dev/null; then
    check "LVM has the device" pvcreate -q -q -y --config 'global { locking_type=1 } devices { obtain_device_list_from_udev=0 use_devicesfile=0 }' "$loop"
    refused "it is refused, with what it is" "$name holds an LVM2 physical volume.*--force $name" pool create p "$loop"
else
    skip "an LVM physical volume is refused" "pvcreate is not there"
fi
if dmsetup create --noudevsync "litepool-test-$$" --table "0 65536 linear $loop 0" 2> /dev/null; then
    refused "under a device of device-mapper it is refused, even by force" "is in use: the device dm-[0-9]* is on top" pool create p "$loop" --force "$name"
    check "the device above goes" dmsetup remove --noudevsync "litepool-test-$$"
else
    skip "what device-mapper has is refused" "no device-mapper here"
fi
check "swap space is made" mkswap "$loop"
refused "it is refused, with what it is" "$name holds swap space" pool create p "$loop"
if swapon "$loop" 2> /dev/null; then
    refused "what is swapped to is refused, even by force" "is in use by .*swap" pool create p "$loop" --force "$name"
    check "it is swapped to no more" swapoff "$loop"
else
    skip "what is swapped to is refused" "swapon is not possible here"
fi
check "a file system is made" mkfs.ext4 -q -F "$loop"
if mount "$loop" "$work/mnt" 2> /dev/null; then
    refused "what is mounted is refused, even by force" "is in use: it is mounted at $work/mnt; unmount it" pool create p "$loop" --force "$name"
    check "it is unmounted" umount "$work/mnt"
else
    skip "what is mounted is refused" "mount is not possible here"
fi
before=$(sum "$image")
# shellcheck disable=SC2034 # the file descriptor is all that counts
coproc holder { exec python3 -c 'import os,sys
fd = os.open(sys.argv[1], os.O_RDWR | os.O_EXCL)
print("held", flush=True)
sys.stdin.read()' "$loop"; }
holder_pid=$holder_PID # bash forgets it when the program ends
read -ru "${holder[0]}" word
check "another program has it for itself" same "$word" held
refused "it is refused, even by force" "is in use by" pool create p "$loop" --force "$name"
check "nothing of it was changed" same "$(sum "$image")" "$before"
eval "exec ${holder[1]}>&-"
wait "$holder_pid"
refused "with nobody there its file system is found" "$name holds an ext2/3/4 file system" pool create p "$loop"
check "and forced it is a pool" pool create p "$loop" --force "$name"
refused "which nobody else gets" "busy|in use" mkfs.ext4 -q -F "$loop"
stop_engine || exit 1
done_testing

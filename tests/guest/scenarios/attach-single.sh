# SPDX-License-Identifier: Apache-2.0
# litepool host on a kernel without native multipath, and litepool preflight there: one path, one device, and told so.
# kernel: nvme_core.multipath=N
# needs: litepool
litepool() { LD_LIBRARY_PATH=/job/in/lib /job/in/litepool "$@"; }
V=nqn.2026-11.io.litepool:single
me=$(cat /etc/nvme/hostnqn)
id=$(host volume vol 67108864 $V "$me")
setup listen $V $B
attach() { litepool host attach --nqn $V --address $A,$B --nguid "$id" --reconnect-delay 1; }
dev=$(attach) && ok "attach gives $dev" || not_ok "attach"
check "one controller, although two paths were offered" same "$(ls /sys/class/nvme | wc -l)" 1
check "the other path was not needed" contains "$(litepool -o json host attach --nqn $V --address $A,$B --nguid "$id")" '"not needed"'
check "I/O" fio --name=t --filename="$dev" --direct=1 --rw=randwrite --bs=4k --size=1m --verify=crc32c --do_verify=1 --minimal
check "list tells its path" contains "$(litepool host list)" "$A:4420=live"
check "preflight warns" contains "$(litepool preflight)" "native multipath is off"
check "preflight takes no volume of ours for a free disk" contains "$(litepool preflight)" "itself a volume of LitePool"
check "detach" litepool host detach "$dev"
check "gone" same "$(ls /sys/class/nvme | wc -l)" 0

# Disks, as preflight judges them.
modprobe loop
truncate -s 64M /tmp/disk.img
d=$(losetup -f --show /tmp/disk.img)
row() { litepool preflight --min-size 32M | grep "^$d "; }
check "an empty disk is safe" contains "$(row)" "safe"
mkfs.ext4 -q $d
check "one with a file system is not" contains "$(row)" "holds ext4"
mkdir -p /mnt/s; mount $d /mnt/s
check "one that is mounted is in use" contains "$(row)" "mounted at /mnt/s"
umount /mnt/s
wipefs -qa $d; dd if=/dev/zero of=$d bs=1M count=8 conv=fsync 2> /dev/null
pvcreate -q $d > /dev/null 2>&1
check "an LVM volume is not safe" contains "$(row)" "LVM2_member"
losetup -d $d

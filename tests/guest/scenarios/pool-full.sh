# SPDX-License-Identifier: Apache-2.0
# A pool runs full: Capacity Exceeded is ENOSPC for who needs space, others go on, and space that comes back heals it.
# suites: trixie
EXPECT_DMESG='critical space allocation error|nvme0n1|EXT4-fs|I/O error, dev nvme0n1|Buffer I/O error on dev nvme0n1|lost async page write'
setup pool 402653184
setup lvol greedy 536870912
setup lvol other 67108864
setup subsystem $NQN p/greedy p/other
check "connect" connect
check "both namespaces" wait_for 20 block_dev 2
g=$(by_nsid 1) o=$(by_nsid 2)
check "the other volume has its space" fio --name=o --filename=$o --direct=1 --rw=write --bs=128k --size=64m --verify=crc32c --do_verify=1 --end_fsync=1 --minimal
mkdir -p /mnt/t
check "mkfs.ext4 on more than there is" mkfs.ext4 -q -E lazy_itable_init=1 $g
check "mount" mount -o errors=continue $g /mnt/t
check "a file that fits" dd if=/dev/urandom of=/mnt/t/fits bs=1M count=32 conv=fsync status=none
sum=$(sha256sum < /mnt/t/fits)
out=$(dd if=/dev/zero of=/mnt/t/toolarge bs=1M count=440 oflag=direct status=none 2>&1)
check "the file system is told that there is no space: $out" contains "$out" "No space left"
check "the other volume goes on" fio --name=o --filename=$o --direct=1 --rw=randwrite --bs=4k --size=64m --number_ios=2000 --verify=crc32c --do_verify=1 --minimal
check "reads go on" same "$(sha256sum < /mnt/t/fits)" "$sum"
events=$(host rpc notify_get_notifications '{"id": 0, "max": 1000}')
for percent in 80 90 95; do check "a notification of $percent %" contains "$events" "\"p $percent\""; done
check "the large file goes" rm /mnt/t/toolarge
sync -f /mnt/t
check "fstrim" fstrim -v /mnt/t
free() { [ "$(host pool-is free_bytes)" -gt 104857600 ]; }
check "the space comes back" wait_for 30 free
check "writes work again, without a restart" dd if=/dev/urandom of=/mnt/t/again bs=1M count=64 conv=fsync status=none
check "unmount" umount /mnt/t
check "e2fsck finds nothing wrong" e2fsck -fn $g

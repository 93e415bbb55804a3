# SPDX-License-Identifier: Apache-2.0
# Disk errors reach the host as the right status, and heal.
setup disk vol 67108864 512 yes
setup subsystem $NQN vol
check "connect" connect
check "block device" wait_for 20 block_dev
n=/dev/nvme0n1
head -c 4096 /dev/urandom > /tmp/data
check "write before" nvme write $n -s 8 -c 7 -z 4096 -d /tmp/data
setup rpc litepool_fault_add '{"name":"vol","kind":"error","ops":["read"],"offset":4096,"length":4096,"error":"EIO"}'
out=$(nvme read $n -s 8 -c 7 -z 4096 -d /tmp/back 2>&1)
check "a medium error on read is Unrecovered Read Error" contains "${out,,}" "281"
check "reads elsewhere go well" nvme read $n -s 64 -c 7 -z 4096 -d /tmp/back
setup rpc litepool_fault_remove '{"name":"vol"}'
nvme read $n -s 8 -c 7 -z 4096 -d /tmp/back > /dev/null 2>&1
check "healed: the data is there" cmp /tmp/data /tmp/back
setup rpc litepool_fault_add '{"name":"vol","kind":"error","ops":["write"],"error":"ENOSPC"}'
out=$(nvme write $n -s 8 -c 7 -z 4096 -d /tmp/data 2>&1)
check "no space is Capacity Exceeded" contains "${out,,}" "81"
setup rpc litepool_fault_remove '{"name":"vol"}'
setup rpc litepool_fault_add '{"name":"vol","kind":"error","ops":["write"],"error":"EIO"}'
out=$(nvme write $n -s 8 -c 7 -z 4096 -d /tmp/data 2>&1)
check "an error on write is Write Fault" contains "${out,,}" "280"
setup rpc litepool_fault_remove '{"name":"vol"}'
setup rpc litepool_fault_add '{"name":"vol","kind":"delay","delay_us":20000,"probability":0.3}'
check "a slow disk is only slow" fio --name=t --filename=$n --direct=1 --rw=randwrite --bs=4k --size=2m --ioengine=libaio --iodepth=8 --verify=crc32c --do_verify=1 --minimal
setup rpc litepool_fault_remove '{"name":"vol"}'
check "errors are counted for the namespace" contains "$(host rpc bdev_get_iostat '{"name":"vol"}')" '"io_error": {"read"'
check "the error log has entries" contains "$(nvme error-log /dev/nvme0)" "error_count"
EXPECT_DMESG='nvme0\|I/O error'

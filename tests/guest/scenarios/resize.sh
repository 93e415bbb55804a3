# SPDX-License-Identifier: Apache-2.0
# A file grows under a connected host.
setup disk vol 67108864 512
setup subsystem $NQN vol
check "connect" connect
check "block device" wait_for 20 block_dev
check "64 MiB" same "$(sectors nvme0n1)" 131072
setup resize vol 134217728
is_128() { [ "$(sectors nvme0n1)" = 262144 ]; }
check "the host sees 128 MiB without being told" wait_for 20 is_128
check "the new half takes data" fio --name=t --filename=/dev/nvme0n1 --direct=1 --offset=64m --size=16m --rw=write --bs=64k --verify=crc32c --do_verify=1 --minimal

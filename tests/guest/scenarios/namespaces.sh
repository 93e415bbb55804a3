# SPDX-License-Identifier: Apache-2.0
# Many namespaces; they come and go under a connected host.
for i in $(seq 1 40); do host disk d$i 16777216 512 > /dev/null; done
setup rpc nvmf_create_subsystem "{\"nqn\":\"$NQN\",\"allow_any_host\":true,\"max_namespaces\":64}"
for i in $(seq 1 39); do
    setup rpc nvmf_subsystem_add_ns "{\"nqn\":\"$NQN\",\"namespace\":{\"bdev_name\":\"d$i\"}}"
done
setup listen $NQN $A
check "connect" connect
check "39 block devices" wait_for 40 block_dev 39
check "each has its own NGUID" same "$(cat /sys/block/nvme0n*/nguid | sort -u | wc -l)" 39
setup rpc nvmf_subsystem_add_ns "{\"nqn\":\"$NQN\",\"namespace\":{\"bdev_name\":\"d40\",\"nsid\":50}}"
check "a namespace that is added appears" wait_for 20 has_nsid 50
setup rpc nvmf_subsystem_remove_ns "{\"nqn\":\"$NQN\",\"nsid\":7}"
no_7() { ! has_nsid 7; }
check "one that is removed goes" wait_for 20 no_7
check "the others stay" has_nsid 8
check "I/O to the last" fio --name=t --filename=$(by_nsid 50) --direct=1 --rw=randwrite --bs=4k --size=4m --verify=crc32c --do_verify=1 --minimal

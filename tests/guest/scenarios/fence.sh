# SPDX-License-Identifier: Apache-2.0
# Fencing: a host is taken off the allow-list while it has writes under way. When the call has returned, nothing of it lands any more.
# needs: litepool
litepool() { LD_LIBRARY_PATH=/job/in/lib /job/in/litepool "$@"; }
V=nqn.2026-11.io.litepool:fence
me=$(cat /etc/nvme/hostnqn)
setup disk vol 67108864 512 yes
setup rpc nvmf_create_subsystem "{\"nqn\":\"$V\",\"ana_reporting\":true}"
setup rpc nvmf_subsystem_add_host "{\"nqn\":\"$V\",\"host\":\"$me\"}"
setup rpc nvmf_subsystem_add_ns "{\"nqn\":\"$V\",\"namespace\":{\"bdev_name\":\"vol\"}}"
setup listen $V $A
id=$(host nguid $V)
dev=$(litepool host attach --nqn $V --address $A --nguid $id --reconnect-delay 1 --fast-io-fail-tmo 5 --io-queues 2)
check "attached" [ -b "$dev" ]
# Writes take 50 ms on the disk and are 64 deep: there are always some with the disk, in the engine and in the host.
setup rpc litepool_fault_add '{"name":"vol","kind":"delay","ops":["write"],"delay_us":50000}'
for round in 1 2 3; do
    fio --name=w --filename="$dev" --direct=1 --rw=randwrite --bs=4k --size=64m --ioengine=libaio --iodepth=64 --time_based --runtime=600 \
        --randrepeat=0 --buffer_pattern=0x5a5a --refill_buffers --minimal > /tmp/fio.out 2>&1 & fio_pid=$!
    before=$(($(progress) + 100))
    check "round $round: writes are under way" wait_for 60 moved
    check "round $round: the host is fenced" host rpc nvmf_subsystem_remove_host "{\"nqn\":\"$V\",\"host\":\"$me\"}"
    sum=$(host checksum vol)
    # fio ends when the kernel gives its I/O up: by then every write that the host still had was tried again, and refused.
    wait $fio_pid
    check "round $round: the host tried again and failed" [ -s /tmp/fio.out ]
    check "round $round: nothing has landed since" same "$(host checksum vol)" "$sum"
    says=$(litepool --timeout 5 host attach --nqn $V --address $A,$B --nguid $id 2>&1)
    if [ $round -lt 3 ]; then
        setup rpc nvmf_subsystem_add_host "{\"nqn\":\"$V\",\"host\":\"$me\"}"
        back() { live "$(basename /sys/class/nvme/nvme* | tr -dc 0-9)"; }
        # The controller may be gone for good (the target said so): the attach makes one.
        dev=$(litepool host attach --nqn $V --address $A --nguid $id --reconnect-delay 1 --fast-io-fail-tmo 5 --io-queues 2)
        check "round $round: allowed again, the host is back" wait_for 60 back
    fi
done
check "detach after the fence" litepool host detach --nguid $id
check "nothing is left" same "$(ls /sys/class/nvme | wc -l)" 0
EXPECT_DMESG='nvme\|I/O error\|Buffer I/O'

# SPDX-License-Identifier: Apache-2.0
# A host that falls silent loses its controller in the engine, and comes back to the same device.
setup disk vol 67108864 512
setup subsystem $NQN vol
setup listen $NQN $B
ADDR=$B
check "connect with 5 s keep-alive" connect -k 5
check "block device" wait_for 20 block_dev
controllers() { host rpc nvmf_subsystem_get_controllers "{\"nqn\":\"$NQN\"}"; }
has_controller() { controllers | grep -q cntlid; }
no_controller() { ! has_controller; }
check "the engine knows the controller" wait_for 10 has_controller
# From here on the guest cannot reach the engine, and the engine hears nothing; the control service is at the other address.
ip route add blackhole $B
check "silence ends the controller" wait_for 60 no_controller
check "the engine's log says so" host log-has 'keep.?alive'
ip route del blackhole $B
check "the host comes back" wait_for 90 has_controller
check "live" wait_for 60 live 0
check "same device, I/O works" fio --name=t --filename=/dev/nvme0n1 --direct=1 --rw=randwrite --bs=4k --size=1m --verify=crc32c --do_verify=1 --minimal

# SPDX-License-Identifier: Apache-2.0
# A host that falls silent loses its controller in the engine, and comes back to the same device.
setup disk vol 67108864 512
setup subsystem $NQN vol
check "connect with 5 s keep-alive" connect -k 5
check "block device" wait_for 20 block_dev
controllers() { host rpc nvmf_subsystem_get_controllers "{\"nqn\":\"$NQN\"}"; }
has_controller() { controllers | grep -q cntlid; }
no_controller() { ! has_controller; }
check "the engine knows the controller" wait_for 10 has_controller
# The guest sends nothing to the engine any more; the control service is another port.
nft add table ip t; nft add chain ip t out '{ type filter hook output priority 0; }' 2> /dev/null
if ! nft add rule ip t out tcp dport 4420 drop 2> /dev/null; then
    tc qdisc add dev eth0 root handle 1: prio
    tc qdisc add dev eth0 parent 1:3 handle 30: netem loss 100%
    tc filter add dev eth0 parent 1:0 protocol ip prio 1 u32 match ip dport 4420 0xffff flowid 1:3
fi
check "silence ends the controller" wait_for 60 no_controller
check "the engine's log says so" host log-has 'keep.?alive'
nft delete table ip t 2> /dev/null || tc qdisc del dev eth0 root
check "the host comes back" wait_for 90 has_controller
check "live" wait_for 60 live 0
check "same device, I/O works" fio --name=t --filename=/dev/nvme0n1 --direct=1 --rw=randwrite --bs=4k --size=1m --verify=crc32c --do_verify=1 --minimal

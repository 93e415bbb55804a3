# SPDX-License-Identifier: Apache-2.0
# A node that falls silent with queued writes is fenced by ControllerUnpublishVolume and another attaches: nothing of the first lands any more.
# with: csi.sh
# plane: yes
# suites: trixie
driver
FS=block
check "attached to this node" eval "make v 64 && admit v && stage v"
dev=/dev/nvme0n1
fio --name=a --filename=$dev --direct=1 --rw=randwrite --bs=4k --size=16m --ioengine=libaio --iodepth=32 --time_based --runtime=600 --buffer_pattern=0xaa > /tmp/fio.out 2>&1 &
fio_pid=$!
before=$(progress)
check "it writes, 32 deep" wait_for 60 moved
check "all is well with its target" same "$(call NodeGetStorageHealth)" "{}"
check "not for two nodes" code 9 admit v other

# Writes wait in the engine's sockets and in this kernel; this node can send nothing any more.
setup engine stop
inflight() { awk '{ exit !($2 >= 16) }' /sys/block/${dev#/dev/}/inflight || awk '{ n += $2 } END { exit !(n >= 16) }' /sys/block/nvme0c*n1/inflight; }
check "writes are under way when the engine hangs" wait_for 60 inflight
ip route add blackhole 10.99.0.2/32
{ dismiss v > /tmp/dismiss.out 2>&1; echo $? > /tmp/dismiss.rc; } &
dismiss_pid=$!
wanted() { same "$(host get storagevolumes/v spec attachedNodes)" '[]'; }
check "it shall be fenced" wait_for 60 wanted
check "which does not end before the engine says so" [ ! -e /tmp/dismiss.rc ]
check "nobody else is let in meanwhile" code 10 admit v other
lost() { contains "$(call NodeGetStorageHealth)" '"status":2'; }
check "this node tells that the target is lost" wait_for 60 lost
check "and that the volume is cut off" contains "$(call NodeGetVolumeHealth "{\"volume_id\":\"${id[v]}\"}")" "no connection to the volume is live"
setup engine cont
wait $dismiss_pid
check "fenced" same "$(cat /tmp/dismiss.rc) $(cat /tmp/dismiss.out)" "0 {}"
check "another node is let in" admit v other
perf=$(host other v --size 16M --write --verify --versions "$(host file v-versions)" --qd 16 --ios 20000) && ok "and writes all of it" || not_ok "and writes: $perf"
ip route del blackhole 10.99.0.2/32
# The kernel comes back to a door that is closed for it, and gives its writes up.
over() { ! kill -0 $fio_pid; }
check "this node's writes fail when it is back" wait_for 120 over
check "with an error" contains "$(cat /tmp/fio.out)" "error"
perf=$(host other v --size 16M --keep --versions "$(host file v-versions)" --verify --read --qd 16 --ios 8192) && ok "the other reads all of its own" || not_ok "the other reads: $perf"
check "not one of this node's writes has landed" contains "$perf" '"mismatches": 0'
check "this node gives up" eval "unstage v && nothing_left"
check "cannot come back" code 9 admit v
check "the other, too" eval "dismiss v other && drop v"

EXPECT_DMESG='I/O error\|Connect\|nvme0'
trouble

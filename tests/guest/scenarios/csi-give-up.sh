# SPDX-License-Identifier: Apache-2.0
# A node without a way to a mounted volume: unstaging says so and waits for nothing in the kernel. Fenced, it gives up what it still had to write: not even when it is let in
# again does any of it land. (A kernel before 6.10 goes on to knock for an hour at a target that has thrown it out.)
# with: csi.sh
# plane: yes
# suites: bookworm
driver
check "a file system in a pod's folder" up v 64
check "written" eval "head -c 1M /dev/urandom > $pods/v/before && sync -f $pods/v/before"
ip route add blackhole 10.99.0.2/32
head -c 4M /dev/urandom > $pods/v/late # in this kernel's memory, and nowhere else
lost() { contains "$(call NodeGetStorageHealth)" '"status":2'; }
check "this node tells that the target is lost" wait_for 60 lost
check "the pod's folder goes" unpublish v
check "the staging path stays: what waits to be written may still get there" code 14 unstage v
check "fenced" dismiss v
check "another node is let in" admit v other
perf=$(host other v --size 16M --write --verify --versions "$(host file v-versions)" --qd 16 --ios 20000) && ok "and writes all of it" || not_ok "and writes: $perf"
check "this node gives up what it had to write" unstage v
check "and all it had of the volume" nothing_left
ip route del blackhole 10.99.0.2/32
check "it is let in again" eval "dismiss v other && admit v"
check "by which nothing comes back" nothing_left
check "the other again" eval "dismiss v && admit v other"
perf=$(host other v --size 16M --keep --versions "$(host file v-versions)" --verify --read --qd 16 --ios 8192) && ok "reads all of its own" || not_ok "reads: $perf"
check "nothing of this node's has landed" contains "$perf" '"mismatches": 0'
check "the end" eval "dismiss v other && drop v"

EXPECT_DMESG='I/O error\|Connect\|nvme0\|EXT4-fs\|JBD2'
trouble

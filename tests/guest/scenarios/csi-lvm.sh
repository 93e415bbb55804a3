# SPDX-License-Identifier: Apache-2.0
# litepool-csi on real device-mapper: a volume of an lvm pool whose own node uses it as a device, without the engine, by CSI's calls, as a file system and raw; one that every node may have goes over NVMe/TCP.
# suites: named
# needs: litepool engine agent controller
# disks: one=3221225472
# with: lvm-lib.sh csi.sh
NODE=node-1 API='--server unix:/run/api.sock'
check "a pool on an empty disk" lp pool create p1 --node node-1 --device test-one --engine lvm --wait
[ $failures = 0 ] || { tail -n 40 /state/agent.log | sed 's/^/# /'; finish; }
driver
here=',"accessibility_requirements":{"preferred":[{"segments":{"topology.litepool.io/node":"node-1"}}]},"parameters":{"engine":"lvm"'
source_of() { findmnt -n -o SOURCE "$1" || awk -v p="$1" '$2 == p { print $1 }' /proc/mounts; }
open_count() { lvs --noheadings -o lv_device_open "$(lv_of "$1")" | tr -d ' '; }

check "a volume for its node alone" make v 64 "$here,\"access\":\"node\"}"
check "is let in" admit v
check "by its device and nothing to connect to" eval '[[ ${context[v]} == *devicePath*vol-${id[v]#*:}* ]] && [[ ${context[v]} != *targets* ]]'
check "staged and published" eval 'stage v && publish v'
check "no NVMe device is there" same "$(n_devices) $(n_ctrls)" "0 0"
check "LVM's is what is mounted" contains "$(source_of $pods/v)" litepool
echo kept > $pods/v/file
kill_driver; driver
check "after the driver was killed it is staged still" eval 'stage v && publish v && same "$(cat $pods/v/file)" kept'
check "grown behind" call ControllerExpandVolume "{\"volume_id\":\"${id[v]}\",\"capacity_range\":{\"required_bytes\":$((128 * MIB))}}"
check "grown here, mounted" call NodeExpandVolume "{\"volume_id\":\"${id[v]}\",\"volume_path\":\"$pods/v\",\"capacity_range\":{\"required_bytes\":$((128 * MIB))}}"
check "not deleted while it is attached" code 9 drop v
check "given up" eval 'unpublish v && unstage v && unstage v'
check "nobody has it open" same "$(open_count v)" ""
check "dismissed and let in again" eval 'dismiss v && admit v && stage v && publish v && same "$(cat $pods/v/file)" kept'
check "gone" eval 'unpublish v && unstage v && dismiss v && drop v'

FS=block
check "raw, for its node alone" eval 'make r 64 "$here,\"access\":\"node\"}" && admit r && stage r && publish r'
check "a block device" [ -b $pods/r ]
check "written" dd if=/dev/zero of=$pods/r bs=1M count=4 oflag=direct
check "gone, too" eval 'unpublish r && unstage r && dismiss r && drop r'
FS=ext4
check "one for any node" eval 'make n 64 "$here}" && admit n'
check "is an NVMe device" eval '[[ ${context[n]} == *targets* ]] && stage n && publish n && contains "$(source_of $pods/n)" /dev/nvme'
check "and goes" eval 'unpublish n && unstage n && dismiss n && drop n'
check "nothing is left" nothing_left
for v in v r n; do check "$v is gone" soon gone volume $v; done
trouble
[ $failures = 0 ] || { tail -n 40 /state/agent.log; lvs -a -o+tags; lp volume list; } 2>&1 | sed 's/^/# /'
kill_driver
kill_agent

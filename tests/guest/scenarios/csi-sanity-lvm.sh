# SPDX-License-Identifier: Apache-2.0
# All of csi-sanity with volumes of an lvm pool on real device-mapper, which are their node's own devices: thin and thick, mounted and raw (make test-csi-sanity-guest).
# suites: none
# needs: litepool engine agent controller csi-sanity
# disks: one=6442450944
# with: lvm-lib.sh csi.sh sanity-lib.sh
NODE=node-1 API='--server unix:/run/api.sock'
check "a pool on an empty disk" lp pool create p1 --node node-1 --device test-one --engine lvm --wait
# A spec fills the node with volumes: not with 256.
check "the node lets in four volumes" lp node set node-1 --max-attached 4
[ $failures = 0 ] || { tail -n 40 /state/agent.log | sed 's/^/# /'; finish; }
driver
no_volume() { same "$(lvs --noheadings -o lv_name,lv_tags | grep -c 'vol-\|snap-')" 0; }
for kind in mount block; do
    for provisioning in Thin Thick; do
        sanity lvm-$provisioning $kind "engine: lvm" "access: node" "provisioning: $provisioning"
        check "no logical volume either" wait_for 60 no_volume
    done
done
EXPECT_DMESG='EXT4-fs\|XFS\|I/O error'
trouble
kill_driver
kill_agent

# SPDX-License-Identifier: Apache-2.0
# All of csi-sanity against litepool-csi with the kernel's nvme-tcp, controller, agent and engine: mounted and as raw devices (make test-csi-sanity-guest).
# with: csi.sh sanity-lib.sh
# plane: yes
# needs: csi-sanity
# suites: none
host patch storagenodes/guest '{"spec":{"maxAttachedVolumes":16}}' > /dev/null
driver
for kind in mount block; do sanity nvme $kind; done
check "no object is left" same "$(host count storagevolumes) $(host count storagesnapshots)" "0 0"
EXPECT_DMESG='EXT4-fs\|XFS\|I/O error'
trouble

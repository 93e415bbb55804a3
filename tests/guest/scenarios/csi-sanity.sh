# SPDX-License-Identifier: Apache-2.0
# All of csi-sanity against litepool-csi with the kernel's nvme-tcp, controller, agent and engine: mounted and as raw devices. Minutes under emulation: make test-csi-sanity-guest.
# with: csi.sh
# plane: yes
# needs: csi-sanity
# suites: none
[ -e /job/in/csi-sanity ] || { echo "# skipped: no csi-sanity"; ok "nothing to run"; finish; }
host patch storagenodes/guest '{"spec":{"maxAttachedVolumes":16}}' > /dev/null
driver
mkdir -p /run/sanity
for kind in mount block; do
    LIMIT=1500 timeout -s INT 1500 /job/in/csi-sanity --csi.endpoint=unix://$sock --csi.mountdir=/run/sanity/m --csi.stagingdir=/run/sanity/s --csi.testvolumesize=67108864 \
        --csi.testvolumeexpandsize=134217728 --csi.testvolumeaccesstype=$kind --csi.testnodevolumeattachlimit --ginkgo.no-color ${FOCUS:+--ginkgo.focus="$FOCUS"} > /tmp/sanity.out 2>&1
    check "csi-sanity, $kind" same $? 0
    grep -E '\[FAIL|Unexpected|rpc error|Expected' -A3 /tmp/sanity.out | head -60
    grep -h -A1 "^S \[SKIPPED\]" /tmp/sanity.out | grep -v -e "^--" -e "^S " | sed "s/^/# skipped: /"
    sed -n 's/.*Ran \([0-9]*\) of .*/# csi-sanity '$kind' ran=\1/p; s/.*-- \([0-9]*\) Passed | \([0-9]*\) Failed | \([0-9]*\) Pending | \([0-9]*\) Skipped.*/# passed=\1 failed=\2 skipped=\4 pending=\3/p' /tmp/sanity.out
    check "nothing is left" nothing_left
done
check "no object is left" same "$(host count storagevolumes) $(host count storagesnapshots)" "0 0"
EXPECT_DMESG='EXT4-fs\|XFS\|I/O error'
trouble

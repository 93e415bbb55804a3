# SPDX-License-Identifier: Apache-2.0
# All of csi-sanity with volumes of an lvm pool on real device-mapper, which are their node's own devices: thin and thick, mounted and raw. In User Mode Linux, where it takes minutes (make test-csi-sanity-lvm).
# suites: uml
# needs: litepool engine agent controller csi-sanity
# disks: one=6442450944
# with: lvm-lib.sh csi.sh
[ -e /job/in/csi-sanity ] || { echo "# skipped: no csi-sanity"; ok "nothing to run"; kill_agent; finish; }
NODE=node-1 API='--server unix:/run/api.sock'
check "a pool on an empty disk" lp pool create p1 --node node-1 --device test-one --engine lvm --wait
[ $failures = 0 ] || { tail -n 40 /state/agent.log | sed 's/^/# /'; finish; }
driver
mkdir -p /run/sanity
no_volume() { same "$(lvs --noheadings -o lv_name,lv_tags | grep -c 'vol-\|snap-')" 0; }
sanity() { # sanity PROVISIONING KIND
    local started=$SECONDS
    printf 'engine: lvm\naccess: node\nprovisioning: %s\n' "$1" > /run/sanity/parameters
    timeout -s INT 1500 /job/in/csi-sanity --csi.endpoint=unix://$sock --csi.mountdir=/run/sanity/m --csi.stagingdir=/run/sanity/s --csi.testvolumesize=67108864 \
        --csi.testvolumeexpandsize=134217728 --csi.testvolumeaccesstype="$2" --csi.testvolumeparameters=/run/sanity/parameters --ginkgo.no-color ${FOCUS:+--ginkgo.focus="$FOCUS"} > /tmp/sanity.out 2>&1
    check "csi-sanity, lvm, $1, $2" same $? 0
    grep -E '\[FAIL|Unexpected|rpc error|Expected' -A3 /tmp/sanity.out | head -60
    grep -h -A1 "^S \[SKIPPED\]" /tmp/sanity.out | grep -v -e "^--" -e "^S " | sed "s/^/# skipped: /"
    sed -n "s/.*Ran \([0-9]*\) of .*/# csi-sanity lvm $1 $2 ran=\1/p; s/.*-- \([0-9]*\) Passed | \([0-9]*\) Failed | \([0-9]*\) Pending | \([0-9]*\) Skipped.*/# passed=\1 failed=\2 skipped=\4 pending=\3/p" /tmp/sanity.out
    echo "# $((SECONDS - started)) s"
    check "nothing is left" nothing_left
    check "no logical volume either" wait_for 60 no_volume
}
for kind in mount block; do for provisioning in Thin Thick; do sanity $provisioning $kind; done; done
EXPECT_DMESG='EXT4-fs\|XFS\|I/O error'
trouble
kill_driver
kill_agent

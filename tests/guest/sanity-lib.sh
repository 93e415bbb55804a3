# SPDX-License-Identifier: Apache-2.0
# For scenarios that run csi-sanity in the guest ("# with: csi.sh sanity-lib.sh").
#
#   sanity NAME KIND [PARAMETER...]    all of it on volumes of that kind (mount, block), PARAMETER "KEY: VALUE" of their class; says "csi-sanity NAME KIND ran=N passed=N failed=N skipped=N";
#                                      with $FOCUS, what it names
[ -e /job/in/csi-sanity ] || { not_ok "there is a csi-sanity (tests/kube/lab/build.sh sanity)"; finish; }
mkdir -p /run/sanity
sanity() {
    local name=$1 kind=$2 started=$SECONDS
    shift 2
    printf '%s\n' "${@:-{\}}" > /run/sanity/parameters
    timeout -s INT 1500 /job/in/csi-sanity --csi.endpoint=unix://$sock --csi.mountdir=/run/sanity/m --csi.stagingdir=/run/sanity/s --csi.testvolumesize=67108864 --csi.testvolumeexpandsize=134217728 \
        --csi.testvolumeaccesstype="$kind" --csi.testvolumeparameters=/run/sanity/parameters --csi.testnodevolumeattachlimit --ginkgo.no-color ${FOCUS:+--ginkgo.focus="$FOCUS"} > /tmp/sanity.out 2>&1
    check "csi-sanity, $name, $kind" same $? 0
    grep -E '\[FAIL|Unexpected|rpc error|Expected' -A3 /tmp/sanity.out | head -60
    grep -h -A1 "^S \[SKIPPED\]" /tmp/sanity.out | grep -v -e "^--" -e "^S " | sed "s/^/# skipped: /"
    sed -n "s/.*Ran \([0-9]*\) of .*/csi-sanity $name $kind ran=\1/p; s/.*-- \([0-9]*\) Passed | \([0-9]*\) Failed | \([0-9]*\) Pending | \([0-9]*\) Skipped.*/passed=\1 failed=\2 skipped=\4 pending=\3/p" /tmp/sanity.out |
        tr '\n' ' ' | sed "s/\$/ $((SECONDS - started)) s\n/"
    check "nothing is left" nothing_left
}

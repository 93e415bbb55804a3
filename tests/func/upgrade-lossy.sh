#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# upgrade.sh on a network that loses packets, in a namespace of its own: what is taken over are connections in the middle of being sent again.
skip() { echo "1..0 # SKIP $1"; exit 0; }
LOSS=0.01 # of TCP's packets; loopback has 64 KiB in one, so that many are of several commands
if [ -z "${LOSSY_INSIDE:-}" ]; then
    command -v iptables > /dev/null || skip "no iptables"
    unshare --net true 2> /dev/null || skip "no network namespaces may be made here"
    LOSSY_INSIDE=1 exec unshare --net "$0"
fi
ip link set lo up
iptables -A INPUT -p tcp -m statistic --mode random --probability $LOSS -j DROP 2> /dev/null || skip "the kernel's packet filter cannot drop by chance"
LITEPOOL_UPGRADES=${LITEPOOL_UPGRADES:-5} "$(dirname "$0")/upgrade.sh" || exit
dropped=$(iptables -L INPUT -v -n -x | awk '$3 == "DROP" { print $1 }')
[ "$dropped" -gt 100 ] || { echo "Bail out! only $dropped packets were lost"; exit 1; }
echo "# $dropped packets were lost"

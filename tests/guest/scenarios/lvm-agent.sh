# SPDX-License-Identifier: Apache-2.0
# Pools with engine lvm: a volume that its own node uses as a device; an agent that dies in the middle; an lvm that talks nonsense; what is removed and what stays; nothing left at the end.
# suites: named
# needs: litepool engine agent controller
# disks: one=3221225472
# with: lvm-lib.sh
check "a pool on an empty disk" lp pool create p1 --node node-1 --device test-one --engine lvm --wait
[ $failures = 0 ] || { trouble; finish; }

# On its own node as a device.
check "a volume for this node" lp volume create l1 64M --engine lvm --labels litepool.io/local-path=true --wait
d3=$(lp attach l1) && ok "is attached by its path: $d3" || not_ok "attach: $d3"
check "which is LVM's" contains "$d3" /dev/litepool-
put "$d3" F
mkdir -p /mnt/l; mkfs.ext4 -q "$d3" && mount "$d3" /mnt/l
(run litepool detach l1 --timeout 5) > /dev/null 2>&1
check "a mounted one is not let go" soon told volume l1 "is in use on node node-1"
check "it counts as attached" told volume l1 '"attachedNodes"'
umount /mnt/l
check "then it is" lp detach l1

# The agent dies in the middle; what it made is known again, what it began is ended.
mkdir -p /state/bin
cat > /state/bin/lvm << 'L'
#!/bin/bash
# Does what it is told, and then takes the agent with it, once each; not after what it does with the thin pool, which comes first.
/usr/sbin/lvm "$@"; rc=$?
case "$*" in lvcreate*vol-* | lvextend*vol-*) [ -e /state/cut.$1 ] || { touch /state/cut.$1; kill -9 "$(cat /state/agent.pid)"; } ;; esac
exit $rc
L
chmod 755 /state/bin/lvm
cut_agent() { kill_agent; agent /state/bin; echo $agent_pid > /state/agent.pid; }
cut_agent
lp volume create k1 50M --engine lvm > /dev/null
check "an agent that dies after lvcreate" soon [ -e /state/cut.lvcreate ]
wait $agent_pid 2> /dev/null
cut_agent
check "is followed by one that goes on" soon told volume k1 Exported
lp volume expand k1 70M > /dev/null
check "one that dies after lvextend" soon [ -e /state/cut.lvextend ]
wait $agent_pid 2> /dev/null
cut_agent
check "expands no second time" soon eval 'same "$(blockdev --getsize64 "$(lv_of k1)")" $((72 << 20))'

# An lvm that talks nonsense is told.
kill_agent
printf '#!/bin/sh\necho "{\\"report\\": [{\\"pv\\": 7}]}"\n' > /state/bin/lvm
chmod 755 /state/bin/lvm
agent /state/bin
check "nonsense is told" soon told pool p1 "has no list of"
kill_agent
CHECK=10 agent
check "and over when it is over" soon told pool p1 '"health": "Healthy"'

# What nobody declares goes; what is in use is kept.
vg=$(vg_of)
lvcreate -y -V 8m --thinpool thin -n vol-00000000-0000-4000-8000-000000000000 --addtag litepool.name=nobody $vg > /dev/null 2>&1
lvcreate -y -V 8m --thinpool thin -n vol-11111111-0000-4000-8000-000000000000 $vg > /dev/null 2>&1
check "an orphan with our mark goes" soon eval '! lvs $vg/vol-00000000-0000-4000-8000-000000000000'
check "one without stays" lvs $vg/vol-11111111-0000-4000-8000-000000000000
lvremove -f $vg/vol-11111111-0000-4000-8000-000000000000 > /dev/null 2>&1
exec 8< "$(lv_of l1)"
lp volume delete l1 --accept-volume-loss l1 > /dev/null
check "a volume that somebody has open is not removed, and says so" soon told volume l1 "is in use on its node"
check "it is there" eval '[ -b "$(lv_of l1)" ]'
exec 8<&-
check "closed, it goes" soon gone volume l1
lp volume delete k1 --accept-volume-loss k1 > /dev/null
check "the other one, too" soon gone volume k1
check "the thin pool goes with its last volume" soon eval 'same "$(lvs --noheadings -a $vg | wc -l)" 0'
trouble
kill_agent

# SPDX-License-Identifier: Apache-2.0
# Pools with engine lvm: controller, agent, engine and command line all in the guest, on real device-mapper. Volumes thick and thin, snapshots, clones, expansion, over NVMe/TCP and as
# a device of the node; what a disk holds already; an agent that dies in the middle; nothing left at the end.
# suites: named
# needs: litepool engine agent controller
# disks: one=3221225472 full=67108864
run() { local p=$1; shift; exec /lib64/ld-linux-x86-64.so.2 --library-path /job/in/lib /job/in/$p "$@"; }
lp() { (run litepool "$@" --timeout 240); }
export LITEPOOL_SERVER=unix:/run/api.sock LITEPOOL_ENGINE_SOCKET=/run/engine.sock
modprobe dm-mod; modprobe dm-thin-pool; modprobe dm-snapshot
mkdir -p /dev/disk/by-id /dev/mapper /state
by_serial() { local d; for d in /sys/block/vd*; do [ "$(cat $d/serial)" != "$1" ] || echo /dev/${d##*/}; done; }
for s in one full; do ln -sf "$(by_serial $s)" /dev/disk/by-id/test-$s; done
printf '#!/bin/sh\nexec /lib64/ld-linux-x86-64.so.2 --library-path /job/in/lib /job/in/litepool-engine "$@"\n' > /state/engine
chmod 755 /state/engine
controller() { (run litepool-controller --embedded --state-dir /state/api --socket /run/api.sock) > /state/controller.log 2>&1 & }
agent() { # agent [PATH]: PATH in front of the guest's
    (PATH=${1:+$1:}$PATH; run litepool-agent --node node-1 --engine spawn --engine-bin /state/engine --engine-socket /run/engine.sock --engine-state-dir /state/engine.d \
        --engine-options "--cores 1" --state-dir /state/agent --addresses 127.0.0.1 --poll 20 --check ${CHECK:-120}) >> /state/agent.log 2>&1 &
    agent_pid=$!
}
kill_agent() { kill -9 $agent_pid; wait $agent_pid; } 2> /dev/null
trouble() { [ $failures = 0 ] || { tail -n 40 /state/agent.log; lvs -a -o+tags; lp volume list; lp pool list -o wide; } 2>&1 | sed 's/^/# /'; }

field() { lp "$1" show "$2" -o json | tr -d ' \n' | grep -o "\"$3\":\(\"[^\"]*\"\|[^,}]*\)" | head -n 1 | cut -d: -f2- | tr -d '"'; }
is() { same "$(field "$1" "$2" "$3")" "$4"; }
told() { lp "$1" show "$2" -o json | grep -qF -- "$3" || { lp "$1" show "$2" -o json | tail -n 40; return 1; }; }
soon() { wait_for 120 "$@" || { "$@"; return 1; }; }
gone() { ! lp "$1" show "$2" > /dev/null 2>&1; }
vg_of() { lvs --noheadings -o vg_name 2> /dev/null | sort -u | tr -d ' '; }
lv_of() { local uid; uid=$(field volume "$1" uid); ls -d /dev/litepool-*/vol-$uid; }
seg() { lvs --noheadings -o segtype "$(lv_of "$1")" | tr -d ' '; }
pattern() { head -c "$2" /dev/zero | tr '\0' "$1"; }
put() { pattern "$2" $((4 << 20)) | dd of="$1" bs=1M oflag=direct status=none; } # DEVICE CHARACTER: 4 MiB of it
holds() { busybox cmp <(head -c $((4 << 20)) "$1") <(pattern "$2" $((4 << 20))); }
blank() { head -c "${2:-$(blockdev --getsize64 "$1")}" "$1" | tr -d '\0' | head -c 1 | wc -c | grep -qx 0; }

controller
check "the controller serves" wait_for 60 lp node list
agent
check "the node is declared" soon told node node-1 EngineRuns

# Pools.
mkfs.ext4 -q /dev/disk/by-id/test-full
before=$(busybox sha256sum < /dev/disk/by-id/test-full)
lp pool create full --node node-1 --device test-full --engine lvm > /dev/null
check "a disk with a file system is not taken" soon told pool full DeviceUnsafe
check "and not touched" same "$(busybox sha256sum < /dev/disk/by-id/test-full)" "$before"
lp pool delete full --accept-volume-loss full > /dev/null 2>&1 || lp pool delete full > /dev/null 2>&1
check "a pool on an empty disk" lp pool create p1 --node node-1 --device test-one --engine lvm --wait
check "is a volume group" contains "$(vgs --noheadings -o vg_name)" litepool-
check "a file is refused with the reason" eval 'lp pool create p9 --node node-1 --file /state/p9 --size 100M --engine lvm > /dev/null; soon told pool p9 spec.device.id'

# Thin, over NVMe/TCP.
check "a thin volume" lp volume create v1 200M --engine lvm --wait
[ $failures = 0 ] || { trouble; finish; }
check "is thin" same "$(seg v1)" thin
check "of its size" same "$(blockdev --getsize64 "$(lv_of v1)")" 209715200
d1=$(lp attach v1) && ok "is attached over NVMe/TCP: $d1" || not_ok "attach: $d1"
check "as an NVMe device" contains "$d1" /dev/nvme
put "$d1" A
check "holds what was written" holds "$d1" A
check "a snapshot" lp snapshot create s1 v1 --wait
put "$d1" B
check "a clone of it" lp volume create c1 200M --from-snapshot s1 --engine lvm --wait
check "has what was there then" holds "$(lv_of c1)" A
check "the volume what was written since" holds "$d1" B
check "a clone of the volume, larger" lp volume create c2 300M --from-volume v1 --engine lvm --wait
check "has what is there now" holds "$(lv_of c2)" B
check "of its own size" same "$(blockdev --getsize64 "$(lv_of c2)")" 314572800
check "expansion" lp volume expand v1 301M --wait
check "reaches the host, in whole extents" soon eval 'same "$(blockdev --getsize64 $d1)" $((304 << 20))'
check "the data is there" holds "$d1" B
check "the origin goes" eval 'lp detach v1 && lp volume delete v1 --accept-volume-loss v1'
check "away" soon gone volume v1
check "the snapshot stays" holds "$(lv_of c1)" A

# Thick: nobody sees what the space held before.
check "a thick volume" lp volume create t1 100M --thick --engine lvm --wait
check "is linear" same "$(seg t1)" linear
d2=$(lp attach t1)
put "$d2" C
check "a snapshot of it" lp snapshot create st1 t1 --wait
put "$d2" D
check "a clone of that is a copy" lp volume create ct1 100M --from-snapshot st1 --thick --engine lvm --wait
check "linear, too" same "$(seg ct1)" linear
check "with what was there then" holds "$(lv_of ct1)" C
lp volume expand t1 120M > /dev/null
check "with a snapshot it cannot grow, and says so" soon told volume t1 "delete its StorageSnapshots first"
check "the snapshot goes" eval 'lp snapshot delete st1 --accept-volume-loss st1; soon gone snapshot st1'
check "and it grows" soon eval 'same "$(blockdev --getsize64 $d2)" 125829120'
pattern E $((120 << 20)) | dd of="$d2" bs=1M oflag=direct status=none
lp detach t1 > /dev/null
check "a thick volume goes" eval 'lp volume delete t1 --accept-volume-loss t1; soon gone volume t1'
check "another one comes in its place" lp volume create t2 100M --thick --engine lvm --wait
check "empty" blank "$(lv_of t2)"
check "grows in it" eval 'lp volume expand t2 150M --wait'
check "empty to its end" blank "$(lv_of t2)"

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
# Does what it is told, and then takes the agent with it, once.
/usr/sbin/lvm "$@"; rc=$?
case $1 in lvcreate | lvextend) [ -e /state/cut.$1 ] || { touch /state/cut.$1; kill -9 "$(cat /state/agent.pid)"; } ;; esac
exit $rc
L
chmod 755 /state/bin/lvm
cut_agent() { kill_agent; agent /state/bin; echo $agent_pid > /state/agent.pid; }
cut_agent
lp volume create k1 50M --engine lvm > /dev/null
check "an agent that dies after lvcreate" wait_for 240 [ -e /state/cut.lvcreate ]
wait $agent_pid 2> /dev/null
cut_agent
check "is followed by one that goes on" soon told volume k1 Exported
lp volume expand k1 70M > /dev/null
check "one that dies after lvextend" wait_for 240 [ -e /state/cut.lvextend ]
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
check "and over when it is over" soon told pool p1 '"health":"Healthy"'

# A volume that is in use is kept; what nobody declares goes.
uid=$(field volume k1 uid)
vg=$(vg_of)
lvcreate -y -V 8m --thinpool thin -n vol-00000000-0000-4000-8000-000000000000 --addtag litepool.name=nobody $vg > /dev/null 2>&1
lvcreate -y -V 8m --thinpool thin -n vol-11111111-0000-4000-8000-000000000000 $vg > /dev/null 2>&1
check "an orphan with our mark goes" soon eval '! lvs $vg/vol-00000000-0000-4000-8000-000000000000'
check "one without stays" lvs $vg/vol-11111111-0000-4000-8000-000000000000
lvremove -f $vg/vol-11111111-0000-4000-8000-000000000000 > /dev/null 2>&1
lvremove -f $vg/vol-$uid > /dev/null 2>&1 || { lp detach k1; dmsetup remove -f ${vg//-/--}-vol--${uid//-/--}; lvremove -f $vg/vol-$uid; } > /dev/null 2>&1

for v in c1 c2 t2 ct1 l1 k1; do lp volume delete $v --accept-volume-loss $v > /dev/null 2>&1; done
lp snapshot delete s1 --accept-volume-loss s1 > /dev/null 2>&1
for v in c1 c2 t2 ct1 l1 k1; do check "$v is gone" soon gone volume $v; done
check "the last snapshot, too" soon gone snapshot s1
check "the thin pool goes with its last volume" soon eval 'same "$(lvs --noheadings -a $vg | wc -l)" 0'
trouble
kill_agent

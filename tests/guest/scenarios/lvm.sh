# SPDX-License-Identifier: Apache-2.0
# Pools with engine lvm: volumes thick and thin, snapshots, clones, expansion, over NVMe/TCP; what a disk holds already. Nothing is left at the end.
# suites: named
# needs: litepool engine agent controller
# disks: one=3221225472 full=67108864
# with: lvm-lib.sh
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
check "a clone of the volume itself, which goes on" lp volume create ct2 104M --from-volume t1 --thick --engine lvm --wait
check "has what is there now" holds "$(lv_of ct2)" D
check "is as large as asked, and the rest is empty" eval 'same "$(blockdev --getsize64 "$(lv_of ct2)")" $((104 << 20)) && tail -c $((4 << 20)) "$(lv_of ct2)" | tr -d "\0" | head -c 1 | wc -c | grep -qx 0'
check "what it was copied from is gone" same "$(lvs --noheadings -o lv_name | grep -c from-)" 0
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

for v in c1 c2 t2 ct1 ct2; do lp volume delete $v --accept-volume-loss $v > /dev/null 2>&1; done
lp snapshot delete s1 --accept-volume-loss s1 > /dev/null 2>&1
for v in c1 c2 t2 ct1 ct2; do check "$v is gone" soon gone volume $v; done
check "the last snapshot, too" soon gone snapshot s1
check "the thin pool goes with its last volume" soon eval 'same "$(lvs --noheadings -a | wc -l)" 0'
trouble
kill_agent

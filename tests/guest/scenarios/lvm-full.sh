# SPDX-License-Identifier: Apache-2.0
# A pool with engine lvm that was promised more than it has, and runs full: the host is told at once and what is there stays; the pool says so and takes nothing new; what is deleted, what a
# host gives back and a larger disk each heal it, without a restart.
# suites: named
# needs: litepool engine agent controller
# disks: one=134217728
# with: lvm-lib.sh
EXPECT_DMESG='critical space allocation error|I/O error, dev nvme'
check "a pool that may promise four times what it has" lp pool create p1 --node node-1 --device test-one --engine lvm --commit-limit 400 --wait
for v in v1 v2 v3; do check "volume $v" lp volume create $v 80M --engine lvm --wait; done
[ $failures = 0 ] || { trouble; finish; }
d1=$(lp attach v1) && ok "v1 is attached: $d1" || not_ok "attach: $d1"
d2=$(lp attach v2) && ok "v2 is attached: $d2" || not_ok "attach: $d2"

size_of() { field pool p1 capacity; }
healthy() { told pool p1 '"health": "Healthy"'; }
full() { told pool p1 "the thin pool is out of space"; }
# fill DEVICE MIB: from there on, until it is refused; says why.
fill() { pattern F $((80 << 20)) | dd of="$1" bs=1M seek="$2" oflag=direct iflag=fullblock status=none 2>&1; }
put_at() { pattern "$2" $((4 << 20)) | dd of="$1" bs=1M seek="$3" oflag=direct status=none; } # DEVICE CHARACTER MIB
check "v3 has data, too" eval 'put "$(lv_of v3)" C && put_at "$(lv_of v3)" C 4'
check "v1 is written whole" eval 'pattern A $((80 << 20)) | dd of=$d1 bs=1M oflag=direct iflag=fullblock status=none'
check "v2 has a beginning" put "$d2" B
begin=$SECONDS
out=$(fill "$d2" 4)
check "then there is no more space, and the host is told: $out" contains "$out" "No space left"
echo "# after $((SECONDS - begin)) s"
check "what was written is there" holds "$d2" B
check "of the other volume, too" holds "$d1" A
check "what has its place can be written" put "$d1" D
check "the pool says so" soon full
check "in its condition" told pool p1 PoolFailed
lp volume create v4 8M --engine lvm > /dev/null
check "and takes nothing new" soon told volume v4 "pools fit"

check "a volume is deleted" eval 'lp volume delete v3 --accept-volume-loss v3 && soon gone volume v3'
check "that heals the pool" soon healthy
check "the new volume is made" soon told volume v4 Exported
check "writes have space" put_at "$d2" E 32

check "full again" contains "$(fill "$d2" 36)" "No space left"
check "which the pool says" soon full
check "the host gives space back" blkdiscard -o $((40 << 20)) -l $((40 << 20)) "$d1"
check "that heals the pool" soon healthy
check "writes have space" put_at "$d2" G 72

check "and again" contains "$(fill "$d1" 40)$(fill "$d2" 4)" "No space left"
check "which the pool says" soon full
before=$(size_of)
check "the disk becomes larger" host guest-disk-grow one $((512 << 20))
check "that heals the pool" soon healthy
check "which is larger" soon eval '[ "$(size_of)" != "$before" ]'
check "all that was promised can be written" eval 'pattern H $((76 << 20)) | dd of=$d2 bs=1M seek=4 oflag=direct iflag=fullblock status=none && put_at "$d1" H 76'
check "the first writes are there" holds "$d2" B

for v in v1 v2; do check "$v is let go" lp detach $v; done
for v in v1 v2 v4; do lp volume delete $v --accept-volume-loss $v > /dev/null 2>&1; done
for v in v1 v2 v4; do check "$v is gone" soon gone volume $v; done
check "the thin pool goes with its last volume" soon eval 'same "$(lvs --noheadings -a | wc -l)" 0'
trouble
kill_agent

# SPDX-License-Identifier: Apache-2.0
# kill -9 of the engine with a pool, again and again, under two verifying fio: one overwrites what the volume has, one makes durable writes (FUA) into thin space and into
# clusters that snapshots share. The same device, no error, no wrong byte; exports come back from the disk; a snapshot does not change.
# suites: trixie
setup pool 4294967296
setup lvol vol 268435456 512
setup lvol thin 268435456 512
setup subsystem $NQN p/vol p/thin
check "connect" connect -i 2
check "both namespaces" wait_for 20 block_dev 2
v=$(by_nsid 1) t=$(by_nsid 2)
check "the first has all of its blocks" fio --name=f --filename=$v --direct=1 --rw=write --bs=128k --size=64m --end_fsync=1 --minimal
setup snapshot vol kept
setup add $NQN p/kept 3
check "the snapshot's namespace" wait_for 20 has_nsid 3
sum() { dd if="$(by_nsid 3)" bs=1M iflag=direct status=none | sha256sum; }
first=$(sum)
check "all of them in the head again" fio --name=f --filename=$v --direct=1 --rw=write --bs=128k --size=64m --end_fsync=1 --minimal
name=${v##*/}
nguid=$(cat /sys/block/$name/nguid)
kills=$(host how-many-kills)

fua_loop() {
    local i=0
    while ! [ -e /tmp/enough ]; do
        fio --name=d --filename=$t --direct=1 --sync=1 --rw=randwrite --offset=$((i % 48 * 4))m --size=1m --bsrange=4k-64k --ioengine=libaio --iodepth=4 \
            --verify=crc32c --do_verify=1 --verify_fatal=1 --minimal > /tmp/fua.out 2>&1 || return 1
        i=$((i + 1))
    done
}
FIO_DEV=$v
start_fio --bsrange=4k-128k --iodepth=16
{ fua_loop; echo $? > /tmp/fua.rc; } &
fua_pid=$!
for i in $(seq "$kills"); do
    before=$(($(progress) + 500))
    wait_for 90 moved || { not_ok "I/O goes on after kill $((i - 1))"; break; }
    [ $((i % 2)) = 0 ] || host snapshot thin s$i > /tmp/answer || { not_ok "snapshot: $(cat /tmp/answer)"; break; }
    [ $((i % 2)) = 1 ] || host lvol-delete s$((i - 1)) > /tmp/answer || { not_ok "delete: $(cat /tmp/answer)"; break; }
    host restart > /dev/null || { not_ok "engine restarts after kill $i"; break; }
    ! [ -e /tmp/fio.rc ] && ! [ -e /tmp/fua.rc ] || break
done
before=$(progress)
check "I/O goes on after $kills kills" wait_for 90 moved
stop_fio
wait $fua_pid
check "fio finished with no error" fio_went_well
check "fio with durable writes finished with no error" sh -c '[ "$(cat /tmp/fua.rc)" = 0 ] || { cat /tmp/fua.out; false; }'
check "still $v" [ -b "$v" ]
check "the NGUID is the same" same "$(cat /sys/block/$name/nguid)" "$nguid"
check "the kernel kept three namespaces" same "$(ls -d /sys/block/nvme*n* | grep -vc 'c[0-9]')" 3
check "the snapshot did not change" same "$(sum)" "$first"

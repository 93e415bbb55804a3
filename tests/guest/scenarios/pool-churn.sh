# SPDX-License-Identifier: Apache-2.0
# Snapshots, clones and deletes in a loop under verifying fio: no wrong byte, and what a snapshot holds does not change.
# suites: trixie
setup pool 2147483648
setup lvol vol 268435456 512
setup subsystem $NQN p/vol
check "connect" connect -i 2
check "block device" wait_for 20 block_dev
check "a first half" fio --name=f --filename=/dev/nvme0n1 --direct=1 --rw=write --bs=128k --size=64m --offset=128m --end_fsync=1 --minimal
setup snapshot vol kept
setup add $NQN p/kept 2
check "the snapshot's namespace" wait_for 20 has_nsid 2
check "it is read-only" same "$(blockdev --getro "$(by_nsid 2)")" 1
sum() { dd if="$(by_nsid 2)" bs=1M iflag=direct status=none | sha256sum; }
first=$(sum)
start_fio --bsrange=4k-128k --iodepth=16
rounds=0
while [ $rounds -lt 25 ]; do
    before=$(($(progress) + 200))
    wait_for 90 moved || { not_ok "I/O goes on in round $rounds"; break; }
    host snapshot vol s$rounds > /tmp/answer || { not_ok "snapshot $rounds: $(cat /tmp/answer)"; break; }
    host clone s$rounds c$rounds > /tmp/answer || { not_ok "clone $rounds: $(cat /tmp/answer)"; break; }
    [ $rounds -lt 2 ] || host lvol-delete c$((rounds - 2)) > /tmp/answer || { not_ok "delete of a clone: $(cat /tmp/answer)"; break; }
    [ $rounds -lt 2 ] || host lvol-delete s$((rounds - 2)) > /tmp/answer || { not_ok "delete of a middle snapshot: $(cat /tmp/answer)"; break; }
    ! [ -e /tmp/fio.rc ] || break
    rounds=$((rounds + 1))
done
stop_fio
check "25 rounds" same $rounds 25
check "fio finished with no error" fio_went_well
check "the first snapshot did not change" same "$(sum)" "$first"
no_work() { [ "$(host pool-work)" = 0 ]; }
check "the background work ends" wait_for 90 no_work
check "restart" host restart
check "the host is back" wait_for 60 live
check "nor after a restart" same "$(sum)" "$first"

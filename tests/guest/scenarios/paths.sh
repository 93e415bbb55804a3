# SPDX-License-Identifier: Apache-2.0
# Two listeners are two paths of one device; ANA states steer them under verifying fio.
setup disk vol 134217728 512
setup subsystem $NQN vol
setup listen $NQN $B
check "first path" connect
check "second path" env ADDR=$B bash -c "nvme connect -t tcp -a $B -s 4420 -n $NQN -l 600 -c 1"
check "one block device" wait_for 20 block_dev
check "two controllers" wait_for 20 live 1
if [ "$(cat /sys/module/nvme_core/parameters/multipath)" != Y ]; then
    not_ok "the guest has native multipath"
fi
check "one device for both" same "$(ls -d /sys/block/nvme*n* | grep -vc 'c[0-9]')" 1
start_fio --bs=4k --iodepth=8
state_is() { grep -qx "$2" /sys/class/nvme/nvme$1/nvme*c$1n1/ana_state; }
for round in 1 2 3 4 5; do
    for way in "inaccessible optimized" "optimized inaccessible" "non_optimized optimized"; do
        set -- $way
        # The one that opens goes first, so that there is always a path.
        if [ "$1" = inaccessible ]; then
            setup ana $NQN $B "$2"; setup ana $NQN $A "$1"
        else
            setup ana $NQN $A "$1"; setup ana $NQN $B "$2"
        fi
        wait_for 30 state_is 0 "${1/_/-}" || { not_ok "round $round: path A becomes $1"; break 2; }
        wait_for 30 state_is 1 "${2/_/-}" || { not_ok "round $round: path B becomes $2"; break 2; }
        before=$(($(progress) + 20))
        wait_for 60 moved || { not_ok "round $round: I/O goes on with $way"; break 2; }
    done
done
check "both paths followed every change, I/O went on" [ $failures = 0 ]
setup ana $NQN $A inaccessible; setup ana $NQN $B inaccessible
check "with no path usable the host waits" wait_for 30 state_is 1 inaccessible
setup ana $NQN $B optimized
before=$(progress)
check "and goes on when one opens" wait_for 60 moved
stop_fio
check "fio saw no error" fio_went_well

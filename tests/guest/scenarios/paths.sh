# SPDX-License-Identifier: Apache-2.0
# Two listeners are two paths of one device; ANA states steer them under verifying fio.
host disk vol 134217728 512 > /dev/null
host subsystem $NQN vol > /dev/null
host listen $NQN $B
check "first path" connect
check "second path" env ADDR=$B bash -c "nvme connect -t tcp -a $B -s 4420 -n $NQN -l 600 -c 1"
check "one block device" wait_for 20 block_dev
check "two controllers" wait_for 20 live 1
if [ "$(cat /sys/module/nvme_core/parameters/multipath)" != Y ]; then
    not_ok "the guest has native multipath"
fi
check "one device for both" same "$(ls -d /sys/block/nvme*n* | grep -vc 'c[0-9]')" 1
fio --name=t --filename=/dev/nvme0n1 --direct=1 --rw=randwrite --bs=4k --size=64m --ioengine=libaio --iodepth=8 \
    --verify=crc32c --verify_backlog=256 --time_based --runtime=3600 --minimal > /tmp/fio.out 2>&1 &
fio_pid=$!
state_is() { grep -qx "$2" /sys/class/nvme/nvme$1/nvme*c$1n1/ana_state; }
progress() { awk '{print $3 + $7}' /sys/block/nvme0n1/stat; }
moved() { [ "$(progress)" -gt "$before" ]; }
for round in 1 2 3 4 5; do
    for way in "inaccessible optimized" "optimized inaccessible" "non_optimized optimized"; do
        set -- $way
        # The one that opens goes first, so that there is always a path.
        if [ "$1" = inaccessible ]; then
            host ana $NQN $B "$2"; host ana $NQN $A "$1"
        else
            host ana $NQN $A "$1"; host ana $NQN $B "$2"
        fi
        wait_for 30 state_is 0 "${1/_/-}" || { not_ok "round $round: path A becomes $1"; break 2; }
        wait_for 30 state_is 1 "${2/_/-}" || { not_ok "round $round: path B becomes $2"; break 2; }
        before=$(($(progress) + 20))
        wait_for 60 moved || { not_ok "round $round: I/O goes on with $way"; break 2; }
    done
done
check "both paths followed every change, I/O went on" [ $failures = 0 ]
host ana $NQN $A inaccessible; host ana $NQN $B inaccessible
check "with no path usable the host waits" wait_for 30 state_is 1 inaccessible
host ana $NQN $B optimized
before=$(progress)
check "and goes on when one opens" wait_for 60 moved
kill -INT $fio_pid
check "fio saw no error" wait $fio_pid

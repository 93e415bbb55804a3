# SPDX-License-Identifier: Apache-2.0
# kill -9 of the engine under verifying fio, again and again: the same device, and fio sees no error.
setup disk vol 268435456 512
setup subsystem $NQN vol
check "connect" connect -i 2
check "block device" wait_for 20 block_dev
nguid=$(cat /sys/block/nvme0n1/nguid)
kills=$(host how-many-kills)
start_fio --bsrange=4k-128k --iodepth=16
for i in $(seq "$kills"); do
    before=$(($(progress) + 500))
    wait_for 90 moved || { not_ok "I/O goes on after kill $((i - 1))"; break; }
    host restart > /dev/null || { not_ok "engine restarts after kill $i"; break; }
    ! [ -e /tmp/fio.rc ] || break
done
before=$(progress)
check "I/O goes on after $kills kills" wait_for 90 moved
stop_fio
check "fio finished with no error" fio_went_well
check "still /dev/nvme0n1" block_dev
check "the NGUID is the same" same "$(cat /sys/block/nvme0n1/nguid)" "$nguid"
check "the kernel kept one namespace" same "$(ls -d /sys/block/nvme*n* | grep -vc 'c[0-9]')" 1

# SPDX-License-Identifier: Apache-2.0
# kill -9 of the engine under verifying fio, again and again: the same device, and fio sees no error.
host disk vol 268435456 512 > /dev/null
host subsystem $NQN vol > /dev/null
check "connect" connect -i 2
check "block device" wait_for 20 block_dev
nguid=$(cat /sys/block/nvme0n1/nguid)
kills=$(host how-many-kills)
# Forty times 4 MiB, each written and read back, until the file 'enough' exists.
fio_loop() {
    local i=0
    while ! [ -e /tmp/enough ]; do
        fio --name=t --filename=/dev/nvme0n1 --direct=1 --rw=randwrite --bsrange=4k-128k --size=4m --offset=$((i % 40 * 4))m \
            --ioengine=libaio --iodepth=16 --verify=crc32c --do_verify=1 --verify_fatal=1 --minimal > /tmp/fio.out 2>&1 || return 1
        i=$((i + 1))
    done
    echo $i > /tmp/loops
}
fio_loop &
fio_pid=$!
progress() { awk '{print $3 + $7}' /sys/block/nvme0n1/stat; }
moved() { [ "$(progress)" -gt "$before" ]; }
for i in $(seq "$kills"); do
    before=$(($(progress) + 500))
    wait_for 120 moved || { not_ok "I/O goes on after kill $((i - 1))"; break; }
    host restart > /dev/null || { not_ok "engine restarts after kill $i"; break; }
    kill -0 $fio_pid 2> /dev/null || { not_ok "fio goes on after kill $i"; cat /tmp/fio.out; break; }
done
before=$(progress)
check "I/O goes on after $kills kills" wait_for 120 moved
touch /tmp/enough
check "fio finished with no error" wait $fio_pid
check "still /dev/nvme0n1" block_dev
check "the NGUID is the same" same "$(cat /sys/block/nvme0n1/nguid)" "$nguid"
check "the kernel kept one namespace" same "$(ls -d /sys/block/nvme*n* | grep -vc 'c[0-9]')" 1

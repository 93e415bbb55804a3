# SPDX-License-Identifier: Apache-2.0
# Hot upgrades of the engine, again and again, under verifying fio on four devices: files, RAM and a thin volume, of 512 and 4096 bytes, with digests and without, from one command
# of 4 KiB at a time to 32 of up to 128 KiB (what is larger than a capsule waits for its R2T). The host notices nothing: the same connections, devices and kernel log.
# A slow guest may take longer than 30 s for what it has asked for at once; a command that gets lost shows in a device that stands still.
# kernel: nvme_core.io_timeout=255
# supervised: yes
# suites: trixie
setup disk small 134217728 512
setup disk big 134217728 4096
setup rpc bdev_malloc_create '{"name":"ram","num_blocks":32768,"block_size":4096}'
setup pool 1073741824
setup lvol thin 134217728
setup subsystem $NQN-plain small ram
setup subsystem $NQN-sums p/thin big
# A keep-alive may be late by as much as an upgrade on a loaded machine is.
NQN=$NQN-plain check "connect" connect -k 120 -i 2
NQN=$NQN-sums check "connect with digests and small queues" connect -k 120 -i 2 -Q 32 -g -G
dev() { # dev SUBSYSTEM NSID: the name of its block device
    local d
    for d in /sys/block/nvme*n*; do # but not the paths, nvme0c0n1
        [[ ${d##*/} = *c*n* ]] || [ "$(cat $d/device/subsysnqn 2> /dev/null) $(cat $d/nsid)" != "$NQN-$1 $2" ] || echo "${d##*/}"
    done
}
devices() { echo "$(dev plain 1) $(dev plain 2) $(dev sums 1) $(dev sums 2)"; }
four() { same "$(devices | wc -w)" 4; }
check "four block devices" wait_for 30 four
four || finish
# What must stay as it is.
ids() { local d; for d in /sys/block/nvme*n*; do [ ! -e $d/nguid ] || echo "${d##*/} $(cat $d/nguid) $(cat $d/size)"; done; }
said() { dmesg | grep -iE 'nvme|I/O error|blk'; }
all_live() { ! grep -L '^live$' /sys/class/nvme/nvme*/state | grep .; }
check "the controllers are live" wait_for 20 all_live
devices=$(devices) ids=$(ids) controllers=$(ls /sys/class/nvme) connections=$(host connections) accepted=$(host accepted) said=$(said)
check "connections: two admin queues, four for I/O" same "$(wc -l <<< "$connections")" 6

load() { # load NAME DEVICE OPTION...
    FIO_NAME=$1 FIO_DEV=/dev/$2
    loads+=("$1")
    shift 2
    start_fio "$@"
}
loads=() count=($devices)
load one "${count[0]}" --bs=4k --iodepth=1 --size=2m
load ram "${count[1]}" --bsrange=4k-64k --iodepth=8 --size=8m
load whole "${count[2]}" --bs=128k --iodepth=16 --size=16m
load mixed "${count[3]}" --bsrange=16k-128k --iodepth=32 --size=16m
# Sectors moved, a word for each device; without a process, of which each costs an emulated machine much. 6.1 counts nothing for a multipath device, but for its paths.
moved_all() {
    local d stat field n all=
    for d in $devices; do
        n=0
        for stat in /sys/block/"${d%n*}"*n"${d##*n}"/stat; do
            read -ra field < "$stat"
            n=$((n + field[2] + field[6]))
        done
        all="$all $n"
    done
    moved=$all
}
ended() { local rc; for rc in /tmp/*.rc; do [ -e "$rc" ] && return; done; return 1; }
# All devices have moved something since moved_all was called, or a load has ended, which the checks at the end tell. At most 480 s.
all_move() {
    local before now end=$((SECONDS + 480)) i
    moved_all
    read -ra before <<< "$moved"
    while [ $SECONDS -lt $end ]; do
        sleep 0.3
        moved_all
        read -ra now <<< "$moved"
        for ((i = 0; i < 4 && now[i] > before[i]; i++)); do :; done
        [ $i -lt 4 ] && ! ended || return 0
    done
    return 1
}

upgrades=$(host how-many-upgrades) i=0
while [ $i -lt "$upgrades" ]; do
    all_move || { not_ok "I/O goes on everywhere after upgrade $i"; break; }
    ! ended || break
    stop=$(host upgrade) || { not_ok "upgrade $((i + 1)): $stop"; break; }
    echo "# stop_ms=$stop"
    i=$((i + 1))
done
check "$upgrades upgrades" same $i "$upgrades"
check "I/O goes on everywhere" all_move
stop_fio
for FIO_NAME in "${loads[@]}"; do check "fio finished with no error: $FIO_NAME" fio_went_well; done
check "the same connections" same "$(host connections)" "$connections"
check "nobody was accepted anew" same "$(host accepted)" "$accepted"
check "the same controllers" same "$(ls /sys/class/nvme)" "$controllers"
check "all of them live" all_live
check "the same devices" same "$(devices)" "$devices"
check "... with the same identifiers and sizes" same "$(ids)" "$ids"
check "the kernel has said nothing of it" same "$(said)" "$said"

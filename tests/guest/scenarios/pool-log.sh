# SPDX-License-Identifier: Apache-2.0
# The engine in the guest, its pool on a device that logs every write in the order in which the disk could keep it (dm-log-writes), the kernel's host on the same machine: mkfs,
# fsyncs, snapshots, clones, deletes. Afterwards tests/guest/replay-marks cuts the power at every flush.
# needs: litepool engine
# disks: data=1073741824 log=12884901888
# after: replay-marks
# suites: trixie
modprobe dm-mod
modprobe dm-log-writes
by_serial() { local d; for d in /sys/block/vd*; do [ "$(cat "$d/serial")" != "$1" ] || echo "/dev/${d##*/}"; done; }
data=$(by_serial data) log=$(by_serial log)
ours() { LD_LIBRARY_PATH=/job/in/lib /job/in/"$@"; } # the guest's own programs have newer libraries
rpc() { ours litepool -s /tmp/e.sock --timeout 120 engine rpc "$@"; }
mark() { dmsetup message logged 0 mark "$1"; }
check "a device that logs" dmsetup create logged --table "0 $(blockdev --getsz "$data") log-writes $data $log"
dmsetup mknodes
mkdir -p /tmp/state /mnt/t
LD_LIBRARY_PATH=/job/in/lib /job/in/litepool-engine --state-dir /tmp/state --rpc-socket /tmp/e.sock --cores 1 > /tmp/engine.log 2>&1 &
engine_pid=$!
check "the engine runs" wait_for 60 rpc framework_wait_init
check "transport" rpc nvmf_create_transport '{"trtype": "TCP"}'
check "disk" rpc bdev_aio_create '{"name": "d", "filename": "/dev/mapper/logged", "block_size": 512}'
check "pool" rpc bdev_lvol_create_lvstore '{"bdev_name": "d", "lvs_name": "p"}'
mark pool
check "volume" rpc bdev_lvol_create '{"lvs_name": "p", "lvol_name": "fs", "size_in_mib": 256, "thin_provision": true, "block_size": 4096}'
rpc nvmf_create_subsystem "{\"nqn\": \"$NQN\", \"allow_any_host\": true}" > /tmp/answer || not_ok "subsystem: $(cat /tmp/answer)"
rpc nvmf_subsystem_add_ns "{\"nqn\": \"$NQN\", \"namespace\": {\"bdev_name\": \"p/fs\"}}" > /tmp/answer || not_ok "namespace: $(cat /tmp/answer)"
rpc nvmf_subsystem_add_listener "{\"nqn\": \"$NQN\", \"listen_address\": {\"trtype\": \"TCP\", \"adrfam\": \"IPv4\", \"traddr\": \"127.0.0.1\", \"trsvcid\": \"4420\"}}" > /tmp/answer ||
    not_ok "listener: $(cat /tmp/answer)"
ADDR=127.0.0.1
check "connect" connect
check "block device" wait_for 60 block_dev
check "mkfs.ext4" mkfs.ext4 -q /dev/nvme0n1
check "mount" mount /dev/nvme0n1 /mnt/t
sync
mark fs
for i in $(seq 12); do
    fio --name=w$((i % 3)) --directory=/mnt/t --size=4m --rw=randwrite --bsrange=4k-32k --number_ios=150 --fsync=8 --minimal > /tmp/fio.out 2>&1 || { not_ok "fio: $(cat /tmp/fio.out)"; break; }
    mkdir "/mnt/t/dir$i" && echo "$i" > "/mnt/t/dir$i/number" && sync -f /mnt/t
    rpc bdev_lvol_snapshot "{\"lvol_name\": \"p/fs\", \"snapshot_name\": \"s$i\"}" > /tmp/answer || not_ok "snapshot: $(cat /tmp/answer)"
    [ $i != 1 ] || mark kept
    rpc bdev_lvol_clone "{\"snapshot_name\": \"p/s$i\", \"clone_name\": \"c$i\"}" > /tmp/answer || not_ok "clone: $(cat /tmp/answer)"
    [ $i -lt 4 ] || rpc bdev_lvol_delete "{\"name\": \"p/c$((i - 1))\"}" > /tmp/answer || not_ok "delete: $(cat /tmp/answer)"
    [ $i -lt 4 ] || rpc bdev_lvol_delete "{\"name\": \"p/s$((i - 1))\"}" > /tmp/answer || not_ok "delete: $(cat /tmp/answer)"
    [ $((i % 4)) != 0 ] || { rm -f /mnt/t/w0*; fstrim /mnt/t; }
done
check "unmount" umount /mnt/t
check "disconnect" nvme disconnect -n "$NQN"
mark end
kill $engine_pid
wait $engine_pid
check "the engine ends in order" same $? 0
[ $failures = 0 ] || tail -n 30 /tmp/engine.log
check "the log is complete" dmsetup remove logged

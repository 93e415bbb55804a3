#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A pool on a block device in hot upgrades, done and given up: somebody who tries all the while never gets the exclusive claim of the device, so there is no moment in which no engine has it, and one that is
# ended leaves it free. Root and loop devices; skipped elsewhere.
. "$(dirname "$0")/upgrade-lib.sh"
requires "$perf_bin"
export LITEPOOL_FAILPOINTS=1
nqn=nqn.2025-01.io.litepool:device
truncate -s 128M "$work/disk.img"
device=$([ "$(id -u)" = 0 ] && losetup -f --show "$work/disk.img" 2> /dev/null) || { echo "1..0 # SKIP no loop devices"; exit 0; }
cleanup_device() {
    cleanup_supervised
    losetup -d "$device"
}
trap cleanup_device EXIT

# claims FILE: tries again and again, until the file appears, and says how often it succeeded.
claims() {
    exec python3 -c '
import errno, os, sys, time
tried = got = 0
while tried < 100 or not os.path.exists(sys.argv[2]):
    tried += 1
    try:
        os.close(os.open(sys.argv[1], os.O_RDWR | os.O_EXCL))
        got += 1
    except OSError as e:
        if e.errno != errno.EBUSY:
            raise
    time.sleep(0.0002)
print(got)' "$device" "$1" > "$work/claims"
}
free() { python3 -c 'import os,sys; os.close(os.open(sys.argv[1], os.O_RDWR | os.O_EXCL))' "$device"; }
status_is() { rpc litepool_upgrade_status | json 'j["state"]+" "+j["step"]' | finds -E "$1"; }
given_up() { rpc litepool_upgrade_start "{\"fail_at\":\"$1:refuse\",\"deadline_ms\":30000}" && wait_for status_is "^aborted"; }

check "the device is free" free
check "start" start_supervised
check "a disk" rpc bdev_aio_create "{\"name\":\"d0\",\"filename\":\"$device\"}"
check "a pool" rpc bdev_lvol_create_lvstore '{"bdev_name":"d0","lvs_name":"p"}'
check "a volume" rpc bdev_lvol_create '{"lvs_name":"p","lvol_name":"v","size_in_mib":64,"thin_provision":true}'
check "an export" lp export p/v --any-host --nqn $nqn --listen 127.0.0.1:0
port=$(port_of $nqn)
start_load --port "$port" --nqn $nqn --size 8M --mix 50 --qd 8 --conns 4 --verify
claims "$work/end" &
claims_pid=$!
for i in 1 2 3; do check "upgrade $i" upgrade --deadline 30000; done
check "one that the new engine refuses at the last moment" given_up new:ready
check "one that the old engine gives up in the stop" given_up old:save
check "one more" upgrade --deadline 30000
check "I/O ends well" stop_load
check "nothing wrong, nothing failed, nobody reconnected" same "$(json 'j["mismatches"], j["errors"], j["not_ended"], j["reconnects"]' < "$work/perf")" "0 0 0 0"
: > "$work/end"
check "who tried to claim the device ends" wait $claims_pid
check "... and never got it" same "$(cat "$work/claims")" 0
check "stop" stop_supervised
check "the device is free soon" wait_for free # the kernel ends the ring of a process a moment after it
check "the pool is clean" "$cli_bin" pool check "$device"
done_testing

#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Pools found again and grown: by UUID under any name of file or device, read-only without a byte written, grown with their file or device; and what a command that was refused leaves behind: nothing.
. "$(dirname "$0")/lib.sh"
loop='' loop2=''

# shellcheck disable=SC2317 # by trap
release() {
    cleanup
    [ -z "$loop" ] || losetup -d "$loop" 2> /dev/null
    [ -z "$loop2" ] || losetup -d "$loop2" 2> /dev/null
}
trap release EXIT
pool() { lp pool "$@"; }
volume() { lp volume "$@"; }
sum() { sha256sum < "$1"; }
bdevs() { rpc bdev_get_bdevs | json '" ".join(sorted(b["name"] for b in j if not b["name"].count("-") == 4))'; }
pool_is() { rpc bdev_lvol_get_lvstores | json "[(p['name'], p['base_bdev'], p['state']) for p in j if p['name']=='$1']"; }
size_of() { rpc bdev_lvol_get_lvstores "{\"lvs_name\":\"$1\"}" | json 'j[0]["size_bytes"] >> 20'; }
other=11111111-2222-4333-8444-555555555555

start_engine || exit 1

# ---- by UUID, whatever the file is called now ----
uuid=$(pool create fast "$work/a.img" --size 128M)
volume create fast/v 16M > /dev/null
pool close fast > /dev/null
lp bdev delete a.img > /dev/null
mv "$work/a.img" "$work/b.raw"
before=$(sum "$work/b.raw")
refused "another UUID is not opened, and what is there is told" "another pool than the one asked for: fast \($uuid\)" pool open "$work/b.raw" --uuid $other
check "nothing of it was changed" same "$(sum "$work/b.raw")" "$before"
check "and the engine does not keep the file" same "$(bdevs)" ""
refused "what is no UUID is told" 'is no UUID' pool open "$work/b.raw" --uuid 1234
check "by its UUID it is opened" pool open "$work/b.raw" --uuid "$uuid"
check "under its new name" same "$(pool_is fast)" "[('fast', 'b.raw', 'open')]"
check "its UUID is a name of it, too" has "$(pool show "$uuid")" 'name +fast'
check "with what it had" has "$(volume list)" 'fast/v'
pool close fast > /dev/null
refused "the same for a block device that is there" "another pool than the one asked for: fast" pool open b.raw --uuid $other
check "which stays, for it was there" same "$(bdevs)" b.raw
lp bdev delete b.raw > /dev/null

# ---- read-only ----
before=$(sum "$work/b.raw")
check "it is opened read-only" pool open "$work/b.raw" --readonly
check "and says so" same "$(pool_is fast)" "[('fast', 'b.raw', 'read-only')]"
refused "no volume is made" 'read-only' volume create fast/w 16M
refused "none is deleted" 'read-only|Read-only' volume delete fast/v
refused "none gets a label" 'read-only|Read-only' volume label fast/v a=b
refused "it is not renamed" 'read-only' pool rename fast slow
refused "and not destroyed" 'read-only' pool delete fast
check "it is there" same "$(pool_is fast)" "[('fast', 'b.raw', 'read-only')]"
check "with its volume" has "$(volume list)" 'fast/v'
check "it is closed" pool close fast
check "nothing was written" same "$(sum "$work/b.raw")" "$before"
lp bdev delete b.raw > /dev/null
check "a block device that can be written" lp bdev create-file b "$work/b.raw"
pool close fast > /dev/null
before=$(sum "$work/b.raw")
check "can be read only, too" pool open b --readonly
refused "and is not destroyed then" 'read-only' pool delete fast
pool close fast > /dev/null
check "nothing was written then either" same "$(sum "$work/b.raw")" "$before"
check "and written again" pool open b
check "that one is destroyed" pool delete fast
lp bdev delete b > /dev/null

# ---- what was refused leaves nothing ----
refused "a file that is too small is refused" 'a pool needs at least' pool create tiny "$work/tiny.img" --size 1M
check "and does not stay" test ! -e "$work/tiny.img"
check "nor does its block device" same "$(bdevs)" ""
check "with room it is made" pool create tiny "$work/tiny.img" --size 64M
refused "a name that is taken" 'open already' pool create tiny "$work/second.img" --size 64M
check "leaves no file either" test ! -e "$work/second.img"
truncate -s 64M "$work/mine.img"
refused "a file that was there" 'open already' pool create tiny "$work/mine.img" --size 64M
check "stays" test -s "$work/mine.img"
refused "a file without a pool is told" 'holds no pool' pool open "$work/mine.img"
check "and not kept" same "$(bdevs)" tiny.img
refused "an address that is none: no file stays of an export" 'listen|address' lp export "$work/exported.img" --size 16M --any-host --listen 192.0.2.77:4420
check "none" test ! -e "$work/exported.img"

# ---- limits ----
refused "to set nothing is told" 'nothing|option' pool set tiny
refused "as are percents that are none" '100000' pool set tiny --commit-percent 100001
refused "a person is told commands" "litepool engine pool list' lists them" pool show nowhere
refused "a program methods" 'bdev_lvol_get_lvstores lists them' rpc bdev_lvol_get_lvstores '{"lvs_name":"nowhere"}'

# ---- grown with its file ----
check "as large as its file lets it be" same "$(size_of tiny)" 56
truncate -s 128M "$work/tiny.img"
check "the file has grown: the pool" pool grow tiny
check "has it" same "$(size_of tiny)" 120
check "again is fine" pool grow tiny
volume create tiny/all 100M --thick > /dev/null
check "the new space is promised" has "$(volume list)" 'tiny/all +100 MiB'
truncate -s 64M "$work/tiny.img"
refused "a file that shrank is told" 'shrank from .* make it as large as it was' pool grow tiny
truncate -s 128M "$work/tiny.img"
check "with its size back all is well" pool grow tiny
stop_engine || exit 1
check "and sound" "$cli_bin" pool check "$work/tiny.img"

# ---- on a device, under another name of it, grown with it ----
truncate -s 64M "$work/dev.img" "$work/dev2.img"
if [ "$(id -u)" != 0 ] || ! loop=$(losetup -f --show "$work/dev.img" 2> /dev/null); then
    loop=
    check "block devices # SKIP no loop devices here" true
    done_testing
    exit
fi
blockdev --setrw "$loop" # whoever had it before
start_engine || exit 1
uuid=$(pool create ondev "$loop" --checksums)
check "a pool on a device" same "$(size_of ondev)" 56
truncate -s 96M "$work/dev.img"
losetup -c "$loop"
check "the device has grown: the pool" pool grow ondev
check "has it" same "$(size_of ondev)" 88
volume create ondev/v 16M > /dev/null
pool close ondev > /dev/null
lp bdev delete "${loop##*/}" > /dev/null
# Another device first, so that this one gets another name.
losetup -d "$loop"
loop2=$(losetup -f --show "$work/dev2.img")
loop=$(losetup -f --show "$work/dev.img")
blockdev --setro "$loop"
refused "a device that is write-protected is refused, with what to do" "$loop is write-protected; .*blockdev --setrw $loop" pool open "$loop"
check "read-only it is opened" pool open "$loop" --readonly
check "as such" same "$(pool_is ondev)" "[('ondev', '${loop##*/}', 'read-only')]"
pool close ondev > /dev/null
lp bdev delete "${loop##*/}" > /dev/null
blockdev --setrw "$loop" "$loop2"
check "it is opened by its UUID under another device's name" pool open "$loop" --uuid "$uuid"
check "and the right one" same "$(pool_is ondev)" "[('ondev', '${loop##*/}', 'open')]"
check "with what it had" has "$(volume list)" 'ondev/v'
refused "the other device holds none" 'holds no pool' pool open "$loop2"
stop_engine || exit 1
done_testing

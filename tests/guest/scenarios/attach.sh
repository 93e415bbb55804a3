# SPDX-License-Identifier: Apache-2.0
# litepool host attach, detach, list and wait-size against a real engine: the life of a volume on a plain Linux host.
# needs: litepool
litepool() { LD_LIBRARY_PATH=/job/in/lib /job/in/litepool "$@"; }
V=nqn.2026-11.io.litepool
me=$(cat /etc/nvme/hostnqn)
attach() { local nqn=$1 id=$2; shift 2; litepool host attach --nqn "$nqn" --address "${ADDR:-$A}" --nguid "$id" --reconnect-delay 1 "$@"; }
says() { # says TEXT PATTERN COMMAND...: fails, and says PATTERN
    local text=$1 pattern=$2 out
    shift 2
    if out=$("$@" 2>&1); then not_ok "$text"; echo "# it went well: $out"; else check "$text" contains "$out" "$pattern"; fi
}
verify() { fio --name=t --filename="$1" --direct=1 --rw=randwrite --bs=4k --size=2m --ioengine=libaio --iodepth=8 --verify=crc32c --do_verify=1 --minimal; }
n_ctrls() { ls /sys/class/nvme | wc -l; }
n_devices() { ls /sys/block | grep -c '^nvme[0-9]*n[0-9]*$'; }
nothing_left() { same "$(n_ctrls) $(n_devices)" "0 0"; }

# One volume, there and back.
id=$(host volume one 67108864 $V:one "$me")
dev=$(attach $V:one $id) && ok "attach prints the device: $dev" || not_ok "attach: $dev"
check "it is a block device" [ -b "$dev" ]
check "I/O" verify "$dev"
check "a second attach finds the same device" same "$(attach $V:one $id)" "$dev"
check "and makes no second controller" same "$(n_ctrls)" 1
check "list knows it" contains "$(litepool host list)" "$V:one"
check "list tells the path" contains "$(litepool host list)" "$A:4420=live/optimized"
check "by UUID" same "$(litepool host attach --nqn $V:one --address $A --uuid "$(cat /sys/block/${dev#/dev/}/uuid)")" "$dev"
check "by number, with JSON" contains "$(litepool -o json host attach --nqn $V:one --address $A --nsid 1)" '"was connected"'

# In use: refused, with who.
mkfs.ext4 -q "$dev"; mkdir -p /mnt/t; mount "$dev" /mnt/t
says "detach is refused while mounted" "mounted at /mnt/t" litepool host detach "$dev"
check "list tells the mount" contains "$(litepool host list)" "mounted at /mnt/t"
umount /mnt/t
sleep 1000 < "$dev" & sleeper=$!
says "detach is refused while a process has it open" "open by process $sleeper (sleep)" litepool host detach "$dev"
kill $sleeper; wait $sleeper 2> /dev/null
modprobe dm-mod
echo "0 1024 linear $dev 0" | dmsetup create above
says "detach is refused under a dm device" "above" litepool host detach "$dev"
dmsetup remove above
mount "$dev" /mnt/t
unshare -m bash -c 'sleep 1000' & hidden=$!
wait_for 10 pgrep -x sleep > /dev/null
umount /mnt/t
says "detach is refused while another mount namespace holds it" "mounted at /mnt/t" litepool host detach "$dev"
kill $(pgrep -x sleep); wait $hidden 2> /dev/null

# The engine restarts under the attached volume.
setup restart
check "attach finds the controller that reconnects or is back" same "$(attach $V:one $id)" "$dev"
check "still one controller" same "$(n_ctrls)" 1
check "I/O after the restart" verify "$dev"

# Expansion.
setup resize one 134217728
check "wait-size" same "$(litepool host wait-size $dev 128M)" 134217728
says "wait-size for more ends at the deadline" "still has 134217728" litepool --timeout 1 host wait-size $dev 1G

check "detach" litepool host detach "$dev"
check "nothing is left" nothing_left
check "detach again is no error" litepool host detach --nguid $id
check "detach of a device that never was" litepool host detach /dev/nvme9n9

# What goes wrong, in words.
ADDR=$A:4999 says "nobody listens" "nobody listens" attach $V:one $id
id2=$(host volume closed 67108864 $V:closed nqn.2014-08.org.nvmexpress:uuid:somebody-else)
says "not on the allow-list" "litepool engine host add $V:closed" attach $V:closed $id2
says "no such subsystem" "has no subsystem $V:none" attach $V:none $id
says "another NGUID" "it has: nvme" litepool --timeout 8 host attach --nqn $V:one --address $A --nguid 00112233445566778899aabbccddeeff
setup stop-cont stop
says "an engine that hangs" "says nothing" litepool --timeout 2 host attach --nqn $V:one --address $A --nguid $id
check "the kernel was not asked" same "$(n_ctrls)" 0
setup stop-cont cont
check "failures left nothing" nothing_left
connected() { [ "$(n_ctrls)" = 1 ] && live "$(basename /sys/class/nvme/nvme* | tr -dc 0-9)"; }
( wait_for 60 connected; pkill -INT -x litepool ) & says "interrupted" "cancelled" litepool --timeout 240 host attach --nqn $V:one --address $A --nguid 00112233445566778899aabbccddeeff; wait $!
check "nor did the interrupt" nothing_left
rm -f /dev/nvme-fabrics.away; mv /dev/nvme-fabrics /dev/nvme-fabrics.away
says "without the module" "modprobe nvme-tcp" attach $V:one $id
mv /dev/nvme-fabrics.away /dev/nvme-fabrics

# A namespace that comes later.
setup disk late 67108864
setup rpc nvmf_create_subsystem "{\"nqn\":\"$V:late\",\"allow_any_host\":true}"
setup listen $V:late $A
late=aabbccddeeff00112233445566778899
attach $V:late $late > /tmp/late.out 2>&1 & pid=$!
check "the attach connects and waits" wait_for 20 connected
setup rpc nvmf_subsystem_add_ns "{\"nqn\":\"$V:late\",\"namespace\":{\"bdev_name\":\"late\",\"nguid\":\"$late\"}}"
wait $pid; check "it ends when the namespace arrives" contains "$(cat /tmp/late.out)" /dev/nvme
# Two volumes of one subsystem share its controllers.
setup disk later 67108864
later=aabbccddeeff00112233445566778800
setup rpc nvmf_subsystem_add_ns "{\"nqn\":\"$V:late\",\"namespace\":{\"bdev_name\":\"later\",\"nguid\":\"$later\"}}"
check "the second of a subsystem" attach $V:late $later
check "by the same controller" same "$(n_ctrls)" 1
check "the first is given up, the device stays for the second" contains "$(litepool host detach --nguid $late)" "stays"
check "the second is given up" litepool host detach --nguid $later
check "all is gone" nothing_left

# Two paths.
id3=$(host volume two 67108864 $V:two "$me")
setup listen $V:two $B
dev=$(ADDR=$A,$B attach $V:two $id3)
check "two paths, one device" same "$(n_ctrls) $(n_devices)" "2 1"
both() { contains "$(litepool host list)" "$1=live/$3" && contains "$(litepool host list)" "$2=live/$4"; }
check "list tells both" wait_for 20 both $A:4420 $B:4420 optimized optimized
setup ana $V:two $A inaccessible
check "and their ANA states" wait_for 20 both $A:4420 $B:4420 inaccessible optimized
check "I/O on the second path" verify "$dev"
check "detach ends both" litepool host detach "$dev"
check "nothing is left of two paths" nothing_left
setup ana $V:two $B inaccessible
says "with no accessible path the attach tells why" "is inaccessible" litepool --timeout 4 host attach --nqn $V:two --address $A,$B --nguid $id3
check "and takes both back" nothing_left
setup ana $V:two $B optimized
check "one dead path of two" contains "$(litepool -o json host attach --nqn $V:two --address $A:4999,$B --nguid $id3 2>&1)" "nobody listens"
check "detach of it" litepool host detach --nguid $id3

# Many at once.
for i in $(seq 64); do host volume m$i 16777216 $V:m$i "$me" > /tmp/m$i.id || not_ok "volume $i"; done
for i in $(seq 64); do { attach $V:m$i "$(cat /tmp/m$i.id)" --io-queues 1 > /tmp/m$i.dev 2> /tmp/m$i.err; echo $? > /tmp/m$i.rc; } & pids[i]=$!; done
wait "${pids[@]}"
check "64 attaches at once" same "$(cat /tmp/m*.rc | sort | uniq -c | tr -s ' ')" " 64 0"
check "64 devices" same "$(sort -u /tmp/m*.dev | wc -l)" 64
right() { for i in $(seq 64); do d=$(cat /tmp/m$i.dev); same "$(tr -d - < /sys/block/${d#/dev/}/nguid)" "$(tr A-F a-f < /tmp/m$i.id)" || return 1; done; }
check "each is the right one" right
for i in $(seq 64); do litepool host detach "$(cat /tmp/m$i.dev)" > /dev/null 2> /tmp/m$i.err & pids[i]=$!; done
wait "${pids[@]}"
check "64 detaches at once leave nothing" nothing_left
cat /tmp/m*.err | sed 's/^/# /' | head -5
EXPECT_DMESG='I/O error\|Connect'

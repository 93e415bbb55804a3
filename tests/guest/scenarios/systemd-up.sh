# SPDX-License-Identifier: Apache-2.0
# The installed package (make deb) under systemd: litepool up, a volume under verifying fio, each unit's main process killed, a machine that loses its power, litepool down and up again, the
# package removed: nothing left but the data. By name only: some minutes.
# needs: package
# disks: state=536870912
# suites: none
# with: systemd-lib.sh
lp() { sd litepool --timeout 240 "$@"; }
shows() { sd systemctl show -P "$2" "litepool-$1"; }
parts="controller engine agent"
each() { local p; for p in $parts; do sd systemctl "$1" "litepool-$p" 2>&1; done | tr '\n' ' '; } # each QUESTION: systemctl's answers
prints() { local pattern=$1; shift; contains "$("$@" 2>&1)" "$pattern"; }
none_runs() { ! pgrep -a litepool; }
gone() { ! lp volume show "$1" > /dev/null 2>&1; }

# What the package depends on and this guest has not.
for l in /job/in/lib/*; do [ -e "/usr/lib/x86_64-linux-gnu/${l##*/}" ] || cp "$l" /usr/lib/x86_64-linux-gnu/; done
mkdir -p /var/lib/dpkg/info /var/lib/dpkg/updates /var/lib/dpkg/triggers /var/log /var/lib/litepool
touch /var/lib/dpkg/status /var/lib/dpkg/available
mkfs.ext4 -q "$(by_serial state)" && mount "$(by_serial state)" /var/lib/litepool
systemd_runs
check "the package is installed" sd dpkg --force-depends --force-bad-path -i /job/in/litepool_*.deb
check "nothing is started by that" same "$(each is-active)" "inactive inactive inactive "
check "status says what to do" prints "Start it: litepool up" lp status

# up
check "up" prints "pool guest-file on" lp up --addresses 127.0.0.1 --file 200M
check "all are active" same "$(each is-active)" "active active active "
check "and will be after a start of the machine" same "$(each is-enabled)" "enabled enabled enabled "
check "status knows the node" prints "guest " lp status
row() { local all; all=$(lp status 2>&1); grep -qE "$1" <<< "$all" || { echo "no /$1/ in: $all"; return 1; }; }
engine_told() {
    local pid
    pid=$(lp engine rpc litepool_engine_status | sed -n 's/^ *"pid": \([0-9]*\),.*/\1/p' | head -n 1)
    [ "$pid" != "$(shows engine MainPID)" ] && row "^engine +active +$pid +[0-9]+[smh] +20"
}
for part in controller agent; do
    check "status: the $part's process, since when" row "^$part +active +$(shows $part MainPID) +[0-9]+[smh] +20"
done
check "status: the engine's supervisor" row "^supervisor +active +$(shows engine MainPID) +[0-9]+[smh] +20"
check "status: the engine, which is another process" engine_told
check "up again is fine" prints "node guest is ready" lp up --addresses 127.0.0.1 --file 200M
check "a volume" lp volume create v1 64M --wait
d=$(lp attach v1) && ok "is attached: $d" || not_ok "attach: $d"
[ $failures = 0 ] || { lp status; lp events; tail -n 40 /tmp/systemd.log; finish; }
FIO_DEV=$d
start_fio --bsrange=4k-64k --iodepth=8 --size=2m
moves() { before=$(progress); wait_for 120 moved; }
check "verified I/O runs" moves

# Each dies.
replaced() { [ "$(shows "$1" ActiveState) $(shows "$1" SubState)" = "active running" ] && [ "$(shows "$1" MainPID)" != "$2" ]; }
for part in $parts; do
    main=$(shows "$part" MainPID)
    check "$part: killed" sd kill -9 "$main"
    check "$part: systemd starts another" wait_for 60 replaced "$part" "$main"
    check "$part: a volume is made" lp volume create "of-$part" 8M --wait
    check "$part: and goes" lp volume delete "of-$part" "--accept-volume-loss=of-$part" --wait
    check "$part: I/O goes on" moves
done
refused "down while a volume is attached" lp down

# All at once, as when the machine loses its power; what is enabled comes with the machine.
kill -9 "$(init)"
check "nothing runs" wait_for 60 none_runs
systemd_runs multi-user.target
check "a machine that starts has all of it" wait_for 120 eval 'same "$(each is-active)" "active active active "'
check "the node is ready, the pool there" prints "pool guest-file on" lp up --addresses 127.0.0.1 --file 200M
check "I/O goes on" moves
stop_fio
check "fio finished with no error" fio_went_well

# down
head -c 1048576 /dev/urandom > /tmp/data
check "data" dd if=/tmp/data of="$d" bs=1M oflag=direct conv=fsync status=none
check "detach" lp detach v1
check "the device is gone" eval '! [ -e "$d" ]'
check "down" prints "all is ended" lp down
check "ends all" none_runs
check "for good" same "$(each is-enabled)" "disabled disabled disabled "
check "in order" same "$(for p in $parts; do shows $p Result; done | tr '\n' ' ')" "success success success "
check "down again is fine" prints "all is ended" lp down
check "up brings back what was there" prints "node guest is ready" lp up --addresses 127.0.0.1
d=$(lp attach v1) && ok "the volume is attached: $d" || not_ok "attach: $d"
check "the data are there" busybox cmp <(head -c 1048576 "$d") /tmp/data
check "detach" lp detach v1
check "the volume is deleted" lp volume delete v1 --accept-volume-loss=v1 --wait

# The package goes while all of it runs.
check "the package is purged" sd dpkg --force-bad-path --purge litepool
check "nothing runs" none_runs
check "no unit is left" eval '! ls $system/litepool* /etc/systemd/system/litepool* /etc/systemd/system/*.wants/litepool* 2> /dev/null'
check "no options are left" eval '! ls /etc/default/litepool* 2> /dev/null'
check "state stays" [ -e /var/lib/litepool/pools/guest-file.img ]
kill -9 "$(init)"
[ $failures = 0 ] || tail -n 60 /tmp/systemd.log

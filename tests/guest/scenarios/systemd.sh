# SPDX-License-Identifier: Apache-2.0
# The engine's unit under systemd, with the kernel's host on the same machine: started, reloaded (a hot upgrade), its processes killed, restarted and stopped under verifying fio. systemd is
# the first process of a pid namespace of the guest. By name only: a minute or two.
# needs: litepool supervisor engine litepool-engine.service
# disks: data=268435456
# suites: none
# with: systemd-lib.sh
unit=litepool-engine
data=$(by_serial data)
cp /job/in/litepool-engine /job/in/litepool-supervisor /usr/sbin/
cp /job/in/litepool /usr/bin/
cp /job/in/$unit.service /etc/systemd/system/
# The programs want libraries that the guest has not, or newer ones.
mkdir -p /etc/systemd/system/$unit.service.d
cat > /etc/systemd/system/$unit.service.d/guest.conf << 'END'
[Service]
Environment=LD_LIBRARY_PATH=/job/in/lib
StandardOutput=append:/tmp/unit.log
StandardError=append:/tmp/unit.log
END
: > /tmp/unit.log
systemd_runs
shows() { sd systemctl show -P "$1" $unit; }
lp() { sd env LD_LIBRARY_PATH=/job/in/lib litepool --timeout 60 engine "$@"; }
engine_pid() { lp rpc litepool_engine_status | sed -n 's/^ *"pid": \([0-9]*\),.*/\1/p' | head -n 1; } # as its pid namespace has it
state() { echo "$(shows ActiveState) $(shows SubState)"; }

check "the unit is loaded" same "$(shows LoadState)" loaded
check "start waits until the engine serves" sd systemctl start $unit
check "it is active" same "$(state)" "active running"
main=$(shows MainPID) engine=$(engine_pid)
check "an engine answers" [ "$engine" -gt 1 ]
check "the main process is the supervisor" same "$(sd cat /proc/"$main"/comm)" litepool-superv
check "a disk is exported" lp export "$data" --nqn $NQN --any-host --listen 127.0.0.1:4420
ADDR=127.0.0.1
check "connect" connect -i 1
check "block device" wait_for 30 block_dev
start_fio --bsrange=4k-64k --iodepth=8 --size=2m
moves() { before=$(progress); wait_for 120 moved; }
check "I/O runs" moves

other_engine() { local now; now=$(engine_pid) && [ -n "$now" ] && [ "$now" != "$engine" ]; }
same_engine() { same "$(engine_pid)" "$engine"; }
fine() { # fine WHAT: the unit is active, with the supervisor main
    check "$1: the unit is active" same "$(state)" "active running"
    check "$1: the same supervisor" same "$(shows MainPID)" "$main"
    check "$1: I/O goes on" moves
}

check "reload is an upgrade" sd systemctl reload $unit
check "another engine serves" other_engine
fine "reload"
engine=$(engine_pid)
check "an upgrade by litepool" lp upgrade --deadline 10000
check "another engine serves" other_engine
fine "upgrade"
refused "an upgrade that fails" lp upgrade --binary /usr/bin/true
fine "an upgrade that fails"

engine=$(engine_pid)
begin=$(date +%s%N)
check "the engine is killed" sd kill -9 "$engine"
check "another serves" wait_for 60 other_engine
echo "# from kill -9 to an answer: $((($(date +%s%N) - begin) / 1000000)) ms, two processes of the test and an emulated machine in it"
fine "kill -9 of the engine"

engine=$(engine_pid)
replaced() { [ "$(state)" = "active running" ] && [ "$(shows MainPID)" != "$main" ]; }
check "the supervisor is killed" sd kill -9 "$main"
check "systemd starts another, which says that it is ready" wait_for 60 replaced
main=$(shows MainPID)
check "the same engine serves" same_engine
fine "kill -9 of the supervisor"
check "the supervisor alone is replaced" sd systemctl kill -s HUP --kill-whom=main $unit
check "systemd starts another" wait_for 60 replaced
main=$(shows MainPID)
check "the same engine serves" same_engine
fine "SIGHUP"

check "restart" sd systemctl restart $unit
check "another engine serves" other_engine
main=$(shows MainPID)
fine "restart"
stop_fio
check "fio finished with no error" fio_went_well
nvme disconnect-all > /dev/null 2>&1
check "stop" sd systemctl stop $unit
check "it has ended well" same "$(state) $(shows Result)" "inactive dead success"
check "no engine is left" same "$(pgrep -c litepool)" 0
[ $failures = 0 ] || { tail -n 40 /tmp/unit.log; tail -n 20 /tmp/systemd.log; }

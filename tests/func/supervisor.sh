#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The supervisor: an engine that dies comes back, a supervisor that dies finds its engine, an engine with a stuck thread is ended and told.
. "$(dirname "$0")/upgrade-lib.sh"
export LITEPOOL_FAILPOINTS=1
SUPERVISOR_OPTIONS="--stuck 2"
# A service manager in small: a line "PID WORDS" for each that tells it something, as sd_notify(3) does.
python3 - "$work/notify.sock" "$work/notify" << 'END' &
import socket, struct, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
s.bind(sys.argv[1])
with open(sys.argv[2], "w", buffering=1) as log:
    while True:
        data, rights, _, _ = s.recvmsg(4096, 256)
        log.write("%d %s\n" % (struct.unpack("iii", rights[0][2][:12])[0], data.decode()))
END
manager_pid=$!
check "somebody listens for news of the service" wait_for test -S "$work/notify.sock"
export NOTIFY_SOCKET=$work/notify.sock
told() { grep -qx "$1" "$work/notify"; }
check "start" start_supervised
check "the supervisor says that the service is ready" wait_for told "$supervisor_pid READY=1"
check "a disk" rpc bdev_null_create '{"name":"n0","num_blocks":1024,"block_size":4096}'
pid=$(serving_pid)
back() { local now; now=$(serving_pid) && [ "$now" != "$pid" ] && rpc bdev_get_bdevs | finds '"n0"'; }
check "the engine is killed" kill -9 "$pid"
check "another serves the same" wait_for back
at_once() { ! grep "event=supervisor.pause" "$work/engine.log"; }
check "... which was started at once, as the first to end is" at_once
pid=$(serving_pid)
check "the supervisor is killed" kill_supervisor
check "the engine serves on" same "$(serving_pid)" "$pid"
start_supervisor
adopted() { grep -q "event=supervisor.adopted pid=$pid" "$work/engine.log"; }
check "the next supervisor finds it" wait_for adopted
linked() { [ "$(grep -c "event=supervisor.link pid=$pid" "$work/engine.log")" -ge 2 ]; }
check "... and the engine finds the supervisor" wait_for linked
refused "a second supervisor is refused" "another litepool-supervisor" "$supervisor_bin" --engine "$engine_bin" --state-dir "$work/state"
check "... and does no harm" same "$(serving_pid)" "$pid"
check "an upgrade of an engine that was adopted" upgrade --deadline 30000
check "another serves" wait_for back
check "one engine is left" wait_for one_engine
check "... and says again that the service is ready" wait_for told "$supervisor_pid READY=1"
pid=$(serving_pid)
hup() { kill -HUP "$supervisor_pid"; wait "$supervisor_pid"; }
check "SIGHUP ends the supervisor alone" hup
check "the engine serves on" same "$(serving_pid)" "$pid"
start_supervisor
check "the next supervisor finds it" wait_for adopted
check "... and the engine finds the supervisor" wait_for linked
# The control thread hangs: nothing answers any more.
rpc litepool_upgrade_start '{"fail_at":"old:spawn:hang"}' > /dev/null 2>&1 &
check "a stuck engine is ended and comes back" wait_for back
check "who was stuck is told" grep -q "event=supervisor.stuck pid=$pid reactor=lp-control" "$work/engine.log"
check "... with its stack" grep -q "stack of the thread" "$work/engine.log"
check "... and what was done" grep -q "event=supervisor.killed pid=$pid" "$work/engine.log"
pid=$(serving_pid)
kill -STOP "$pid"
read -rt 4 <> <(:)
kill -CONT "$pid"
check "an engine that was stopped on purpose is left alone" same "$(serving_pid)" "$pid"
# A paused machine or container: neither of the two runs. Afterwards each has time to be wrong about the other.
kill -STOP "$supervisor_pid" "$pid"
read -rt 4 <> <(:)
kill -CONT "$supervisor_pid" "$pid"
read -rt 4 <> <(:)
check "so is one that stood still with all of the machine" same "$(serving_pid)" "$pid"
last_supervisor=$supervisor_pid
check "stop" stop_supervised
check "... and was told of" wait_for told "$last_supervisor STOPPING=1"
# One is killed, one is refused, one gets SIGHUP: three others speak of the service, engines never.
check "nobody else told anything" same "$(cut -d' ' -f1 "$work/notify" | sort -u | wc -l)" 3
kill "$manager_pid"
check "nothing is left" same "$(engines)" ""
done_testing

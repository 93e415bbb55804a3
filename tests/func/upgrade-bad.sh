#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# New binaries that are of no use: the old engine goes on, and the message says why.
. "$(dirname "$0")/upgrade-lib.sh"
export LITEPOOL_FAILPOINTS=1
SUPERVISOR_OPTIONS="--stuck 0"
check "start" start_supervised
check "a disk" rpc bdev_malloc_create '{"name":"ram","num_blocks":1024,"block_size":4096}'
check "a fault layer" rpc litepool_fault_create '{"name":"bad","base":"ram"}'
check "... with a rule" lp fault add bad error --ops read --probability 0.1 --error EIO
rules=$(rpc litepool_fault_list '{"name":"bad"}')
pid=$(serving_pid)
same_engine() { same "$(serving_pid)" "$pid" && rpc bdev_get_bdevs | finds '"ram"'; }

refused "a program that is not there" "No such file" upgrade --binary "$work/nothing"
refused "a path that is not absolute" "absolute path" upgrade --binary nothing
echo data > "$work/plain"
refused "a file that may not be executed" "Permission denied" upgrade --binary "$work/plain"
# The head of a program of another machine (e_machine 0xfeed).
python3 - "$work/foreign" << 'END'
import sys
head = bytearray(open("/proc/self/exe", "rb").read(4096)); head[18:20] = b"\xed\xfe"
open(sys.argv[1], "wb").write(head)
END
chmod +x "$work/foreign"
refused "a program of another architecture" "Exec format error" upgrade --binary "$work/foreign"
printf '#!/bin/sh\nexit 3\n' > "$work/script"
chmod +x "$work/script"
refused "one that ends at once" "ended by itself: status 3" upgrade --binary "$work/script"
printf '#!/bin/sh\nkill -SEGV $$\n' > "$work/script"
refused "one that crashes at start" "ended by itself: signal 11" upgrade --binary "$work/script"
printf '#!/bin/bash\nulimit -v 60000\nexec %s "$@"\n' "$engine_bin" > "$work/script"
refused "one that lacks memory" "ended by itself" upgrade --binary "$work/script"
start_hang() { rpc litepool_upgrade_start '{"fail_at":"new:replay:hang"}'; }
check "one that hangs while it warms up" start_hang
check "... is given up by a person" wait_for rpc litepool_upgrade_abort
given_up() { has "$(rpc litepool_upgrade_status)" '"given up|aborted"'; }
check "... and that is told" wait_for given_up
# One connection: so quickly that the supervisor has not started the one when the next is asked for.
given_up_at_once() { # given_up_at_once TIMES
    python3 - "$socket" "$1" << 'END'
import json, socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
answers = s.makefile()
for i in range(int(sys.argv[2])):
    for method in "litepool_upgrade_start", "litepool_upgrade_abort":
        s.sendall(json.dumps({"jsonrpc": "2.0", "id": i, "method": method}).encode())
        answer = ""
        while not answer or answer.count("{") != answer.count("}"):
            answer += answers.readline()
        assert "error" not in json.loads(answer), answer
END
}
for times in 1 2 3 10; do
    check "given up at once, $times in a row" given_up_at_once $times
    check "... and the next goes as far as it is to" upgrade --dry-run
done
# told PATTERN: that is what has come of it
told() { wait_for status_is "$1" || { rpc litepool_upgrade_status; return 1; }; }
status_is() { rpc litepool_upgrade_status | json 'j["state"]+" "+j["step"]+" "+j["error"]' | finds -E "$1"; }
for step in plan replay follow warmed follow-to restore ready; do
    check "it refuses at $step" rpc litepool_upgrade_start "{\"fail_at\":\"new:$step:refuse\",\"deadline_ms\":30000}"
    # It says why and ends; on a machine that is very busy the supervisor's word of its end may be read first.
    check "... and that is told" told "^aborted .*(at $step says: the fail point|ended by itself: status 1)"
    check "... and the old engine serves" same_engine
done
check "a restore that hangs" rpc litepool_upgrade_start '{"fail_at":"new:restore:hang","deadline_ms":1000}'
check "... runs into the deadline" told "^aborted (freeze|freeze-pools|save|state|ready) the stop took longer than the deadline of 1000 ms" # a slow machine does not come as far as ready
refused "a deadline of nothing" "the stop took longer than the deadline of 0 ms" upgrade --deadline 0
check "the old engine serves still" same_engine
check "... and its threads are in no hurry any more" unhurried
check "a dry run changes nothing" upgrade --dry-run
check "the old engine serves still" same_engine
check "a good one after all" upgrade --deadline 30000
other_engine() { [ "$(serving_pid)" != "$pid" ] && rpc bdev_get_bdevs | finds '"ram"'; }
check "another engine serves" other_engine
check "the fault layer has its rule" same "$(rpc litepool_fault_list '{"name":"bad"}')" "$rules"
check "stop" stop_supervised
# Without a supervisor nobody starts a successor.
check "an engine alone" start_engine
refused "an engine without supervisor" "litepool-supervisor" upgrade
check "stop" stop_engine
done_testing

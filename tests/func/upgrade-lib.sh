# SPDX-License-Identifier: Apache-2.0
# For tests of hot upgrades: the engine under litepool-supervisor.
#
#   start_supervised [OPTION...]   supervisor and engine; options are the engine's; SUPERVISOR_OPTIONS the supervisor's
#   stop_supervised                SIGTERM to the supervisor; its exit status
#   serving_pid                    of the engine that answers
#   upgrade [OPTION...]            litepool engine upgrade
#   unhurried                      the engine's threads have the supervisor's priority
#   pids_left                      nothing that was started here still runs
. "$(dirname "$0")/lib.sh"
supervisor_bin=$build/src/supervisor/litepool-supervisor
supervisor_pid=
requires "$supervisor_bin"

cleanup_supervised() {
    local job
    for job in $(jobs -p); do [ "$job" = "$supervisor_pid" ] || kill -9 "$job" 2> /dev/null; done
    if [ -n "$supervisor_pid" ]; then
        kill -9 "$supervisor_pid" 2> /dev/null
        wait "$supervisor_pid" 2> /dev/null
    fi
    # Engines are known by their state directory alone.
    local pid
    for pid in $(engines); do kill -9 "$pid" 2> /dev/null; done
    cleanup
}
trap cleanup_supervised EXIT

# engines: the pids of those of this test
engines() { pgrep -f -- "--state-dir $work/state --supervisor " || :; }

answers() { rpc framework_wait_init; }
start_supervisor() {
    # shellcheck disable=SC2086
    "$supervisor_bin" --engine "${engine_program:-$engine_bin}" --state-dir "$work/state" ${SUPERVISOR_OPTIONS:-} -- --rpc-socket "$socket" "$@" >> "$work/engine.log" 2>&1 &
    supervisor_pid=$!
}
start_supervised() {
    start_supervisor "$@"
    wait_for answers || { sed 's/^/# /' "$work/engine.log"; return 1; }
}
stop_supervised() {
    local pid=$supervisor_pid
    kill -TERM "$pid"
    wait "$pid"
    local rc=$?
    supervisor_pid=
    return $rc
}
kill_supervisor() {
    kill -9 "$supervisor_pid"
    wait "$supervisor_pid" 2> /dev/null
    supervisor_pid=
}
serving_pid() {
    local status # an engine that hangs is not waited for
    status=$("$cli_bin" -s "$socket" --timeout 10 engine rpc litepool_engine_status 2> /dev/null) && json 'j["pid"]' <<< "$status"
}
upgrade() { lp upgrade "$@"; }
# unhurried: no thread of the engine that serves still has the priority of a stop
unhurried() { [ "$(ps -L -o cls=,ni= -p "$(serving_pid)" | awk '{print $1 ":" $2}' | sort -u)" = "$(ps -o cls=,ni= -p "$supervisor_pid" | awk '{print $1 ":" $2}')" ]; }
one_engine() { [ "$(engines | wc -l)" = 1 ] && [ "$(engines)" = "$(serving_pid)" ]; }

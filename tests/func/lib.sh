# SPDX-License-Identifier: Apache-2.0
# For functional tests: real binaries, a folder of their own, no fixed port, TAP on stdout. Each waits on a state with a bound, never on time.
#
#   start_engine [OPTION...]   starts an engine with its state in $work and waits until it has loaded its configuration
#   stop_engine                SIGTERM; its exit status
#   kill_engine                SIGKILL
#   lp WORD...                 litepool on that engine;     rpc METHOD [JSON]   a raw call
#   check NAME COMMAND...      one test: the command succeeds;   refused NAME PATTERN COMMAND...   it fails and says PATTERN
#   load OPTION...             lp-perf, its JSON in $work/perf
#   start_load OPTION...       the same in the background, for as long as the test needs it;   stop_load   tells it to end; its status
#   done_testing               the plan; stops what still runs

declare -F done_testing > /dev/null && return 0 # one library has it by way of another
set -uo pipefail
build=${LITEPOOL_BUILD:?the tests are run by meson}
source_dir=${LITEPOOL_SOURCE:?}
engine_bin=$build/src/engine/litepool-engine
cli_bin=$build/src/cli/litepool
perf_bin=$build/bench/lp-perf
work=$(mktemp -d "${TMPDIR:-/var/tmp}/litepool-func.XXXXXX")
socket=$work/engine.sock
engine_pid= load_pid=
n_tests=0 n_failed=0
LIMIT=${LITEPOOL_TEST_LIMIT:-60}

cleanup() {
    [ -z "$load_pid" ] || { kill -9 "$load_pid"; wait "$load_pid"; } 2> /dev/null
    if [ -n "$engine_pid" ]; then
        kill -0 "$engine_pid" 2> /dev/null || { echo "# the engine died:"; tail -n 80 "$work/engine.log" | sed 's/^/# /'; }
        kill -9 "$engine_pid" 2> /dev/null
        wait "$engine_pid" 2> /dev/null
    fi
    rm -rf "$work"
}
trap cleanup EXIT

lp() { "$cli_bin" -s "$socket" --timeout "$LIMIT" engine "$@"; }
rpc() { lp rpc "$@"; }

# wait_for COMMAND...: until it succeeds, at most LIMIT seconds
wait_for() {
    local end=$((SECONDS + LIMIT))
    until "$@" > /dev/null 2>&1; do
        [ $SECONDS -lt $end ] || { echo "# waited $LIMIT s for: $*"; return 1; }
        read -rt 0.05 <> <(:) || true
    done
}

engine_answers() {
    kill -0 "$engine_pid" 2> /dev/null || return 0 # it died: waiting longer does not help
    rpc framework_wait_init
}

start_engine() {
    "$engine_bin" --state-dir "$work/state" --rpc-socket "$socket" "$@" >> "$work/engine.log" 2>&1 &
    engine_pid=$!
    wait_for engine_answers
    kill -0 "$engine_pid" 2> /dev/null || { sed 's/^/# /' "$work/engine.log"; return 1; }
}

# run_engine OPTION...: one that is expected to end by itself; its status
run_engine() {
    timeout "$LIMIT" "$engine_bin" --state-dir "$work/state" --rpc-socket "$socket" "$@" > "$work/run.log" 2>&1
}

stop_engine() {
    local pid=$engine_pid
    kill -TERM "$pid"
    wait "$pid"
    local rc=$?
    engine_pid=
    [ $rc = 0 ] || { echo "status $rc:"; tail -n 80 "$work/engine.log"; }
    return $rc
}

kill_engine() {
    kill -9 "$engine_pid"
    wait "$engine_pid" 2> /dev/null
    engine_pid=
}

check() {
    local name=$1
    shift
    n_tests=$((n_tests + 1))
    # Not in a subshell: what it starts is ours to stop.
    if "$@" > "$work/out" 2>&1; then
        echo "ok $n_tests - $name"
    else
        echo "not ok $n_tests - $name"
        { echo "$*:"; cat "$work/out"; } | sed 's/^/# /' | head -60
        n_failed=$((n_failed + 1))
    fi
}

refused() {
    local name=$1 pattern=$2
    shift 2
    n_tests=$((n_tests + 1))
    if "$@" > "$work/out" 2>&1; then
        echo "not ok $n_tests - $name"
        echo "# succeeded: $*"
    elif grep -qE -- "$pattern" "$work/out"; then
        echo "ok $n_tests - $name"
        return
    else
        echo "not ok $n_tests - $name"
        { echo "expected /$pattern/, got:"; cat "$work/out"; } | sed 's/^/# /'
    fi
    n_failed=$((n_failed + 1))
}

same() { [ "$1" = "$2" ] || { echo "'$1' is not '$2'"; return 1; }; }
has() { grep -qE -- "$2" <<< "$1" || { echo "no /$2/ in: $1"; return 1; }; }
# finds [OPTION...] PATTERN: a line of stdin has it. Reads to the end: grep -q ends at the first such line, its writer by SIGPIPE, and the pipe with it.
finds() { grep -q "$@" <<< "$(cat)"; }
requires() { command -v "$1" > /dev/null || [ -x "$1" ] || { echo "1..0 # SKIP ${1##*/} is not there"; exit 0; }; }

# load OPTION...: lp-perf
load() { "$perf_bin" "$@" > "$work/perf" 2> "$work/perf.err"; }
start_load() { # lp-perf itself, not a shell around it: it is told to end
    "$perf_bin" --seconds 3600 --stall 60 "$@" > "$work/perf" 2> "$work/perf.err" &
    load_pid=$!
}
stop_load() {
    local pid=$load_pid
    load_pid=
    kill -TERM "$pid" 2> /dev/null # it may have ended by itself, with something to say
    load_end "$pid"
}
# load_end PID: of a load in the background
load_end() { wait "$1" || { cat "$work/perf" "$work/perf.err"; return 1; }; }

# json EXPRESSION: python over the JSON on stdin, called j
json() { python3 -c "import json,sys; j=json.load(sys.stdin); print($1)"; }

# port_of NQN: of its first listener
port_of() { rpc nvmf_subsystem_get_listeners "{\"nqn\":\"$1\"}" | json 'j[0]["address"]["trsvcid"]'; }

done_testing() {
    echo "1..$n_tests"
    [ $n_failed = 0 ]
}

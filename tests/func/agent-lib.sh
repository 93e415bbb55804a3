# SPDX-License-Identifier: Apache-2.0
# For functional tests of litepool-agent with the real controller (it serves the API and places volumes) and the real engine: controller-lib.sh, and
#
#   start_control               the controller with its loop
#   start_agent [OPTION...]     the agent of node-1, which starts the engine; waits for nothing: wait_for says for what
#   kill_agent, stop_agent      SIGKILL; SIGTERM and its exit status. The engine stays
#   pool NAME [SIZE] [MORE]     declares a pool on a file;    volume_of NAME SIZE [MORE]    a volume. MORE: further JSON of the spec, with a comma in front
#   get KIND NAME EXPRESSION    python over the object, called j (missing members are empty);   is KIND NAME EXPRESSION VALUE   a check of it
#   patch KIND NAME JSON        merge patch;    erase KIND NAME    delete
#   ready KIND NAME             condition Ready is True;    gone KIND NAME     the API says so

. "${LITEPOOL_SOURCE:?}/tests/func/controller-lib.sh"
engine_bin=${LITEPOOL_TEST_ENGINE:-$engine_bin}
agent_bin=${LITEPOOL_TEST_AGENT:-$build/src/agent/litepool-agent}
agent_pid=
base=/apis/litepool.io/v1alpha1
host=nqn.2014-08.org.nvmexpress:uuid:11111111-2222-3333-4444-555555555555

engine_of() { rpc litepool_engine_status 2> /dev/null | json 'j["pid"]' 2> /dev/null; }
end_all() {
    [ -z "$agent_pid" ] || { kill -9 "$agent_pid"; wait "$agent_pid"; } 2> /dev/null
    local pid
    pid=$(engine_of) && [ -n "$pid" ] && kill -9 "$pid" 2> /dev/null
    [ $n_failed = 0 ] || { tail -n 60 "$work/agent.log"; tail -n 20 "$log"; } 2> /dev/null | sed 's/^/# /'
    end_controller
}
trap 'end_all; cleanup' EXIT

start_control() {
    : > "$log"
    "$controller_bin" --embedded --state-dir "$work/state" --socket "$api" "$@" 2>> "$log" &
    controller_pid=$!
    wait_for controller_ready
}
kill_control() { kill -9 "$controller_pid"; wait "$controller_pid" 2> /dev/null; controller_pid=; }
start_agent() {
    mkdir -p "$work/root"
    "$agent_bin" --node node-1 --server "unix:$api" --state-dir "$work/agent" --engine spawn --engine-bin "$engine_bin" --engine-socket "$socket" \
        --engine-state-dir "$work/engine" --addresses 127.0.0.1 --target-port 0 --root "$work/root" --poll 1 --check 3 \
        --metrics-socket "$work/metrics.sock" "$@" >> "$work/agent.log" 2>&1 &
    agent_pid=$!
}
kill_agent() { kill -9 "$agent_pid"; wait "$agent_pid" 2> /dev/null; agent_pid=; }
stop_agent() { local pid=$agent_pid; kill -TERM "$pid"; agent_pid=; wait "$pid"; }
told() { grep -qE -- "$1" "$work/agent.log"; }

kind_path() { echo "$base/storage$1s${2:+/$2}"; }
post() { code 201 POST "$(kind_path "$1")" "$2"; }
pool() { post pool "{\"metadata\":{\"name\":\"$1\"},\"spec\":{\"nodeName\":\"node-1\",\"device\":{\"file\":\"$work/$1.img\"},\"size\":\"${2:-256Mi}\"${3:-}}}"; }
volume_of() { post volume "{\"metadata\":{\"name\":\"$1\"},\"spec\":{\"size\":\"$2\"${3:-}}}"; }
patch() { code 200 PATCH "$(kind_path "$1" "$2")" "$3" application/merge-patch+json; }
erase() { local got; got=$(req DELETE "$(kind_path "$1" "$2")"); case $got in 200 | 202) ;; *) echo "$got: $(cat "$work/answer")"; return 1 ;; esac; }
get() {
    [ "$(req GET "$(kind_path "$1" "$2")")" = 200 ] || { echo "no $1 $2"; return 1; }
    python3 -c '
import json, sys
class Any(dict):
    def __missing__(self, key): return Any()
    def __str__(self): return "" if not self else json.dumps(self)
def soft(x):
    return Any({k: soft(v) for k, v in x.items()}) if isinstance(x, dict) else [soft(v) for v in x] if isinstance(x, list) else x
j = soft(json.load(open(sys.argv[1])))
def condition(kind): return next((c for c in j["status"]["conditions"] or [] if c["type"] == kind), Any())
print(eval(sys.argv[2]))' "$work/answer" "$3"
}
is() { local got; got=$(get "$1" "$2" "$3") && [ "$got" = "$4" ] || { echo "$1 $2: $3 is '$got', not '$4'"; cat "$work/answer"; return 1; }; }
ready() { is "$1" "$2" 'condition("Ready")["status"]' True; }
reason() { is "$1" "$2" 'condition("Ready")["reason"]' "$3"; }
gone() { [ "$(req GET "$(kind_path "$1" "$2")")" = 404 ]; }
uid_of() { get "$1" "$2" 'j["metadata"]["uid"]'; }
nqn_of() { get volume "$1" 'j["status"]["targets"][0]["nqn"]'; }
# use NAME OPTION...: lp-perf on the volume as $host;   start_use: in the background, until stop_load
use_as_host() { "$1" --port "$(get volume "$2" 'j["status"]["targets"][0]["port"]')" --nqn "$(nqn_of "$2")" --hostnqn $host "${@:3}"; }
use() { use_as_host load "$@"; }
start_use() { use_as_host start_load "$@"; }
loud() { "$@" || { cat "$work/perf" "$work/perf.err"; return 1; }; }
perf_field() { json "j[\"$1\"]" < "$work/perf"; }
exports() { rpc nvmf_get_subsystems | json 'sum(s["nqn"].startswith("nqn.2026-11.io.litepool:volume:") for s in j)'; }
lvols() { rpc bdev_lvol_get_lvols | json 'len(j)'; }
counts() { same "$(lvols) $(exports)" "$1 $2"; }

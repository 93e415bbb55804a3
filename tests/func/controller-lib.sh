# SPDX-License-Identifier: Apache-2.0
# For functional tests of litepool-controller: lib.sh, and
#
#   start_controller [OPTION...]   starts one with its state in $work/state and its socket at $api; waits until it serves
#   stop_controller                SIGTERM; its exit status
#   req METHOD PATH [BODY [TYPE]]  as root over the socket; the answer in $work/answer, its code printed;  code CODE METHOD ...  a check of it
#   says TEXT                      the last answer holds it;    logged PATTERN   the log does

. "${LITEPOOL_SOURCE:?}/tests/func/lib.sh"
requires curl
controller_bin=$build/src/controller/litepool-controller
api=$work/api.sock
log=$work/controller.log
controller_pid=
volumes=/apis/litepool.io/v1alpha1/storagevolumes
pools=/apis/litepool.io/v1alpha1/storagepools
nodes=/apis/litepool.io/v1alpha1/storagenodes

end_controller() { [ -z "$controller_pid" ] || { kill -9 "$controller_pid"; wait "$controller_pid"; } 2> /dev/null; controller_pid=; }
trap 'end_controller; cleanup' EXIT

controller_ready() { kill -0 "$controller_pid" 2> /dev/null || return 0; [ "$(curl -s --max-time 5 --unix-socket "$api" http://x/healthz)" = ok ]; }
start_controller() {
    : > "$log"
    "$controller_bin" --embedded --api-only --state-dir "$work/state" --socket "$api" "$@" 2>> "$log" &
    controller_pid=$!
    wait_for controller_ready
    kill -0 "$controller_pid" 2> /dev/null || { cat "$log"; return 1; }
}
stop_controller() {
    local pid=$controller_pid
    kill -TERM "$pid"
    wait "$pid"
    local rc=$?
    controller_pid=
    return $rc
}
# expected to end by itself
run_controller() { timeout "$LIMIT" "$controller_bin" --embedded --api-only --state-dir "$work/state" --socket "$api" "$@"; }
logged() { grep -qE -- "$1" "$log"; }

req() {
    curl -sS --max-time "$LIMIT" --unix-socket "$api" -X "$1" -o "$work/answer" -w '%{http_code}\n' \
        ${3:+-H "Content-Type: ${4:-application/json}" --data-binary "$3"} "http://litepool$2"
}
code() { local got; got=$(req "${@:2}"); [ "$got" = "$1" ] || { echo "$got: $(head -c 400 "$work/answer")"; return 1; }; }
says() { grep -q -- "$1" "$work/answer" || { head -c 600 "$work/answer"; return 1; }; }
volume() { printf '{"metadata":{"name":"%s"},"spec":{"size":"%s"}}' "$1" "${2:-1Gi}"; }

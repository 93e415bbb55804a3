#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# litepool-controller's loop in the real process: placing, its pages, the placement file live, an HTTP extender, two processes of which one leads,
# kill -9 of the leader. Agents are played by requests to the API.
. "${LITEPOOL_SOURCE:?}/tests/func/controller-lib.sh"
requires python3
status=application/merge-patch+json
leaders=()

play_node() { # NAME GIB
    req POST $nodes "{\"metadata\":{\"name\":\"$1\"},\"spec\":{\"hostNQN\":\"nqn.2014-08.org.nvmexpress:uuid:11111111-1111-1111-1111-111111111111\"}}" > /dev/null
    req POST $pools "{\"metadata\":{\"name\":\"$1-p\"},\"spec\":{\"nodeName\":\"$1\",\"device\":{\"file\":\"/$1\"}}}" > /dev/null
    req PATCH $nodes/$1/status '{"status":{"conditions":[{"type":"Ready","status":"True"}]}}' $status > /dev/null
    req PATCH $pools/$1-p/status "{\"status\":{\"capacity\":\"$2Gi\",\"health\":\"Healthy\"}}" $status
}
volume_says() { req GET $volumes/$1 > /dev/null; says "$2"; }
played_says() { play_node "$1" 10 > /dev/null; volume_says "$2" "$3"; } # a played node is silent, and lost after ten seconds: it is played again with each look
ready() { [ "$(page "$work/one.sock" /readyz)" = 200 ]; }
page() { curl -sS --max-time "$LIMIT" --unix-socket "$1" -o "$work/page" -w '%{http_code}\n' "http://x$2"; }
counts() { page "$1" /metrics > /dev/null; grep -qE "^$2\$" "$work/page"; }
start_leader() { # NAME [OPTION...]: another process on the same API
    "$controller_bin" --kubeconfig "$work/kubeconfig" --metrics "unix:$work/$1.sock" "${@:2}" 2>> "$work/$1.log" &
    leaders+=($!)
    wait_for test -S "$work/$1.sock"
}
end_leaders() { for p in "${leaders[@]}"; do kill -9 "$p" 2> /dev/null; wait "$p" 2> /dev/null; done; [ -z "${extender:-}" ] || kill "$extender"; }
trap 'end_leaders; end_controller; cleanup' EXIT

cat > "$work/kubeconfig" <<END
apiVersion: v1
kind: Config
clusters: [{name: here, cluster: {server: "unix:$api"}}]
users: [{name: me, user: {}}]
contexts: [{name: here, context: {cluster: here, user: me}}]
current-context: here
END
printf 'priorities:\n  spraed: 5\n' > "$work/bad.yaml"
refused "a bad placement file at the start" "bad.yaml:2: priorities: there is no member spraed" \
    "$controller_bin" --kubeconfig "$work/kubeconfig" --placement "$work/bad.yaml"
refused "pages for everybody" "loopback" "$controller_bin" --kubeconfig "$work/kubeconfig" --metrics 0.0.0.0:0

check "the API alone" start_controller
cp /dev/null "$work/placement.yaml"
start_leader one --placement "$work/placement.yaml"
check "it leads" wait_for counts "$work/one.sock" "litepool_controller_leader 1"
check "is ready" wait_for ready
check "and alive" test "$(page "$work/one.sock" /healthz)" = 200
check "and says so" same "$("$controller_bin" --metrics "unix:$work/one.sock" --probe /healthz)" ok
refused "a probe of a page that is none" "there are" "$controller_bin" --metrics "unix:$work/one.sock" --probe /x
check "another page is none" test "$(page "$work/one.sock" /x)" = 404
check "a volume without a pool" code 201 POST $volumes "$(volume v1)"
check "waits and says why" wait_for volume_says v1 "there are no pools yet"
check "a node and a pool" play_node a 10
check "and it is placed" wait_for played_says a v1 '"poolName":"a-p"'
check "which is counted" wait_for counts "$work/one.sock" "litepool_controller_placed_total 1"
check "a node without a Lease is lost" wait_for eval "req GET $nodes/a > /dev/null; says NodeLost"
check "and its pool's health unknown" wait_for eval "req GET $pools/a-p > /dev/null; says '\"health\":\"Unknown\"'"

# The placement file, while it runs.
cp "$work/bad.yaml" "$work/placement.yaml"
check "a bad file is told" wait_for grep -q "placement.refused.*no member spraed" "$work/one.log"
cat > "$work/extender.py" <<'END'
import http.server, json, sys
class H(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        ask = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        text = json.dumps({"refused": {p["name"]: "not tonight" for p in ask["pools"] if p["name"] == "b-p"}}).encode()
        self.send_response(200); self.send_header("Content-Length", str(len(text))); self.end_headers(); self.wfile.write(text)
    def log_message(self, *a): pass
s = http.server.HTTPServer(("127.0.0.1", 0), H)
print(s.server_port, flush=True)
s.serve_forever()
END
python3 "$work/extender.py" > "$work/port" &
extender=$!
wait_for test -s "$work/port"
printf 'extenders:\n  - name: night\n    url: http://127.0.0.1:%s/\n' "$(cat "$work/port")" > "$work/placement.yaml"
check "a good one is taken" wait_for grep -q placement.loaded "$work/one.log"
check "a pool that the extender refuses" play_node b 10
check "a volume" code 201 POST $volumes "$(volume v2)"
check "is not placed there" wait_for played_says b v2 "Plugin 1"
check "the call is counted" eval "counts $work/one.sock 'litepool_controller_extender_calls_total [1-9][0-9]*'"
kill "$extender"; wait "$extender" 2> /dev/null; extender=
check "an extender that is gone" code 201 POST $volumes "$(volume v3)"
check "is told, and the volume waits" wait_for played_says b v3 "ExtenderFailed"
cp /dev/null "$work/placement.yaml"
kill -HUP "${leaders[0]}"
check "without it, it is placed" wait_for played_says b v3 '"poolName":"b-p"'

# Two processes.
start_leader two
check "the second one waits" wait_for counts "$work/two.sock" "litepool_controller_leader 0"
kill -9 "${leaders[0]}"
check "until the first is dead" wait_for counts "$work/two.sock" "litepool_controller_leader 1"
code 201 POST $volumes "$(volume v4)" > /dev/null
check "and places" wait_for played_says c v4 '"poolName"'
kill -TERM "${leaders[1]}"; wait "${leaders[1]}"
check "a leader that ends in order" test $? = 0
start_leader three
check "leaves its place at once" wait_for counts "$work/three.sock" "litepool_controller_leader 1"

# The embedded one: nothing of a process that is gone can be on its way, so its Lease is no reason to wait.
start_embedded() {
    rm -f "$work/e.sock"
    "$controller_bin" --embedded --state-dir "$work/embedded" --socket "$work/e-api.sock" --metrics "unix:$work/e.sock" 2> "$work/e.log" &
    leaders+=($!)
    wait_for test -S "$work/e.sock"
}
start_embedded
check "the embedded one leads" wait_for grep -q "controller.acts epoch=0" "$work/e.log"
kill -9 "${leaders[-1]}"
start_embedded
check "and goes on under its own Lease when it was killed" wait_for grep -q "controller.acts epoch=0" "$work/e.log"
done_testing

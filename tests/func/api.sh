#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The embedded API over HTTP: a unix socket for its owner alone, loopback TCP, watches that are woken, restart; and kubectl, where there is one.
. "${LITEPOOL_SOURCE:?}/tests/func/lib.sh"

command -v curl > /dev/null || { echo "1..0 # SKIP no curl"; exit 0; }
serve_bin=$build/tests/unit/apiserver/api-serve
api_socket=$work/api.sock
volumes=/apis/litepool.io/v1alpha1/storagevolumes
api_pid=

port_told() { [ -s "$work/port" ]; }
start_api() {
    rm -f "$work/port"
    "$serve_bin" "$work/store" "$api_socket" > "$work/port" 2>> "$work/api.log" &
    api_pid=$!
    wait_for port_told
    url=http://127.0.0.1:$(cat "$work/port")
}
stop_api() { kill "$api_pid" && wait "$api_pid"; }
end_api() { kill -9 "$api_pid" 2> /dev/null; wait "$api_pid" 2> /dev/null; }
trap 'end_api; cleanup' EXIT

# api METHOD PATH [BODY [TYPE]]: over the unix socket; the answer in $work/answer, its code printed
api() {
    curl -sS --max-time "$LIMIT" --unix-socket "$api_socket" -X "$1" -o "$work/answer" -w '%{http_code}\n' \
        ${3:+-H "Content-Type: ${4:-application/json}" --data-binary "$3"} "http://litepool$2"
}
code() { [ "$(api "${@:2}")" = "$1" ]; }
says() { grep -q -- "$1" "$work/answer"; }

volume() { printf '{"metadata":{"name":"%s"},"spec":{"size":"%s"}}' "$1" "${2:-1Gi}"; }

start_api
check "the socket is its owner's alone" test "$(stat -c %a "$api_socket")" = 600
check "the store is its owner's alone" test "$(stat -c %a "$work/store")" = 600
check "health is told" code 200 GET /healthz
check "a volume is created" code 201 POST $volumes "$(volume a)"
check "the same over loopback TCP" curl -sSf -o /dev/null "$url$volumes/a"
check "a second one of the name is refused" code 409 POST $volumes "$(volume a)"
check "a bad size is refused" code 422 POST $volumes "$(volume b ten)"
check "with field and reason" says '"field":"spec.size"'
check "a merge patch" code 200 PATCH $volumes/a '{"spec":{"size":"2Gi"}}' application/merge-patch+json
check "server-side apply is refused clearly" code 415 PATCH $volumes/a '{}' application/apply-patch+yaml
head -c 2000000 /dev/zero | tr '\0' ' ' > "$work/large"
check "a body that is too large is refused" code 413 POST $volumes "@$work/large"
check "a path that is too long is refused" code 404 GET "/$(printf 'a%.0s' {1..3000})"

# A watch is woken by each change, and ends with the server.
curl -sSN --max-time "$LIMIT" --unix-socket "$api_socket" "http://litepool$volumes?watch=1" > "$work/events" 2> /dev/null &
watch_pid=$!
has_events() { [ "$(grep -c "$1" "$work/events")" = "$2" ]; }
check "a watch begins with what is there" wait_for has_events '"ADDED"' 1
check "another change" code 201 POST $volumes "$(volume w)"
check "wakes it" wait_for has_events '"ADDED"' 2
check "a deletion" code 200 DELETE $volumes/w
check "wakes it, too" wait_for has_events '"DELETED"' 1
check "the server stops while a watch is open" stop_api
wait "$watch_pid" # it ends; the server cuts what is open, so the status tells nothing

start_api
check "after a restart the volume is there" code 200 GET $volumes/a
check "as it was patched" says '"size":"2Gi"'
refused "a second server on the same store" "another process" "$serve_bin" "$work/store" "$work/other.sock"

# Many watches and writers at once.
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do
    curl -sSN --max-time "$LIMIT" "$url$volumes?watch=1&timeoutSeconds=$LIMIT" > "$work/w$i" 2> /dev/null &
done
all_see() { for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do [ "$(grep -c '"ADDED"' "$work/w$i")" = "$1" ] || return 1; done; }
check "sixteen watches begin" wait_for all_see 1
writers=()
for i in 1 2 3 4 5 6 7 8; do
    curl -sS -o /dev/null -H 'Content-Type: application/json' -d "$(volume "m$i")" "$url$volumes" &
    writers+=($!)
done
wait "${writers[@]}"
check "each sees each of eight new volumes" wait_for all_see 9

if command -v kubectl > /dev/null; then
    kube() { KUBECONFIG=/dev/null timeout "$LIMIT" kubectl --server="$url" --cache-dir="$work/cache" "$@"; }
    printf 'apiVersion: litepool.io/v1alpha1\nkind: StorageVolume\nmetadata: {name: k}\nspec: {size: 3Gi}\n' > "$work/k.yaml"
    check "kubectl apply creates" kube apply --server-side=false -f "$work/k.yaml"
    sed -i s/3Gi/4Gi/ "$work/k.yaml"
    check "kubectl apply changes" kube apply --server-side=false -f "$work/k.yaml"
    check "kubectl get prints the columns" eval 'kube get sv k | grep "^k  *4Gi"'
    check "kubectl describe" eval 'kube describe sv k | grep "Size: *4Gi"'
    check "kubectl label" kube label sv k a=b
    check "kubectl explain" eval 'kube explain sv.spec.size | grep "whole size"'
    refused "kubectl apply of a smaller size" "may not become smaller" \
        kube patch sv k --type=merge -p '{"spec":{"size":"1Gi"}}'
    check "kubectl delete waits for the end" kube delete -f "$work/k.yaml"
else
    echo "# no kubectl: its part is left out"
fi
check "the server stops with sixteen watches open" stop_api
wait
done_testing

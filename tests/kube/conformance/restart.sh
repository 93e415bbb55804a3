#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# An informer lives through the end of its server: kill -9 and a start on the same store, stop and start, and a server whose store is a new one.
. "${LITEPOOL_SOURCE:?}/tests/func/lib.sh"

command -v curl > /dev/null || { echo "1..0 # SKIP no curl"; exit 0; }
serve_bin=$build/tests/unit/apiserver/api-serve
socket=$work/api.sock
server='' follower=''
volumes=/apis/litepool.io/v1alpha1/storagevolumes

up() {
    rm -f "$work/port"
    "$serve_bin" "$work/${1:-store}" "$socket" > "$work/port" 2>> "$work/api.log" &
    server=$!
    wait_for test -s "$work/port"
}
down() { kill "-$1" "$server"; wait "$server" 2> /dev/null; true; }
end_all() {
    for pid in $server $follower; do kill -9 "$pid" && wait "$pid"; done 2> /dev/null
}
trap 'end_all; cleanup' EXIT
create() {
    curl -sSf --unix-socket "$socket" -H 'Content-Type: application/json' -o /dev/null -d '{"metadata":{"name":"'"$1"'"},"spec":{"size":"1Gi"}}' "http://x$volumes"
}
delete() { curl -sSf --unix-socket "$socket" -X DELETE -o /dev/null "http://x$volumes/$1"; }
told() { grep -qx -- "$1" "$work/told"; }
count() { [ "$(grep -cx -- "$1" "$work/told")" = "$2" ]; }

up
check "a volume" create a
"$build/tests/kube/conformance/follow" --server "unix:$socket" > "$work/told" 2> "$work/follow.log" &
follower=$!
check "the list is in" wait_for told synced
check "with what was there" told +a
down 9
up
check "another volume after kill -9 of the server" create b
check "is told" wait_for told +b
down TERM

up
check "a deletion after stop and start" delete a
check "is told" wait_for told -a
check "nothing was told twice" count +a 1
down TERM
up another-store
check "a volume of a new store" create c
check "is told" wait_for told +c
check "what the new store has not is gone" wait_for told -b
kill "$follower"
wait "$follower"
follower=
check "only the new store made it list again" grep -qx 'lists=2 watches=[0-9]*' "$work/told"
done_testing

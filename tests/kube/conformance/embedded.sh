#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The conformance suite against the embedded API server on a unix socket.
set -u
build=${LITEPOOL_BUILD:?}
work=$(mktemp -d "${TMPDIR:-/tmp}/litepool-conf.XXXXXX")
server=
cleanup() {
    [ -z "$server" ] || { kill "$server"; wait "$server"; } 2> /dev/null
    rm -rf "$work"
}
trap cleanup EXIT

"$build/tests/unit/apiserver/api-serve" "$work/store" "$work/api.sock" > "$work/port" 2> "$work/log" &
server=$!
for _ in $(seq 300); do
    [ -s "$work/port" ] && break
    sleep 0.1
done
"$build/tests/kube/conformance/conformance" --server "unix:$work/api.sock" "$@" | sed "s/^conformance /# &/" # TAP: the count is a comment
exit "${PIPESTATUS[0]}"

#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# litepool-controller --embedded, with its loop, on a file system that is really full (a tmpfs of this test's): every write is refused with what to do, reads and watches go on, what was
# accepted is there, also after a kill -9 on the full disk; with space again it goes on without a restart.
[ -n "${LITEPOOL_OWN_MOUNTS:-}" ] || {
    export LITEPOOL_OWN_MOUNTS=1
    own=(unshare --mount --propagation private)
    [ "$(id -u)" = 0 ] || own+=(--user --map-root-user)
    "${own[@]}" true 2> /dev/null && exec "${own[@]}" "$0"
    echo "1..0 # SKIP mount namespaces cannot be made here"
    exit 0
}
. "${LITEPOOL_SOURCE:?}/tests/func/controller-lib.sh"
watch_pid=
leave() {
    [ -z "$watch_pid" ] || { kill -9 "$watch_pid"; wait "$watch_pid"; } 2> /dev/null
    [ $n_failed = 0 ] || tail -n 20 "$log" | sed 's/^/# /'
    end_controller
    umount "$work/disk" 2> /dev/null
    cleanup
}
trap leave EXIT

disk=$work/disk
mkdir "$disk"
mount -t tmpfs -o size=6m none "$disk" || { echo "1..0 # SKIP no tmpfs can be mounted here"; exit 0; }
start() {
    "$controller_bin" --embedded --state-dir "$disk/state" --socket "$api" 2>> "$log" &
    controller_pid=$!
    wait_for controller_ready
    kill -0 "$controller_pid" 2> /dev/null || { cat "$log"; return 1; }
}
fill_disk() { head -c 16M /dev/zero > "$disk/filler" 2> "$work/dd"; grep -q "No space" "$work/dd"; }
pending() { [ "$(req GET "$volumes/$1")" = 200 ] && grep -q '"phase":"Pending"' "$work/answer"; }
refused_write() { # refused_write METHOD PATH [BODY [TYPE]]: 507, which says what to do
    code 507 "$@" && says '"code":507' && says "free space on its disk" && says "nothing was changed"
}
# Objects with big annotations, until one is refused; the names of those that were accepted.
store_fills() {
    local i
    for i in $(seq 200); do
        printf '{"metadata":{"name":"big%s","annotations":{"x":"%s"}},"spec":{"size":"1Gi"}}' "$i" "$(head -c 50000 /dev/zero | tr '\0' x)" > "$work/big"
        case $(req POST $volumes "@$work/big") in
        201) echo "big$i" >> "$work/accepted" ;;
        507) return 0 ;;
        *) cat "$work/answer"; return 1 ;;
        esac
    done
    echo "200 of them had room"
    return 1
}
accepted_are_there() {
    code 200 GET $volumes || return 1
    python3 - "$work" << 'P'
import json, sys
have = {v["metadata"]["name"]: v for v in json.load(open(sys.argv[1] + "/answer"))["items"]}
want = set(open(sys.argv[1] + "/accepted").read().split()) | {"first"}
lost = want - set(have)
torn = [n for n in want & set(have) if n != "first" and len(have[n]["metadata"]["annotations"]["x"]) != 50000]
extra = set(have) - want
print(len(want), "accepted; lost:", sorted(lost), "torn:", torn, "never accepted:", sorted(extra))
sys.exit(1 if lost or torn or extra else 0)
P
}
every_write_is_refused() {
    refused_write POST $volumes "$(volume refused)" &&
        refused_write PATCH $volumes/first '{"metadata":{"labels":{"a":"b"}}}' application/merge-patch+json &&
        refused_write PATCH $volumes/first/status '{"status":{"reason":"x"}}' application/merge-patch+json &&
        refused_write DELETE $volumes/first &&
        refused_write POST /apis/coordination.k8s.io/v1/namespaces/default/leases '{"metadata":{"name":"l"},"spec":{}}'
}
unchanged() { code 200 GET $volumes/first && ! grep -qE '"labels"|deletionTimestamp' "$work/answer"; }

check "a controller on a small disk" start
check "a volume" code 201 POST $volumes "$(volume first)"
check "the loop looks at it" wait_for pending first
curl -sN --unix-socket "$api" "http://x$volumes?watch=1" > "$work/watch" &
watch_pid=$!
: > "$work/accepted"
check "a watch" wait_for grep -q '"first"' "$work/watch"

# Something else fills the disk: the store cannot grow by a page.
check "the disk is full" fill_disk
check "every kind of write is refused with 507 and what to do" every_write_is_refused
check "nothing of them was done" unchanged
check "reads and lists go on" accepted_are_there
check "healthz says that it serves" controller_ready
# A little space: what is accepted while it runs out is kept.
check "a little space" truncate -s -768K "$disk/filler"
check "the store uses it, and then refuses again" store_fills
check "some were accepted" test -s "$work/accepted"
check "all of those are there, whole, and nothing else" accepted_are_there
rm "$disk/filler"
writes_again() { code 201 POST $volumes "$(volume "$1")"; }
check "space is freed: it takes writes, without a restart" wait_for writes_again healed
check "its loop goes on, too" wait_for pending healed
check "the watch was never cut and tells of it" wait_for grep -q '"healed"' "$work/watch"
away() { [ "$(req GET "$volumes/$1")" = 404 ]; }
check "it can be deleted" eval 'code 200 DELETE $volumes/healed && wait_for away healed'

# Dies on the full disk, and comes up on it.
check "the disk is full again" fill_disk
check "kill -9" eval 'kill -9 $controller_pid; wait $controller_pid 2> /dev/null; true'
check "it comes up on the full disk" start
check "and serves all that was accepted" accepted_are_there
rm "$disk/filler"
check "space is freed: it takes writes" wait_for writes_again second
check "its loop, too" wait_for pending second
check "it ends in order" stop_controller
done_testing

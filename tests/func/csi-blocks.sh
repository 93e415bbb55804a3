#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Changed blocks (CSI's SnapshotMetadata) through driver, API, agent and engine, all real: what a snapshot holds, what differs between two, page by page, from an offset on, and each
# way to ask for what cannot be told. And growth that is refused and taken back.
. "${LITEPOOL_SOURCE:?}/tests/func/agent-lib.sh"
requires "$perf_bin"
lp_csi=$build/tests/csi/lp-csi
requires "$lp_csi"
csi_pid=
end_csi() { [ -z "$csi_pid" ] || { kill "$csi_pid"; wait "$csi_pid"; } 2> /dev/null; }
trap 'end_csi; end_all; cleanup' EXIT

# A snapshot's id, found once.
id_of() {
    [ -s "$work/id-$1" ] || echo "$1:$(uid_of snapshot "$1")" > "$work/id-$1"
    cat "$work/id-$1"
}
csi() { "$lp_csi" "$work/csi" "$@"; }
allocated() { csi GetMetadataAllocated "{\"snapshot_id\": \"$(id_of "$1")\"${2:+, $2}}"; }
delta() { csi GetMetadataDelta "{\"base_snapshot_id\": \"$(id_of "$1")\", \"target_snapshot_id\": \"$(id_of "$2")\"${3:+, $3}}"; }
# Of the messages on stdin: "OFFSET+LENGTH ...", what touches being one.
blocks() {
    python3 -c '
import json, sys
blocks = []
for m in map(json.loads, sys.stdin):
    for b in m.get("block_metadata", []):
        offset, size = int(b.get("byte_offset", 0)), int(b["size_bytes"])
        if blocks and sum(blocks[-1]) == offset:
            blocks[-1][1] += size
        else:
            blocks.append([offset, size])
print(*("%d+%d" % tuple(b) for b in blocks))'
}
lists() { local expected=$1; shift; "$@" > "$work/list" || return; same "$(blocks < "$work/list")" "$expected"; }
messages() { "${@:2}" > "$work/list" && same "$(wc -l < "$work/list")" "$1"; }
cut() { post snapshot "{\"metadata\":{\"name\":\"$1\"},\"spec\":{\"volumeName\":\"$2\"}}" && wait_for is snapshot "$1" 'j["status"]["readyToUse"]' True; }
no_request() { is snapshot "$1" '[j["metadata"]["annotations"]["litepool.io/blocks"] or 0, j["status"]["blocks"] or 0]' "[0, 0]"; }
M=$((1 << 20))

start_control
start_agent
wait_for ready node node-1
check "a pool" eval 'pool p1 1Gi && wait_for ready pool p1'
"$build/src/csi/litepool-csi" --mode=all --endpoint "unix://$work/csi" --node-id node-1 --server "unix:$api" 2> "$work/csi.log" &
csi_pid=$!
check "the driver serves" wait_for csi GetPluginInfo
check "and says that it lists blocks" has "$(csi GetPluginCapabilities)" '{"type":4}'
check "the host as a node" post node "{\"metadata\":{\"name\":\"node-2\"},\"spec\":{\"hostNQN\":\"$host\"}}"
check "two volumes" eval 'volume_of a 64Mi ",\"attachedNodes\":[\"node-2\"]" && volume_of b 64Mi'
attached() { is volume a 'j["status"]["attachedNodes"] or []' "['node-2']"; }
check "one is attached" wait_for attached
check "told in words, too" is volume a 'j["status"]["attached"]' node-2
check "an empty snapshot" cut s0 a
check "holds nothing" lists "" allocated s0
check "which is one message" messages 1 allocated s0
check "1 MiB at 4 MiB" use a --offset 4M --size 1M --verify --seconds 0.1
check "a snapshot" cut s1 a
check "64 KiB at 8 MiB" use a --offset 8M --size 64k --bs 64k --write --ios 1 --seconds 60
check "another" cut s2 a
check "of the other volume" cut other b

check "what the first holds" lists "$((4 * M))+$M" allocated s1
check "what the second holds" lists "$((4 * M))+$M $((8 * M))+65536" allocated s2
check "what differs" lists "$((8 * M))+65536" delta s1 s2
check "since the beginning" lists "$((4 * M))+$M $((8 * M))+65536" delta s0 s2
check "nothing between one and itself" lists "" delta s2 s2
check "one block range a message" messages 2 allocated s2 '"max_results": 1'
check "from an offset between them" lists "$((8 * M))+65536" allocated s2 "\"starting_offset\": $((6 * M))"
check "and within one" lists "$((4 * M + M / 2))+$((M / 2)) $((8 * M))+65536" allocated s2 "\"starting_offset\": $((4 * M + M / 2))"
check "at the very end" lists "" allocated s2 "\"starting_offset\": $((64 * M))"
check "no request is left behind" wait_for no_request s2

refused "behind the end" "OUT_OF_RANGE" allocated s2 "\"starting_offset\": $((64 * M + 1))"
refused "below zero" "INVALID_ARGUMENT" allocated s2 '"starting_offset": -1'
refused "the other way round" "INVALID_ARGUMENT.*does not stand on" delta s2 s1
refused "of two volumes" "INVALID_ARGUMENT.*not of the same volume" delta other s2
refused "one that is not there" "NOT_FOUND" csi GetMetadataAllocated '{"snapshot_id": "nope:00000000-0000-0000-0000-000000000000"}'
refused "of another life" "NOT_FOUND" csi GetMetadataAllocated '{"snapshot_id": "s2:00000000-0000-0000-0000-000000000000"}'
check "after that it is listed again" lists "$((8 * M))+65536" delta s1 s2

note() { patch snapshot "$1" "{\"metadata\":{\"annotations\":{\"litepool.io/blocks\":$2}}}"; }
for bad in '"no JSON"' '"{}"' '"{\"id\":\"x\",\"offset\":0,\"max\":0}"' '"{\"id\":\"x\",\"offset\":0,\"max\":9999999}"'; do
    check "a request of nonsense" note s1 "$bad"
    check "is told so" wait_for is snapshot s1 '[j["status"]["blocks"]["reason"], j["status"]["blocks"]["request"] == j["metadata"]["annotations"]["litepool.io/blocks"]]' "['BadRequest', True]"
done
check "and taken away" eval 'note s1 null && wait_for no_request s1'

# More than fit into one answer of an agent.
check "5000 blocks here and there" use a --size 64M --write --qd 16 --ios 5000 --seconds 60
check "a snapshot of that" cut s3 a
check "in one call" eval 'delta s2 s3 > "$work/list" && blocks < "$work/list" | tr " " "\n" > "$work/whole"'
check "of several messages" eval '[ "$(wc -l < "$work/list")" -gt 1 ] && [ "$(wc -l < "$work/whole")" -gt 2048 ]'
check "is the same in many" eval 'delta s2 s3 "\"max_results\": 300" | blocks | tr " " "\n" | cmp - "$work/whole"'
half=$(sed -n '1500s/+.*//p' "$work/whole")
check "and from the middle on" eval 'delta s2 s3 "\"starting_offset\": $half" | blocks | tr " " "\n" > "$work/rest" && tail -n +1500 "$work/whole" | cmp - "$work/rest"'

pid=$(engine_of)
kill_engine_of_agent() { kill -9 "$pid"; }
check "the engine dies" kill_engine_of_agent
again() { [ "$(engine_of)" != "$pid" ] && lists "$((8 * M))+65536" delta s1 s2; }
check "and the next one lists the same" wait_for again
check "an old one is deleted" eval 'erase snapshot s0 && wait_for gone snapshot s0'
check "which does not change the others" lists "$((8 * M))+65536" delta s1 s2

# Growth that there is no room for leaves nothing behind, and less can be asked for.
grow() { csi ControllerExpandVolume "{\"volume_id\": \"$grown\", \"capacity_range\": {\"required_bytes\": $1}}" capacity_bytes; }
size_is() { is volume grown '[int(j["spec"]["size"]), int(j["status"]["size"])]' "[$1, $1]"; }
grown=$(csi CreateVolume "{\"name\": \"grown\", \"capacity_range\": {\"required_bytes\": $((64 * M))}, \"volume_capabilities\": [{\"mount\": {}, \"access_mode\": {\"mode\": 1}}]}" volume.volume_id)
check "a volume of the driver" size_is $((64 * M))
refused "grows not without room" "OUT_OF_RANGE.*cannot grow to 1099511627776 bytes now: pool p1: " grow $((M * M))
check "and does not want to any more" size_is $((64 * M))
check "a wish of somebody else's" patch volume grown '{"spec":{"size":"1Ti"}}'
check "is refused" wait_for is volume grown 'condition("Expanded")["status"], condition("Expanded")["observedGeneration"] == j["metadata"]["generation"]' "('False', True)"
check "less fits" same "$(grow $((96 * M)))" $((96 * M))
check "and is its size" size_is $((96 * M))
check "the same again" same "$(grow $((96 * M)))" $((96 * M))
refused "what was granted is not taken back" "may not become smaller" patch volume grown '{"spec":{"size":"64Mi"}}'
done_testing

#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A disk that moves: its node dies, the file is declared on another node, whose agent opens the pool by its UUID; data, volumes and snapshots are there.
. "${LITEPOOL_SOURCE:?}/tests/func/agent-lib.sh"
requires "$perf_bin"

check "API and controller" start_control
start_agent
check "a pool" pool p1 512Mi
check "is made" wait_for ready pool p1
uuid=$(get pool p1 'j["status"]["uuid"]')
check "the host as a node" post node "{\"metadata\":{\"name\":\"host\"},\"spec\":{\"hostNQN\":\"$host\"}}"
check "a volume" volume_of a 64Mi ',"attachedNodes":["host"]'
attached() { is volume "$1" 'j["status"]["attachedNodes"] or []' "$2"; }
check "for the host" wait_for attached a "['host']"
check "written" use a --size 16M --mix 0 --qd 8 --seconds 0.3 --verify --versions "$work/a.versions"
kill_agent
kill -9 "$(engine_of)"

socket=$work/engine2.sock
start_agent --node node-2 --state-dir "$work/agent2" --engine-socket "$socket" --engine-state-dir "$work/engine2" --metrics-socket "$work/metrics2.sock"
check "another node" wait_for ready node node-2
check "gets the disk" patch pool p1 '{"spec":{"nodeName":"node-2"}}'
here() { ready pool p1 && [ "$(rpc bdev_lvol_get_lvstores | json 'j[0]["uuid"]')" = "$uuid" ]; }
check "opens the same pool" wait_for here
there() { is volume a 'j["status"]["nodeName"]' node-2 && ready volume a && attached a "['host']"; }
check "the volume follows" wait_for there
check "with its data" use a --size 16M --keep --versions "$work/a.versions" --verify --read --seconds 0.2
check "and no mismatch" same "$(perf_field mismatches) $(perf_field errors)" "0 0"
done_testing

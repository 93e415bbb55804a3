#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# An idle engine with connected hosts sleeps: neither processor time nor wake-ups.
. "$(dirname "$0")/lib.sh"
requires "$perf_bin"
nqn=nqn.2025-01.io.litepool:idle

check "start" start_engine
check "device" lp bdev create-ram ram0 16M
check "export" lp export ram0 --any-host --nqn $nqn --listen 127.0.0.1:0
port=$(port_of $nqn)
ticks() { awk '{print $14 + $15}' "/proc/$engine_pid/stat"; }
controllers() { rpc nvmf_subsystem_get_controllers "{\"nqn\":\"$nqn\"}" | json 'len(j)'; }
connected() { [ "$(controllers)" = 20 ]; }

start_load --port "$port" --nqn $nqn --idle --conns 20 --per-host 1
check "20 hosts are connected" wait_for connected
begin=$(ticks) t0=${EPOCHREALTIME/./}
read -rt 5 <> <(:) || true # the time that is measured
spent=$(($(ticks) - begin)) us=$((${EPOCHREALTIME/./} - t0))
hz=$(getconf CLK_TCK)
echo "# $spent ticks of $((us * hz / 1000000)) while idle"
# A loop that spins would take all.
check "at most a tenth of a core" [ $((spent * 1000000)) -le $((us * hz / 10)) ]
check "the hosts leave" stop_load
check "stop" stop_engine
done_testing

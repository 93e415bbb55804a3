#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Slow, huge, malformed, half-closed and many RPC clients while I/O runs: I/O goes on, other clients are answered, memory stays bounded.
. "$(dirname "$0")/lib.sh"
requires "$perf_bin"
nqn=nqn.2025-01.io.litepool:hostile

check "start" start_engine
check "device" lp bdev create-ram ram0 16M
check "export" lp export ram0 --any-host --nqn $nqn --listen 127.0.0.1:0
port=$(port_of $nqn)
rss_kib() { sed -n 's/^VmRSS:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$engine_pid/status"; }
before=$(rss_kib)
start_load --port "$port" --nqn $nqn --mix 50 --qd 8 --verify
check "hostile clients" python3 "$source_dir/tests/func/hostile.py" "$socket"
check "others are answered" rpc bdev_get_bdevs '{"name":"ram0"}'
check "I/O ends well" stop_load
check "nothing wrong, nothing failed" same "$(json 'j["mismatches"], j["errors"], j["not_ended"]' < "$work/perf")" "0 0 0"
echo "# resident before $before KiB, after $(rss_kib) KiB"
case $(nm -D "$engine_bin" 2> /dev/null) in
*__asan_init* | *__tsan_init*) ;; # a sanitizer keeps what was freed
*) check "memory did not run away" [ $(($(rss_kib) - before)) -lt 65536 ] ;;
esac
check "stop" stop_engine
done_testing

#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# An engine on a kernel that lacks features (tests/lacks): it says once what is missing, with the consequence, and serves; or it ends and says why.
. "$(dirname "$0")/lib.sh"
requires "$perf_bin"
lacks=$build/tests/lacks/lacks.so
! ldd "$engine_bin" | finds -E 'lib[at]san' || { echo "1..0 # SKIP a sanitizer wants to be loaded first"; exit 0; }
nqn=nqn.2025-01.io.litepool:lacks
said() { grep -c "$1" "$work/engine.log"; }
without() { # without NAMES COMMAND...
    export LD_PRELOAD=$lacks LITEPOOL_LACKS=$1
    "${@:2}"
    local rc=$?
    unset LD_PRELOAD LITEPOOL_LACKS
    return $rc
}
verified() { # verified NSID
    load --port "$port" --nqn $nqn --nsid "$1" --verify --mix 50 --bs 4k --qd 16 --conns 2 --ios 2000 --seconds 60
}

truncate -s 16M "$work/file"
for names in defer files,buffers defer,coop,files,buffers,ring-fd,affinity; do
    : > "$work/engine.log"
    rm -rf "$work/state"
    check "an engine starts without $names" without "$names" start_engine --cores 2
    check "a file" lp bdev create-file file0 "$work/file" --buffered
    check "memory" lp bdev create-ram ram0 16M
    check "exported" lp export file0 --any-host --nqn $nqn --listen 127.0.0.1:0
    check "both" lp ns add $nqn ram0
    port=$(port_of $nqn)
    check "verified I/O to the file" verified 1
    check "and to memory" verified 2
    [[ $names != *defer* ]] || check "no DEFER_TASKRUN: said once, with its consequence" same "$(said 'lacks.*DEFER_TASKRUN.*consequence=')" 1
    [[ $names != *coop* ]] || check "no COOP_TASKRUN: likewise" same "$(said 'lacks.*feature="COOP_TASKRUN.*consequence=')" 1
    [[ $names != *files* ]] || check "no table of files: likewise" same "$(said 'lacks.*registered files.*consequence=')" 1
    [[ $names != *buffers* ]] || check "no registered buffers: likewise" same "$(said 'arena_not_registered.*consequence=.*remedy=')" 1
    check "stop" stop_engine
done
for row in "ring|Linux 6.1 or newer" "rights|io_uring_disabled=0" "memory|RLIMIT_MEMLOCK" "features|too old" "op|lacks FALLOCATE"; do
    without "${row%%|*}" run_engine
    check "without ${row%%|*} it ends by itself" same $? 1
    check "and says why" grep -q "${row#*|}" "$work/run.log"
done
done_testing

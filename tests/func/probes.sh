#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Every USDT probe that base/probes.h names is in the engine for perf and bpftrace to find.
. "$(dirname "$0")/lib.sh"
requires readelf
grep -q 'define HAVE_SDT 1' "$build/config.h" || { echo "1..0 # SKIP built without <sys/sdt.h>"; exit 0; }
notes=$(readelf -n "$engine_bin")
for probe in $(sed -n 's/^#define probe_\([a-z_]*\)(.*/\1/p' "$source_dir/src/base/probes.h"); do
    check "$probe" has "$notes" "Name: $probe"
done
done_testing

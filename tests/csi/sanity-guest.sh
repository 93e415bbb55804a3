#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# sanity-guest.sh BUILD SCENARIO...: csi-sanity against litepool-csi in a guest, with a real kernel's devices, controller, agent and engine (tests/guest/scenarios/csi-sanity*.sh): in User
# Mode Linux where its kernel is built (make uml-kernel), else in QEMU, where it takes many times as long. A line for each kind of volume, and last the sum of all:
#   csi-sanity ran=N passed=N failed=N skipped=N
set -uo pipefail
cd "$(dirname "$0")/../.."
build=${1:?usage: sanity-guest.sh BUILD SCENARIO...}
shift
suite=uml
tests/guest/lab/mkuml.sh -n > /dev/null || { suite=trixie; echo "in QEMU, then: this takes long"; }
out=$(mktemp)
trap 'rm -f "$out"' EXIT
tests/guest/run --build "$build" --suite $suite --jobs 1 --limit 6000 --verbose "$@" > "$out"
status=$?
[ $status = 0 ] || grep -v -e '^ok - ' "$out"
grep -e '^ok - guest/' -e '^# skipped' -e '^csi-sanity ' "$out"
awk '/^csi-sanity / { for (i = 1; i <= NF; i++) if (split($i, kv, "=") == 2) n[kv[1]] += kv[2] }
    END { printf "csi-sanity ran=%d passed=%d failed=%d skipped=%d\n", n["ran"], n["passed"], n["failed"], n["skipped"] }' "$out"
exit $status

#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# litepool host and preflight as far as they go without the kernel's nvme-tcp: what is asked wrongly is told; tests/guest has the rest.
. "$(dirname "$0")/lib.sh"
host() { "$cli_bin" host "$@"; }
id=00112233445566778899aabbccddeeff
nqn=nqn.2026-11.io.litepool:one
refused "attach needs the subsystem" "--nqn is missing" host attach --nguid $id --address 127.0.0.1
refused "attach needs the namespace" "--nguid .or --uuid, or --nsid. is missing" host attach --nqn $nqn --address 127.0.0.1
refused "attach needs an address" "--address is missing" host attach --nqn $nqn --nguid $id
refused "an NGUID has 32 digits" "expected 32 hex digits" host attach --nqn $nqn --nguid 0011 --address 127.0.0.1
refused "a namespace number begins at 1" "expected a number from 1" host attach --nqn $nqn --nsid 0 --address 127.0.0.1
refused "one identity is enough" "give one of" host attach --nqn $nqn --nguid $id --nsid 1 --address 127.0.0.1
for bad in "" : 127.0.0.1: 127.0.0.1:0 127.0.0.1:70000 "[::1" "[]:4420" "[::1]4420" ::1; do
    refused "'$bad' is no address" "must be an address and a port" host attach --nqn $nqn --nguid $id --address "$bad,127.0.0.1"
done
refused "nine paths are too many" "8 are possible" host attach --nqn $nqn --nguid $id --address 1,2,3,4,5,6,7,8,9
refused "detach needs to know what" "the device or the namespace's identity is missing" host detach
refused "a number needs its subsystem" "needs its subsystem's name" host detach --nsid 1
check "a device that is not attached is detached" same "$(host detach /dev/nvme999n1)" detached
check "so says JSON" same "$("$cli_bin" -o json host detach /dev/nvme999n1 | tr -d ' ')" '{"detached":true,"device_stays":false}'
refused "a size of nothing is not waited for" "there is no NVMe device" host wait-size /dev/nvme999n1 1G
check "list is an array" python3 -c 'import json, sys; assert isinstance(json.load(sys.stdin), list)' <<< "$("$cli_bin" -o json host list)"
"$cli_bin" -o json preflight > "$work/preflight"
check "preflight ends with 1 exactly when there are errors" same "$?" "$(python3 -c 'import json, sys; print(int(json.load(sys.stdin)["errors"] > 0))' < "$work/preflight")"
check "what is no error has no need of a fix, and errors have one" python3 -c '
import json, sys
report = json.load(sys.stdin)
assert report["checks"]
for c in report["checks"]:
    assert c["found"] and (c["fix"] or c["level"] != "error") and (not c["fix"] or c["level"] != "info"), c
for d in report["devices"]:
    assert d["safe"] != bool(d["why"]), d' < "$work/preflight"
check "the table has every check" same "$("$cli_bin" preflight 2> /dev/null | grep -cE '^(info|warn|error) ')" \
    "$(python3 -c 'import json, sys; print(len(json.load(sys.stdin)["checks"]))' < "$work/preflight")"
done_testing

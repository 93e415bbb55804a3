# SPDX-License-Identifier: Apache-2.0
# What the scenarios of lvm pools share: controller, agent, engine and command line all in the guest, on real device-mapper.
#
#   put DEVICE CHARACTER, holds DEVICE CHARACTER    4 MiB of it;   blank DEVICE    zeroes only
#   told NOUN NAME TEXT    the object holds it;   is NOUN NAME FIELD VALUE;   soon COMMAND...    within ten minutes
#   kill_agent, agent [PATH]    PATH in front of the guest's, for an lvm of the scenario's own
run() { local p=$1; shift; exec /lib64/ld-linux-x86-64.so.2 --library-path /job/in/lib /job/in/$p "$@"; }
lp() { (run litepool "$@" --timeout 240); }
export LITEPOOL_SERVER=unix:/run/api.sock LITEPOOL_ENGINE_SOCKET=/run/engine.sock
modprobe dm-mod; modprobe dm-thin-pool; modprobe dm-snapshot
mkdir -p /dev/disk/by-id /dev/mapper /state
# Disks of User Mode Linux have no serial: its command line has their names.
by_serial() {
    local d letters=(b c d e)
    for d in /sys/block/vd*/serial; do [ ! -e "$d" ] || [ "$(cat "$d")" != "$1" ] || echo "/dev/$(basename "${d%/serial}")"; done
    for d in $(sed -n 's/.*vmlab\.disks=\([^ ]*\).*/\1/p' /proc/cmdline | tr , ' '); do
        [ "$d" != "$1" ] || echo "/dev/ubd${letters[0]}"
        letters=("${letters[@]:1}")
    done
}
for s in one full; do [ -z "$(by_serial $s)" ] || ln -sf "$(by_serial $s)" /dev/disk/by-id/test-$s; done
printf '#!/bin/sh\nexec /lib64/ld-linux-x86-64.so.2 --library-path /job/in/lib /job/in/litepool-engine "$@"\n' > /state/engine
chmod 755 /state/engine
controller() { (run litepool-controller --embedded --state-dir /state/api --socket /run/api.sock) > /state/controller.log 2>&1 & }
agent() { # agent [PATH]: PATH in front of the guest's
    (PATH=${1:+$1:}$PATH; run litepool-agent --node node-1 --engine spawn --engine-bin /state/engine --engine-socket /run/engine.sock --engine-state-dir /state/engine.d \
        --engine-options "--cores 1" --state-dir /state/agent --addresses 127.0.0.1 --poll 20 --check ${CHECK:-120}) >> /state/agent.log 2>&1 &
    agent_pid=$!
}
kill_agent() { kill -9 $agent_pid; wait $agent_pid; } 2> /dev/null
trouble() { [ $failures = 0 ] || { tail -n 40 /state/agent.log; lvs -a -o+tags; lp volume list; lp pool list -o wide; } 2>&1 | sed 's/^/# /'; }

field() { lp "$1" show "$2" -o json | tr -d ' \n' | grep -o "\"$3\":\(\"[^\"]*\"\|[^,}]*\)" | head -n 1 | cut -d: -f2- | tr -d '"'; }
is() { same "$(field "$1" "$2" "$3")" "$4"; }
told() { lp "$1" show "$2" -o json | grep -qF -- "$3" || { lp "$1" show "$2" -o json | tail -n 40; return 1; }; }
# Looks rarely: under emulation each look costs what the agent needs itself. The limit of the scenario is the bound.
soon() {
    local end=$((SECONDS + 600))
    until "$@" > /dev/null 2>&1; do
        [ $SECONDS -lt $end ] || { "$@"; return 1; }
        sleep 1
    done
}
gone() { ! lp "$1" show "$2" > /dev/null 2>&1; }
vg_of() { lvs --noheadings -o vg_name 2> /dev/null | sort -u | tr -d ' '; }
lv_of() { local uid; uid=$(field volume "$1" uid); ls -d /dev/litepool-*/vol-$uid; }
seg() { lvs --noheadings -o segtype "$(lv_of "$1")" | tr -d ' '; }
pattern() { head -c "$2" /dev/zero | tr '\0' "$1"; }
put() { pattern "$2" $((4 << 20)) | dd of="$1" bs=1M oflag=direct status=none; } # DEVICE CHARACTER: 4 MiB of it
holds() { busybox cmp <(head -c $((4 << 20)) "$1") <(pattern "$2" $((4 << 20))); }
blank() { head -c "${2:-$(blockdev --getsize64 "$1")}" "$1" | tr -d '\0' | head -c 1 | wc -c | grep -qx 0; }

controller
check "the controller serves" wait_for 60 lp node list
agent
check "the node is declared" soon told node node-1 EngineRuns

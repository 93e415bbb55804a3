#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The systemd units of the package: systemd takes them, what they start is there and knows the options that it is given, and the engine's is what hot upgrades need.
. "$(dirname "$0")/lib.sh"
units=$source_dir/deploy/systemd
declare -A ours=([litepool]=src/cli/litepool [litepool-engine]=src/engine/litepool-engine [litepool-supervisor]=src/supervisor/litepool-supervisor
    [litepool-controller]=src/controller/litepool-controller [litepool-agent]=src/agent/litepool-agent)

# value UNIT KEY: of its line KEY=
value() { sed -n "s/^$2=//p" "$units/$1.service"; }
sections() { grep -cxE '\[(Unit|Service|Install)\]' "$units/$1.service"; }

# known PROGRAM OPTION...: the program reads the options, and --version ends it; those behind -- are the engine's.
known() {
    local program=$build/${ours[${1##*/}]:?$1 is no program of ours} own=() word
    shift
    while [ $# -gt 0 ]; do
        word=$1
        shift
        case $word in
        --) known litepool-engine "$@" || return 1; break ;;
        --embedded | --*) own+=("$word") ;;
        \$*) ;; # of /etc/default
        *) own+=("$word") ;;
        esac
    done
    "$program" "${own[@]}" --version
}
starts_known() { # shellcheck disable=SC2046
    known $(value "$1" ExecStart)
}
# systemd-analyze wants the programs: it gets a copy of the unit that names the built ones. What it says of this machine's own units is not asked.
verified() {
    local program script=()
    for program in "${!ours[@]}"; do script+=(-e "s#=/usr/s\\?bin/$program #=$build/${ours[$program]} #"); done
    sed "${script[@]}" -e '/^Documentation=/d' "$units/$1.service" > "$work/$1.service"
    systemd-analyze verify --man=no "$work/$1.service" > "$work/verify" 2>&1 || :
    ! grep -F "$1.service" "$work/verify"
}

for unit in litepool-controller litepool-engine litepool-agent; do
    check "$unit: its three sections" same "$(sections $unit)" 3
    check "$unit: its program knows its options" starts_known $unit
    if command -v systemd-analyze > /dev/null; then
        check "$unit: systemd takes it" verified $unit
    fi
done
check "the engine is run by its supervisor" has "$(value litepool-engine ExecStart)" "^/usr/sbin/litepool-supervisor .* -- "
check "... and outlives it" same "$(value litepool-engine KillMode)" process
check "... which alone speaks for the service" same "$(value litepool-engine Type)$(value litepool-engine NotifyAccess)" notify
check "... and ends an engine in less time than systemd waits" [ "$(value litepool-engine TimeoutStopSec)" -gt 20 ]
check "the sockets stay when the supervisor is replaced" same "$(value litepool-engine RuntimeDirectoryPreserve)" yes
# What dies is back within a second: systemd gives up on nobody, and waits a tenth of it at most.
check "systemd starts the supervisor again for ever" same "$(value litepool-engine Restart)$(value litepool-engine StartLimitIntervalSec)" always0
check "... and soon" has "$(value litepool-engine RestartSec)" '^([0-9]|[1-9][0-9]|100)ms$'
# ---- litepool status, on what systemctl would say ----
mkdir "$work/bin" "$work/units"
cat > "$work/bin/systemctl" << 'END'
#!/bin/bash
# Of a system with the units in $UNITS; what is not asked as litepool status asks it is an error.
[ "$1" = show ] || { echo "systemctl $*: not expected" >&2; exit 1; }
cat "$UNITS/${!#}"
END
chmod +x "$work/bin/systemctl"
unit() { printf 'MainPID=%s\nActiveState=%s\nActiveEnterTimestamp=%s\n' "$2" "$3" "${4:-}" > "$work/units/litepool-$1.service"; }
status() { UNITS=$work/units PATH=$work/bin:$PATH "$cli_bin" -s "$socket" --server "unix:$work/none.sock" status "$@"; }
row() { local got; got=$(status 2>&1) || true; has "$got" "^$1"; }
unit controller 4711 active @1767225600
unit agent 4713 active @1767225660
unit engine 0 inactive
refused "status: what does not run is told" "not all of it runs. Start it: litepool up" status
check "... by its unit's state" row "engine +inactive +- +- +-$"
unit engine 4712 active @1767225630
check "... an engine that does not answer is not active" row "engine +not answering +-"
check "... and its supervisor is seen" row "supervisor +active +4712 +[0-9]+d +2026-01-01T00:00:30Z$"
check "an engine" start_engine
check "status: all runs" status
check "... the controller's process, since when" row "controller +active +4711 +[0-9]+d +2026-01-01T00:00:00Z$"
check "... the agent's" row "agent +active +4713 +[0-9]+d +2026-01-01T00:01:00Z$"
check "... the supervisor's" row "supervisor +active +4712"
check "... the engine's own, as it says it" row "engine +active +$engine_pid +[0-9]+[smh] +20"
check "... as JSON" same "$(status -o json | json '[(p["part"], p["pid"]) for p in j]')" "[('controller', 4711), ('supervisor', 4712), ('engine', $engine_pid), ('agent', 4713)]"
unit engine "$engine_pid" active @1767225630
check "an engine without a supervisor is one row" same "$(status -o json | json '[p["part"] for p in j]')" "['controller', 'engine', 'agent']"
unit agent 0 failed @1767225660
check "a unit that failed is told, without a process" row "agent +failed +- +- +-$"
refused "... and is an error" "not all of it runs" status
printf 'nonsense\n' > "$work/units/litepool-controller.service"
check "nonsense from systemctl is unknown" row "controller +unknown +-"
rm "$work/bin/systemctl"
printf '#!/bin/bash\nexit 1\n' > "$work/bin/systemctl"
chmod +x "$work/bin/systemctl"
refused "no answer from systemctl is, too" "not all of it runs" status
stop_engine || exit 1

check "a reload is an upgrade" has "$(value litepool-engine ExecReload)" "^/usr/bin/litepool engine upgrade "
done_testing

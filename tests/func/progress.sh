#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# How far long work is: a bar in one line on a terminal, plain lines elsewhere, nothing beside JSON; interrupted and ended, the work goes on.
. "${LITEPOOL_SOURCE:?}/tests/func/controller-lib.sh"
requires "$perf_bin"
nqn=nqn.2025-01.io.litepool:progress
local_lp() { "$cli_bin" -s "$socket" --server "unix:$api" "$@"; }
# on COLUMNS COMMAND...: litepool on a terminal that wide;   type_at: ctrl-C after that text was drawn twice
type_at=
on() {
    "$source_dir/tests/func/on-terminal.py" --limit "$LIMIT" --columns "$1" ${type_at:+--interrupt "$type_at"} \
        "$cli_bin" -s "$socket" --server "unix:$api" "${@:2}" > "$work/terminal"
}
# A bar: drawn in its line, taken away at the end.
drawn() { grep -qaP "\r$1\e\[K" "$work/terminal" || { echo "no bar /$1/ in:"; cat -v "$work/terminal"; return 1; }; }
cleared() { grep -qaP '\r\e\[K' "$work/terminal" || { echo "the bar stays"; return 1; }; }
# The widest that was ever drawn, in columns
widest() { tr '\r' '\n' < "$work/terminal" | grep -a "$(printf '\033')" | sed 's/\x1b\[K.*//' | awk '{ if (length($0) > n) n = length($0) } END { print n + 0 }'; }
# interrupted TEXT COLUMNS COMMAND...: ctrl-C when TEXT was drawn; it fails, says that the work goes on, and took its bar away
interrupted() {
    local type_at=$1
    shift
    on "$@" && { echo "it ended well"; return 1; }
    grep -qa "$went_on" "$work/terminal" && cleared && return
    cat -v "$work/terminal"
    return 1
}
went_on='interrupted; the work goes on'

# Two that wait while all else is tested: no agent ever makes their volume. (Not by local_lp: its shell would be what is killed.)
start_controller || exit 1
local_lp volume create v2 1G > /dev/null
"$cli_bin" --server "unix:$api" --timeout 3600 volume expand v2 2G --wait > /dev/null 2> "$work/lines" &
lines=$!
"$cli_bin" --server "unix:$api" -o json --timeout 7 volume expand v2 2G --wait > /dev/null 2> "$work/beside" &
beside=$!
trap 'kill $lines $beside 2> /dev/null; end_controller; cleanup' EXIT

start_engine --state-dir "$work/engine" || exit 1
truncate -s 256M "$work/disk"
lp bdev create-file disk0 "$work/disk" > /dev/null
lp fault create slow0 disk0 > /dev/null
check "a pool on a disk that can be slow" rpc bdev_lvol_create_lvstore '{"bdev_name":"slow0","lvs_name":"p0","checksums":true}'
lp volume create p0/a 32M > /dev/null
check "exported" lp export p0/a --nqn $nqn --listen 127.0.0.1:0 --any-host
check "with data" load --port "$(port_of $nqn)" --nqn $nqn --write --sequential --size 32M --bs 64k --ios 512
lp volume snapshot p0/a s > /dev/null
check "and a clone" rpc bdev_lvol_clone '{"snapshot_name":"p0/s","clone_name":"c"}'

# ---- scrub: so slow that it does not end by itself ----
went_on='interrupted; the scrub goes on'
check "a scrub on a terminal is a bar with percent and amount" interrupted 'scrub p0  ' 100 pool scrub start p0 --rate 64k --wait
check "... of this form" eval 'drawn "scrub p0  \[[#.]+\]  +[0-9]+ %  [0-9.]+ [KMG]?i?B of 25[0-9] MiB[^\r]*"'
check "... no wider than the terminal" eval '[ "$(widest)" -lt 100 ]'
local_lp pool scrub stop p0 > /dev/null
refused "a scrub that somebody stopped" "stopped on its way" local_lp pool scrub status p0 --wait
check "to its end, without a terminal" eval 'local_lp pool scrub start p0 --rate 1G --wait > "$work/stdout" 2> "$work/stderr"'
check "... shows what it found" has "$(cat "$work/stdout")" '^problems_found +0$'
check "... and no bar" eval '! grep -qa "$(printf "[\r\033]")" "$work/stdout" "$work/stderr"'

# ---- inflate ----
lp fault add slow0 delay --ops write --delay-us 2000000 > /dev/null
went_on='interrupted; the work goes on'
check "inflate on a narrow terminal" interrupted ' %  ' 50 engine volume inflate p0/c --wait
check "... has its amount, and fits" eval 'drawn "[a-z]+  [^\r]*[0-9]+ %  [0-9.]+ [KM]?i?B of [0-9.]+ MiB[^\r]*" && [ "$(widest)" -lt 50 ]'
lp fault remove slow0 > /dev/null
check "until none is left, as JSON: nothing but JSON" eval 'local_lp -o json engine volume work --wait > "$work/stdout" 2> "$work/stderr" && [ ! -s "$work/stderr" ] && json j < "$work/stdout" | finds -x "\[\]"'
check "... and it went on to its end" same "$(rpc bdev_lvol_get_lvols '{"lvs_name":"p0"}' | json '[v["is_clone"] for v in j if v["name"] == "c"]')" "[False]"
check "with JSON there is no bar on a terminal either" eval 'on 80 -o json pool scrub start p0 --restart --rate 1G --wait && ! grep -qa "$(printf "\033")" "$work/terminal"'
stop_engine || exit 1

# ---- check --data ----
check "the data of a pool on a terminal" eval 'on 80 pool check --data "$work/disk"; drawn "data  \[#+\]  100 %  [0-9.]+ MiB of [0-9.]+ MiB[^\r]*" && cleared && grep -qa "of data read" "$work/terminal"'
check "... elsewhere: one line at its end" eval '[ "$(local_lp pool check --data "$work/disk" 2>&1 > /dev/null | grep -c "^data: 100 %")" = 1 ]'
check "... as JSON: nothing else" eval '[ -z "$(local_lp -o json pool check --data "$work/disk" 2>&1 > /dev/null)" ]'

# ---- objects of the API: how long, and why not yet ----
local_lp volume create v1 1G > /dev/null
check "waiting for an object on a terminal" eval 'on 60 --timeout 1 volume expand v1 2G --wait; drawn "0:[0-9]+  waiting for volume v1 to have 2 GiB[^\r]*" && cleared && grep -qa "waited 1 s" "$work/terminal" && [ "$(widest)" -lt 60 ]'
check "... elsewhere a line every few seconds" wait_for grep -q '^0:[0-9]*  waiting for volume v2 to have 2 GiB' "$work/lines"
wait $beside
check "... none beside JSON" same "$(grep -c "  waiting for" "$work/beside") $(grep -c "waited 7 s" "$work/beside")" "0 1"
kill $lines
wait $lines
stop_controller || exit 1
done_testing

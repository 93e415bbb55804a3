#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Hot upgrades while something else goes on: snapshots, clones, background copying and merging, a scrub, a resize, a pool that is full, hosts that connect and disconnect, calls that
# change things. Each operation is begun, then an upgrade; both end, the operation once. A verified load goes on all the while, and one engine after the other serves it.
. "$(dirname "$0")/upgrade-lib.sh"
requires "$perf_bin"
nqn=nqn.2025-01.io.litepool:busy
volume() { lp volume "$@"; }
export_it() { lp export "$1" --any-host --nqn "$nqn-$2" --listen 127.0.0.1:0; }
perf() { # perf NAME OPTION...: on the volume of that name
    local name=$1
    shift
    "$perf_bin" --port "$(port_of "$nqn-$name")" --nqn "$nqn-$name" --stall 60 "$@"
}

check "start" start_supervised --cores 2
check "a pool" lp pool create p "$work/p.img" --size 1G
check "a small pool" lp pool create q "$work/q.img" --size 64M
for name in v base; do
    check "volume $name" volume create p/$name 64M
    check "... exported" export_it p/$name $name
done
check "a volume larger than its pool" volume create q/x 256M
check "... exported" export_it q/x x
check "data for a clone" perf base --mix 0 --ios 4000 --seconds 60 --qd 16 --size 32M --verify --versions "$work/base.versions"

port=$(port_of $nqn-v)
run_load() { exec "$perf_bin" "$@" > "$work/load" 2> "$work/load.err"; }
run_load --port "$port" --nqn $nqn-v --size 32M --mix 50 --qd 4 --conns 16 --per-host 4 --seconds 600 --kato 30000 --verify --stall 60 &
load_pid=$!
ops() { rpc bdev_get_iostat | json 'sum(b["num_write_ops"] for b in j["bdevs"])'; }
busy() { local a; a=$(ops); read -rt 0.1 <> <(:); [ "$(ops)" -gt "$a" ]; }
check "I/O runs" wait_for busy

# An upgrade that comes in the way of a call that is not over, or is too slow for its deadline, changes nothing and may be tried again; each other refusal is a failure.
upgraded() {
    local tries before
    before=$(serving_pid)
    for tries in 1 2 3 4 5 6; do
        if upgrade --deadline 20000 > "$work/upgrade" 2>&1; then
            [ "$(serving_pid)" != "$before" ] # another engine serves
            return
        fi
        echo "try $tries:"
        cat "$work/upgrade"
        grep -qE "still under way|longer than the deadline" "$work/upgrade" || return 1
    done
    return 1
}
# during NAME COMMAND...: an upgrade in the middle of the command, which must end well
during() {
    local name=$1 pid
    shift
    "$@" > "$work/during" 2>&1 &
    pid=$!
    check "an upgrade during: $name" upgraded
    ends_well() { wait "$1" || { cat "$work/during"; return 1; }; }
    check "... and that ends well" ends_well $pid
}
lvol() { rpc bdev_lvol_get_lvols "{\"name\":\"p/$1\"}" | json "j[0].get('$2')"; }
# named PATTERN: how many volumes and snapshots are called so
named() { volume list p | awk '{print $1}' | grep -cxE "p/$1"; }

during "a snapshot" volume snapshot p/v s1
check "... once" same "$(named s1)" 1
during "a group of snapshots" volume snapshot-group p/v,p/base g
check "... once each" same "$(named '(v|base)-g')" 2
check "a snapshot of the data" volume snapshot p/base keep
during "a clone" volume clone p/keep copy
check "... once" same "$(named copy)" 1
check "... exported" export_it p/copy copy
during "inflating the clone" volume inflate p/copy --wait
check "... which stands alone then" same "$(lvol copy base_snapshot)" None
cp "$work/base.versions" "$work/copy.versions"
check "... and has the data" perf copy --read --ios 1000 --seconds 60 --size 32M --verify --versions "$work/copy.versions" --keep
during "deleting a snapshot in the middle, whose clusters move" volume delete p/s1 --wait
check "... which is gone" same "$(named s1)" 0
during "growing a volume in use" volume resize p/v 96M
check "... it has grown" same "$(lvol v size_bytes)" $((96 << 20))

# A scrub goes on in the next engine, to its end.
scrub() { rpc litepool_pool_scrub_status '{"lvs_name":"p"}' | json "$1"; }
during "the start of a scrub" "$cli_bin" -s "$socket" pool scrub start p --rate 1M
check "... it runs" same "$(scrub 'j["state"]')" running
check "an upgrade during a scrub" upgraded
check "... it goes on" same "$(scrub 'j["state"]')" running
check "... faster" "$cli_bin" -s "$socket" pool scrub start p --rate 8G
scrubbed() { [ "$(scrub 'j["complete"]')" = True ]; }
check "... to its end" wait_for scrubbed
check "... with nothing found" same "$(scrub 'j["problems_found"], j["wrong_blocks"], j["unreadable_blocks"]')" "0 0 0"

# A full pool: writes into it fail before, after and in between, and the other pool's load does not notice.
fill() { perf x --write --bs 64k --qd 8 --ios 4000 --seconds 60 > "$work/full"; json 'j["errors"] > 0' < "$work/full" | finds -x True; }
check "the small pool is filled" fill
during "writes into a full pool" fill
full_again() { perf x --write --bs 64k --qd 8 --ios 1000 --offset 128M --seconds 60 > "$work/full"; json 'j["errors"] > 0' < "$work/full" | finds -x True; }
check "... which is full in the next engine, too" full_again
check "... and what it has can be read" perf x --read --ios 200 --seconds 60

# Hosts that come and go: all of their I/O is served.
come_and_go() {
    local i
    for ((i = 0; i < 12; i++)); do perf base --mix 100 --conns 4 --per-host 2 --ios 40 --seconds 60 --size 1M > "$work/hosts" || return 1; done
    json 'j["errors"], j["reconnects"]' < "$work/hosts" | finds -x "0 0"
}
during "hosts that connect and disconnect" come_and_go

# Calls that change the configuration, one after another: each is answered once, and counts.
change_things() {
    local i
    for ((i = 1; i <= 40; i++)); do rpc bdev_null_create "{\"name\":\"n$i\",\"num_blocks\":1024,\"block_size\":4096}" || return 1; done
}
during "calls that change something" change_things
check "... each of them once" same "$(rpc bdev_get_bdevs | json 'sum(1 for b in j if b["name"].startswith("n"))')" 40

check "I/O still runs" wait_for busy
kill -TERM $load_pid
load_done() { wait $load_pid || { cat "$work/load.err"; return 1; }; }
check "the load ends well" load_done
check "nothing wrong, nothing failed, nobody reconnected" same "$(json 'j["mismatches"], j["errors"], j["not_ended"], j["reconnects"]' < "$work/load")" "0 0 0 0"
check "no work is left" volume work --wait
check "one engine serves" wait_for one_engine
check "stop" stop_supervised
check "the pool is clean" "$cli_bin" pool check "$work/p.img"
check "the small one, too" "$cli_bin" pool check "$work/q.img"
done_testing

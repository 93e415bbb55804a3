#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Hot upgrades between versions that are really older and this one, there and back and there and back, under verified I/O on 64 connections to a volume and a RAM disk and four for large writes: no error,
# no reconnect, no byte wrong, the pool clean. The older supervisor starts the older engine, as on a node whose package is upgraded. Needs the repository's history (make test-upgrade-versions).
# LITEPOOL_VERSIONS: commits. By default those after which the state that is handed over has changed:
#   3498cbb  the first that has all of a hot upgrade: no parts of the stop, no sums of data, no counters
#   7450a85  the stop by its parts, connections with their addresses, what is to be expected in the plan
#   f97a1a5  pools with sums of their data
#   e3ba361  counters and histograms behind the stop
. "$(dirname "$0")/upgrade-lib.sh"
requires "$perf_bin"
versions=${LITEPOOL_VERSIONS:-3498cbb 7450a85 f97a1a5 e3ba361}
nqn=nqn.2025-01.io.litepool:versions pids=() old_engine=

# of_commit COMMIT: builds what is needed of it, as tools/build does
of_commit() {
    local src=$work/src-$1 cc=${CC:-gcc} cache
    mkdir "$src" && git -C "$source_dir" archive "$1" | tar -x -C "$src" || return 1
    cache=$(ccache --get-config cache_dir 2> /dev/null) && [ -w "$cache" ] && cc="ccache $cc"
    (cd "$src" && export CCACHE_NOHASHDIR=1 && CC=$cc meson setup build > build.log 2>&1 &&
        ninja -C build --quiet src/engine/litepool-engine src/supervisor/litepool-supervisor >> build.log 2>&1) || { tail -n 20 "$src/build.log"; return 1; }
    old_engine=$src/build/src/engine/litepool-engine
    supervisor_bin=$src/build/src/supervisor/litepool-supervisor
}
# With sums of its data, where that version has them.
make_pool() {
    local checksums
    for checksums in ',"checksums":true' ''; do
        rpc bdev_lvol_create_lvstore "{\"bdev_name\":\"d0\",\"lvs_name\":\"p\"$checksums}" && return
    done
    return 1
}
start_old() {
    engine_program=$old_engine start_supervised --cores 2 &&
        truncate -s 256M "$work/pool.img" &&
        rpc bdev_aio_create "{\"name\":\"d0\",\"filename\":\"$work/pool.img\"}" &&
        make_pool &&
        rpc bdev_lvol_create '{"lvs_name":"p","lvol_name":"v","size_in_mib":64,"thin_provision":true}' &&
        rpc bdev_malloc_create '{"name":"ram","num_blocks":16384,"block_size":4096}' &&
        lp export p/v --any-host --nqn $nqn-v --listen 127.0.0.1:0 &&
        lp export ram --any-host --nqn $nqn-ram --listen 127.0.0.1:0
}
run_load() { exec "$perf_bin" "$@" > "$work/perf.$name" 2> "$work/perf.$name.err"; }
start_loads() {
    local each port name
    pids=()
    for name in v ram big; do
        each=(--size 32M --mix 50 --qd 4 --conns 32 --per-host 8)
        [ $name != big ] || each=(--offset 32M --size 32M --bs 128k --mix 20 --qd 8 --conns 4 --per-host 4 --hdgst --ddgst)
        port=$(port_of $nqn-${name/big/ram}) || return 1
        run_load --port "$port" --nqn $nqn-${name/big/ram} "${each[@]}" --seconds 600 --kato 30000 --verify --stall 60 &
        pids+=($!)
    done
}
ops() { rpc bdev_get_iostat | json 'sum(b["num_write_ops"] for b in j["bdevs"])'; }
busy() { local a; a=$(ops) && read -rt 0.1 <> <(:); [ "$(ops)" -gt "$a" ]; }
serves() { same "$(readlink "/proc/$(serving_pid)/exe")" "$(realpath "$1")"; }
# goes_to PROGRAM: it takes over, and serves I/O
goes_to() { upgrade --deadline 30000 --binary "$1" && serves "$1" && wait_for busy; }
loads_end() {
    local i=0 name bad=0
    kill -TERM "${pids[@]}"
    for name in v ram big; do
        wait "${pids[$i]}" || { cat "$work/perf.$name.err"; bad=1; }
        same "$(json 'j["mismatches"], j["errors"], j["not_ended"], j["reconnects"]' < "$work/perf.$name")" "0 0 0 0" || bad=1
        i=$((i + 1))
    done
    return $bad
}

for version in $versions; do
    check "$version is built" of_commit "$version"
    [ -n "$old_engine" ] || break
    check "$version starts" start_old
    check "hosts read and write" start_loads
    check "... I/O runs" wait_for busy
    for round in 1 2; do
        check "to this version ($round)" goes_to "$engine_bin"
        check "... and from it to itself" goes_to "$engine_bin"
        check "... and back to $version" goes_to "$old_engine"
    done
    check "nothing wrong, nothing failed, nobody reconnected" loads_end
    check "one engine serves" wait_for one_engine
    check "stop" stop_supervised
    check "the pool is clean, its data too" "$cli_bin" pool check --data "$work/pool.img"
    rm -rf "$work/state" "$work/pool.img" "$work/src-$version" "$work/perf"* "$work/engine.log"
    old_engine=
done
done_testing

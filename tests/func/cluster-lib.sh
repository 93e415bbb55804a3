# SPDX-License-Identifier: Apache-2.0
# Three nodes and a controller in network namespaces of their own, real binaries: lib.sh, and
#
#   cluster_up                  namespaces, certificates, controller, three engines and agents, a pool on each node
#   control_cut N, control_heal N, data_cut N, data_heal N    a node's link to the API, and to the others
#   start_engine_of N, start_agent_of N, start_api            what is not running;   stop9 NAME      kill -9 of controller, engineN, agentN
#   say WORD...                 litepool on that API, as an administrator;   of NOUN NAME EXPRESSION    python over the object, called j
#   settle                      waits until desired = actual, everywhere: each volume Ready with its size, made once, exported once, and nothing else
#   io_on N VOLUME OPTION...    verified I/O from node N;   start_io_on, stop_io    in the background
#
# Two networks: 10.77.0.0/24 to the API (it has .100), 10.78.0.0/24 for data. A node's namespace has its name of /etc/nvme in a folder of its own.

. "${LITEPOOL_SOURCE:?}/tests/func/lib.sh"
agent_bin=${LITEPOOL_AGENT:-$build/src/agent/litepool-agent}
controller_bin=$build/src/controller/litepool-controller
requires "$agent_bin"
requires ip
NODES="1 2 3"
LIMIT=${LITEPOOL_TEST_LIMIT:-120}
LEASE=3
declare -A pids=()
tag=lp$$
[ "$(id -u)" = 0 ] && ip netns add "$tag-sw" 2> /dev/null || { echo "1..0 # SKIP network namespaces cannot be made here"; exit 0; }

in_ns() { local ns=$1; shift; ip netns exec "$tag-$ns" "$@"; }
cluster_down() {
    local name n
    for name in "${!pids[@]}"; do kill -9 "${pids[$name]}" 2> /dev/null; wait "${pids[$name]}" 2> /dev/null; done
    [ -z "${LITEPOOL_KEEP:-}" ] || cp -r --sparse=always "$work" "$LITEPOOL_KEEP" # a new folder
    [ $n_failed = 0 ] || for name in controller agent1 agent2 agent3 engine1 engine2 engine3; do
        [ ! -e "$work/$name.log" ] || { echo "== $name"; tail -n 15 "$work/$name.log"; } | sed 's/^/# /'
    done
    for n in $NODES c sw; do ip netns del "$tag-$n" 2> /dev/null; done
}
trap 'cluster_down; cleanup' EXIT

# link NS BRIDGE NAME ADDRESS: from the namespace to the bridge
link() {
    ip link add "$3" netns "$tag-$1" type veth peer name "$3-$1" netns "$tag-sw"
    ip -n "$tag-$1" addr add "$4/24" dev "$3"
    ip -n "$tag-$1" link set "$3" up
    ip -n "$tag-sw" link set dev "$3-$1" master "$2" up
}
networks() {
    local n
    for n in control data; do ip -n "$tag-sw" link add name "$n" type bridge && ip -n "$tag-sw" link set dev "$n" up; done
    ip netns add "$tag-c"
    link c control ctl 10.77.0.100
    for n in $NODES; do
        ip netns add "$tag-$n"
        ip -n "$tag-$n" link set lo up
        link "$n" control ctl "10.77.0.$n"
        link "$n" data dat "10.78.0.$n"
    done
}
control_cut() { ip -n "$tag-sw" link set "ctl-$1" down; }
control_heal() { ip -n "$tag-sw" link set "ctl-$1" up; }
data_cut() { ip -n "$tag-sw" link set "dat-$1" down; }
data_heal() { ip -n "$tag-sw" link set "dat-$1" up; }

identities() {
    local n
    "$controller_bin" init-tls --dir "$work/tls" --names 10.77.0.100 && "$controller_bin" issue --dir "$work/tls" --user root --role admin --server https://10.77.0.100:7443
    for n in $NODES; do
        "$controller_bin" issue --dir "$work/tls" --user "n$n" --role agent --server https://10.77.0.100:7443
        mkdir -p "$work/root$n/etc/nvme" "$work/root$n/dev" "$work/root$n/sys"
        echo "nqn.2014-08.org.nvmexpress:uuid:00000000-0000-4000-8000-00000000000$n" > "$work/root$n/etc/nvme/hostnqn"
        echo "00000000-0000-4000-8000-00000000000$n" > "$work/root$n/etc/nvme/hostid"
    done
}
runs() { [ -n "${pids[$1]:-}" ] && kill -0 "${pids[$1]}" 2> /dev/null; }
start() { # start NAME NS COMMAND...
    local name=$1 ns=$2
    shift 2
    runs "$name" && return
    ip netns exec "$tag-$ns" "$@" >> "$work/$name.log" 2>&1 &
    pids[$name]=$!
}
stop9() { [ -n "${pids[$1]:-}" ] || return 0; kill -9 "${pids[$1]}" 2> /dev/null; wait "${pids[$1]}" 2> /dev/null; unset "pids[$1]"; }
start_api() {
    start controller c "$controller_bin" --embedded --state-dir "$work/controller" --socket "$work/api.sock" --listen 10.77.0.100:7443 \
        --tls-cert "$work/tls/server.crt" --tls-key "$work/tls/server.key" --client-ca "$work/tls/ca.crt"
}
start_engine_of() { start "engine$1" "$1" "$engine_bin" --state-dir "$work/engine$1" --rpc-socket "$work/engine$1.sock"; }
start_agent_of() {
    start "agent$1" "$1" "$agent_bin" --node "n$1" --kubeconfig "$work/tls/n$1.kubeconfig" --state-dir "$work/agent$1" --engine-socket "$work/engine$1.sock" \
        --addresses "10.78.0.$1" --root "$work/root$1" --poll 1 --check 2 --lease $LEASE
}
all_start() { local n; start_api; for n in $NODES; do start_engine_of "$n"; start_agent_of "$n"; done; }

say() { "$cli_bin" --server "unix:$work/api.sock" --timeout "$LIMIT" "$@"; }
of() { say -o json "$1" show "$2" | json "$3"; }
engine_rpc() { "$cli_bin" -s "$work/engine$1.sock" --timeout 10 engine rpc "${@:2}"; }
node_is() { [ "$(say -o json node show "n$1" | json "[c['status'] for c in j['status']['conditions'] if c['type']=='Ready'][0]")" = "$2" ]; }
pool_healthy() { [ "$(of pool "$1" 'j["status"].get("health")')" = "${2:-Healthy}" ]; }

cluster_up() {
    networks && identities > "$work/tls.log" 2>&1 || { cat "$work/tls.log"; return 1; }
    all_start
    local n
    for n in $NODES; do wait_for node_is "$n" True || return 1; done
    for n in $NODES; do say pool create "p$n" --node "n$n" --file "$work/p$n.img" --size "${POOL_SIZE:-2G}" --wait || return 1; done
}

# What the API wants against what each engine that runs has. Prints what differs.
compare() {
    local n running=''
    say -o json volume list > "$work/volumes.json" && say -o json snapshot list > "$work/snapshots.json" || return 1
    for n in $NODES; do
        runs "engine$n" || continue
        running+=" $n"
        engine_rpc "$n" bdev_lvol_get_lvols > "$work/lvols$n.json" && engine_rpc "$n" nvmf_get_subsystems > "$work/subsystems$n.json" || return 1
    done
    python3 - "$work" $running << 'PY'
import json, sys
work, running = sys.argv[1], sys.argv[2:]
load = lambda name: json.load(open(f"{work}/{name}.json"))
wanted, bad = {}, []
def size(v):
    return int(v) if isinstance(v, int) or str(v).isdigit() else None
for v in load("volumes")["items"]:
    st, name = v.get("status", {}), v["metadata"]["name"]
    node = st.get("nodeName", "")[1:]
    if v["metadata"].get("deletionTimestamp"):
        bad.append(f"{name} is still being deleted")
    elif st.get("phase") != "Ready":
        bad.append(f"{name} is {st.get('phase')}: {[c.get('message') for c in st.get('conditions', []) if c['status'] != 'True']}")
    elif size(st.get("size")) != size(v["spec"]["size"]):
        bad.append(f"{name} has {st.get('size')} instead of {v['spec']['size']}")
    elif sorted(st.get("attachedNodes", [])) != sorted(v["spec"].get("attachedNodes", [])):
        bad.append(f"{name} is attached to {st.get('attachedNodes')}")
    wanted.setdefault(node, {})[v["metadata"]["uid"]] = name
for s in load("snapshots")["items"]:
    if not s.get("status", {}).get("readyToUse"):
        bad.append(f"snapshot {s['metadata']['name']} is not ready")
snapshots = {s["metadata"]["uid"] for s in load("snapshots")["items"]}
for n in running:
    have = {l["uuid"] for l in load(f"lvols{n}")}
    want = wanted.get(n, {})
    bad += [f"n{n} lacks the lvol of {want[u]}" for u in set(want) - have]
    bad += [f"n{n} has the lvol {u} that nobody wants" for u in have - set(want) - snapshots]
    exports = [s["nqn"].rsplit(":", 1)[1] for s in load(f"subsystems{n}") if ":volume:" in s["nqn"]]
    bad += [f"n{n} lacks the export of {want[u]}" for u in set(want) - set(exports)]
    bad += [f"n{n} exports {u}, which nobody wants" for u in set(exports) - set(want)]
for n in set(wanted) - set(running):
    bad += [f"{name} is on n{n}, whose engine does not run" for name in wanted[n].values()]
print("\n".join(bad[:12]) + (f"\n... {len(bad)} in all" if len(bad) > 12 else ""))
sys.exit(1 if bad else 0)
PY
}
settle() { wait_for compare || { compare; return 1; }; }

target() { of volume "$1" "j['status']['targets'][0]['$2']"; }
# io_on N VOLUME OPTION...: verified I/O from that node, to its end;   start_io_on: in the background, stop_io tells it to end;   io_well VOLUME: nothing wrong in what it says
io_options() { # perf_options: what lp-perf is told
    perf_options=(--addr "$(target "$2" address)" --port "$(target "$2" port)" --nqn "$(target "$2" nqn)"
        --hostnqn "$(cat "$work/root$1/etc/nvme/hostnqn")" --size 8M --qd 8 --verify "${@:3}")
}
io_well() {
    json 'j["errors"] + j["mismatches"] + j["not_ended"]' < "$work/perf.$1" | finds -x 0 || { cat "$work/perf.$1" "$work/perf.$1.err"; return 1; }
}
io_on() {
    io_options "$@"
    in_ns "$1" "$perf_bin" "${perf_options[@]}" > "$work/perf.$2" 2> "$work/perf.$2.err" || { cat "$work/perf.$2" "$work/perf.$2.err"; return 1; }
    io_well "$2"
}
start_io_on() { # ip becomes lp-perf
    io_options "$@"
    io_volume=$2
    ip netns exec "$tag-$1" "$perf_bin" --seconds 3600 --stall 60 "${perf_options[@]}" > "$work/perf.$2" 2> "$work/perf.$2.err" &
    load_pid=$!
}
stop_io() {
    local pid=$load_pid
    load_pid=
    kill -TERM "$pid" 2> /dev/null # it may have ended by itself, with something to say
    wait "$pid" || { cat "$work/perf.$io_volume" "$work/perf.$io_volume.err"; return 1; }
    io_well "$io_volume"
}

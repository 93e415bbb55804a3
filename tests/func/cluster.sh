#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Three nodes: partitions of the control path, of the data path, of both; a node lost and back; a disk in another node; expansion twice at once; cordon; a dead
# node deleted. After each: desired = actual, nothing left over.
. "${LITEPOOL_SOURCE:?}/tests/func/cluster-lib.sh"

check "three nodes, three pools" cluster_up
[ $n_failed = 0 ] || { done_testing; exit 1; }
for n in $NODES; do
    check "a volume on n$n" say volume create "v$n" 64M --node "n$n" --position MustLocal --wait
done
check "all of it is there" settle
check "n2 may use the volume of n1" say attach v1 --node n2 --no-device
check "verified I/O between nodes" io_on 2 v1 --mix 50 --seconds 0.5 --versions "$work/v1"

# The control path only: data go on, and nothing is taken away.
control_cut 1
start_io_on 2 v1 --mix 50 --keep --versions "$work/v1"
check "a node that is silent is Unknown" wait_for node_is 1 Unknown
check "and so is its pool" wait_for pool_healthy p1 Unknown
check "its data go on" stop_io
check "new volumes go elsewhere" say volume create elsewhere 64M --wait
check "not there" eval '[ "$(of volume elsewhere "j[\"status\"][\"nodeName\"]")" != n1 ]'
control_heal 1
check "it is Ready again" wait_for node_is 1 True
check "after the control path was cut" settle

# The data path only: I/O waits and goes on.
start_io_on 2 v1 --mix 50 --reconnect --keep --versions "$work/v1"
pause() { read -rt "$1" <> <(:) || true; }
pause 1
data_cut 1
pause 2
check "the node stays Ready" wait_for node_is 1 True # a slow machine may renew a Lease of three seconds late
data_heal 1
pause 1
check "I/O went on" stop_io
check "after the data path was cut" settle

# Both.
control_cut 2
data_cut 2
check "a node without any path is Unknown" wait_for node_is 2 Unknown
check "its volume is kept" eval '[ "$(of volume v2 "j[\"status\"][\"nodeName\"]")" = n2 ]'
control_heal 2
data_heal 2
check "Ready again" wait_for node_is 2 True
check "after both paths were cut" settle

# A node dies and comes back with its disk.
stop9 engine3
stop9 agent3
check "a dead node is Unknown" wait_for node_is 3 Unknown
start_engine_of 3
start_agent_of 3
check "and Ready when it is back" wait_for node_is 3 True
check "after a node was lost and came back" settle

# Expansion twice at once.
say volume expand v3 128M > "$work/e1" 2>&1 & e1=$!
say volume expand v3 192M > "$work/e2" 2>&1 & e2=$!
wait $e1 $e2
check "two expansions at once end at the larger one" eval 'say volume expand v3 192M --wait'
check "and only there" settle

# Cordon.
for n in $NODES; do say node cordon "n$n" > /dev/null; done
check "with all nodes cordoned, a volume waits" say volume create waits 64M
waits_why() { say volume show waits > "$work/got" && grep -q PoolInMaintenance "$work/got" || { cat "$work/got"; return 1; }; }
check "and says why" wait_for waits_why
check "explain too" eval 'say explain volume waits | finds -i cordon'
for n in $NODES; do say node uncordon "n$n" > /dev/null; done
check "then it is made" settle
for n in 2 3; do say node cordon "n$n" > /dev/null; done
refused "a drain is refused while nothing can take the volumes" "node n1 is not drained, and nothing was changed: nothing takes" say node drain n1
refused "with the reason for each" "volume v1: 0 of [0-9]+ pools fit" say node drain n1
check "and the pool stays as it was" eval '[ "$(of pool p1 "j[\"spec\"].get(\"maintenance\", \"Schedulable\")")" = Schedulable ]'
for n in 2 3; do say node uncordon "n$n" > /dev/null; done

# The disk of n3 goes to n2.
check "data on the volume of n3" eval 'say attach v3 --node n1 --no-device && io_on 1 v3 --mix 50 --seconds 0.3 --versions "$work/v3"'
stop9 engine3
stop9 agent3
check "the disk moves" say pool move p3 n2
moved() { [ "$(of volume v3 'j["status"]["nodeName"]')" = n2 ] && [ "$(of volume v3 'j["status"]["targets"][0]["address"]')" = 10.78.0.2 ]; }
check "its volumes follow" wait_for moved
check "with their data" wait_for io_on 1 v3 --read --seconds 0.3 --keep --versions "$work/v3"
check "after the disk moved" settle
check "the empty node goes" say node delete n3 --wait

# A dead node with a pool that is declared gone.
check "detach" say detach v1 --node n2
stop9 engine1
stop9 agent1
refused "not without consent" "accept-volume-loss=n1" say node delete n1
check "with consent" say node delete n1 --accept-volume-loss=n1 --wait
gone() { ! say pool show "$1" > /dev/null 2>&1; }
check "its pool is gone" wait_for gone p1
lost() { say -o json volume show v1 | finds DataLost; }
check "its volume says that its data are lost" wait_for lost
check "and can be deleted" say volume delete v1 --wait --accept-volume-loss=v1
check "detach the rest" say detach v3 --node n1
for v in v2 v3 elsewhere waits; do say volume delete $v --accept-volume-loss=$v > "$work/del" 2>&1 || sed 's/^/# /' "$work/del"; done
check "nothing is left" eval 'settle && [ "$(say -o name volume list | grep -c .)" = 0 ]'
done_testing

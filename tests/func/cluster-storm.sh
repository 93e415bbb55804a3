#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# 200 volumes at once while agents and controller are killed -9 at random; then all deleted in the same weather. Nothing is missing, made twice or left over.
# LITEPOOL_SEED chooses who is killed when.
. "${LITEPOOL_SOURCE:?}/tests/func/cluster-lib.sh"
RANDOM=${LITEPOOL_SEED:-1}
VOLUMES=${LITEPOOL_VOLUMES:-200}
KILLS=${LITEPOOL_KILLS:-12}
LIMIT=${LITEPOOL_TEST_LIMIT:-300}
POOL_SIZE=4G
echo "# seed ${LITEPOOL_SEED:-1}"
pause() { read -rt "$1" <> <(:) || true; }

# weather: kills and starts again, one after the other
weather() {
    local i victims=(agent1 agent2 agent3 controller) victim
    for ((i = 0; i < KILLS; i++)); do
        victim=${victims[RANDOM % 4]}
        pause "0.$((RANDOM % 6 + 1))"
        stop9 "$victim"
        pause "0.$((RANDOM % 4))"
        all_start
    done
}
# many COMMAND: for each volume, eight at a time, again until it is done
many() { seq "$VOLUMES" | xargs -P 8 -I N bash -c 'for ((i = 0; i < 200; i++)); do '"$1"' > /dev/null 2>&1 && exit; '"$2"' && exit; read -rt 0.2 <> <(:); done; exit 1'; }
export cli_bin
export api_arg="unix:$work/api.sock"

check "three nodes, three pools" cluster_up
[ $n_failed = 0 ] || { done_testing; exit 1; }
many '"$cli_bin" --server "$api_arg" --timeout 5 volume create vN 8M' '"$cli_bin" --server "$api_arg" --timeout 5 volume show vN > /dev/null 2>&1' &
creating=$!
weather
check "all are declared" wait $creating
check "$VOLUMES volumes are there, once each" settle
many '"$cli_bin" --server "$api_arg" --timeout 5 volume delete vN --accept-volume-loss=vN' '"$cli_bin" --server "$api_arg" --timeout 5 volume show vN 2>&1 | finds "is being deleted\|there is no StorageVolume"' &
deleting=$!
weather
check "all are to be deleted" wait $deleting
none() { [ "$(say -o name volume list | wc -l)" = 0 ]; }
check "no object is left" wait_for none
check "no lvol and no export is left" settle
done_testing

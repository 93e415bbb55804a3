#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# litepool-controller --embedded: options, one instance a state directory, what a store that is damaged, gone or full does, kill -9 while
# clients write, thousands of watches, slow clients.
. "${LITEPOOL_SOURCE:?}/tests/func/controller-lib.sh"
stress=$source_dir/tests/func/api-stress.py

check "--version" "$controller_bin" --version
refused "an unknown option" "unknown option --nope" "$controller_bin" --nope
refused "a kubeconfig that is not there" "/nope" "$controller_bin" --kubeconfig /nope
refused "without a server it names what there is to choose from" "KUBECONFIG" env -u KUBECONFIG -u KUBERNETES_SERVICE_HOST "$controller_bin"
refused "TCP without TLS is refused" "without TLS" "$controller_bin" --embedded --listen 127.0.0.1:0
refused "a bad address" "expected an address and a port" "$controller_bin" --embedded --listen 7443 --tls-cert a --tls-key b --users c
same_status() { "${@:2}" > /dev/null 2>&1; [ $? = "$1" ]; }
check "wrong options end with 2" same_status 2 "$controller_bin" --nope
check "the configuration is checked without a start" run_controller --check-config
check "and nothing was made" test ! -e "$work/state"
printf 'token:short,a,admin\n' > "$work/users"
chmod 600 "$work/users"
refused "a bad users file names the line, not the token" "line 1: a token has 16" run_controller --check-config --users "$work/users"
check "the token is not told" eval '! grep -q short,a "$work/out"'

check "starts" start_controller
check "the socket is its owner's alone" test "$(stat -c %a "$api")" = 600
check "the store is its owner's alone" test "$(stat -c %a "$work/state/api.db")" = 600
refused "a second one on the state directory" "another litepool-controller uses" run_controller --socket "$work/other.sock"
check "a volume is created" code 201 POST $volumes "$(volume a)"
check "SIGHUP reads again" kill -HUP "$controller_pid"
check "and it serves on" wait_for logged controller.reloaded
check "the volume is there" code 200 GET $volumes/a
check "stops in order" stop_controller
check "the socket is gone" test ! -e "$api"

cp "$work/state/api.db" "$work/backup.db"
dd if=/dev/urandom of="$work/state/api.db" bs=4096 seek=1 count=3 conv=notrunc status=none
refused "a damaged store is told and not served" "damaged|malformed" run_controller
echo nonsense > "$work/state/api.db"
refused "a store that is none, too" "restore it from a backup" run_controller
rm "$work/state/api.db"
refused "a store that is gone is not taken for an empty one" "was here and is gone" run_controller
check "nothing was made in its place" test ! -e "$work/state/api.db"
cp "$work/backup.db" "$work/state/api.db"
check "the backup is served" start_controller
check "with the volume" code 200 GET $volumes/a

# A full disk: the process's limit of file size stands for it, and is lifted while it runs.
big() { printf '{"metadata":{"name":"%s","annotations":{"x":"%s"}},"spec":{"size":"1Gi"}}' "$1" "$(head -c 100000 /dev/zero | tr '\0' x)"; }
fill() { for i in $(seq 60); do big "full$i" > "$work/big"; [ "$(req POST $volumes "@$work/big")" = 201 ] || return 0; done; return 1; }
if prlimit --pid "$controller_pid" --fsize=1000000:unlimited 2> "$work/prlimit"; then
    check "the store fills up" fill
    check "which is told as 507" says '"code":507'
    check "with what to do" says "free space"
    check "reads go on" code 200 GET $volumes/a
    check "lists, too" code 200 GET $volumes
    prlimit --pid "$controller_pid" --fsize=unlimited:unlimited
    check "with space again it takes writes, without a restart" code 201 POST $volumes "$(volume healed)"
else
    echo "# no prlimit here: the full disk is left out"
fi

check "2000 watches" "$stress" watches "$api" 2000 "$controller_pid"
check "a slow client is cut, others are served" "$stress" slow "$api"
check "stops" stop_controller
mkdir "$work/kill"
check "kill -9 while clients write loses nothing" "$stress" kill "$work/kill" "${LITEPOOL_SEED:-1}" "$controller_bin" --embedded --api-only --state-dir "$work/kill/state"
done_testing

#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The conformance suite on litepool-controller --embedded: by its unix socket, then by TLS with a client certificate as the kubeconfig of "issue" has it.
. "${LITEPOOL_SOURCE:?}/tests/func/controller-lib.sh"
tls=$work/tls
die() { echo "Bail out! $*"; sed 's/^/# /' "$work/out"; exit 1; }

"$controller_bin" init-tls --dir "$tls" --names 127.0.0.1,localhost > "$work/out" 2>&1 || die "init-tls"
start_controller --listen 127.0.0.1:0 --tls-cert "$tls/server.crt" --tls-key "$tls/server.key" --client-ca "$tls/ca.crt" ||
    die "litepool-controller does not start"
port=$(grep -o 'event=controller.listens.* port=[0-9]*' "$log" | grep -o '[0-9]*$')
"$controller_bin" issue --dir "$tls" --user boss --role admin --server "https://127.0.0.1:$port" > "$work/out" 2>&1 || die "issue"

n=0 failed=0
suite() { # suite BY OPTION...: its lines become ours
    "$build/tests/kube/conformance/conformance" "${@:2}" > "$work/suite" || failed=1
    while read -r line; do
        case $line in
        'ok '* | 'not ok '*)
            n=$((n + 1))
            echo "${line%% [0-9]*} $n - $1: ${line#* - }"
            ;;
        conformance*) echo "# $line" ;;
        '#'*) echo "$line" ;;
        esac
    done < "$work/suite"
}
suite socket --server "unix:$api" "$@"
suite tls --kubeconfig "$tls/boss.kubeconfig" "$@"
echo "1..$n"
exit "$failed"

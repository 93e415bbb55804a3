#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# litepool-controller over TCP: TLS, client certificates, tokens, roles, reload; and kubectl, where there is one. The commands of
# docs/api.md are those here.
. "${LITEPOOL_SOURCE:?}/tests/func/controller-lib.sh"
tls=$work/tls
secret=0123456789abcdef0123456789abcdef

check "init-tls makes a CA and a server's certificate" "$controller_bin" init-tls --dir "$tls" --names 127.0.0.1,localhost
check "keys are their owner's alone" same "$(stat -c %a "$tls/ca.key" "$tls/server.key" | tr '\n' ' ')" "600 600 "
refused "nothing is replaced" "is not replaced" "$controller_bin" init-tls --dir "$tls" --names 127.0.0.1
for pair in boss=admin node-1=agent node-2=agent eyes=reader csi-1=csi; do
    check "issue for ${pair%=*}" "$controller_bin" issue --dir "$tls" --user "${pair%=*}" --role "${pair#*=}" --server https://127.0.0.1:1
done
refused "an unknown role" "the role must be" "$controller_bin" issue --dir "$tls" --user x --role king
if command -v openssl > /dev/null; then
    check "openssl agrees with the server's certificate" openssl verify -CAfile "$tls/ca.crt" -purpose sslserver "$tls/server.crt"
    check "and with a client's" openssl verify -CAfile "$tls/ca.crt" -purpose sslclient "$tls/node-1.crt"
    check "which says who and what" eval 'openssl x509 -in "$tls/node-1.crt" -noout -subject | finds "O *= *litepool:agent"'
fi
printf '# comment\ntoken:%s,tok,reader\n\nsha256:%s,hashed,csi\n' "$secret" "$(printf %s hashed-$secret | sha256sum | cut -d' ' -f1)" > "$work/users"
secure=(--listen 127.0.0.1:0 --tls-cert "$tls/server.crt" --tls-key "$tls/server.key" --client-ca "$tls/ca.crt" --users "$work/users")
chmod 644 "$work/users"
refused "a users file that others can read" "chmod 600" run_controller --check-config "${secure[@]}"
chmod 600 "$work/users"
chmod 640 "$tls/server.key"
refused "a key that others can read" "chmod 600" run_controller --check-config "${secure[@]}"
chmod 600 "$tls/server.key"
refused "a key of another certificate" "do not go together" run_controller --check-config "${secure[@]}" --tls-key "$tls/boss.key"
refused "a certificate without a key" "belong together" run_controller --check-config --listen 127.0.0.1:0 --tls-cert "$tls/server.crt"

check "starts" start_controller "${secure[@]}"
port=$(grep -o 'event=controller.listens.* port=[0-9]*' "$log" | grep -o '[0-9]*$')
url=https://127.0.0.1:$port
# as USER METHOD PATH [BODY [TYPE]]; tok: with the token; "": nobody
as() {
    local user=$1 who=()
    shift
    case $user in
    '') ;;
    tok) who=(-H "Authorization: Bearer $secret") ;;
    hashed) who=(-H "Authorization: Bearer hashed-$secret") ;;
    wrong) who=(-H "Authorization: Bearer ${secret}x" --cert "$tls/boss.crt" --key "$tls/boss.key") ;;
    *) who=(--cert "$tls/$user.crt" --key "$tls/$user.key") ;;
    esac
    curl -sS --max-time "$LIMIT" --cacert "$tls/ca.crt" "${who[@]}" -X "$1" -o "$work/answer" -w '%{http_code}\n' \
        ${3:+-H "Content-Type: ${4:-application/json}" --data-binary "$3"} "$url$2"
}
may() { local want=$1 got; shift; got=$(as "$@"); [ "$got" = "$want" ] || { echo "$got: $(head -c 500 "$work/answer")"; return 1; }; }
merge=application/merge-patch+json

check "health is anybody's" may 200 '' GET /healthz
check "nothing else is" may 401 '' GET $volumes
check "as a Status" says '"reason":"Unauthorized"'
check "discovery neither" may 401 '' GET /apis
refused "plain HTTP gets nothing" "." curl -sSf --max-time 10 "http://127.0.0.1:$port/healthz"
refused "old TLS is refused" "." curl -sS --tls-max 1.1 --cacert "$tls/ca.crt" "$url/healthz"
check "a token reads" may 200 tok GET $volumes
check "a token of which only the hash is known" may 201 hashed POST $volumes "$(volume byhash)"
check "a wrong token is nobody, whatever certificate comes with it" may 401 wrong GET $volumes
check "a certificate of another CA is nobody" eval '"$controller_bin" init-tls --dir "$work/evil" --names x > /dev/null && "$controller_bin" issue --dir "$work/evil" --user boss --role admin &&
    [ "$(curl -sS --cacert "$tls/ca.crt" --cert "$work/evil/boss.crt" --key "$work/evil/boss.key" -o "$work/answer" -w "%{http_code}" "$url$volumes")" = 401 ]'
check "a server's certificate is no client" eval '[ "$(curl -sS --cacert "$tls/ca.crt" --cert "$tls/server.crt" --key "$tls/server.key" -o "$work/answer" -w "%{http_code}" "$url$volumes")" = 401 ]'

check "a reader may not write" may 403 eyes POST $volumes "$(volume r)"
check "and is told user, verb and resource" says 'User \\"eyes\\" (reader) cannot create resource \\"storagevolumes\\"'
node() { printf '{"metadata":{"name":"%s"},"spec":{"hostNQN":"nqn.2014-08.org.nvmexpress:%s"}}' "$1" "$1"; }
check "an agent makes its StorageNode" may 201 node-1 POST $nodes "$(node node-1)"
check "and no other" may 403 node-1 POST $nodes "$(node node-2)"
check "its status" may 200 node-1 PATCH $nodes/node-1/status '{"status":{"agentVersion":"1"}}' $merge
check "and no other's" may 403 node-2 PATCH $nodes/node-1/status '{"status":{"agentVersion":"1"}}' $merge
leases=/apis/coordination.k8s.io/v1/namespaces
check "its Lease" may 201 node-1 POST $leases/litepool-node-lease/leases '{"metadata":{"name":"node-1"},"spec":{"holderIdentity":"node-1"}}'
check "not one of another name" may 403 node-1 POST $leases/litepool-node-lease/leases '{"metadata":{"name":"node-2"},"spec":{}}'
check "not the controllers'" may 403 node-1 POST $leases/litepool-system/leases '{"metadata":{"name":"node-1"},"spec":{}}'
pool='{"metadata":{"name":"p1"},"spec":{"nodeName":"node-1","device":{"file":"/x"},"size":"1Gi"}}'
check "an agent declares no pool" may 403 node-1 POST $pools "$pool"
check "an admin does" may 201 boss POST $pools "$pool"
check "the pool's agent tells its status" may 200 node-1 PATCH $pools/p1/status '{"status":{"health":"Healthy"}}' $merge
check "another agent does not" may 403 node-2 PATCH $pools/p1/status '{"status":{"health":"Failed"}}' $merge
check "an agent does not move a pool to itself" may 403 node-2 PATCH $pools/p1 '{"spec":{"nodeName":"node-2"}}' $merge
check "its own agent keeps a finalizer there" may 200 node-1 PATCH $pools/p1 '{"metadata":{"finalizers":["litepool.io/agent"]}}' $merge
check "and changes nothing else" may 403 node-1 PATCH $pools/p1 '{"metadata":{"labels":{"a":"b"}}}' $merge
check "a volume of csi" may 201 csi-1 POST $volumes '{"metadata":{"name":"v"},"spec":{"size":"1Gi","attachedNodes":["node-2"]}}'
check "csi tells no status" may 403 csi-1 PATCH $volumes/v/status '{"status":{"phase":"Ready"}}' $merge
check "placed by an admin" may 200 boss PATCH $volumes/v/status '{"status":{"phase":"Bound","poolName":"p1","nodeName":"node-1"}}' $merge
check "its agent tells that it is ready" may 200 node-1 PATCH $volumes/v/status '{"status":{"phase":"Ready"}}' $merge
check "but not where it is" may 403 node-1 PATCH $volumes/v/status '{"status":{"nodeName":"node-2","poolName":"p2"}}' $merge
check "the node it is attached to tells that" may 200 node-2 PATCH $volumes/v/status '{"status":{"attachedNodes":["node-2"]}}' $merge
check "and not more" may 403 node-2 PATCH $volumes/v/status '{"status":{"attachedNodes":["node-2","node-3"]}}' $merge
check "nor another phase" may 403 node-2 PATCH $volumes/v/status '{"status":{"phase":"Failed"}}' $merge
check "an agent deletes nothing" may 403 node-1 DELETE $volumes/v
check "the refused changes were not made" may 200 boss GET $volumes/v
check "none of them" says '"phase":"Ready"'
event='{"metadata":{"name":"e"},"involvedObject":{"kind":"StorageVolume","name":"v"},"reason":"R","source":{"host":"node-1"}}'
check "an agent's event" may 201 node-1 POST /api/v1/namespaces/default/events "$event"
check "not in another's name" may 403 node-2 POST /api/v1/namespaces/default/events "${event/\"e\"/\"f\"}"

# A token that is taken away also ends the watch that it opened.
curl -sSN --max-time "$LIMIT" --cacert "$tls/ca.crt" -H "Authorization: Bearer $secret" "$url$volumes?watch=1" > "$work/events" 2> /dev/null &
watch_pid=$!
check "a watch with a token" wait_for grep -q ADDED "$work/events"
printf 'token:new-%s,tok2,reader\n' "$secret" > "$work/users"
kill -HUP "$controller_pid"
check "reload" wait_for logged controller.reloaded
ended() { ! kill -0 "$watch_pid" 2> /dev/null; }
check "ends the watch" wait_for ended
check "the token is nobody's now" may 401 tok GET $volumes
rm "$tls/server.crt" "$tls/server.key"
check "another certificate" "$controller_bin" init-tls --dir "$tls" --names localhost
kill -HUP "$controller_pid"
by_name() { curl -sSf --max-time 10 --cacert "$tls/ca.crt" "https://localhost:$port/healthz"; }
by_address() { curl -sSf --max-time 10 --cacert "$tls/ca.crt" "$url/healthz"; }
check "is served after SIGHUP" wait_for eval '! by_address'
check "by its name" by_name
echo broken > "$work/users"
kill -HUP "$controller_pid"
check "a reload that fails is told" wait_for logged "controller.reload_failed.*line 1"
check "and all goes on as before" by_name
check "no secret is in the log" eval '! grep -q "$secret" "$log"'

if command -v kubectl > /dev/null; then
    sed "s|https://127.0.0.1:1|https://localhost:$port|" "$tls/boss.kubeconfig" > "$tls/k.kubeconfig"
    kube() { KUBECONFIG=$tls/k.kubeconfig timeout "$LIMIT" kubectl --cache-dir="$work/cache" "$@"; }
    printf 'apiVersion: litepool.io/v1alpha1\nkind: StorageVolume\nmetadata: {name: k}\nspec: {size: 3Gi}\n---\napiVersion: coordination.k8s.io/v1\nkind: Lease\nmetadata: {name: l, namespace: litepool-system}\nspec: {holderIdentity: me}\n' > "$work/k.yaml"
    check "kubectl apply creates" kube apply -f "$work/k.yaml"
    sed -i 's/3Gi/4Gi/; s/: me/: you/' "$work/k.yaml"
    check "kubectl apply changes, also a Lease" kube apply -f "$work/k.yaml"
    check "kubectl get" eval 'kube get sv k | finds "^k  *4Gi"'
    check "kubectl get of all namespaces" eval 'kube get lease -A | finds "litepool-system *l *you"'
    check "kubectl describe" eval 'kube describe sv v | finds "Size: *1Gi"'
    check "kubectl get events" eval 'kube get events | finds StorageVolume'
    refused "kubectl apply --server-side is refused clearly" "does not offer server-side apply" kube apply --server-side -f "$work/k.yaml"
    kube get sv -w --no-headers > "$work/watched" 2>&1 &
    kube_pid=$!
    check "kubectl get -w begins" wait_for grep -q "^k " "$work/watched"
    check "kubectl delete waits for the end" kube delete -f "$work/k.yaml"
    kill "$kube_pid" 2> /dev/null
    wait "$kube_pid" 2> /dev/null
else
    echo "# no kubectl: its part is left out"
fi
check "stops" stop_controller
done_testing

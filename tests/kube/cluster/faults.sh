# SPDX-License-Identifier: Apache-2.0
# A volume's life in a cluster whose API server is in trouble for controller, agents and drivers (not for the sidecars and the kubelets, which are not ours): tests/kube/faults/proxy.py between. For
# cluster.sh; needs cluster-lib.sh and scenario.sh.
FAULTS_PORT=8443
faults=$source/tests/kube/faults

rules() { # rules FILE: from now on; all connections are cut
    cp "$faults/$1" "$S/rules" && kill -HUP "$(pid_of proxy)"
}
# by_port PORT|-: our parts find the API server there; "-": where Kubernetes says. Returns when all do.
by_port() {
    local value=KUBERNETES_SERVICE_PORT=$1 what
    [ "$1" != - ] || value=KUBERNETES_SERVICE_PORT-
    kubectl -n litepool-system set env daemonset/litepool-agent daemonset/litepool-csi-node deployment/litepool-controller "$value" &&
        kubectl -n litepool-system set env deployment/litepool-csi-controller -c driver "$value" || return
    for what in daemonset/litepool-agent daemonset/litepool-csi-node deployment/litepool-controller deployment/litepool-csi-controller; do
        kubectl -n litepool-system rollout status "$what" --timeout="${LIMIT}s" || return
    done
}
proxied() {
    local api
    api=$(cat "$S/net").129
    : > "$S/rules"
    start proxy "$faults/proxy.py" "$api:$FAULTS_PORT" "$api:443" "$S/pki/apiserver.crt" "$S/pki/apiserver.key" "$S/pki/ca.crt" "$S/rules" "${SEED:-20261122}" && by_port $FAULTS_PORT && eventually running
}
met() { local name; for name in $(grep -v '^#' "$faults/$1" | cut -d ' ' -f 1); do eventually grep -q "^hit $name " "$S/log/proxy.log" || return; done; }
downs() { grep -c '^hit down ' "$S/log/proxy.log"; }
away() { # away COMMAND...: begun while the API server is away for us; it is back when twenty have asked in vain
    local rc=0 before
    before=$(downs)
    rules rules-down
    "$@" > "$S/away" 2>&1 &
    eventually eval '[ "$(downs)" -ge '$((before + 20))' ]' || rc=1
    rules rules-storm
    wait $! || { cat "$S/away"; return 1; }
    return $rc
}
faulty() {
    local CLASS=xfs step
    check "controller, agents and drivers reach the API server through a proxy" proxied
    check "which fails from now on" rules rules-storm
    for step in 'pvc $v 512Mi && start_pod $v $v node1' 'write $v one' 'grow $v 768Mi' 'snapshot $v-s $v' 'from_snapshot $v-r $v-s 768Mi && start_pod $v-r $v-r node1 && verify $v-r one' \
        'attributes $v gold' 'end_pod $v && start_pod $v $v node2' 'verify $v one'; do
        local v=f
        check "$(eval echo "\"$step\""), under faults" eval "$step"
    done
    check "a claim that is made while the API server is away for us" away eval 'CLASS=now pvc away 64Mi && bound away'
    check "pods, claims and snapshot go while it is" away eval 'kubectl delete pods --all --timeout=${LIMIT}s && kubectl delete volumesnapshot/f-s pvc/f pvc/f-r pvc/away --timeout=${LIMIT}s'
    check "each fault was met" eval 'met rules-storm && met rules-down'
    echo "# hits: $(grep '^hit' "$S/log/proxy.log" | cut -d ' ' -f 2 | sort | uniq -c | tr -s ' \n' ' ')"
    check "nothing is left of it" nothing_left
    : > "$S/rules"
    kill -HUP "$(pid_of proxy)"
    check "and back" by_port -
    stop proxy
}

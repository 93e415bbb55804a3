# SPDX-License-Identifier: Apache-2.0
# A database for real: deploy/examples/mysql.yaml with MariaDB, for cluster.sh; needs cluster-lib.sh and scenario.sh. What it has told its client to be committed must be there after each thing that happens to it.

DATABASE_PROGRAMS=(mariadbd:/usr/sbin/mariadbd mariadb:/usr/bin/mysql mariadb-install-db my_print_defaults resolveip)
database_image() { # into each node
    local i node
    "$lab/image.py" "$S/mariadb.tar" lab.test/mariadb:1=/usr/bin/entry.sh "$here/database/entry.sh" "${DATABASE_PROGRAMS[@]}" /usr/share/mysql || return
    for i in $(seq "$NODES"); do ctr -a "$S/node$i/run/containerd/containerd.sock" -n k8s.io images import "$S/mariadb.tar" || return; done
    rm "$S/mariadb.tar"
}
node_of() { kubectl get pod "$1" -o 'jsonpath={.spec.nodeName}'; }
# Statements on stdin, rows on stdout, each as soon as the server has sent it.
sql() { kubectl exec -i "$1" -c mysql -- sh -c 'exec mysql -n -N -S /run/mysqld/mysqld.sock -uroot -p"$MYSQL_ROOT_PASSWORD" shop'; }
asked() { sql "$1" <<< "$2"; }

database_up() {
    database_image && kubectl create secret generic mysql --from-literal=password="$(openssl rand -hex 16)" &&
        kubectl kustomize --load-restrictor LoadRestrictionsNone "$here/database" | kubectl apply --validate=strict -f - && eventually kubectl get pod mysql-0 && pod_ready mysql-0 && bound data-mysql-0 &&
        asked mysql-0 'CREATE TABLE orders (id INT PRIMARY KEY, hash CHAR(64) NOT NULL, text VARCHAR(3000) NOT NULL) ENGINE=InnoDB'
}
# orders FROM: a client that inserts rows from FROM on, one transaction each, until it is told or the server is gone; $S/acked is what it was told to be committed.
orders() {
    : > "$S/acked"
    kubectl exec mysql-0 -- sh -c 'rm -f /tmp/end; i='"$1"'; while [ ! -e /tmp/end ]; do echo "INSERT INTO orders VALUES ($i, SHA2($i, 256), REPEAT(CHAR(65 + $i % 26), 2000)); SELECT $i;"; i=$((i + 1)); done |
        mysql -n -N -S /run/mysqld/mysqld.sock -uroot -p"$MYSQL_ROOT_PASSWORD" shop' > "$S/acked" 2> "$S/orders.err" &
    writer=$!
}
acked() { tail -n 1 "$S/acked"; }
acked_beyond() { [ "$(tail -n 1 "$S/acked" | grep . || echo 0)" -ge "$1" ]; }
last_order() { asked "$1" 'SELECT IFNULL(MAX(id), 0) FROM orders'; }
# holds POD FROM [TO]: the rows are 1 to some number in that range without a gap, each is whole, and the server finds nothing wrong with the table.
holds() {
    local n
    [ "$(asked "$1" 'CHECK TABLE orders EXTENDED' | awk '{ print $NF }')" = OK ] && n=$(last_order "$1") || { asked "$1" 'CHECK TABLE orders EXTENDED'; return 1; }
    exactly "$n	0" asked "$1" 'SELECT COUNT(*), COUNT(IF(hash <> SHA2(id, 256) OR text <> REPEAT(CHAR(65 + id % 26), 2000), 1, NULL)) FROM orders' || return
    [ "$n" -ge "$2" ] && [ "$n" -le "${3:-$n}" ] || { echo "rows to $n: not from $2 to ${3:-there}"; return 1; }
    echo "$n rows"
}
recovered() { kubectl logs "$1" | grep -i 'InnoDB: Starting crash recovery'; }

restarted_times() { [ "$(kubectl get pod mysql-0 -o 'jsonpath={.status.containerStatuses[0].restartCount}')" -ge "$1" ]; }
database_killed() {
    local node pid
    node=$(node_of mysql-0)
    orders 1
    eventually acked_beyond 300 || return
    for pid in $(processes "$node" '^mariadbd '); do in_node "$node" kill -9 "$pid"; done
    wait "$writer"
    echo "committed to $(acked)"
    eventually restarted_times 1 && pod_ready mysql-0 && recovered mysql-0 && holds mysql-0 "$(acked)"
}
# The snapshot is cut while rows are written: it has at least what was committed before it was asked for, and nothing from after it was there.
database_snapshot() {
    local first
    first=$(($(last_order mysql-0) + 1)) || return
    orders "$first"
    eventually acked_beyond $((first + 200)) || return
    acked > "$S/before" && snapshot mysql-s data-mysql-0 || return
    sh_in mysql-0 'touch /tmp/end'
    wait "$writer" || { cat "$S/orders.err"; return 1; }
    acked > "$S/after"
}
restored_pod() {
    kubectl apply -f - << END
{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "restored"}, "spec": {
 "containers": [{"name": "mysql", "image": "lab.test/mariadb:1", "env": [{"name": "MYSQL_ROOT_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "mysql", "key": "password"}}}],
   "readinessProbe": {"tcpSocket": {"port": 3306}, "periodSeconds": 2}, "volumeMounts": [{"name": "data", "mountPath": "/var/lib/mysql", "subPath": "mysql"}]}],
 "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "restored"}}]}}
END
}
database_restored() { from_snapshot restored mysql-s 2Gi && restored_pod && pod_ready restored && recovered restored && holds restored "$(cat "$S/before")" "$(cat "$S/after")"; }
database_moved() {
    local node last
    node=$(node_of mysql-0) last=$(last_order mysql-0) || return
    kubectl cordon "$node" && kubectl delete pod mysql-0 --timeout="${LIMIT}s" && eventually kubectl get pod mysql-0 && pod_ready mysql-0 || return
    kubectl uncordon "$node" && [ "$(node_of mysql-0)" != "$node" ] && holds mysql-0 "$last" "$last" && kubectl get storagevolumes,pods -o wide
}
# What docs/kubernetes.md shows.
database_shown() { kubectl get pvc data-mysql-0 restored; kubectl get pod mysql-0 restored -o wide; kubectl get storagevolumes; kubectl get volumesnapshot mysql-s; }
database_gone() { kubectl delete statefulset,service,secret mysql --timeout="${LIMIT}s" && kubectl delete pod,pvc restored --timeout="${LIMIT}s" && kubectl delete volumesnapshot mysql-s --timeout="${LIMIT}s" && kubectl delete pvc --all --timeout="${LIMIT}s"; }

database() {
    local p writer
    for p in "${DATABASE_PROGRAMS[@]}"; do command -v "${p%%:*}" > /dev/null || { echo "# no database: this machine has no ${p%%:*} (mariadb-server-core, mariadb-client-core)"; return; }; done
    check "a database: the StatefulSet of docs/kubernetes.md" database_up
    check "killed with -9 while it writes, it has all that it said was committed" database_killed
    check "a snapshot is cut while it writes" database_snapshot
    check "restored beside it, it is a whole database with what was committed before the cut" database_restored
    check "the database moves to the other node" database_moved
    database_shown > "$S/log/database.txt" 2>&1
    check "it is deleted" database_gone
    check "nothing is left of it" nothing_left
}

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""pvc-bound.py STATE [COUNT]: the time from a claim's creation to Bound in the cluster that is up in STATE, one claim after the other (class "now": no pod is waited for).

Prints "pvc-bound n=50 p50=..ms p99=..ms max=..ms". The clock is this process's: from before the POST until the watch shows Bound.
"""
import http.client
import json
import ssl
import subprocess
import sys
import threading
import time

state, count = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 50
with open(state + "/net") as f:
    server = f.read().strip() + ".129"
context = ssl.create_default_context(cafile=state + "/pki/ca.crt")
context.load_cert_chain(state + "/pki/admin.crt", state + "/pki/admin.key")
claims = "/api/v1/namespaces/default/persistentvolumeclaims"
bound, changed = {}, threading.Condition()


def call(connection, method, path, body=None):
    connection.request(method, path, json.dumps(body) if body else None, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    text = answer.read()
    if answer.status >= 300:
        sys.exit("%s %s: %d %s" % (method, path, answer.status, text[:300]))
    return json.loads(text)


def watch(version):
    connection = http.client.HTTPSConnection(server, 443, context=context)
    connection.request("GET", "%s?watch=1&resourceVersion=%s" % (claims, version))
    for line in connection.getresponse():
        claim = json.loads(line)["object"]
        if claim.get("status", {}).get("phase") == "Bound":
            with changed:
                bound.setdefault(claim["metadata"]["name"], time.monotonic())
                changed.notify()


api = http.client.HTTPSConnection(server, 443, context=context)
threading.Thread(target=watch, args=(call(api, "GET", claims)["metadata"]["resourceVersion"],), daemon=True).start()
took = []
for i in range(count):
    name = "bound-%d" % i
    start = time.monotonic()
    call(api, "POST", claims, {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name},
                               "spec": {"storageClassName": "now", "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "16Mi"}}}})
    with changed:
        if not changed.wait_for(lambda: name in bound, 120):
            sys.exit("%s is not bound in 120 s" % name)
    took.append((bound[name] - start) * 1000)
took.sort()
print("pvc-bound n=%d p50=%dms p99=%dms max=%dms" % (count, took[count // 2], took[min(count - 1, count * 99 // 100)], took[-1]))
subprocess.run(["kubectl", "--kubeconfig", state + "/kubeconfig", "delete", "pvc", "--wait=false"] + ["bound-%d" % i for i in range(count)], check=True, stdout=subprocess.DEVNULL)

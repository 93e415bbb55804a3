#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""standin.py SOCKET FOLDER [--node NAME]... [--delay S]: the controller and the agents, as far as the API sees them, for tests of the CSI driver.

It keeps the rules by which controller and agent write objects (who writes which field, what follows what), with sparse files in FOLDER instead of volumes. Prints "ready".
Level-triggered: every pass looks at all objects. SIGTERM ends it.
"""
import argparse
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
import uuid

GROUP = "/apis/litepool.io/v1alpha1/"
FINALIZER = {"storagevolumes": "litepool.io/volume", "storagesnapshots": "litepool.io/snapshot"}


class Unix(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("litepool", timeout=30)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(self.path)


class Api:
    def __init__(self, path):
        self.path = path

    def call(self, method, target, body=None, kind="application/json"):
        connection = Unix(self.path)
        try:
            connection.request(method, GROUP + target, None if body is None else json.dumps(body), {"Content-Type": kind})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read() or b"{}")
        finally:
            connection.close()

    def list(self, plural):
        return self.call("GET", plural)[1].get("items", [])

    def patch(self, plural, obj, change, sub=""):
        change.setdefault("metadata", {})["resourceVersion"] = obj["metadata"]["resourceVersion"]
        return self.call("PATCH", plural + "/" + obj["metadata"]["name"] + sub, change, "application/merge-patch+json")

    def follow(self, plural, wake, seen):
        """Wakes at each change of the kind, for ever."""
        while True:
            try:
                connection = Unix(self.path)
                connection.timeout = None
                connection.request("GET", GROUP + plural + "?watch=1")
                answer = connection.getresponse()
                while answer.readline():
                    seen.append(1)
                    wake.set()
            except OSError:
                pass
            time.sleep(0.2)


LVM_POOL = "11111111-2222-4333-8444-555555555555"


class Standin:
    def __init__(self, args):
        self.api, self.folder, self.nodes, self.delay = Api(args.socket), args.folder, args.node, args.delay
        self.capacity = args.capacity

    def file(self, obj):
        return os.path.join(self.folder, obj["metadata"]["uid"])

    def start(self):
        for i, name in enumerate(self.nodes):
            self.api.call("POST", "storagenodes", {"metadata": {"name": name}, "spec": {
                "hostNQN": "nqn.2014-08.org.nvmexpress:uuid:" + str(uuid.uuid4()), "hostID": str(uuid.uuid4()), "addresses": ["127.0.0.%d" % (i + 1)],
                "topology": {"rack": "r%d" % i, "zone": "z"}, "maxAttachedVolumes": 16}})
            self.api.call("POST", "storagepools", {"metadata": {"name": "pool-" + name}, "spec": {"nodeName": name, "device": {"file": "/none"}}})
        for node in self.api.list("storagenodes"):
            self.api.patch("storagenodes", node, {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}, "/status")
        for pool in self.api.list("storagepools"):
            self.api.patch("storagepools", pool, {"status": {"uuid": str(uuid.uuid4()), "capacity": self.capacity, "allocated": 0, "committed": 0,
                                                             "free": self.capacity, "health": "Healthy"}}, "/status")

    # ---- one object of a kind ----

    def place(self, volume, snapshots, volumes):
        source, spec = volume["spec"].get("source", {}), volume["spec"]
        free = {n: self.capacity for n in self.nodes}
        for other in volumes.values():
            node = other.get("status", {}).get("nodeName")
            if node:
                free[node] -= int(other["spec"]["size"])
        wanted = [n for n in self.nodes if free[n] >= int(spec["size"])]
        if spec.get("position") == "MustLocal":
            wanted = [n for n in wanted if n == spec.get("nodeName")]
        parent = snapshots.get(source.get("snapshotName")) or volumes.get(source.get("volumeName"))
        if source:
            wanted = [n for n in wanted if parent and "pool-" + n == parent.get("status", {}).get("poolName")]
        if not wanted:
            return {"status": {"phase": "Pending", "conditions": [{
                "type": "Scheduled", "status": "False", "reason": "NoPoolFits", "message": "0 of %d pools fit: commit limit" % len(self.nodes)}]}}
        node = max(wanted, key=lambda n: free[n])
        return {"status": {"phase": "Bound", "poolName": "pool-" + node, "nodeName": node, "conditions": [{"type": "Scheduled", "status": "True"}]}}

    def volume(self, volume, snapshots, volumes):
        status, meta, uid = volume.get("status", {}), volume["metadata"], volume["metadata"]["uid"]
        if "deletionTimestamp" in meta:
            if not volume["spec"].get("attachedNodes"):
                if os.path.exists(self.file(volume)):
                    os.unlink(self.file(volume))
                self.api.patch("storagevolumes", volume, {"metadata": {"finalizers": []}})
            return
        if not meta.get("finalizers"):
            self.api.patch("storagevolumes", volume, {"metadata": {"finalizers": [FINALIZER["storagevolumes"]]}})
        elif not status.get("poolName"):
            change = self.place(volume, snapshots, volumes)
            if change["status"]["phase"] != status.get("phase"):
                self.api.patch("storagevolumes", volume, change, "/status")
        else:
            self.serve(volume, snapshots, volumes, uid)

    def serve(self, volume, snapshots, volumes, uid):
        status, size, path = volume.get("status", {}), int(volume["spec"]["size"]), self.file(volume)
        if not os.path.exists(path):
            source = volume["spec"].get("source", {})
            parent = snapshots.get(source.get("snapshotName")) or volumes.get(source.get("volumeName"))
            if source and (not parent or not os.path.exists(self.file(parent))):
                return
            if parent:
                subprocess.run(["cp", "--sparse=always", self.file(parent), path], check=True)
            else:
                open(path, "wb").close()
        if os.path.getsize(path) < size:
            os.truncate(path, size)
        attached = volume["spec"].get("attachedNodes") or []
        wanted = {"phase": "Ready", "uuid": uid, "size": size, "attachedNodes": attached, "observedGeneration": volume["metadata"]["generation"], "targets": [{
            "address": "127.0.0.1", "port": 4420, "nqn": "nqn.2026-11.io.litepool:volume:" + uid, "nsid": 1, "nguid": uid.replace("-", "")}], "devicePath": None}
        if volume["metadata"].get("labels", {}).get("litepool.io/local-path") == "true" and attached == [status["nodeName"]]:
            wanted.update(targets=[], devicePath="/dev/litepool-%s/vol-%s" % (LVM_POOL, uid))
        conditions = [c for c in status.get("conditions", []) if c["type"] != "Ready"] + [{"type": "Ready", "status": "True"}]
        if any(status.get(k) != v for k, v in wanted.items()):
            time.sleep(self.delay)
            self.api.patch("storagevolumes", volume, {"status": dict(wanted, conditions=conditions)}, "/status")

    def snapshot(self, snapshot, snapshots, volumes):
        meta, status = snapshot["metadata"], snapshot.get("status", {})
        volume = volumes.get(snapshot["spec"]["volumeName"])
        group = meta.get("labels", {}).get("litepool.io/group")
        if "deletionTimestamp" in meta:
            if os.path.exists(self.file(snapshot)):
                os.unlink(self.file(snapshot))
            self.api.patch("storagesnapshots", snapshot, {"metadata": {"finalizers": [f for f in meta["finalizers"] if f != FINALIZER["storagesnapshots"]]}})
        elif FINALIZER["storagesnapshots"] not in meta.get("finalizers", []):
            self.api.patch("storagesnapshots", snapshot, {"metadata": {"finalizers": [FINALIZER["storagesnapshots"]]}})
        elif not status.get("readyToUse") and volume and volume.get("status", {}).get("phase") == "Ready":
            members = [s for s in snapshots.values() if s["metadata"].get("labels", {}).get("litepool.io/group") == group]
            if group and len(members) < int(meta["annotations"]["litepool.io/group-size"]):
                return
            subprocess.run(["cp", "--sparse=always", self.file(volume), self.file(snapshot)], check=True)
            self.api.patch("storagesnapshots", snapshot, {"status": {
                "readyToUse": True, "creationTime": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "poolName": volume["status"]["poolName"],
                "uuid": meta["uid"], "size": int(volume["status"]["size"])}}, "/status")

    def run_once(self):
        volumes = {v["metadata"]["name"]: v for v in self.api.list("storagevolumes")}
        snapshots = {s["metadata"]["name"]: s for s in self.api.list("storagesnapshots")}
        for volume in volumes.values():
            self.volume(volume, snapshots, volumes)
        for snapshot in snapshots.values():
            self.snapshot(snapshot, snapshots, volumes)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("socket")
    parser.add_argument("folder")
    parser.add_argument("--node", action="append", default=[])
    parser.add_argument("--delay", type=float, default=0)
    parser.add_argument("--capacity", type=int, default=1 << 40)
    standin, wake = Standin(parser.parse_args()), threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    standin.start()
    for plural in ("storagevolumes", "storagesnapshots"):
        threading.Thread(target=standin.api.follow, args=(plural, wake, []), daemon=True).start()
    print("ready", flush=True)
    while True:
        wake.wait(0.5)
        wake.clear()
        try:
            standin.run_once()
        except (OSError, KeyError, http.client.HTTPException, subprocess.SubprocessError) as e:
            print("standin:", repr(e), flush=True)


if __name__ == "__main__":
    main()

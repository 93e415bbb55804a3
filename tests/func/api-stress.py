#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""api-stress.py kill|watches|slow ...: clients that are many, interrupted, or slow, for tests/func/controller*.sh.

kill DIR SEED COMMAND...      starts the server again and again, kills it -9 while four clients write, and checks after each start that
                              all that was acknowledged is there and that no number went back
watches SOCKET N PID          N watches at once; each must see a change; when they are gone, so are the server's connections
slow SOCKET                   a client that sends half a request line is cut; others are answered meanwhile
"""
import http.client
import json
import os
import random
import resource
import select
import signal
import socket
import subprocess
import sys
import threading
import time

VOLUMES = "/apis/litepool.io/v1alpha1/storagevolumes"
LIMIT = int(os.environ.get("LITEPOOL_TEST_LIMIT", "60"))


class Api(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("litepool", timeout=LIMIT)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)  # before the time limit: it waits while the server's queue is full
        self.sock.settimeout(self.timeout)

    def call(self, method, target, body=None, content_type="application/json"):
        self.request(method, target, json.dumps(body) if body is not None else None,
                     {"Content-Type": content_type} if body is not None else {})
        rsp = self.getresponse()
        return rsp.status, json.loads(rsp.read())


def volume(name):
    return {"metadata": {"name": name}, "spec": {"size": "1Gi"}}


def wait_until(what, condition):
    end = time.monotonic() + LIMIT
    while not condition():
        if time.monotonic() > end:
            sys.exit(f"waited {LIMIT} s for: {what}")
        time.sleep(0.05)


def healthy(path):
    try:
        api = Api(path)
        api.request("GET", "/healthz")
        return api.getresponse().read() == b"ok"
    except OSError:
        return False


class Writer(threading.Thread):
    """Creates and patches until the server dies; acked: name -> (version, label)."""

    def __init__(self, path, prefix):
        super().__init__()
        self.path, self.prefix, self.acked, self.problem, self.count = path, prefix, {}, None, 0

    def run(self):
        try:
            api = Api(self.path)
            while True:
                name = f"{self.prefix}-{self.count}"
                code, obj = api.call("POST", VOLUMES, volume(name))
                if code != 201:
                    raise ValueError(f"create {name}: {code} {obj}")
                self.acked[name] = (int(obj["metadata"]["resourceVersion"]), None)
                code, obj = api.call("PATCH", f"{VOLUMES}/{name}", {"metadata": {"labels": {"n": str(self.count)}}},
                                     "application/merge-patch+json")
                if code != 200:
                    raise ValueError(f"patch {name}: {code} {obj}")
                self.acked[name] = (int(obj["metadata"]["resourceVersion"]), str(self.count))
                self.count += 1
        except (OSError, http.client.HTTPException):
            pass  # it was killed
        except ValueError as e:
            self.problem = e


def check_acked(path, acked, highest):
    code, found = Api(path).call("GET", VOLUMES)
    version = int(found["metadata"]["resourceVersion"])
    if code != 200 or version < highest:
        sys.exit(f"the version went back: {highest} was told, now it is {version}")
    there = {o["metadata"]["name"]: o["metadata"] for o in found["items"]}
    for name, (number, label) in acked.items():
        if name not in there:
            sys.exit(f"{name} was acknowledged and is gone")
        if int(there[name]["resourceVersion"]) < number:
            sys.exit(f"{name} went back to {there[name]['resourceVersion']} from {number}")
        if label is not None and there[name].get("labels", {}).get("n") != label:
            sys.exit(f"the acknowledged patch of {name} is lost")
    versions = [int(m["resourceVersion"]) for m in there.values()]
    if len(set(versions)) != len(versions) or (versions and max(versions) > version):
        sys.exit("a version was given twice, or is ahead of the list's")
    return version


def kill(directory, seed, command):
    rng, acked, highest = random.Random(seed), {}, 0
    path = os.path.join(directory, "kill.sock")
    for turn in range(10):
        with open(os.path.join(directory, "kill.log"), "ab") as log:
            server = subprocess.Popen(command + ["--socket", path], stderr=log)
        try:
            wait_until("the server", lambda: server.poll() is not None or healthy(path))
            if server.poll() is not None:
                sys.exit(f"it did not start again after {turn} kills (seed {seed}); see kill.log")
            highest = max(highest, check_acked(path, acked, highest))
            writers = [Writer(path, f"t{turn}w{i}") for i in range(4)]
            for w in writers:
                w.start()
            enough = rng.randrange(1, 40)
            wait_until("writes", lambda: sum(w.count for w in writers) >= enough or any(w.problem for w in writers))
        finally:
            server.send_signal(signal.SIGKILL)
            server.wait()
        for w in writers:
            w.join()
            if w.problem:
                sys.exit(f"{w.problem} (seed {seed})")
            acked.update(w.acked)
            highest = max([highest] + [v for v, _ in w.acked.values()])
    print(f"{len(acked)} acknowledged objects over 10 kills, seed {seed}")


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def watches(path, n, pid):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    before = descriptors(pid)
    _, found = Api(path).call("GET", VOLUMES)
    target = f"{VOLUMES}?watch=1&resourceVersion={found['metadata']['resourceVersion']}"
    socks = []
    for _ in range(n):
        s = socket.socket(socket.AF_UNIX)
        s.connect(path)  # without a time limit: it waits while the server's queue is full
        s.settimeout(LIMIT)
        s.sendall(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        socks.append(s)
    code, _ = Api(path).call("POST", VOLUMES, volume("seen-by-all"))
    if code != 201:
        sys.exit(f"no write while {n} watch: {code}")
    for s in socks:
        got = b""
        while b'"ADDED"' not in got or b"seen-by-all" not in got:
            piece = s.recv(65536)
            if not piece:
                sys.exit("a watch ended before it saw the change")
            got += piece
    for s in socks:
        s.close()
    wait_until("the connections of watches that have gone", lambda: descriptors(pid) <= before + 8)
    print(f"{n} watches saw the change")


def slow(path):
    s = socket.socket(socket.AF_UNIX)
    s.connect(path)
    s.settimeout(LIMIT)
    s.sendall(b"GET /heal")
    poller = select.poll()
    poller.register(s, select.POLLIN)
    end = time.monotonic() + LIMIT
    drips = 0
    while not poller.poll(1000):
        if time.monotonic() > end:
            sys.exit("a client that sends a byte a second was not cut")
        s.sendall(b"x")
        drips += 1
        if not healthy(path):
            sys.exit("others are not answered")
    if s.recv(100):
        sys.exit("half a request was answered")
    print(f"cut after {drips} bytes")


def main():
    what, rest = sys.argv[1], sys.argv[2:]
    if what == "kill":
        kill(rest[0], int(rest[1]), rest[2:])
    elif what == "watches":
        watches(rest[0], int(rest[1]), int(rest[2]))
    else:
        slow(rest[0])


main()

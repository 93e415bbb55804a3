#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An engine that misbehaves: starts a real litepool-engine and stands between it and its clients, and does to each Nth call of a method what is next in a list. Methods that change something are called rarely: of those it is each third call.

    faulty-engine.py LISTEN REAL ENGINE [ENGINE OPTION...]

LISTEN is the socket that clients use, REAL the engine's own. A method of its own sets it: test_faults {"every": N, "actions": [...]} (0: none), and test_counts tells how often each was done.

    error:CODE   the call does not reach the engine; this error is the answer
    lost         the engine does it, and the connection ends without an answer
    cut          ... in the middle of the answer
    garbage      ... and the answer is no JSON
    null, number, object   ... and the result is that instead
    other-id     ... and the answer has another id
    late:SECONDS ... and the answer comes later
    restart      the engine is killed and started again before the call, which is lost
    done-restart the same after the engine has done it
"""
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time

LISTEN, REAL, COMMAND = sys.argv[1], sys.argv[2], sys.argv[3:]
START_S = 60
CHANGES_EVERY = 3


class Engine:
    def __init__(self):
        self.lock = threading.Lock()
        self.process = None
        self.restarts = 0

    def start(self):
        self.process = subprocess.Popen([*COMMAND, "--rpc-socket", REAL], stdin=subprocess.DEVNULL)
        end = time.monotonic() + START_S
        while time.monotonic() < end:
            try:
                answer = ask(connect(), json.dumps({"jsonrpc": "2.0", "id": 1, "method": "framework_wait_init"}).encode())
                if answer and "result" in json.loads(answer):
                    return
            except OSError:
                pass
            time.sleep(0.02)
        sys.exit("the engine does not come up")

    def restart(self, known):
        """Once for all calls that were on their way then."""
        with self.lock:
            if self.restarts == known:
                self.process.kill()
                self.process.wait()
                self.start()
                self.restarts += 1


class Plan:
    def __init__(self):
        self.lock = threading.Lock()
        self.every, self.actions = 0, []
        self.seen, self.done = {}, {}
        self.turn = 0

    def set(self, every, actions):
        with self.lock:
            self.every, self.actions = every, actions

    def next(self, method):
        with self.lock:
            if not self.every or not self.actions:
                return None
            self.seen[method] = self.seen.get(method, 0) + 1
            if self.seen[method] % (self.every if re.search("get|status|wait", method) else min(CHANGES_EVERY, self.every)):
                return None
            action = self.actions[self.turn % len(self.actions)]
            self.turn += 1
            self.done.setdefault(method, {})
            self.done[method][action] = self.done[method].get(action, 0) + 1
            return action

    def counts(self):
        with self.lock:
            return {"methods": self.done, "all": self.turn, "turns": self.turn // max(1, len(self.actions))}


def connect():
    s = socket.socket(socket.AF_UNIX)
    s.connect(REAL)
    return s


def receive(s):
    """One whole JSON value; None at the end."""
    data = b""
    while True:
        chunk = s.recv(1 << 20)
        if not chunk:
            return None
        data += chunk
        try:
            json.loads(data)
            return data
        except json.JSONDecodeError:
            continue


def ask(s, request):
    s.sendall(request)
    return receive(s)


def spoil(action, answer):
    """What the client gets instead of the answer; None: nothing more."""
    if action == "lost":
        return None, True
    if action == "cut":
        return answer[:len(answer) // 2], True
    if action == "garbage":
        return b"}{ no JSON", True
    value = json.loads(answer)
    if action == "other-id":
        value["id"] = 1 << 40
        return json.dumps(value).encode(), True
    value.pop("error", None)
    value["result"] = {"null": None, "number": 7, "object": {}}[action]
    return json.dumps(value).encode(), False


def own(request):
    if request["method"] == "test_faults":
        plan.set(request["params"]["every"], request["params"]["actions"])
        return True
    return plan.counts() if request["method"] == "test_counts" else None


def one(client, upstream, data):
    """False: the connection ends."""
    request = json.loads(data)
    action, known = plan.next(request["method"]), engine.restarts
    if action and action.startswith("error:"):
        error = {"code": int(action[6:]), "message": "a fault of this test"}
        client.sendall(json.dumps({"jsonrpc": "2.0", "id": request.get("id"), "error": error}).encode())
        return True
    if action == "restart":
        engine.restart(known)
        return False
    answer = ask(upstream, data)
    if answer is None:
        return False
    if action == "done-restart":
        engine.restart(known)
        return False
    last = False
    if action and action.startswith("late:"):
        time.sleep(float(action[5:]))
    elif action:
        answer, last = spoil(action, answer)
    if answer:
        client.sendall(answer)
    return not last


def serve(client):
    try:
        with client:
            data = receive(client)
            # Ours are answered whatever the engine does.
            if data and (mine := own(json.loads(data))) is not None:
                client.sendall(json.dumps({"jsonrpc": "2.0", "id": json.loads(data).get("id"), "result": mine}).encode())
                return
            with connect() as upstream:
                while data and one(client, upstream, data):
                    data = receive(client)
    except OSError:
        pass  # one of the two went away: so does the other


def stop(*_):
    engine.process.kill()
    os._exit(0)


plan, engine = Plan(), Engine()
signal.signal(signal.SIGTERM, stop)
engine.start()
listener = socket.socket(socket.AF_UNIX)
listener.bind(LISTEN)
listener.listen(64)
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

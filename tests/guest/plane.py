# SPDX-License-Identifier: Apache-2.0
"""The real control plane beside a guest: litepool-controller with the embedded API (TLS, for the guest), the agent of node-1 and the engine that it starts, with a pool on a file.

They run on this machine, at its speed; the guest is a node without disks ("guest"), where litepool-csi runs with the kernel's nvme-tcp. A third node ("other") is played by lp-perf.
"""
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import time

GROUP = "/apis/litepool.io/v1alpha1/"
LIMIT_S = 240
POOL = "3Gi"  # the agent takes the space at once
API = ("10.99.0.1", 7443)
TARGETS = "10.99.0.2"  # volumes have an address of their own, so that a guest can lose it and still talk to the control service
OTHER = "nqn.2014-08.org.nvmexpress:uuid:99999999-2222-3333-4444-555555555555"
GUEST = "nqn.2014-08.org.nvmexpress:uuid:11111111-2222-3333-4444-555555555555"


class Unix(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("litepool", timeout=120)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(120)
        self.sock.connect(self.path)


class Plane:
    def __init__(self, build, folder):
        self.build, self.folder = build, folder
        self.running, self.logs = {}, {}

    def path(self, name):
        return os.path.join(self.folder, name)

    def program(self, name):
        return os.path.join(self.build, {"controller": "src/controller/litepool-controller", "agent": "src/agent/litepool-agent",
                                         "engine": "src/engine/litepool-engine"}[name])

    def words(self, name):
        if name == "controller":
            return ["--embedded", "--state-dir", self.path("api"), "--socket", self.path("api.sock"), "--listen", f"{API[0]}:{API[1]}", "--tls-cert",
                    self.path("tls/server.crt"), "--tls-key", self.path("tls/server.key"), "--client-ca", self.path("tls/ca.crt")]
        return ["--node", "node-1", "--server", "unix:" + self.path("api.sock"), "--state-dir", self.path("agent"), "--engine", "spawn", "--engine-bin",
                self.program("engine"), "--engine-socket", self.path("engine.sock"), "--engine-state-dir", self.path("state"), "--engine-options", "--cores 1",
                "--addresses", TARGETS, "--root", self.path("root"), "--poll", "1", "--check", "3", "--stop-engine"]

    def start_part(self, name):
        with open(self.path(name + ".log"), "ab") as log:
            self.running[name] = subprocess.Popen([self.program(name), *self.words(name)], stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def kill_part(self, name):
        self.running[name].kill()
        self.running.pop(name).wait()

    def wait(self, what, fn):
        deadline = time.monotonic() + LIMIT_S
        while not fn():
            for name, process in self.running.items():
                if process.poll() is not None:
                    raise RuntimeError(f"the {name} ended with {process.returncode}: {self.tail()}")
            if time.monotonic() > deadline:
                said = [c.get("message") for pool in self.api("GET", "storagepools")[1].get("items", []) for c in pool.get("status", {}).get("conditions", [])]
                raise RuntimeError(f"waited in vain for {what}: {said} {self.tail()}")
            time.sleep(0.05)

    def api(self, method, path, body=None):
        """(code, object)."""
        connection = Unix(self.path("api.sock"))
        try:
            kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
            connection.request(method, GROUP + path, body if body is None or isinstance(body, str) else json.dumps(body), {"Content-Type": kind})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read() or b"{}")
        finally:
            connection.close()

    def answers(self):
        try:
            return self.api("GET", "storagenodes")[0] == 200
        except OSError:
            return False

    def ready(self, kind, name):
        code, found = self.api("GET", f"storage{kind}s/{name}")
        conditions = found.get("status", {}).get("conditions", []) if code == 200 else []
        return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)

    def start(self):
        tls, controller = self.path("tls"), self.program("controller")
        os.mkdir(self.path("root"))
        for words in (["init-tls", "--names", API[0]], ["issue", "--user", "csi", "--role", "csi", "--server", f"https://{API[0]}:{API[1]}"]):
            subprocess.run([controller, words[0], "--dir", tls, *words[1:]], stdout=subprocess.DEVNULL, check=True)
        self.start_part("controller")
        self.wait("the API", self.answers)
        self.start_part("agent")
        for name, nqn in (("guest", GUEST), ("other", OTHER)):
            self.api("POST", "storagenodes", {"metadata": {"name": name}, "spec": {"hostNQN": nqn, "hostID": nqn.rsplit(":", 1)[1], "maxAttachedVolumes": 128}})
        self.wait("node-1", lambda: self.ready("node", "node-1"))
        self.api("POST", "storagepools", {"metadata": {"name": "p1"}, "spec": {"nodeName": "node-1", "device": {"file": self.path("pool.img")}, "size": POOL}})
        self.wait("the pool", lambda: self.ready("pool", "p1"))

    def stop(self):
        """True when all ended in order."""
        well = True
        for name in ("agent", "controller"):
            process = self.running.pop(name, None)
            if not process:
                continue
            process.send_signal(signal.SIGTERM)
            try:
                well = process.wait(timeout=LIMIT_S) == 0 and well
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                well = False
        pid = self.engine_pid()  # of one whose agent was killed
        if pid:
            os.kill(pid, signal.SIGKILL)
        return well

    def engine_pid(self):
        for entry in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{entry}/cmdline", "rb") as f:
                    words = f.read().split(b"\0")
            except OSError:
                continue
            if words[0].endswith(b"litepool-engine") and self.path("engine.sock").encode() in words:
                return int(entry)
        return None

    def tail(self):
        text = ""
        for name in ("controller", "agent"):
            if os.path.exists(self.path(name + ".log")):
                with open(self.path(name + ".log"), errors="replace") as log:
                    text += f"--- {name}\n" + "".join(log.readlines()[-30:])
        return text

    def guest_files(self):
        """What the guest gets, as options of guest-run.sh."""
        return ["-i", self.path("tls")]


class PlaneCommands:
    """What a scenario may ask for, one method each; arguments are words, the answer is text."""

    def __init__(self, plane):
        self.plane = plane

    def get(self, path, *keys):
        """A member of an API object: get storagevolumes/NAME status format state."""
        value = self.plane.api("GET", path)[1]
        for key in keys:
            value = value.get(key, {}) if isinstance(value, dict) else value[int(key)]
        return value if isinstance(value, str) else json.dumps(value)

    def patch(self, path, body):
        code, answer = self.plane.api("PATCH", path, body)
        if code != 200:
            raise ValueError(f"{code}: {answer.get('message')}")
        return ""

    def count(self, plural):
        return str(len(self.plane.api("GET", plural)[1]["items"]))

    def kill_part(self, name):
        self.plane.kill_part(name)
        return ""

    def start_part(self, name):
        self.plane.start_part(name)
        return ""

    def engine(self, what):
        """kill: the agent starts another; stop, cont: it hangs, and goes on."""
        os.kill(self.plane.engine_pid(), {"kill": signal.SIGKILL, "stop": signal.SIGSTOP, "cont": signal.SIGCONT}[what])
        return ""

    def other(self, volume, *words):
        """lp-perf on the volume as node "other"; its JSON."""
        target = self.plane.api("GET", "storagevolumes/" + volume)[1]["status"]["targets"][0]
        run = subprocess.run([os.path.join(self.plane.build, "bench/lp-perf"), "--addr", target["address"], "--port", str(target["port"]), "--nqn", target["nqn"],
                              "--hostnqn", OTHER, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=LIMIT_S, check=False)
        if run.returncode:
            raise ValueError(f"lp-perf ended with {run.returncode}: {run.stdout}")
        return run.stdout.replace("\n", " ")

    def file(self, name):
        if not re.fullmatch(r"[a-z0-9-]+", name):
            raise ValueError(f"bad name '{name}'")
        return self.plane.path(name)

    def log_has(self, part, pattern):
        with open(self.plane.path(part + ".log"), errors="replace") as log:
            found = [line for line in log if re.search(pattern, line)]
        if not found:
            raise ValueError(f"no log line of {part} matches '{pattern}'")
        return found[-1].strip()

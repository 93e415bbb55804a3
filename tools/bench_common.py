# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks of tools/bench share: processes, the engine, measuring in turns, the last line."""
import atexit
import json
import os
import platform
import re
import shutil
import signal
import socket
import statistics
import subprocess
import tempfile
import time

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
BUILD = os.path.join(ROOT, os.environ.get("LITEPOOL_BUILD", "build"))
NQN = "nqn.2026-01.io.litepool:bench"
REGION_MIB = 256
CPUS = sorted(os.sched_getaffinity(0))
SERVER_CPU, LOAD_CPU = CPUS[0], CPUS[-1]


class Failure(Exception):
    """What a person is told instead of a result."""


# --- processes ---

def tool(name):
    folder = {"litepool-engine": "src/engine"}.get(name, "bench")
    path = os.path.join(BUILD, folder, name)
    if not os.access(path, os.X_OK):
        raise Failure(f"{path} is not built: run make, or name the build folder in LITEPOOL_BUILD")
    return path


def need(program, package):
    path = shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin")
    if not path:
        raise Failure(f"{program} is missing: tools/deps bench installs it (Debian package {package})")
    return path


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(what, condition, seconds=10):
    limit = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > limit:
            raise Failure(f"{what} did not happen within {seconds} s")
        time.sleep(0.02)


def accepts(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


class Process:
    """A server of one benchmark; ends with it, whatever happens."""

    def __init__(self, args, cpu=None, end=signal.SIGTERM):
        pin = (lambda: os.sched_setaffinity(0, {cpu})) if cpu is not None else None
        self.log = tempfile.TemporaryFile()
        self.end_signal = end
        self.p = subprocess.Popen(args, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
                                  preexec_fn=pin)
        atexit.register(self.stop)

    def check(self):
        if self.p.poll() is not None:
            self.log.seek(0)
            raise Failure(f"{self.p.args[0]} ended: {self.log.read().decode(errors='replace')[-800:]}")

    def stop(self):
        if self.p.poll() is None:
            self.p.send_signal(self.end_signal)
            try:
                self.p.wait(10)
            except subprocess.TimeoutExpired:
                self.p.kill()
                self.p.wait()


class Engine(Process):
    """litepool-engine; with a bdev, as one namespace on one listener."""

    def __init__(self, bdev=None, transport=None):
        # A tmpfs, as /run is: pools have their notes beside the socket.
        self.dir = tempfile.mkdtemp(prefix="litepool-bench-", dir="/dev/shm")
        atexit.register(shutil.rmtree, self.dir, True)
        self.rpc_path = os.path.join(self.dir, "rpc.sock")
        self.port = free_port()
        super().__init__(self.command())
        wait_for("the engine's start", self.up)
        self.rpc("nvmf_create_transport", {"trtype": "TCP", **(transport or {})})
        if bdev:
            method, params = bdev
            self.rpc(method, params)
            self.export(params["name"])

    def command(self):
        return [tool("litepool-engine"), "--foreground", "--state-dir", self.dir, "--rpc-socket", self.rpc_path, "--cores",
                f"[{SERVER_CPU}]"]

    def export(self, bdev, nqn=NQN):
        self.rpc("nvmf_create_subsystem", {"nqn": nqn, "allow_any_host": True})
        self.rpc("nvmf_subsystem_add_ns", {"nqn": nqn, "namespace": {"bdev_name": bdev}})
        self.rpc("nvmf_subsystem_add_listener", {"nqn": nqn, "listen_address": {
            "trtype": "TCP", "adrfam": "IPv4", "traddr": "127.0.0.1", "trsvcid": str(self.port)}})

    def up(self):
        self.check()
        try:
            self.rpc("framework_wait_init")
            return True
        except OSError:  # no socket yet, or nobody listens on it yet
            return False

    def rpc(self, method, params=None):
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(20)
            s.connect(self.rpc_path)
            s.sendall(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params or {}}).encode())
            text = b""
            while True:
                part = s.recv(65536)
                text += part
                try:
                    answer = json.loads(text)
                    break
                except ValueError:
                    if not part:
                        raise Failure(f"{method}: the engine closed the socket") from None
        if "error" in answer:
            raise Failure(f"{method}: {answer['error']}")
        return answer["result"]

    def perf_args(self, *args, nqn=NQN):
        return [tool("lp-perf"), "--port", str(self.port), "--nqn", nqn, "--cpu", str(LOAD_CPU), *args]

    def perf(self, *args, nqn=NQN):
        return run_json(self.perf_args(*args, nqn=nqn))

    def fill(self, mib=REGION_MIB, nqn=NQN, depth=8):
        """Every block is written once: reads of memory that was never touched would be too cheap."""
        self.perf("--write", "--sequential", "--bs", "128k", "--qd", str(depth), "--ios", str(mib * 8), "--seconds", "20",
                  nqn=nqn)


def run_json(args, limit=50):
    p = subprocess.run(args, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                       timeout=limit, check=False)
    if p.returncode:
        raise Failure(f"{os.path.basename(args[0])}: {p.stderr.decode(errors='replace').strip()}")
    return json.loads(p.stdout)


def ram_disk():
    return ("bdev_malloc_create", {"name": "ram0", "num_blocks": REGION_MIB * 256, "block_size": 4096})


# --- measuring ---

def interleave(sides, rounds, rotate=False):
    """sides: name -> function that measures once. Name -> list of results. rotate: each round begins with another side, for what a side leaves behind (a disk that is still
    busy, a rate that was used up) to hit all of them."""
    results = {name: [] for name in sides}
    order = list(sides)
    for i in range(rounds):
        turn = i % len(order) if rotate else 0
        for name in order[turn:] + order[:turn]:
            measure = sides[name]
            results[name].append(measure())
            r = results[name][-1]
            print(f"  round {i + 1} {name}: iops={r['iops']} p50_us={r.get('p50_us', 0)} "
                  f"p99_us={r.get('p99_us', 0)}", flush=True)
    return results


def median(results, key):
    return statistics.median(r[key] for r in results)


def paired(results, ours, theirs, key="iops"):
    """
    The median of the rounds' own ratios, and their quartiles as text. A machine shared with others gets faster and slower by half within
    seconds: both sides of a round are neighbours in time, the medians of the two sides are not.
    """
    ratios = [a[key] / b[key] for a, b in zip(results[ours], results[theirs])]
    low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive")
    return middle, f"{low:.3g}..{high:.3g}"


def machine():
    model = "?"
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        for line in f:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    with open("/proc/sys/net/ipv4/tcp_congestion_control", encoding="utf-8") as f:
        congestion = f.read().strip()
    print(f"machine: {model}, {len(CPUS)} cores, Linux {platform.release()}, congestion {congestion}, "
          f"load {os.getloadavg()[0]:.2f}; engine on core {SERVER_CPU}, load on core {LOAD_CPU}", flush=True)


last_lines = []  # of the benchmarks so far


def result(name, ratio, **keys):
    mode = "own-cores" if SERVER_CPU != LOAD_CPU else "one-core"
    text = " ".join(f"{k}={v}" for k, v in keys.items())
    last_lines.append(f"{name} ratio={ratio:.4g} {text} mode={mode},poll-default load={os.getloadavg()[0]:.2f}")
    print(last_lines[-1], flush=True)


def span(seconds):
    return ["--seconds", str(seconds), "--warmup", "0.3"]

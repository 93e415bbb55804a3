# SPDX-License-Identifier: Apache-2.0
"""Benchmarks of hot upgrade and restart, for tools/bench."""
import json
import os
import signal
import subprocess
import time

from bench_common import BUILD, NQN, REGION_MIB, SERVER_CPU, Engine, Failure, ram_disk, result, tool
from bench_store import POOL, large_pool

UPGRADES = 20


class Supervised(Engine):
    """An engine under litepool-supervisor; what ends it ends the supervisor."""

    def __init__(self, bdev=None, cores=None):
        self.cores = cores or f"[{SERVER_CPU}]"
        super().__init__(bdev)

    def command(self):
        return [os.path.join(BUILD, "src/supervisor/litepool-supervisor"), "--engine", tool("litepool-engine"), "--state-dir",
                self.dir, "--", "--rpc-socket", self.rpc_path, "--cores", self.cores]

    def pid(self):
        return self.rpc("litepool_engine_status")["pid"]

    def upgrade(self, **params):
        """One upgrade, or what else it is asked for; its report."""
        self.rpc("litepool_upgrade_start", {"deadline_ms": 5000, **params})
        while True:
            report = self.rpc("litepool_upgrade_status")
            if report["state"] != "running":
                break
            time.sleep(0.05)
        if report["state"] not in ("done", "dry-run"):
            raise Failure(f"the upgrade was given up at {report['step']}: {report['error']}")
        return report


def load(engine, conns, seconds):
    args = engine.perf_args("--mix", "70", "--qd", "4", "--conns", str(conns), "--per-host", "8", "--seconds", str(seconds))
    return subprocess.Popen(args, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def load_end(process):
    out, err = process.communicate(timeout=120)
    if process.returncode:
        raise Failure(f"lp-perf: {err.decode(errors='replace').strip()}")
    answer = json.loads(out)
    if answer["errors"] or answer["reconnects"]:
        raise Failure(f"hosts noticed: errors={answer['errors']} reconnects={answer['reconnects']}")
    return answer


def upgrades(engine, count, lines):
    """The stops of that many upgrades in a row, in ms, and the CPU time in them; the last report."""
    stops, cpu, calm = [], [], []
    for i in range(count):
        report = engine.upgrade()
        stops.append(report["stop_ms"])
        cpu.append(sum(report["stop_cpu_us"].values()) / 1000)
        calm.append(report["steps"]["calm"])
        parts = " ".join(f"{name}={us}" for name, us in report["stop_us"].items())
        print(f"  {lines} {i + 1}: stop_ms={stops[-1]:.3f} cpu_ms={cpu[-1]:.3f} calm_ms={calm[-1]:.1f} "
              f"connections={report['connections']} us: {parts}", flush=True)
        time.sleep(0.2)
    return {"stop_ms_max": round(max(stops), 3), "stop_ms_p50": middle(stops), "stop_cpu_ms_p50": middle(cpu),
            "calm_ms_max": round(max(calm), 1)}


def middle(values):
    return round(sorted(values)[len(values) // 2], 3)


def bench_upgrade(name, conns):
    """20 upgrades under 4 KiB mixed load: the longest stop, and the worst latency a client sees, beside the same load without upgrades."""
    engine = Supervised(ram_disk())
    engine.fill()
    quiet = load_end(load(engine, conns, 10))
    process = load(engine, conns, 600)
    time.sleep(2)
    estimate = engine.upgrade(dry_run=True)["estimate_ms"]
    stops = upgrades(engine, UPGRADES, "upgrade")
    process.send_signal(signal.SIGTERM)
    busy = load_end(process)
    engine.stop()
    worst, before = busy["max_us"] / 1000, quiet["max_us"] / 1000
    return result(name, worst / before if before else 0, **stops, estimate_ms=round(estimate, 3), client_ms_max=round(worst, 3),
                  client_ms_max_without=round(before, 3), upgrades=UPGRADES, conns=conns)


def on_pool(what, image, checksums):
    """Stops of half as many upgrades with 64 connections to a volume of a pool: of that image, or a new one with sums of its data or without."""
    engine = Supervised()
    path = image or os.path.join(engine.dir, "disk")
    if not image:
        with open(path, "wb") as f:
            f.truncate(1 << 30)
    engine.rpc("bdev_aio_create", {"name": "d", "filename": path, **({"block_size": 512} if image else {})})
    if not image:
        engine.rpc("bdev_lvol_create_lvstore", {"bdev_name": "d", "lvs_name": POOL, "checksums": checksums})
        engine.rpc("bdev_lvol_create", {"lvs_name": POOL, "lvol_name": "v0", "size_in_mib": REGION_MIB, "thin_provision": True})
    engine.export(f"{POOL}/v0")
    engine.fill()
    process = load(engine, 64, 600)
    time.sleep(2)
    stops = upgrades(engine, UPGRADES // 2, what)
    process.send_signal(signal.SIGTERM)
    load_end(process)
    engine.stop()
    return {f"{key}_{what}": value for key, value in stops.items() if key.startswith("stop_ms")}


def bench_upgrade_pool(name):
    """The stop with 64 connections to a volume of a pool with 10 TiB mapped, beside one with 64 GiB."""
    keys = {}
    for mapped in ("64g", "10t"):
        image = large_pool(mapped)
        keys.update(on_pool(mapped, image, False))
        os.unlink(image)
    grows = keys["stop_ms_p50_10t"] - keys["stop_ms_p50_64g"]
    return result(name, keys["stop_ms_p50_10t"] / keys["stop_ms_p50_64g"], grows_ms=round(grows, 3), **keys)


def bench_upgrade_sums(name):
    """The stop with 64 connections to a volume of a pool with sums of its data, beside one without."""
    keys = {**on_pool("plain", None, False), **on_pool("sums", None, True)}
    return result(name, keys["stop_ms_p50_sums"] / keys["stop_ms_p50_plain"], **keys)


def bench_restart(name):
    """From kill -9 of the engine to the first I/O served again, 1000 volumes on 10 TiB; beside the same with one volume."""
    ms = {volumes: restart(volumes) for volumes in (1, 1000)}
    return result(name, ms[1000] / ms[1], ms=round(ms[1000], 1), ms_one_volume=round(ms[1], 1), volumes=1000, tib=10)


def restart(volumes):
    engine = Supervised()
    disk = os.path.join(engine.dir, "disk")
    with open(disk, "wb") as f:
        f.truncate(10 << 40)
    engine.rpc("bdev_aio_create", {"name": "d", "filename": disk})
    engine.rpc("bdev_lvol_create_lvstore", {"bdev_name": "d", "lvs_name": "p"})
    for i in range(volumes):
        engine.rpc("bdev_lvol_create", {"lvs_name": "p", "lvol_name": f"v{i}", "size_in_mib": 10240, "thin_provision": True})
        engine.export(f"p/v{i}", f"{NQN}{i}")
    last = f"{NQN}{volumes - 1}"
    engine.perf("--write", "--ios", "16", "--seconds", "10", "--size", "16m", nqn=last)
    begin = time.monotonic()
    os.kill(engine.pid(), signal.SIGKILL)
    while True:
        try:
            engine.perf("--read", "--ios", "1", "--seconds", "10", "--size", "16m", nqn=last)
            break
        except Failure:
            if time.monotonic() > begin + 60:
                raise
    ms = (time.monotonic() - begin) * 1000
    engine.stop()
    print(f"  volumes={volumes} ms={ms:.1f}", flush=True)
    return ms


BENCHES = {
    "upgrade-64": (lambda n: bench_upgrade(n, 64), "20 hot upgrades under load on 64 connections: worst latency to that without upgrades"),
    "upgrade-1000": (lambda n: bench_upgrade(n, 1000), "the same on 1000 connections"),
    "upgrade-pool": (bench_upgrade_pool, "the stop of an upgrade with a pool of 10 TiB mapped: to that with 64 GiB"),
    "upgrade-sums": (bench_upgrade_sums, "the stop of an upgrade with a pool with sums of data under load: to that without"),
    "restart-time": (bench_restart, "kill -9 to the first I/O, 1000 volumes on 10 TiB: to that of one volume"),
}

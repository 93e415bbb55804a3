# SPDX-License-Identifier: Apache-2.0
"""Benchmarks of the volume store; tools/bench runs them.

"File" is a file in the build folder, opened with O_DIRECT and written once in full, so that the file system below has
nothing to allocate: the nearest to a disk that needs no privileges. "RAM" is the engine's RAM disk, written once too: no disk time
hides what the store itself costs.
"""
import atexit
import json
import os
import shutil
import statistics
import subprocess
import tempfile
import time

from bench_common import BUILD, SERVER_CPU, Engine, Failure, interleave, result, run_json, tool

MIB = 1 << 20
POOL = "bench"
RAW_NQN, OTHER_NQN, VOLUME_NQN = (f"nqn.2026-01.io.litepool:{name}" for name in ("raw", "other", "volume"))


# --- disks and volumes ---

def folder(where=BUILD):
    path = tempfile.mkdtemp(prefix="litepool-bench-", dir=where)
    atexit.register(shutil.rmtree, path, True)
    return path


def written_file(path, mib):
    block = os.urandom(MIB)
    with open(path, "wb") as f:
        for _ in range(mib):
            f.write(block)
        f.flush()
        os.fsync(f.fileno())
    return path


def add_disk(engine, name, mib, where):
    """where: a folder for a file, None: RAM."""
    if where:
        path = written_file(os.path.join(where, name + ".img"), mib)
        engine.rpc("bdev_aio_create", {"name": name, "filename": path, "block_size": 4096})
    else:
        engine.rpc("bdev_malloc_create", {"name": name, "num_blocks": mib * 256, "block_size": 4096})
        engine.export(name, RAW_NQN)  # memory that was never touched, or in small pages, would be counted as the store's slowness
        engine.fill(mib, RAW_NQN)
        # Once more: about one region of 2 MiB in forty was in use when it was to become a huge page, and would become one (6 ms, in which who touches it waits) when it is used next.
        engine.fill(mib, RAW_NQN, depth=1)
        drop_export(engine, RAW_NQN)


def add_pool(engine, mib, where, sums=False):
    add_disk(engine, "pooled", mib, where)
    engine.rpc("bdev_lvol_create_lvstore", {"bdev_name": "pooled", "lvs_name": POOL, "checksums": sums})


def add_volume(engine, name, mib, nqn=VOLUME_NQN):
    engine.rpc("bdev_lvol_create", {"lvs_name": POOL, "lvol_name": name, "size_in_mib": mib, "thin_provision": True})
    engine.export(f"{POOL}/{name}", nqn)


def drop_export(engine, nqn=VOLUME_NQN):
    engine.rpc("nvmf_delete_subsystem", {"nqn": nqn})


def ratio_of(results, ours, theirs, key):
    """The median of the rounds' ratios: what changes on the machine from round to round is in both sides of each."""
    return statistics.median(a[key] / b[key] for a, b in zip(results[ours], results[theirs]))


def medians(results, key):
    return {name.replace("-", "_"): int(statistics.median(r[key] for r in runs)) for name, runs in results.items()}


# --- the steady state ---

def steady(where, qd, sums, mib=256, seconds=0.6):
    """A thin volume that has all of its blocks, a raw disk of the same kind, and another like that, in one engine: how far the two raw ones are apart is what the place of a
    file on the machine's disk is worth."""
    engine = Engine()
    raw = {"raw": RAW_NQN, "other": OTHER_NQN}
    for name in raw:
        add_disk(engine, name, mib, where)
    add_pool(engine, mib + 64, where, sums)
    for name, nqn in raw.items():
        engine.export(name, nqn)  # not before: RAM disks are filled by that name
    add_volume(engine, "v", mib)
    nqns = {**raw, "volume": VOLUME_NQN}
    for nqn in nqns.values():
        engine.fill(mib, nqn)

    def load(direction, nqn):
        poll = [] if where else ["--poll"]  # a host that waits for a disk sleeps
        return lambda: engine.perf(f"--{direction}", "--qd", str(qd), *poll, "--seconds", str(seconds), "--warmup", "0.2",
                                   nqn=nqn)
    results = {}
    for direction in ("read", "write"):
        results |= interleave({f"{name}-{direction}": load(direction, nqn) for name, nqn in nqns.items()}, 6, rotate=True)
    engine.stop()
    return results


def bench_steady(name, qd, key, worse, sums=False):
    """worse: min for rates, max for latencies."""
    on_file, on_ram = steady(folder(), qd, sums), steady(None, qd, sums)
    ratios = {f"{prefix}{op}_ratio": ratio_of(results, f"volume-{op}", f"raw-{op}", key)
              for prefix, results in (("", on_file), ("ram_", on_ram)) for op in ("read", "write")}
    controls = {f"other_{op}_ratio": ratio_of(on_file, f"other-{op}", f"raw-{op}", key) for op in ("read", "write")}
    unit = "iops" if key == "iops" else "us"
    numbers = {f"{prefix}{side}_{unit}": round(statistics.median(r[key] for r in runs), 2)
               for prefix, results in (("", on_file), ("ram_", on_ram))
               for side, runs in ((s.replace("-", "_"), r) for s, r in results.items())}
    result(name, worse(ratios["read_ratio"], ratios["write_ratio"]),
           ram_ratio=f"{worse(ratios['ram_read_ratio'], ratios['ram_write_ratio']):.4g}",
           **{k: f"{v:.4g}" for k, v in (ratios | controls).items()}, **numbers)


# --- writes of blocks that the volume does not have yet ---

def random_writes(engine, ios, nqn=VOLUME_NQN):
    return engine.perf("--write", "--qd", "32", "--ios", str(ios), "--seconds", "6", nqn=nqn)


def after_snapshot(where, mib, rounds):
    """Writes to as many random blocks as half of the volume has, with all of it in the head, and right after a snapshot. The same on raw disks of that kind, one that is written again
    and again, and one that was written long ago: what a write to another place costs this machine's disk, without a store."""
    engine = Engine()
    raws = [f"raw{i}" for i in range(rounds + 1)] if where else []
    add_pool(engine, mib * (rounds + 1) + 64, where)
    add_volume(engine, "v", mib)
    for name in raws:
        add_disk(engine, name, mib, where)
        engine.export(name, f"{RAW_NQN}-{name}")
    engine.fill(mib, VOLUME_NQN)
    numbers, places = iter(range(rounds)), iter(raws[1:])

    def after():
        engine.rpc("bdev_lvol_snapshot", {"lvol_name": f"{POOL}/v", "snapshot_name": f"s{next(numbers)}"})
        r = random_writes(engine, mib * 128)
        engine.fill(mib, VOLUME_NQN)  # all in the head again
        return r

    def elsewhere():
        nqn = f"{RAW_NQN}-{next(places)}"
        r = random_writes(engine, mib * 128, nqn)
        engine.fill(mib, nqn)
        return r
    sides = {"before": lambda: random_writes(engine, mib * 128), "after": after}
    if raws:
        engine.fill(mib, f"{RAW_NQN}-{raws[0]}")
        sides |= {"raw-same": lambda: random_writes(engine, mib * 128, f"{RAW_NQN}-{raws[0]}"), "raw-elsewhere": elsewhere}
    results = interleave(sides, rounds, rotate=True)
    engine.stop()
    return results


def first_touch(where, mib, rounds):
    """Writes to random blocks of a volume without any, and to the same when it has all."""
    engine = Engine()
    add_pool(engine, mib * rounds + 64, where)
    numbers = iter(range(rounds))

    def first():
        add_volume(engine, f"v{next(numbers)}", mib)
        return random_writes(engine, mib * 128)

    def again():
        engine.fill(mib, VOLUME_NQN)
        r = random_writes(engine, mib * 128)
        drop_export(engine)
        return r
    results = interleave({"first": first, "again": again}, rounds)
    engine.stop()
    return results


def bench_touch(name, measure, ours, theirs):
    on_file, on_ram = measure(folder(), 512, 4), measure(None, 512, 6)
    raw = {"raw_ratio": f"{ratio_of(on_file, 'raw-elsewhere', 'raw-same', 'iops'):.4g}"} if "raw-same" in on_file else {}
    result(name, ratio_of(on_file, ours, theirs, "iops"), ram_ratio=f"{ratio_of(on_ram, ours, theirs, 'iops'):.4g}", **raw,
           **{f"{side}_iops": v for side, v in medians(on_file, "iops").items()},
           **{f"{side}_p99_us": v for side, v in medians(on_file, "p99_us").items()},
           **{f"ram_{side}_iops": v for side, v in medians(on_ram, "iops").items()})


# --- large pools, made by lp-mount with everything mapped and nothing written ---

def large_pool(mapped, volumes=1):
    """In memory: what random writes leave of a sparse file of that size, a disk's file system needs minutes to take apart."""
    path = os.path.join(folder("/dev/shm"), "large.img")
    p = subprocess.run([tool("lp-mount"), "--file", path, "--mapped", mapped, "--volumes", str(volumes), "--make"],
                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=50, check=False)
    if p.returncode:
        raise Failure(f"lp-mount: {p.stderr.decode(errors='replace').strip()}")
    return path


def engine_on(path, volume):
    engine = Engine()
    engine.rpc("bdev_aio_create", {"name": "large", "filename": path, "block_size": 512})
    engine.export(f"{POOL}/{volume}", VOLUME_NQN)
    return engine


class Load:
    """4 KiB writes at depth 8 within 16 MiB of a volume, while something else is measured."""

    def __init__(self, engine, seconds, nqn=VOLUME_NQN):
        self.p = subprocess.Popen(engine.perf_args("--write", "--qd", "8", "--size", "16m", "--seconds", str(seconds),
                                                   "--warmup", "0.2", nqn=nqn), stdout=subprocess.PIPE)
        atexit.register(lambda: self.p.poll() is None and self.p.kill())

    def running(self):
        return self.p.poll() is None

    def end(self):
        out, _ = self.p.communicate(timeout=40)
        if self.p.returncode:
            raise Failure("lp-perf failed under the load")
        return json.loads(out)


def quantile(values, q):
    return sorted(values)[min(len(values) - 1, int(len(values) * q))]


def touch(engine):
    """What Load writes is all in the head."""
    engine.perf("--write", "--sequential", "--bs", "128k", "--qd", "8", "--size", "16m", "--ios", "128", nqn=VOLUME_NQN)


def written_pool(mib):
    engine = Engine()
    add_pool(engine, mib * 3, folder())
    add_volume(engine, "v0", mib)
    engine.fill(mib, VOLUME_NQN)
    return engine


def snapshots_under_load(what, engine, seconds):
    """Times of snapshots while I/O runs; the I/O's numbers with and without snapshots."""
    touch(engine)
    quiet = Load(engine, seconds).end()
    load, times = Load(engine, seconds), []
    time.sleep(0.3)
    while load.running():
        begin = time.monotonic()
        engine.rpc("bdev_lvol_snapshot", {"lvol_name": f"{POOL}/v0", "snapshot_name": f"s{len(times)}"})
        times.append((time.monotonic() - begin) * 1000)
        time.sleep(0.03)
    busy = load.end()
    engine.stop()
    print(f"  {what}: {len(times)} snapshots, p50={quantile(times, 0.5):.2f} ms p99={quantile(times, 0.99):.2f} ms, "
          f"longest I/O {busy['max_us']:.0f} us, without snapshots {quiet['max_us']:.0f} us", flush=True)
    return {"p50_ms": f"{quantile(times, 0.5):.2f}", "p99_ms": f"{quantile(times, 0.99):.2f}", "pause_us": int(busy["max_us"]),
            "quiet_max_us": int(quiet["max_us"]), "snapshots": len(times)}


def bench_snapshot_time(name):
    """With 1 GiB and with 10 TiB mapped, both in memory; and with 1 GiB on the disk."""
    runs = {"1g": snapshots_under_load("1g", engine_on(large_pool("1g"), "v0"), 5),
            "10t": snapshots_under_load("10t", engine_on(large_pool("10t"), "v0"), 5),
            "disk": snapshots_under_load("disk", written_pool(1024), 4)}
    result(name, float(runs["10t"]["p50_ms"]) / float(runs["1g"]["p50_ms"]),
           **{f"{key}_{size}": value for size, numbers in runs.items() for key, value in numbers.items()})


def bench_mount_time(name):
    """10 TiB mapped: opening after a close and after the engine's end with a full journal, the worse, to 50 ms per TiB."""
    path = os.path.join(folder(), "large.img")
    runs = [run_json(["taskset", "-c", str(SERVER_CPU), tool("lp-mount"), "--file", path, "--mapped", "10t", "--volumes",
                      "10"]) for _ in range(3)]
    worst = {k: statistics.median(r[k] for r in runs) for k in ("crashed_ms", "closed_ms", "ms_per_tib", "ram_mib_per_tib",
                                                              "journal_mib")}
    result(name, worst["ms_per_tib"] / 50, **{k: f"{v:.2f}" for k, v in worst.items()})


def deleted_share(engine, seconds):
    """Waits for the end of background work, so long at most; the share that was done."""
    limit, share = time.monotonic() + seconds, 0
    while time.monotonic() < limit:
        work = engine.rpc("litepool_volume_work")
        if not work:
            return 1
        share = work[0]["done_bytes"] / work[0]["total_bytes"]
        time.sleep(0.1)
    return share


def bench_delete_time(name):
    """
    A snapshot with 1 TiB goes while its volume, which has all of its clusters from it, lives on; the load is on the volume. What takes longer than the
    benchmark may is measured for its part done.
    """
    path = large_pool("1t")
    os.truncate(path, 2 << 40)  # a pool that fills up would let the work have all of the time
    engine = engine_on(path, "v0")
    engine.rpc("bdev_lvol_grow_lvstore", {"lvs_name": POOL})
    touch(engine)
    engine.rpc("bdev_lvol_snapshot", {"lvol_name": f"{POOL}/v0", "snapshot_name": "s"})
    touch(engine)
    quiet, begin = Load(engine, 5).end(), time.monotonic()
    engine.rpc("bdev_lvol_delete", {"name": f"{POOL}/s"})
    answered_ms = (time.monotonic() - begin) * 1000
    load = Load(engine, 10)
    share = deleted_share(engine, 35)
    seconds, busy = time.monotonic() - begin, load.end()
    engine.stop()
    result(name, busy["p99_us"] / quiet["p99_us"], delete_s=f"{seconds / max(share, 1e-6):.1f}", share_measured=f"{share:.3f}",
           answered_ms=f"{answered_ms:.1f}", p99_us=int(busy["p99_us"]), quiet_p99_us=int(quiet["p99_us"]),
           max_us=int(busy["max_us"]), quiet_max_us=int(quiet["max_us"]), iops=busy["iops"], quiet_iops=quiet["iops"])


BENCHES = {
    "pool-qd32": (lambda n: bench_steady(n, 32, "iops", min),
                  "4 KiB at depth 32, thin volume in steady state: IOPS to the raw disk's, the lower of reads and writes"),
    "pool-qd1": (lambda n: bench_steady(n, 1, "p50_us", max),
                 "the same at depth 1: median latency to the raw disk's, the higher of reads and writes"),
    "pool-qd32-sums": (lambda n: bench_steady(n, 32, "iops", min, sums=True), "pool-qd32 in a pool with checksums of data"),
    "pool-qd1-sums": (lambda n: bench_steady(n, 1, "p50_us", max, sums=True), "pool-qd1 in a pool with checksums of data"),
    "after-snapshot": (lambda n: bench_touch(n, after_snapshot, "after", "before"),
                       "4 KiB random writes at depth 32 right after a snapshot: IOPS to before it"),
    "first-touch": (lambda n: bench_touch(n, first_touch, "first", "again"),
                    "4 KiB random writes at depth 32 into thin space: IOPS to overwriting"),
    "snapshot-time": (bench_snapshot_time, "snapshots with I/O running: median time with 10 TiB mapped to that with 1 GiB"),
    "mount-time": (bench_mount_time, "opening a pool with 10 TiB mapped, clean and after a crash: the worse to 50 ms per TiB"),
    "delete-time": (bench_delete_time, "a snapshot of 1 TiB is deleted: p99 of writes meanwhile to before"),
}

"""Measure every job of :mod:`benchmarks.jobs`, or hold the ratios against those stored.

    python -m benchmarks.report              writes book/data/speed.json, which the page "How fast" shows
    python -m benchmarks.report --job NNGP   measures some again, as in an environment with an optional peer
    python -m benchmarks.report --check      fails where a ratio is below half the stored one; times are not compared

One thread, CPU time, the ways of a job interleaved in one process, the best of several rounds. Where an optional peer
is not installed its last stored ratio stays.
"""

import argparse
import contextlib
import json
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import torch

from benchmarks.jobs import JOBS
from benchmarks.timing import best_times
from gdln import results

STORED = results.FOLDER / "speed.json"
PACKAGES = ("numpy", "scipy", "torch")
PEERS = ("neural-tangents", "jax")
#: A ratio may be this many times worse than the stored one before it is called slower.
SLACK = 2.0
#: Seconds a measurement takes at least: the clock of CPU time ticks in milliseconds on some machines.
LONG_ENOUGH = 0.02


def measured(job, rounds=7):
    """Return milliseconds, ratios, shares and growth of a job; None where there is nothing to compare with."""
    makers = {"ours": job.ours, "peer": job.peer, "limit": job.limit, **dict(job.parts)}
    ways = {}
    for name, make in makers.items():
        # an optional library may be missing
        with contextlib.suppress(ImportError):
            if make is not None:
                ways[name] = make(job.at)
    calls = [enough(way) for way in ways.values()]
    seconds = dict(zip(ways, best_times(*ways.values(), rounds=rounds, calls=calls), strict=True))
    ours = seconds["ours"]
    return {
        "milliseconds": 1e3 * ours,
        "faster": seconds["peer"] / ours if "peer" in ways else None,
        "share": seconds["limit"] / ours if "limit" in ways else None,
        "parts": {name: seconds[name] / ours for name, _ in job.parts},
    }


def enough(call):
    """Return how many calls last long enough for the clock."""
    return max(1, round(LONG_ENOUGH / max(best_times(call, rounds=2)[0], 1e-6)))


def growth(job, rounds=3):
    """Return the exponent of a job's time in its size, from three sizes."""
    seconds = []
    for size in job.sizes:
        run = job.ours(size)
        seconds += best_times(run, rounds=rounds, calls=enough(run))
    return float(np.polyfit(np.log(job.sizes), np.log(seconds), 1)[0])


def slower(job, stored, found):
    """Return in words what of a job is slower than stored by more than the slack; empty where nothing is."""
    words = []
    for key, what in (("faster", job.instead), ("share", job.limit_is)):
        if stored.get(key) is not None and found[key] is not None and found[key] < stored[key] / SLACK:
            words.append(f"{job.name}: {found[key]:.2g} against {what}, stored {stored[key]:.2g}")
    return words


def machine():
    """Return the processor's name, where the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def check(rows):
    """Leave with an error where a job is slower in three measurements running: other work disturbs one of them."""
    worse = []
    for job in JOBS:
        if job.name in rows:
            for _ in range(3):
                found = slower(job, rows[job.name], measured(job))
                if not found:
                    break
            worse += found
    if worse:
        sys.exit("Slower than stored:\n" + "\n".join(worse))
    print(f"{len(rows)} jobs are as fast as stored, within a factor of {SLACK:g} of their ratios")


def main():
    """Measure, and store or compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="compare ratios with the stored ones")
    parser.add_argument("--job", default="", help="measure only the jobs with this in their name")
    wanted = parser.parse_args()
    torch.set_num_threads(1)
    stored = json.loads(STORED.read_text()) if STORED.is_file() else {"results": [], "parameters": {}}
    rows = {row["job"]: row for row in stored["results"]}
    if wanted.check:
        check(rows)
        return
    jobs = []
    for job in JOBS:
        if wanted.job not in job.name:
            jobs += [rows[job.name]] if job.name in rows else []
            continue
        found = measured(job) | {"growth": growth(job)}
        if job.peer is not None and found["faster"] is None:
            found["faster"] = rows.get(job.name, {}).get("faster")
        about = {
            "job": job.name,
            "module": job.module,
            "size": job.size,
            "at": job.at,
            "sizes": list(job.sizes),
        }
        jobs.append(about | {"instead": job.instead, "limit": job.limit_is} | found)
        print(json.dumps(jobs[-1]))
    peers = dict(stored["parameters"].get("peers", {}))
    for name in PEERS:
        with contextlib.suppress(PackageNotFoundError):
            peers[name] = version(name)
    print(results.save("speed", {"machine": machine(), "threads": 1, "peers": peers}, jobs, PACKAGES))


if __name__ == "__main__":
    main()

"""The scripts' runs on a Dask cluster of two workers, with everything going wrong that does on a real one."""

import contextlib
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
pytest.importorskip("distributed")
pytestmark = pytest.mark.slow
SCRIPT = """\
import sys
import time
from pathlib import Path

sys.path.insert(0, {scripts!r})
import experiment

experiment.ELSEWHERE = Path({folder!r})


def point(a, trouble):
    time.sleep(0.3)
    if trouble == "always fails":
        raise ValueError("not today")
    if trouble == "too much memory":
        held = []
        while True:
            held.append(bytearray(20_000_000))
            time.sleep(0.02)
    return {{"double": 2 * a}}


grid = [{{"a": a, "trouble": {troubles!r}.get(a, "")}} for a in range(16)]
chosen = experiment.arguments("A script like the others.")
print(experiment.runs("cluster", point, grid, chosen.jobs)[-1])
"""


@pytest.fixture
def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@pytest.fixture
def cluster(free_port, tmp_path):
    """Start and stop a scheduler and two workers of one thread, each a process; they know this library alone."""
    running, dask = [], Path(sys.executable).with_name("dask")
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "0",
    }

    def begin(*arguments):
        with (tmp_path / "dask.log").open("a") as log:
            process = subprocess.Popen(
                [dask, *arguments, "--no-dashboard"],
                env=environment,
                cwd=tmp_path,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        running.append(process)
        return process

    class Cluster:
        address = f"tcp://127.0.0.1:{free_port}"

        def start(self):
            self.scheduler = begin("scheduler", "--host", "127.0.0.1", "--port", str(free_port))
            self.workers = [
                begin("worker", self.address, "--nthreads", "1", "--memory-limit", "500MB") for _ in range(2)
            ]

    def stop(process):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    Cluster.stop = staticmethod(stop)
    yield Cluster()
    for process in running:
        stop(process)


@pytest.fixture
def script(tmp_path):
    """Return a way to run a script of sixteen points on a cluster; some of them make trouble."""

    def run(address, troubles=None):
        path = tmp_path / "make_something.py"
        text = SCRIPT.format(scripts=str(ROOT / "scripts"), folder=str(tmp_path), troubles=troubles or {})
        path.write_text(text)
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, path, "--jobs", address]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)

    return run


def records(folder):
    """Return what the partial file holds."""
    return [json.loads(line) for line in (folder / "cluster.jsonl").read_text().splitlines()]


def when(folder, lines, action):
    """Do something as soon as the partial file holds so many points."""

    def wait():
        path = folder / "cluster.jsonl"
        while not path.is_file() or len(path.read_text().splitlines()) < lines:
            time.sleep(0.05)
        action()

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread


def test_points_that_fail_or_take_all_memory_cost_their_own_row_and_are_all_that_is_run_again(
    cluster, script, tmp_path
):
    cluster.start()
    done = script(cluster.address, {3: "always fails", 9: "too much memory"})
    assert done.returncode == 1 and "2 of 16 points of cluster failed" in done.stderr, done.stderr[-2000:]
    failures = {row["point"]["a"]: row["failure"] for row in records(tmp_path) if row["failure"]}
    assert failures.keys() == {3, 9}
    assert failures[3] == "ValueError: not today" and failures[9].startswith("worker died")
    done = script(cluster.address, {3: "always fails", 9: "too much memory"})
    again = records(tmp_path)[16:]
    assert sorted(row["point"]["a"] for row in again) == [3, 9]


def test_a_killed_worker_and_a_killed_scheduler_that_come_back_cost_nothing(cluster, script, tmp_path):
    cluster.start()

    def kill_all():
        for process in (cluster.workers[0], cluster.scheduler, cluster.workers[1]):
            cluster.stop(process)
        cluster.start()

    waiting = when(tmp_path, 4, kill_all)
    done = script(cluster.address)
    waiting.join(5)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "{'double': 30}" in done.stdout
    assert sorted(row["point"]["a"] for row in records(tmp_path)) == list(range(16))


def test_an_address_where_nobody_answers_is_one_sentence(script, free_port):
    done = script(f"tcp://127.0.0.1:{free_port}")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(
        "--jobs needs the address of a Dask scheduler that answers"
    )


def test_workers_with_another_library_are_refused(cluster, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "scripts")
    experiment = importlib.import_module("experiment")
    from gdln import fingerprint

    cluster.start()
    here = fingerprint.library()
    monkeypatch.setattr(fingerprint, "library", lambda: here + "!")
    with pytest.raises(SystemExit, match="the workers need the library and the versions of this machine"):
        with experiment._cluster(cluster.address, records):
            pass


@pytest.mark.parametrize("wrong", ["many", "2.5", "host:8786"])
def test_jobs_are_a_number_or_an_address(wrong, monkeypatch, capsys):
    monkeypatch.syspath_prepend(ROOT / "scripts")
    experiment = importlib.import_module("experiment")
    with pytest.raises(SystemExit):
        experiment.arguments("", ["--jobs", wrong])
    assert "needs a number of workers, or the address of a Dask scheduler" in capsys.readouterr().err
    assert experiment.arguments("", ["--jobs", "tcp://a:1"]).jobs == "tcp://a:1"

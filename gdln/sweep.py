"""Grids of runs: one call on one core, on all cores, or on a Dask cluster, resumable from a partial file."""

import contextlib
import itertools
import json
import os
import queue
import time
import traceback
import warnings
from collections import deque
from collections.abc import Iterable, Mapping
from concurrent.futures import BrokenExecutor
from pathlib import Path

import numpy as np

from gdln import checks, fingerprint, optional

#: How every line of a partial file begins, so that a line cut short by a crash is told from a file of something else.
_BEGIN = b'{"function": '
_FIELDS = {"function", "key", "point", "rows", "seconds", "failure"}
#: Seconds that a Dask cluster may be without any worker before the sweep gives up; restarts take some.
_PATIENCE = 60.0
#: Restarts of a Dask scheduler during one sweep.
_MOST_RESTARTS = 5


def points(**axes):
    """All combinations of the axes, the last one fastest.

    Parameters
    ----------
    **axes : sequence
        Values of each parameter.

    Returns
    -------
    points : list of dict
        One dictionary a combination.

    Raises
    ------
    TypeError
        If an axis is a single value or a text instead of a sequence of values.

    Examples
    --------
    >>> points(width=[10, 20], seed=[0])
    [{'width': 10, 'seed': 0}, {'width': 20, 'seed': 0}]
    """
    for name, values in axes.items():
        # a text is a sequence of letters, which nobody means
        if isinstance(values, str | bytes | Mapping) or not isinstance(values, Iterable):
            raise TypeError(f"{name} needs a sequence of values, got {checks.described(values)}")
    return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]


def sweep(function, grid, *, fixed=None, path=None, n_jobs=None, progress=False):
    """Call a function at every point of a grid and collect a tidy table.

    Parameters
    ----------
    function : callable
        Called as ``function(**point, **fixed)``. Returns a mapping from column names to numbers or strings,
        or a list of such mappings (several rows from one point, as from a warm-started path).
    grid : mapping or sequence of mappings
        Either axes, whose combinations are taken as in :func:`points`, or the points themselves. Values are
        numbers, strings, booleans or None, and a seed is a parameter like any other.
    fixed : mapping, optional
        Arguments common to all points, such as data; neither recorded in the table nor in the file. No generators:
        the points would share their draws, and depend on which came first.
    path : path, optional
        Partial file, one JSON line a finished point, written as the points finish. The points it holds are not run
        again if everything that decides their values is the same: the function and what it refers to
        (:func:`gdln.fingerprint.code`, which covers this library), the point and ``fixed``. Points that had failed
        are. One sweep at a time writes a file.
    n_jobs : int, optional
        Workers for joblib. By default what ``joblib.parallel_config`` says, or one: inside
        ``with joblib.parallel_config(backend="dask")`` the same call runs on a Dask cluster.
    progress : bool, optional
        Show a progress bar on stderr, with an estimate of the time left.

    Returns
    -------
    table : DataFrame
        One row a result, in the order of the grid: the parameters, the columns the function returned,
        ``seconds`` and ``failure`` (None, or the last line of the traceback of a point that failed;
        a warning then quotes the first).

    Raises
    ------
    TypeError
        If an argument is of the wrong kind, or its content cannot be compared with what a file holds.
    ValueError
        If the grid is empty, a point comes twice, a parameter cannot stand in a table, or ``path`` was made
        by another function or is no partial file; tells the line.
    BlockingIOError
        If another sweep is writing to ``path``.
    OSError
        If ``path`` cannot be written; before the first point is run.
    RuntimeError
        If a Dask cluster has no worker left; the points finished before stand in ``path``.

    Warns
    -----
    UserWarning
        If points failed, or the file holds points that are not used since the function, the library or ``fixed`` was
        another.

    Notes
    -----
    A point that raises, ``SystemExit`` included, costs its own row only. If a worker process dies, the points that
    may have killed it are run once more, each in a process of its own; the one that kills its process again is
    recorded as failed, and the others go on in parallel.

    Examples
    --------
    >>> sweep(lambda a, b: {"product": a * b}, {"a": [1, 2], "b": [3]})[["a", "b", "product"]]
       a  b  product
    0  1  3        3
    1  2  3        6
    """
    pandas = optional.load("pandas", "a sweep")  # before the first point is run
    checks.function("function", function)
    progress = checks.flag("progress", progress)
    wanted = _points(grid)
    fixed = dict(checks.instance("fixed", {} if fixed is None else fixed, Mapping))
    for name, value in fixed.items():
        if type(value).__name__ in ("Generator", "RandomState"):
            raise TypeError(
                f"fixed needs no generator, got {name!r}: give the points a seed to make their own from"
            )
    if n_jobs is not None:
        n_jobs = checks.count("n_jobs", n_jobs, least=None)
        checks.need(n_jobs != 0, "n_jobs", "workers, or -1 for one a core", n_jobs)

    labels = [_label(point) for point in wanted]
    if len(set(labels)) < len(labels):
        twice = next(label for label in labels if labels.count(label) > 1)
        raise ValueError(f"grid needs distinct points, got {twice} more than once")
    keys = labels
    if path is not None:
        path = Path(checks.instance("path", path, (str, os.PathLike))).expanduser()
        decides = [fingerprint.code(function), fingerprint.content(fixed, "fixed")]
        keys = [fingerprint.content([*decides, label]) for label in labels]

    with contextlib.ExitStack() as stack:
        done, file = {}, None
        if path is not None:
            file = stack.enter_context(_Partial(path, fingerprint.name(function)))
            done = {key: record for key, record in file.records.items() if record["failure"] is None}
            file.warn_of_others(set(keys), set(labels))
        left = {key: point for key, point in zip(keys, wanted, strict=True) if key not in done}
        bar = stack.enter_context(_bar(len(wanted), len(left))) if progress else None
        records = stack.enter_context(contextlib.closing(_run(function, left, fixed, n_jobs)))
        for record in records:
            done[record["key"]] = record
            if file is not None:
                file.append(record)
            if bar is not None:
                bar.update()

    failed = [
        (point, done[key]["failure"]) for key, point in zip(keys, wanted, strict=True) if done[key]["failure"]
    ]
    if failed:
        point, reason = failed[0]
        warnings.warn(
            f"{len(failed)} of {len(wanted)} points failed, the first at {point}: {reason}", stacklevel=2
        )

    rows = []
    for key, point in zip(keys, wanted, strict=True):
        record = done[key]
        rows += [
            point | row | {"seconds": record["seconds"], "failure": record["failure"]}
            for row in record["rows"]
        ]
    columns = list(dict.fromkeys(itertools.chain.from_iterable(rows)))
    order = [column for column in columns if column not in ("seconds", "failure")] + ["seconds", "failure"]
    return pandas.DataFrame(rows, columns=order)


def _bar(total, left):
    tqdm = optional.load("tqdm", "progress=True").tqdm
    return tqdm(total=total, initial=total - left, leave=False)


def _points(grid):
    if isinstance(grid, Mapping):
        wanted = points(**grid)
    else:
        if isinstance(grid, str | bytes) or not isinstance(grid, Iterable):
            raise TypeError(f"grid needs axes, or a sequence of points, got {checks.described(grid)}")
        wanted = [dict(checks.instance("grid", point, Mapping)) for point in grid]
    if not wanted:
        raise ValueError("grid needs at least one point, got none")
    return [{name: _plain(value, f"grid[{name!r}]") for name, value in point.items()} for point in wanted]


def _run(function, left, fixed, n_jobs):
    """Yield the records of all points in ``left`` as they finish, whatever happens to the workers."""
    joblib = optional.load("joblib", "a sweep")
    backend = joblib.parallel.get_active_backend()[0]
    kind = type(backend).__name__
    if kind == "DaskDistributedBackend":
        yield from _run_on_dask(function, left, fixed, backend.client)
        return
    if kind == "MultiprocessingBackend":
        raise ValueError(
            "n_jobs needs a backend that notices when a worker dies, such as loky, got multiprocessing"
        )
    # at most this many points are with the workers at any time, and joblib hands them out in order, one by one;
    # so when a worker dies, the point that killed it is among the first of those left
    ahead = 2 * joblib.effective_n_jobs(n_jobs)
    left = dict(left)
    while left:
        calls = [joblib.delayed(_call)(function, key, point, fixed) for key, point in left.items()]
        parallel = joblib.Parallel(
            n_jobs=n_jobs, return_as="generator_unordered", batch_size=1, pre_dispatch=ahead
        )
        try:
            for record in parallel(calls):
                del left[record["key"]]
                yield record
        except BrokenExecutor:
            for key in list(itertools.islice(left, ahead)):
                yield _run_alone(function, key, left.pop(key), fixed)


def _run_alone(function, key, point, fixed):
    """The record of one point from a process of its own."""
    joblib = optional.load("joblib", "a sweep")
    try:
        return joblib.Parallel(n_jobs=2, backend="loky")(
            [joblib.delayed(_call)(function, key, point, fixed)]
        )[0]
    except BrokenExecutor as error:
        return _dead(key, point, error)


def _run_on_dask(function, left, fixed, client):
    """Yield the records of all points from a Dask cluster.

    By futures, to which one can listen; joblib waits for ever where a cluster has lost its last worker.
    """
    from distributed import CancelledError, KilledWorker  # installed where a Dask backend is active

    finished, key_of, futures = queue.SimpleQueue(), {}, {}

    def submit(keys):
        # a task's result, not scattered data: the cluster makes it again if the worker that holds it dies
        held = client.submit(dict, fixed, pure=False)
        for key in keys:
            future = client.submit(_call, function, key, left[key], held, pure=False)
            futures[key], key_of[future.key] = future, key
            future.add_done_callback(finished.put)

    # a worker that dies takes points down with it that did nothing wrong: each is run once more, alone
    alone, suspects, forgotten, waves, watch = None, deque(), [], 0, _Watch(client)
    submit(left)
    try:
        while futures or forgotten or suspects:
            if not futures and forgotten:
                waves += 1
                if waves > _MOST_RESTARTS:
                    raise RuntimeError(f"the Dask scheduler forgot its points {waves} times")
                submit(forgotten)
                forgotten = []
            elif not futures:
                alone = suspects.popleft()
                submit([alone])
            try:
                future = watch.next(finished)
                key = key_of.pop(future.key)
                record = watch.result(future)
                del futures[key]
            except RuntimeError as error:
                if alone is None:
                    raise
                # only suspects are left, and the last one took every worker with it
                for key in [*futures, *suspects]:
                    yield _dead(key, left[key], error)
                return
            except CancelledError:  # by whatever its status was: the scheduler restarted in the meantime
                del futures[key]
                forgotten.append(key)
            except KilledWorker as error:
                del futures[key]
                if key == alone:
                    yield _dead(key, left[key], error)
                else:
                    suspects.append(key)
            else:
                yield record
    finally:
        if client.status == "running":
            client.cancel(list(futures.values()))


class _Watch:
    """Ends the wait for a Dask cluster on which nobody is left to do anything."""

    def __init__(self, client):
        self.client, self.seen = client, time.monotonic()

    def look(self):
        if self.client.status not in ("running", "connecting"):
            raise RuntimeError(f"the Dask client is {self.client.status}: the scheduler is gone")
        try:
            workers = self.client.scheduler_info(n_workers=-1)["workers"]
        except OSError:
            workers = {}
        if workers:
            self.seen = time.monotonic()
        elif time.monotonic() - self.seen > _PATIENCE:
            raise RuntimeError(f"the Dask cluster has had no worker for {_PATIENCE:.0f} seconds")

    def next(self, finished):
        """The next future that is done, in whatever way."""
        self.seen = time.monotonic()
        while True:
            try:
                return finished.get(timeout=1.0)
            except queue.Empty:
                self.look()

    def result(self, future):
        """What a future that is done holds; if the worker that kept it died, it is computed again meanwhile."""
        self.seen = time.monotonic()
        while True:
            try:
                return future.result(timeout=5.0)
            except (
                OSError
            ):  # too late, which is one too; or the scheduler was lost while it told where the result is
                self.look()
                time.sleep(0.2)  # until the client knows whether the point is to be run again


def _dead(key, point, error):
    failure = f"worker died: {error if type(error) is RuntimeError else type(error).__name__}"
    return {"key": key, "point": point, "rows": [{}], "seconds": None, "failure": failure}


def _call(function, key, point, fixed):
    """Run one point; an exception becomes part of the record, and so does a call of ``sys.exit``."""
    start = time.perf_counter()
    try:
        rows, error = function(**point, **fixed), None
        rows = [rows] if isinstance(rows, Mapping) else rows
        if (
            not isinstance(rows, list | tuple)
            or not rows
            or not all(isinstance(row, Mapping) for row in rows)
        ):
            raise TypeError(
                f"need a mapping, or a list of mappings, from {fingerprint.name(function)}, got {rows!r:.60}"
            )
        rows = [{str(column): _plain(value, str(column)) for column, value in row.items()} for row in rows]
        if clash := set(itertools.chain.from_iterable(rows)) & (point.keys() | {"seconds", "failure"}):
            raise ValueError(f"need column names that are not taken, got {sorted(clash)}")
    except (Exception, SystemExit):
        rows, error = [{}], traceback.format_exc().strip().splitlines()[-1]
    seconds = time.perf_counter() - start
    return {"key": key, "point": point, "rows": rows, "seconds": seconds, "failure": error}


def _plain(value, name):
    """Turn a numpy scalar into Python's own; refuse what a table cell cannot hold."""
    if isinstance(value, np.generic) or (hasattr(value, "item") and getattr(value, "ndim", None) == 0):
        value = value.item()
    if value is not None and not isinstance(value, bool | int | float | str):
        raise ValueError(
            f"{name} needs numbers, strings, booleans or None in a table, got {type(value).__name__}"
        )
    return value


def _label(point):
    """A point in words that do not depend on the order of its parameters."""
    return json.dumps(point, sort_keys=True)


class _Partial:
    """A partial file that is open for one sweep: what it holds, and where the next record goes."""

    def __init__(self, path, name):
        self.path, self.name = path, name

    def __enter__(self):
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.file = self.path.open("a+b")
        try:
            _lock(self.file, self.path)
            self._read()
        except BaseException:
            self.file.close()
            raise
        return self

    def __exit__(self, *exception):
        try:
            self.file.flush()
            os.fsync(self.file.fileno())
        finally:
            self.file.close()

    def _read(self):
        """Records by key; the last line is cut off if a crash left it without its end."""
        self.records = {}
        self.file.seek(0)
        whole = 0
        for number, line in enumerate(self.file, 1):
            if not line.endswith(b"\n") and (line.startswith(_BEGIN) or _BEGIN.startswith(line)):
                self.file.truncate(whole)
                break
            whole += len(line)
            try:
                record = json.loads(line)
            except ValueError as error:  # of JSON, or of the bytes
                raise ValueError(f"{self.path}, line {number}, needs a record of a sweep: {error}") from error
            if not isinstance(record, dict) or not _FIELDS <= record.keys():
                lacks = sorted(_FIELDS - record.keys()) if isinstance(record, dict) else "everything"
                raise ValueError(f"{self.path}, line {number}, needs a record of a sweep, but lacks {lacks}")
            if record["function"] != self.name:
                raise ValueError(
                    f"need a partial file of {self.name}, but {self.path} was made by {record['function']}"
                )
            self.records[record["key"]] = record

    def warn_of_others(self, keys, labels):
        """Say so if points of this sweep are there, but under another key."""
        known = {_label(self.records[key]["point"]) for key in keys & self.records.keys()}
        others = {_label(record["point"]) for key, record in self.records.items() if key not in keys}
        if stale := (others & labels) - known:
            warnings.warn(
                f"{len(stale)} points in {self.path} are computed again: the function, what it refers to, the library"
                " or fixed was another when they were stored",
                stacklevel=3,
            )

    def append(self, record):
        """Write one line, and hand it to the operating system at once."""
        self.file.write(json.dumps({"function": self.name} | record).encode() + b"\n")
        self.file.flush()


def _lock(file, path):
    """Keep the file for this process; the lock goes when the process does, however it ends."""
    try:
        import fcntl
    except (
        ImportError
    ):  # not on Windows, where an open file cannot be replaced, and two sweeps are the user's care
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise BlockingIOError(
            f"{path} is being written by another sweep: wait for it, or give this one another path"
        ) from error

"""Grids of runs: one call on one core, on all cores, or on a Dask cluster, resumable from a partial file."""

import itertools
import json
import time
import traceback
import warnings
from collections.abc import Mapping
from concurrent.futures import BrokenExecutor
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
from tqdm import tqdm


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

    Examples
    --------
    >>> points(width=[10, 20], seed=[0])
    [{'width': 10, 'seed': 0}, {'width': 20, 'seed': 0}]
    """
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
        Arguments common to all points, such as data; neither recorded in the table nor in the file.
    path : path, optional
        Partial file, one JSON line a finished point, written as the points finish. If it is there, the points
        it holds are not run again; points that had failed are.
    n_jobs : int, optional
        Workers for joblib. By default what ``joblib.parallel_config`` says, or one: inside
        ``with joblib.parallel_config(backend="dask")`` the same call runs on a Dask cluster.
    progress : bool, optional
        Show a progress bar on stderr.

    Returns
    -------
    table : DataFrame
        One row a result, in the order of the grid: the parameters, the columns the function returned,
        ``seconds`` and ``failure`` (None, or the last line of the traceback of a point that failed;
        a warning then quotes the first).

    Raises
    ------
    ValueError
        If the grid is empty, a point comes twice, a parameter cannot stand in a table, or ``path`` was made
        by another function.

    Notes
    -----
    A point that raises costs its own row only. If a worker process dies, the points that have no result are
    run once more, each in a process of its own; the one that kills its process again is recorded as failed.

    Examples
    --------
    >>> sweep(lambda a, b: {"product": a * b}, {"a": [1, 2], "b": [3]})[["a", "b", "product"]]
       a  b  product
    0  1  3        3
    1  2  3        6
    """
    wanted = points(**grid) if isinstance(grid, Mapping) else [dict(point) for point in grid]
    wanted = [{name: _plain(value) for name, value in point.items()} for point in wanted]
    if not wanted:
        raise ValueError("need at least one point, got an empty grid")
    keys = [_key(point) for point in wanted]
    if len(set(keys)) < len(keys):
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"need distinct points, got {twice} more than once")

    name = f"{function.__module__}.{function.__qualname__}"
    done = {} if path is None else _read(Path(path), name)
    done = {key: record for key, record in done.items() if record["failure"] is None}
    left = {key: point for key, point in zip(keys, wanted, strict=True) if key not in done}
    with tqdm(total=len(wanted), initial=len(wanted) - len(left), disable=not progress, leave=False) as bar:
        for record in _run(function, left, dict(fixed or {}), n_jobs):
            done[record["key"]] = record
            if path is not None:
                _append(Path(path), name, record)
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
    return pd.DataFrame(rows, columns=order)


def _run(function, left, fixed, n_jobs):
    """Yield the records of all points in ``left`` as they finish, whatever happens to the workers."""
    left = dict(left)
    parallel = joblib.Parallel(n_jobs=n_jobs, return_as="generator_unordered")
    try:
        calls = [joblib.delayed(_call)(function, key, point, fixed) for key, point in left.items()]
        for record in parallel(calls):
            del left[record["key"]]
            yield record
        return
    except Exception as error:
        if not _is_dead_worker(error):
            raise
    for key, point in left.items():
        try:
            yield joblib.Parallel(n_jobs=2, backend="loky")(
                [joblib.delayed(_call)(function, key, point, fixed)]
            )[0]
        except BrokenExecutor as error:
            yield {
                "key": key,
                "rows": [{}],
                "seconds": None,
                "failure": f"worker died: {type(error).__name__}",
            }


def _is_dead_worker(error):
    """Whether the error came from a lost worker (loky or Dask) and not from our own code."""
    return isinstance(error, BrokenExecutor) or type(error).__name__ == "KilledWorker"


def _call(function, key, point, fixed):
    """Run one point; an exception becomes part of the record."""
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
                f"need a mapping, or a list of mappings, from {function.__qualname__}, got {rows!r:.60}"
            )
        rows = [{str(column): _plain(value) for column, value in row.items()} for row in rows]
        if clash := set(itertools.chain.from_iterable(rows)) & (point.keys() | {"seconds", "failure"}):
            raise ValueError(f"need column names that are not taken, got {sorted(clash)}")
    except Exception:
        rows, error = [{}], traceback.format_exc().strip().splitlines()[-1]
    return {"key": key, "rows": rows, "seconds": time.perf_counter() - start, "failure": error}


def _plain(value):
    """Turn a numpy scalar into Python's own; refuse what a table cell cannot hold."""
    if isinstance(value, np.generic) or (hasattr(value, "item") and getattr(value, "ndim", None) == 0):
        value = value.item()
    if value is not None and not isinstance(value, bool | int | float | str):
        raise ValueError(f"need numbers, strings, booleans or None in a table, got {type(value).__name__}")
    return value


def _key(point):
    """Name of a point that does not depend on the order of its parameters."""
    return json.dumps(point, sort_keys=True)


def _read(path, name):
    """Records of a partial file by key; a last line cut short by a crash is ignored."""
    if not path.is_file():
        return {}
    records = {}
    for line in path.read_text().splitlines():
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            continue
        if record["function"] != name:
            raise ValueError(f"need a partial file of {name}, but {path} was made by {record['function']}")
        records[record["key"]] = record
    return records


def _append(path, name, record):
    """Add one record on a line of its own, also after a line that was cut short."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cut = path.is_file() and path.stat().st_size > 0 and not path.read_bytes().endswith(b"\n")
    with path.open("a") as file:
        file.write("\n" * cut + json.dumps({"function": name} | record) + "\n")

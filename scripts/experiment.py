"""What the scripts of the stored results share: their arguments, where they may write, and runs that resume."""

import argparse
import contextlib
import json
import sys
from functools import partial
from pathlib import Path

from gdln import checks, results

#: Where reduced results and the records of unfinished runs lie; nothing in it is committed.
ELSEWHERE = Path(__file__).resolve().parent.parent / "_build" / "experiments"


def arguments(doc, argv=None, *, counts=None, reduced=None, choices=None, flags=None, device=False):
    """Read a script's arguments.

    Parameters
    ----------
    doc : str
        The script's docstring.
    argv : list of str, optional
        Arguments; those of the command line unless given.
    counts : dict, optional
        Options that take a whole number of at least one, by name, with the defaults of the committed result.
    reduced : dict, optional
        What ``--reduced`` sets the counts to.
    choices : dict, optional
        Options that choose one of several words, the first unless said otherwise.
    flags : dict, optional
        Options that are there or not, with a line of help.
    device : bool, optional
        Whether the script trains on the device that ``--device`` names, the CPU unless given.

    Returns
    -------
    chosen : Namespace
        The options, ``jobs`` (workers, or a scheduler's address), and ``folder``: where the result belongs. That is
        the folder of the committed results only if every count is as committed, and torch on the CPU.
    """
    counts, reduced = counts or {}, reduced or {}
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, words in (choices or {}).items():
        parser.add_argument(_option(name), default=words[0], choices=words)
    for name, line in (flags or {}).items():
        parser.add_argument(_option(name), action="store_true", help=line)
    for name, default in counts.items():
        parser.add_argument(_option(name), type=_count, help=f"{default} unless given")
    if device:
        line = "where torch trains; numbers of other devices differ by rounding and belong elsewhere"
        parser.add_argument("--device", type=_device, default="cpu", help=f"{line} (cpu)")
    words = ", ".join(f"{name} {n}" for name, n in reduced.items())
    parser.add_argument(
        "--reduced", action="store_true", help=f"a quick run ({words}), written to {ELSEWHERE}"
    )
    parser.add_argument(
        "--jobs",
        type=_workers,
        default=1,
        help="workers on this machine, -1 for one a core; or the address of a Dask scheduler, as tcp://host:8786",
    )
    chosen = parser.parse_args(argv)
    defaults = counts | (reduced if chosen.reduced else {})
    for name, default in defaults.items():
        if getattr(chosen, name) is None:
            setattr(chosen, name, default)
    whole = not chosen.reduced and all(getattr(chosen, name) == default for name, default in counts.items())
    whole = whole and getattr(chosen, "device", "cpu") == "cpu"
    chosen.folder = None if whole else ELSEWHERE
    return chosen


def runs(name, function, grid, jobs=1, /, **fixed):
    """Results of a function at every point of a grid, kept as they come and taken up again where a run was cut.

    Parameters
    ----------
    name : str
        Name of the stored result and of the part of it.
    function : callable
        Called as ``function(**point, **fixed)``; returns numbers, text and lists in a dictionary.
    grid : mapping or sequence of mappings
        As :func:`gdln.sweep.sweep` takes it.
    jobs : int or str, optional
        Workers on this machine, or the address of a Dask scheduler. Its workers need this very library and the same
        versions of what it computes with; the scripts go to them by themselves.
    **fixed
        Arguments common to all points.

    Returns
    -------
    found : list of dict
        What the function returned, in the order of the grid.

    Raises
    ------
    SystemExit
        If a point failed: nothing incomplete is written, and another call computes what is missing. If a cluster is
        not there, or its workers have another library.
    """
    from gdln import sweep  # here, since the environment of neural-tangents has no pandas

    with _cluster(jobs, function) if isinstance(jobs, str) else contextlib.nullcontext(jobs) as n_jobs:
        table = sweep.sweep(
            partial(_as_text, function),
            grid,
            fixed=fixed,
            path=ELSEWHERE / f"{name}.jsonl",
            n_jobs=n_jobs,
            progress=True,
        )
    failed = table[table["failure"].notna()]
    if len(failed):
        raise SystemExit(f"{len(failed)} of {len(table)} points of {name} failed: run again to compute them")
    return [json.loads(text) for text in table["result"]]


def save(name, chosen, parameters, found, packages=("numpy", "scipy")):
    """Write a result where the arguments say it belongs, and say where that is."""
    print(results.save(name, parameters, found, packages, folder=chosen.folder))


@contextlib.contextmanager
def _cluster(address, function):
    """Have the sweeps inside run on a Dask cluster whose workers have this library."""
    from gdln import optional

    distributed = optional.load("distributed", "a Dask scheduler's address as --jobs")
    import cloudpickle  # comes with distributed
    import joblib

    try:
        client = distributed.Client(address, timeout=20)
        client.wait_for_workers(1, timeout=60)
    except (OSError, TimeoutError, ValueError) as error:
        sys.exit(
            f"--jobs needs the address of a Dask scheduler that answers and has a worker, got {address}: {error}"
        )
    with client:
        for module in {sys.modules[__name__], sys.modules[_home(function)]}:
            if module.__name__ != "__main__" and not module.__name__.startswith("gdln"):
                cloudpickle.register_pickle_by_value(module)  # the workers know no folder of scripts
        here = _library()
        others = [worker for worker, there in client.run(_library).items() if there != here]
        if others:
            sys.exit(
                f"the workers need the library and the versions of this machine, but {', '.join(others)} have others"
            )
        with joblib.parallel_config(backend="dask"):
            yield None


def _library():
    """Return the fingerprint of the library where this is called."""
    from gdln import fingerprint

    return fingerprint.library()


def _home(function):
    """Return the name of the module that a function, or what it was made from, stands in."""
    return getattr(function, "func", function).__module__


def _as_text(function, /, **arguments):
    return {"result": json.dumps(function(**arguments), allow_nan=False)}


def _option(name):
    return "--" + name.replace("_", "-")


def _workers(text):
    if "://" in text:
        return text
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"needs a number of workers, or the address of a Dask scheduler, got {text!r}"
        ) from None


def _device(text):
    """The name of a device that is there."""
    try:
        checks.torch_device("it", text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return text


def _count(text):
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"needs a whole number of at least 1, got {text!r}")
    return int(text)

"""Committed results of long runs: small JSON files with the parameters, seeds and versions that made them."""

import json
import math
import os
import platform
import re
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from gdln import checks

_HERE = Path(__file__).resolve().parent
#: Where the committed results lie: inside an installed library, and in the book's ``data`` folder in a checkout.
FOLDER = next((p for p in (_HERE / "stored", _HERE.parent / "book" / "data") if p.is_dir()), _HERE / "stored")


def load(name, folder=None):
    """Read a committed result.

    Parameters
    ----------
    name : str
        Name of the file without ``.json``.
    folder : path, optional
        Where to look; unless given, the folder named by ``GDLN_RESULTS``, then :data:`FOLDER`.

    Returns
    -------
    result : dict
        ``parameters``, ``versions`` and ``results``, as :func:`save` wrote them.

    Raises
    ------
    FileNotFoundError
        If there is no such file; names the script that makes it.
    ValueError
        If the name leaves the folder, or the file is damaged; names the file.
    """
    path = _path(name, folder)
    if not path.is_file():
        raise FileNotFoundError(
            f"no result {name!r} in {path.parent}; book/large_experiments.md says which script makes which"
        )
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # of JSON, or of the bytes
        raise ValueError(f"{path} is a damaged result: {error}") from error


def save(name, parameters, results, packages=("numpy", "scipy"), folder=None):
    """Write a result with what is needed to make it again.

    The file is complete or not there: a run that is cut, or a full disk, leaves what was there before.

    Parameters
    ----------
    name : str
        Name of the file without ``.json``: letters, digits, ``-``, ``_`` and dots.
    parameters : dict
        Every setting of the run, seeds included.
    results : dict or list
        Finite numbers, text, booleans and None in nested lists and dictionaries, whose keys are text.
    packages : sequence of str, optional
        Packages whose versions matter.
    folder : path, optional
        Where to write, see :func:`load`.

    Returns
    -------
    path : Path
        The file written.

    Raises
    ------
    TypeError
        If something is no JSON value, or a key no text; tells where it stands.
    ValueError
        If the name leaves the folder, a number is not finite, or a package is not installed.
    """
    path = _path(name, folder)
    checks.instance("parameters", parameters, Mapping)
    _plain("parameters", parameters)
    _plain("results", checks.instance("results", results, (Mapping, list, tuple)))
    if isinstance(packages, str) or not isinstance(packages, Iterable):
        raise TypeError(f"packages needs a sequence of names, got {checks.described(packages)}")
    versions = {"python": platform.python_version()}
    for package in packages:
        checks.instance("packages", package, str)
        try:
            versions[package] = version(package)
        except PackageNotFoundError as error:
            raise ValueError(
                f"packages needs installed ones, but {package!r} is not installed: its version cannot be recorded"
            ) from error
    record = {"parameters": parameters, "versions": versions, "results": results}
    text = json.dumps(record, indent=1, allow_nan=False) + "\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with draft.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(
                file.fileno()
            )  # before the name points to it: a crash of the machine may reorder the two
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    return path


def _path(name, folder):
    checks.instance("name", name, str)
    checks.need(
        re.fullmatch(r"[A-Za-z0-9][\w.-]*", name) is not None, "name", "letters, digits, -, _ and dots", name
    )
    if folder is not None:
        checks.instance("folder", folder, (str, os.PathLike))
    return Path(folder or os.environ.get("GDLN_RESULTS") or FOLDER).expanduser() / f"{name}.json"


def _plain(name, value):
    """Refuse what JSON cannot hold, or would hold as something else: a key of 1 and one of "1" become the same."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            if not isinstance(key, str):
                raise TypeError(f"{name} needs text for keys, got {checks.described(key)}")
            _plain(f"{name}[{key!r}]", item)
    elif isinstance(value, list | tuple):
        for k, item in enumerate(value):
            _plain(f"{name}[{k}]", item)
    elif isinstance(value, float):
        checks.need(math.isfinite(value), name, "finite numbers", value)
    elif value is not None and not isinstance(value, bool | int | str):
        raise TypeError(f"{name} needs numbers, text, lists or dictionaries, got {checks.described(value)}")

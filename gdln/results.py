"""Committed results of long runs: small JSON files with the parameters, seeds and versions that made them."""

import json
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

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
    """
    path = _folder(folder) / f"{name}.json"
    if not path.is_file():
        raise FileNotFoundError(f"no result {name!r} in {path.parent}; make it with scripts/make_{name}.py")
    return json.loads(path.read_text(encoding="utf-8"))


def save(name, parameters, results, packages=("numpy", "scipy"), folder=None):
    """Write a result with what is needed to make it again.

    Parameters
    ----------
    name : str
        Name of the file without ``.json``.
    parameters : dict
        Every setting of the run, seeds included.
    results : dict
        Numbers and nested lists.
    packages : sequence of str, optional
        Packages whose versions matter.
    folder : path, optional
        Where to write, see :func:`load`.

    Returns
    -------
    path : Path
        The file written.
    """
    versions = {"python": platform.python_version()}
    for package in packages:
        try:
            versions[package] = version(package)
        except PackageNotFoundError as error:
            raise ValueError(
                f"package {package!r} is not installed, so its version cannot be recorded"
            ) from error
    record = {"parameters": parameters, "versions": versions, "results": results}
    path = _folder(folder) / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return path


def _folder(folder):
    return Path(folder or os.environ.get("GDLN_RESULTS") or FOLDER)

"""Key the cache of executed chapters by what their results depend on, and let one build at a time use it.

A page must never show numbers of another version of the code: the key hashes the library that the kernel imports,
the stored results and the version of every locked package, so a change in any of them gives another cache folder
and every chapter runs again. ``{build-info}`` prints what the key is made of.
"""

import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
from pathlib import Path

from docutils import nodes
from jupyter_client.kernelspec import NoSuchKernel
from jupyter_client.manager import KernelManager
from sphinx.util.docutils import SphinxDirective

SHOWN = ("python", "numpy", "scipy", "scikit-learn", "matplotlib", "pandas", "torch", "mpmath", "joblib",
         "plotly", "ipykernel", "jupyter-book", "myst-nb", "sphinx")  # fmt: skip
PROBE = """\
import importlib.metadata, importlib.util, json, platform, sys
spec = importlib.util.find_spec("gdln")
found = {"python": platform.python_version()}
for name in sys.argv[1:]:
    try:
        found[name] = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        found[name] = "absent"
print(json.dumps([spec and spec.origin, found]))
"""


def ask_kernel(root, folder):
    """Return the interpreter that runs the chapters and the versions it sees; refuse one with another library."""
    try:
        manager = KernelManager(kernel_name="python3")
        kernel = manager.format_kernel_cmd()[0]
    except NoSuchKernel:
        raise SystemExit(
            "There is no Jupyter kernel named python3: install ipykernel, or run `make book`."
        ) from None
    lock = (root / "requirements.lock").read_text(encoding="utf-8").splitlines()
    names = [line.partition("==")[0] for line in lock if "==" in line]
    environment = {**os.environ, **(manager.kernel_spec.env or {})}
    done = subprocess.run(
        [kernel, "-c", PROBE, *names], cwd=folder, env=environment, capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(f"The kernel's interpreter {kernel} does not run: {done.stderr.strip()[-300:]}")
    origin, versions = json.loads(done.stdout)
    if origin is None or Path(origin).resolve().parent != (root / "gdln").resolve():
        raise SystemExit(
            f"The chapters would import gdln from {origin or 'nowhere'}, not from {root / 'gdln'}: run `make book`, "
            f"or `pip install -e .` for {kernel}."
        )
    return kernel, versions


def library_hash(root, versions, results=None):
    """Hash the library's code, the stored results (of another folder than the book's, where named) and versions."""
    digest = hashlib.sha256()
    for folder in (root / "gdln", Path(results) if results else root / "book" / "data"):
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            if "__pycache__" not in path.parts:
                digest.update(
                    path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes() + b"\0"
                )
        digest.update(b"\0")
    digest.update(json.dumps(versions, sort_keys=True).encode())
    return digest.hexdigest()[:12]


def _lock(folder):
    """Take the lock of this folder's builds; the system gives it back when the process ends, however it ends."""
    connection = sqlite3.connect(folder / ".lock", timeout=0, isolation_level=None)
    try:
        connection.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorname == "SQLITE_BUSY":
            raise SystemExit(
                f"Another build is at work in {folder}: wait until it ends, or stop it."
            ) from None
        raise SystemExit(
            f"{folder} cannot be written ({error}): build in a copy that you may write to."
        ) from None
    return connection


def _set_cache(app, config):
    root, build = Path(app.srcdir), Path(app.outdir).parent
    app.gdln_lock = _lock(build)
    config.gdln_kernel, config.gdln_versions = ask_kernel(root, build)
    key = library_hash(root, config.gdln_versions, os.environ.get("GDLN_RESULTS"))
    caches = build / ".jupyter_cache"
    for other in caches.glob("*"):
        if other.name != key:
            shutil.rmtree(other, ignore_errors=True)
    config.nb_execution_cache_path = str(caches / key)
    config.gdln_library_hash = key


class BuildInfo(SphinxDirective):
    """Definition list of the versions and the library hash of this build."""

    def run(self):
        versions = {name: self.config.gdln_versions.get(name, "absent") for name in SHOWN}
        items = {"hash of library, results and versions": self.config.gdln_library_hash, **versions}
        listing = nodes.bullet_list()
        for name, value in items.items():
            listing += nodes.list_item(
                "", nodes.paragraph("", "", nodes.Text(f"{name}: "), nodes.literal("", value))
            )
        return [listing]


def setup(app):
    """Register the cache key and the directive."""
    app.add_config_value("gdln_library_hash", "", "env")
    app.add_config_value("gdln_versions", {}, "")
    app.add_config_value("gdln_kernel", "", "")
    app.add_directive("build-info", BuildInfo)
    app.connect("config-inited", _set_cache, priority=100)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

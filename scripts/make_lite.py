#!/usr/bin/env python
"""Build the site of notebooks that run in the reader's own browser, into ``_build/lite``.

    python scripts/make_lite.py                     the runtime comes from the address in _config.yml
    python scripts/make_lite.py --pyodide FOLDER    the runtime lies in the site, which then needs no other host

The site holds a notebook of every chapter without torch, the library with its stored results, and the packages that the
runtime lacks. Its first cell installs them from the site itself. FOLDER is an unpacked Pyodide of the version in
``_config.yml``; only the files that the chapters need are copied.
"""

import argparse
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import yaml

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "book" / "_ext"))
import make_notebooks  # noqa: E402
from browser import build_wheel, runs_in_a_browser  # noqa: E402
from environment import Unmade, aside  # noqa: E402

BUILD = ROOT / "_build"
#: Pure packages that come with the site, at the versions of requirements.lock: the kernel's, and those of the extras.
CARRIED = ("comm", "mpmath", "narwhals", "plotly")
#: Files of the runtime itself, and packages that the kernel and the library load.
CORE = (
    "pyodide.js",
    "pyodide.mjs",
    "pyodide.asm.js",
    "pyodide.asm.wasm",
    "pyodide-lock.json",
    "python_stdlib.zip",
)
LOADED = ("ipython", "jedi", "micropip", "packaging", "sqlite3", "ssl", "matplotlib", "numpy", "pandas", "pyyaml",
          "scikit-learn", "scipy")  # fmt: skip
SETUP = """\
# The library and what else this chapter needs, from this site: half a minute or so.
%pip install -q {names}\
"""


def runtime():
    """Return the runtime's public address, from ``_config.yml``."""
    return yaml.safe_load((ROOT / "_config.yml").read_text())["sphinx"]["config"]["gdln_runtime"]


def chapters():
    """Return the sources of the chapters that a browser can run."""
    return [p for p in make_notebooks.chapters() if runs_in_a_browser(ROOT, p.read_text(encoding="utf-8"))]


def setup_cell(source):
    """Return the first cell of a chapter's notebook in the browser."""
    text = source.read_text(encoding="utf-8")
    extras = "exact,interactive" if "import plotly" in text else "exact"
    return nbformat.v4.new_code_cell(SETUP.format(names=f"gdln[{extras}]"), metadata={"tags": ["setup"]})


def files_of(folder):
    """Return the files of an unpacked runtime that the site needs, or stop and name those that are missing."""
    try:
        packages = json.loads((folder / "pyodide-lock.json").read_text())["packages"]
    except (OSError, ValueError) as error:
        sys.exit(f"PYODIDE needs the folder of an unpacked Pyodide, got {folder}: {error}")
    seen, left = set(), set(LOADED)
    while left:
        name = left.pop()
        if name not in packages:
            sys.exit(f"PYODIDE needs the package {name}, which {folder / 'pyodide-lock.json'} does not list")
        seen.add(name)
        left |= {other.lower().replace("_", "-") for other in packages[name]["depends"]} - seen
    wanted = [*CORE, *sorted(packages[name]["file_name"] for name in seen)]
    if missing := [name for name in wanted if not (folder / name).is_file()]:
        sys.exit(f"PYODIDE needs {len(missing)} files that are not in {folder}: {', '.join(missing)}")
    return wanted


def environment():
    """Make the environment that builds the site, unless it is there; return its folder of programs."""
    try:
        return aside(BUILD / "lite-environment", ROOT / "requirements-lite.lock")
    except Unmade as error:
        sys.exit(f"The site's environment: {error}")


def run(command, otherwise):
    """Run a command, silent unless it fails; what it leaves lying about is left in the build's folder."""
    done = subprocess.run(command, cwd=BUILD, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{done.stdout[-2000:]}{done.stderr[-2000:]}\n{otherwise}, for the reason above")


def write_sources(folder, pyodide):
    """Write what the site is made of: notebooks, wheels, settings, and the runtime where it is carried."""
    shutil.rmtree(folder, ignore_errors=True)
    sources = chapters()
    pages = [path for path in (ROOT / "book").rglob("*.md") if path.parent.name != "_ext"]
    labels = make_notebooks.Labels(pages, reachable=set(sources))
    for source in sources:
        target = folder / "files" / source.relative_to(ROOT).with_suffix(".ipynb")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(make_notebooks.write(source, labels, setup_cell(source)), encoding="utf-8")
    # beside a folder of that name pandas would take it for a package it knows
    shutil.copy(ROOT / "book" / "bottleneck" / "__init__.py", folder / "files" / "book" / "bottleneck")
    build_wheel(ROOT, folder / "pypi")
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lock if line.partition("==")[0] in CARRIED]
    pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary", ":all:"]
    run([*pip, "-d", folder / "pypi", *pins], "the packages that the runtime lacks could not be had")
    if mixed := [
        path.name for path in (folder / "pypi").iterdir() if not path.name.endswith("-none-any.whl")
    ]:
        sys.exit(f"a browser runs pure packages only, but these are not: {', '.join(mixed)}")
    if pyodide is not None:
        place = folder / "static" / "pyodide"
        place.mkdir(parents=True)
        for name in files_of(pyodide):
            shutil.copy(pyodide / name, place)
    title = yaml.safe_load((ROOT / "_config.yml").read_text())["title"]
    kernel = {"pyodideUrl": f"{runtime()}pyodide.js"}
    settings = {
        "appName": title,
        "litePluginSettings": {"@jupyterlite/pyodide-kernel-extension:kernel": kernel},
    }
    whole = {"jupyter-lite-schema-version": 0, "jupyter-config-data": settings}
    (folder / "jupyter-lite.json").write_text(json.dumps(whole, indent=1))
    return len(sources)


def main():
    """Build the site; say one line a step."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--pyodide", type=Path, help="folder of an unpacked Pyodide, for a site that needs no other host"
    )
    options = parser.parse_args()
    start = time.monotonic()
    if options.pyodide is not None:
        files_of(options.pyodide)
    BUILD.mkdir(exist_ok=True)
    programs = environment()
    source, site = BUILD / "lite-source", BUILD / "lite"
    number = write_sources(source, options.pyodide)
    print(f"  {number} notebooks, the library and {len(CARRIED)} packages are laid out", flush=True)
    shutil.rmtree(site, ignore_errors=True)
    command = [programs / "jupyter", "lite", "build", "--lite-dir", source, "--contents", source / "files"]
    command += ["--output-dir", site, "--apps", "lab", "--no-sourcemaps", "--no-unused-shared-packages"]
    run(command, "JupyterLite could not build the site")
    size = sum(path.stat().st_size for path in site.rglob("*") if path.is_file()) / 1e6
    place = "the site itself" if options.pyodide is not None else runtime()
    print(
        f"The site is in {site} ({size:.0f} MB, {time.monotonic() - start:.0f} s); it takes Python from {place}"
    )


if __name__ == "__main__":
    main()

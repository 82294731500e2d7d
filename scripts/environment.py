#!/usr/bin/env python
"""Make the environment of the book in ``.venv``: exact versions, the library itself, and PyTorch without GPU packages.

    python scripts/environment.py                 what `make book` and `make test` call
    python scripts/environment.py --torch cuda    PyTorch with its GPU packages, several GB

On Linux the package index serves PyTorch with GPU packages; its CPU build comes from PyTorch's own index. Where that
cannot be reached, the index that pip is set up with serves PyTorch, and a line says so. uv is used where it is
installed and can reach the CPU build. Interrupted, or run again, it does what is missing; with another Python than
the environment has, it makes the environment anew.
"""

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import time
import venv
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
OLDEST = (3, 11)


class Unmade(RuntimeError):
    """An environment cannot be made."""


@contextmanager
def alone(folder):
    """Wait until no other process makes an environment, where the system has such locks."""
    # at the root it would lie in the way
    beside = ROOT / "_build" if folder.parent == ROOT else folder.parent
    beside.mkdir(parents=True, exist_ok=True)
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    with (beside / f"{folder.name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def programs(folder):
    """Return where an environment has its programs."""
    return folder / ("Scripts" if os.name == "nt" else "bin")


def aside(folder, lock, say=lambda: None, finish=lambda: None):
    """Make an environment beside the book's, unless it stands, and return its folder of programs.

    Parameters
    ----------
    folder : path
        Where it goes. Another lock, another Python and another place make it anew.
    lock : path
        The versions of all its packages.
    say, finish : callable, optional
        Called before it is made, and before it counts as made.

    Returns
    -------
    programs : path

    Raises
    ------
    Unmade
        If it cannot be made; the message ends with what pip says.
    """
    parts = [lock.read_bytes(), str(folder).encode(), sys.executable.encode()]
    done, mark = folder / "done", hashlib.sha256(b"\0".join(parts)).hexdigest()
    with alone(folder):
        if not (done.is_file() and done.read_text() == mark):
            say()
            venv.create(folder, with_pip=True, clear=folder.exists())
            pip = [programs(folder) / "python", "-m", "pip", "install", "-q", "--disable-pip-version-check"]
            result = subprocess.run([*pip, "-r", lock], capture_output=True, text=True)
            if result.returncode:
                raise Unmade(f"{folder.name} cannot be made: {result.stderr.strip()[-1000:]}")
            finish()
            done.write_text(mark)
    return programs(folder)


def fingerprint(torch, version=sys.version_info[:2]):
    """Return what an environment is made from, as a word: lock, package, the choice of PyTorch and Python's series."""
    parts = [(ROOT / name).read_bytes() for name in ("requirements.lock", "pyproject.toml", "setup.py")]
    parts += [str(part).encode() for part in (torch, ROOT, version)]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


def pinned(name):
    """Return the line of the lock that pins a package."""
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    return next(line for line in lines if line.partition("==")[0] == name)


def installers(python, torch, system, uv):
    """Return the ways to install, best first, each a list of commands that must all succeed.

    Parameters
    ----------
    python : path
        Interpreter of the environment.
    torch : str
        ``"cpu"`` or ``"cuda"``.
    system : str
        As in ``sys.platform``.
    uv : path or None
        Where uv is, if it is.

    Returns
    -------
    ways : list of (str, list of list of str)
        What to say, and the commands.
    """
    wanted = ["-r", "requirements.lock", "-e", "."]
    pip = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    fast = [str(uv), "pip", "install", "-q", "--python", str(python)]
    alone = ["--no-deps", pinned("torch"), "--index-url", CPU_INDEX]
    if torch == "cuda" or not system.startswith("linux"):
        ways = [("installing with uv", [[*fast, *wanted]])] if uv else []
        return [*ways, ("installing with pip", [[*pip, *wanted]])]
    ways = [("installing with uv", [[*fast, *alone], [*fast, *wanted]])] if uv else []
    cpu_first = [[*pip, "--retries", "1", "--timeout", "15", *alone], [*pip, *wanted]]
    said = "PyTorch's CPU build cannot be reached: taking it from pip's usual index, several GB on Linux"
    return [*ways, ("installing with pip", cpu_first), (said, [[*pip, *wanted]])]


def usable(python):
    """Tell whether an environment's interpreter runs, is of the series of this one, and has pip."""
    asked = [str(python), "-c", "import pip, sys; print(*sys.version_info[:2])"]
    try:
        done = subprocess.run(asked, capture_output=True, text=True)
    except OSError:
        return False
    return done.returncode == 0 and done.stdout.split() == [str(part) for part in sys.version_info[:2]]


def installed(folder, names="*"):
    """Return what an environment's packages say of themselves, a folder each."""
    place = "Lib/site-packages" if os.name == "nt" else "lib/python*/site-packages"
    return list(folder.glob(f"{place}/{names}.dist-info"))


def repair(folder):
    """Forget the packages whose installation was cut off: without its record, pip and uv take one for installed."""
    for metadata in installed(folder):
        if not (metadata / "RECORD").is_file():
            shutil.rmtree(metadata)


def main():
    """Make or complete the environment; say one line a step."""
    options = arguments()
    try:
        with alone(options.folder):
            make(options)
    except KeyboardInterrupt:
        sys.exit("Stopped. What is installed is kept: the next run goes on from here.")


def arguments():
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--torch", choices=("cpu", "cuda"), default="cpu", help="which build of PyTorch")
    parser.add_argument("--folder", type=Path, default=ROOT / ".venv", help="where the environment goes")
    return parser.parse_args()


def make(options):
    """Make or complete the environment."""
    done = options.folder / "done"
    mark = fingerprint(options.torch)
    if done.is_file() and done.read_text().strip() == mark:
        return
    if sys.version_info < OLDEST:
        found = ".".join(map(str, sys.version_info[:3]))
        sys.exit(
            f"Python {OLDEST[0]}.{OLDEST[1]} or newer is needed, this is {found}: install it "
            "(Debian: apt install python3 python3-venv) or name it, make PYTHON=python3.12 book"
        )
    start = time.monotonic()
    python = programs(options.folder) / ("python.exe" if os.name == "nt" else "python")
    try:
        if not usable(python):
            print(f"Environment in {options.folder.name}: about 2 minutes and 450 MB of packages", flush=True)
            venv.create(options.folder, with_pip=True, clear=(options.folder / "pyvenv.cfg").is_file())
        repair(options.folder)
        if options.torch == "cuda" and installed(options.folder, "torch-*+cpu"):
            # the lock's version is there already, as the build without GPU: nothing would be installed
            subprocess.run([python, "-m", "pip", "uninstall", "-q", "-y", "torch"], check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        sys.exit(
            f"The environment {options.folder} cannot be made: {error} (Debian: apt install python3-venv)"
        )
    errors = []
    for said, commands in installers(python, options.torch, sys.platform, shutil.which("uv")):
        print(f"  {said}", flush=True)
        for command in commands:
            result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
            if result.returncode:
                errors.append(result.stderr.strip())
                break
        else:
            done.write_text(mark + "\n")
            print(f"  the environment is ready ({time.monotonic() - start:.0f} s)", flush=True)
            return
    sys.exit(
        f"{errors[-1]}\nInstalling failed for the reason given above (the first run needs the Python package index; "
        "behind a proxy, set HTTPS_PROXY)"
    )


if __name__ == "__main__":
    main()

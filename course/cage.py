"""A sandbox for submissions: bubblewrap, no network, no folder but a scratch one, limits on what is used.

In the cage are Python, the book's environment and the library, all read-only, and a scratch folder in memory that is
gone with it. Problem sets, tests and other submissions are not there to be read. The worker limits its own memory,
processes and files before it reads the first cell; what the kernel does not limit is watched from outside.
"""

import os
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from course.sources import ROOT
from course.submission import ENVIRONMENT, CannotStart, Submission, Worker

#: Parts of the repository that a submission may read.
OPEN = ("gdln", "course", "book/data", "book/claims")
SCRATCH = "/scratch"
#: Users without a name, one of which root becomes in the cage: the kernel counts the processes of a user, not of root.
USERS = range(61000, 65000)
#: Seconds between two looks at what a cage uses.
WATCH = 0.1
#: What a cage is asked to show before it is used, and what to say of each.
PROMISES = {
    "network": "no network",
    "files": "no folder but its own",
    "memory": "memory of each process",
    "processes": "number of processes",
    "disk": "size of the scratch folder",
}
PROBE = """
import os, signal, socket, sys

def refused(action):
    try:
        action()
    except (OSError, MemoryError, SystemError):
        return True
    return False

def write(path, megabytes):
    with open(path, "wb") as file:
        for _ in range(megabytes):
            file.write(bytes(2**20))

def fork():
    children = []
    try:
        for _ in range({processes} + 1):
            child = os.fork()
            if child == 0:
                signal.pause()
            children.append(child)
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)

held = {{
    "network": all(name == "lo" for _, name in socket.if_nameindex()),
    "files": not os.path.exists({hidden!r}) and refused(lambda: write({prefix!r} + "/probe", 0)),
    "memory": refused(lambda: bytearray({memory} * 2**20)),
    "processes": refused(fork),
    "disk": refused(lambda: write("{scratch}/probe", {disk} + 1)),
}}
os.path.exists("{scratch}/probe") and os.remove("{scratch}/probe")
"""


class NoCage(RuntimeError):
    """The system cannot make a cage."""


@dataclass(frozen=True)
class Cage:
    """A way to start workers in a sandbox.

    Attributes
    ----------
    as_root : bool
        Whether root makes the cage and becomes another user in it; otherwise a user's own namespace makes it.
    held : tuple of str
        What it was seen to limit, of :data:`PROMISES`.
    """

    as_root: bool
    held: tuple = ()

    def start(self, limits, watched=True):
        """Start a worker within limits."""
        user = USERS[os.getpid() % len(USERS)] if self.as_root else 0
        arguments = [limits.memory, limits.processes, limits.disk, user]
        worker = Worker([*self.command(limits), *map(str, arguments)], {"PATH": os.environ["PATH"]})
        if watched:
            threading.Thread(target=watch, args=(worker, limits), daemon=True).start()
        return worker

    def command(self, limits):
        """Return the command that starts a worker in the cage."""
        apart = ["--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts"]
        keep = [item for name in ("SETUID", "SETGID") for item in ("--cap-add", f"CAP_{name}")]
        command = [
            "bwrap",
            *(apart if self.as_root else ["--unshare-all"]),
            "--die-with-parent",
            "--new-session",
        ]
        command += ["--cap-drop", "ALL", *(keep if self.as_root else [])]
        command += ["--ro-bind", "/usr", "/usr", "--proc", "/proc", "--dev", "/dev"]
        for name in ("lib", "lib64", "bin"):
            path = Path("/", name)
            if path.is_symlink():
                command += ["--symlink", os.readlink(path), str(path)]
            elif path.is_dir():
                command += ["--ro-bind", str(path), str(path)]
        for path in folders():
            command += [*opened(path), "--ro-bind", str(path), str(path)]
        command += [
            "--perms",
            "0777",
            "--size",
            str(limits.disk * 2**20),
            "--tmpfs",
            SCRATCH,
            "--chdir",
            SCRATCH,
        ]
        inside = {
            "HOME": SCRATCH,
            "MPLCONFIGDIR": SCRATCH,
            "LANG": "C.UTF-8",
            "PATH": "/usr/bin",
            **ENVIRONMENT,
        }
        inside |= {"PYTHONDONTWRITEBYTECODE": "1", "TMPDIR": SCRATCH}
        command.append("--clearenv")
        for name, value in inside.items():
            command += ["--setenv", name, value]
        return [*command, "--", sys.executable, "-m", "course.worker"]

    def account(self):
        """Return lines that say what the cage limits, and what the system could not give."""
        given = [text for name, text in PROMISES.items() if name in self.held]
        lines = [
            "In a bubblewrap sandbox, with limits on time and printed output, and: " + ", ".join(given) + "."
        ]
        for name in PROMISES:
            if name not in self.held:
                watched = name in ("memory", "processes")
                more = "it is watched from outside and ended when it goes over" if watched else "nothing does"
                lines.append(f"This system does not limit: {PROMISES[name]}; {more}.")
        return lines


def folders():
    """Return the folders that a worker needs besides ``/usr``: Python, its packages and the library."""
    found = [Path(sys.prefix), Path(sys.base_prefix), Path(os.path.realpath(sys.executable)).parent]
    found += [ROOT / name for name in OPEN]
    found = [path for path in dict.fromkeys(found) if path.exists() and Path("/usr") not in path.parents]
    found = [path for path in found if path != Path("/usr")]
    return [path for path in found if not any(other in path.parents for other in found)]


def opened(path):
    """Return options that let everybody pass through the parents of a folder."""
    parents = [parent for parent in reversed(path.parents) if parent != Path("/")]
    return [item for parent in parents for item in ("--perms", "0755", "--dir", str(parent))]


def watch(worker, limits):
    """End a worker when all its processes together hold too much memory, or are too many."""
    while worker.poll() is None:
        pids = tree(worker.pid)
        if sum(map(resident, pids)) > limits.memory * 2**20:
            worker.stop(f"used more than {limits.memory} MB of memory")
        elif len(pids) > limits.processes + 4:  # bubblewrap's own two, with room for one that ends
            worker.stop(f"started more than {limits.processes} processes")
        time.sleep(WATCH)


def tree(pid):
    """Return a process and all that descend from it."""
    found, children = [], [pid]
    while children:
        found += children
        children = [child for parent in children for child in children_of(parent)]
    return found


def children_of(pid):
    """Return the children of a process, none when it is gone."""
    try:
        tasks = os.listdir(f"/proc/{pid}/task")
        return [int(c) for t in tasks for c in Path(f"/proc/{pid}/task/{t}/children").read_text().split()]
    except OSError:
        return []


def resident(pid):
    """Return the bytes of memory that a process holds, its share of what it shares; zero when it is gone."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    except (OSError, StopIteration):
        return 0


def find(limits):
    """Return the cage that this system can make, after trying what it holds.

    Parameters
    ----------
    limits : Limits
        In force while it is tried.

    Raises
    ------
    NoCage
        If there is none; the message says why.
    """
    if shutil.which("bwrap") is None:
        raise NoCage("bubblewrap is not installed (Debian and Ubuntu: apt install bubblewrap)")
    said = []
    for as_root in (True, False) if os.geteuid() == 0 else (False,):
        cage = Cage(as_root)
        try:
            held = tried(cage, limits)
        except CannotStart as error:
            said.append(str(error))
            continue
        if "files" in held and "network" in held:
            return replace(cage, held=held)
        said.append(f"a cage that keeps only {', '.join(held) or 'nothing'} apart is none")
    raise NoCage("bubblewrap cannot make a sandbox here: " + "; ".join(said))


def tried(cage, limits):
    """Return what a cage was seen to limit."""
    text = PROBE.format(
        processes=limits.processes,
        hidden=str(ROOT / "assignments"),
        prefix=sys.prefix,
        memory=limits.memory,
        disk=limits.disk,
        scratch=SCRATCH,
    )
    with Submission([("probe", text)], partial(cage.start, watched=False), limits) as probe:
        if probe.kind("held") != "value":
            raise CannotStart(f"the trial of the sandbox fails: {probe.faults.get('probe')}")
        held = probe.value("held")
    return tuple(name for name in PROMISES if held.get(name) is True)


def version():
    """Return the version of bubblewrap, as it says it."""
    return subprocess.run(["bwrap", "--version"], capture_output=True, text=True, check=True).stdout.strip()

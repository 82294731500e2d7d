"""A student's cells in a process of their own, and what they define as seen from here."""

import builtins
import os
import select
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass

from course import wire
from course.sources import ROOT

#: Names of Python's own errors that a student's function may be asked to raise. None of those that end a loop: raised
#: in the middle of a test, it would pass over what is left of it.
ERRORS = {
    name: kind
    for name, kind in vars(builtins).items()
    if isinstance(kind, type)
    and issubclass(kind, Exception)
    and not issubclass(kind, Warning | StopIteration | StopAsyncIteration)
}
#: Seconds that a process is given beyond its own alarm before it is ended from outside.
GRACE = 3
#: Bytes kept of what is printed last, to tell why a process did not start.
LAST_WORDS = 300


@dataclass(frozen=True)
class Limits:
    """What a submission may use.

    Attributes
    ----------
    cell, call, test, total : float
        Seconds for a cell, for a call of a student's function, for a test and for everything.
    memory : int
        MB of address space of a process, and MB that all of them may hold together.
    processes : int
        Processes and threads at a time.
    disk : int
        MB that may be written to the scratch folder.
    output : int
        MB that may be printed.
    """

    cell: float = 120
    call: float = 60
    test: float = 120
    total: float = 900
    memory: int = 4096
    processes: int = 64
    disk: int = 256
    output: int = 64


class Failed(Exception):
    """A student's code raised, took too long, or returned what cannot be sent; the message says which."""


class Ended(Failed):
    """The student's process is gone."""


class CannotStart(RuntimeError):
    """No process could be started, which is no fault of the submission."""


def failure(reply, what):
    """Return the exception for an error on the far side: one of Python's own kinds, and a :class:`Failed`."""
    kinds = [ERRORS[name] for name in reply["kinds"] if name in ERRORS]
    told = reply["message"]
    message = f"{what} raised {reply['error']}" + (
        f" {told}" if told.startswith("(line ") else f": {told}" * bool(told)
    )
    if reply["error"] == "TooLong":
        message = f"{what} {reply['message']}"
    if reply["error"] == "WireError":
        message = f"{what}: {reply['message']}"
    kind = type("Failed", (Failed, kinds[0]), {}) if kinds and kinds[0] is not Exception else Failed
    try:
        return kind(message)
    except TypeError:  # an error that wants more than a message, such as UnicodeDecodeError
        return Failed(message)


#: Environment of every worker: figures to nowhere, one thread.
ENVIRONMENT = {
    "MPLBACKEND": "Agg",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "PYTHONPATH": str(ROOT),
}


class Worker(subprocess.Popen):
    """The process in which a submission runs, in a session of its own, with pipes to it.

    Parameters
    ----------
    command : list of str
        Which ends with a worker.
    env : dict
        Its environment.
    """

    #: Why it was ended from outside, if it was.
    why = ""

    def __init__(self, command, env):
        pipe = subprocess.PIPE
        super().__init__(command, stdin=pipe, stdout=pipe, stderr=pipe, env=env, start_new_session=True)

    def stop(self, why=""):
        """End the process and those of its session."""
        self.why = self.why or why
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            self.kill()


def bare(limits):
    """Start a worker without a cage; of the limits only those on memory and files are in force."""
    command = [sys.executable, "-m", "course.worker", str(limits.memory), "0", str(limits.disk), "0"]
    return Worker(command, {**os.environ, **ENVIRONMENT})


class Submission:
    """A student's cells, run when something of theirs is first asked for.

    When the process hangs or ends, it is ended and started again for the next test, without the cell that did it.

    Parameters
    ----------
    cells : sequence of (str, str)
        Name and text of each code cell, in order.
    start : callable
        Starts a worker within some limits and returns the process, such as :func:`bare`.
    limits : Limits, optional
    """

    def __init__(self, cells, start=bare, limits=None):
        self.cells, self.start, self.limits = list(cells), start, limits or Limits()
        self.faults = {}  # cell name -> why it failed
        self.lethal = set()  # cells that ended the process
        self.process = None
        self.deadline = time.monotonic() + self.limits.total
        self.last_words = ""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()

    def run(self):
        """Run every cell, unless they have run in this process; a cell that fails does not stop the later ones."""
        while self.process is None:
            self._launch()
            for number, (name, text) in enumerate(self.cells):
                if number in self.lethal:
                    continue
                try:
                    self._ask("cell", [text, name], self.limits.cell, "this cell")
                except Ended as fault:
                    self.faults[name] = str(fault)
                    self.lethal.add(number)
                    break  # and start again without it
                except Failed as fault:
                    self.faults[name] = str(fault)

    def kind(self, name):
        """Return ``"function"``, ``"value"`` or ``"missing"``."""
        self.run()
        kind = self._ask("kind", [name], self.limits.call, name)
        return kind if kind in ("function", "value") else "missing"

    def value(self, name):
        """Return a copy of a value."""
        self.run()
        return self._ask("value", [name], self.limits.call, f"`{name}`")

    def call(self, name, args, kwargs):
        """Return a copy of what a function returns for copies of the arguments."""
        if self.process is None:
            raise Ended(f"`{name}` cannot be called again: its process had to be ended")
        return self._ask("call", [name, list(args), kwargs], self.limits.call, f"`{name}`")

    def memory(self):
        """Return the most memory that the process has held, in MB, as it says itself."""
        self.run()
        return self._ask("memory", [], self.limits.call, "the process")

    def end(self):
        """End the process and all that it started."""
        if self.process is None:
            return
        process, self.process = self.process, None
        process.stop()
        process.wait()
        self.drain.join(GRACE)
        for stream in (process.stdin, process.stdout):
            stream.close()

    def _launch(self):
        if time.monotonic() > self.deadline:
            raise Ended(f"everything together took longer than {self.limits.total:g} s")
        self.process = self.start(self.limits)
        os.set_blocking(self.process.stdin.fileno(), False)
        os.set_blocking(self.process.stdout.fileno(), False)
        self.drain = threading.Thread(target=self._drain, args=(self.process,), daemon=True)
        self.drain.start()
        try:
            self._ask("kind", ["__name__"], self.limits.cell, "the empty notebook")
        except Failed as fault:
            said = f"{fault} {self.last_words}".strip()
            raise CannotStart(f"the process for the submission does not start: {said}") from None

    def _drain(self, process):
        """Count what is printed and throw it away, but for the last words; beyond the limit end the process."""
        printed = 0
        with process.stderr as stream:
            while data := os.read(stream.fileno(), 2**16):
                printed += len(data)
                self.last_words = data[-LAST_WORDS:].decode(errors="replace")
                if printed > self.limits.output * 2**20 and not process.why:
                    process.stop(f"printed more than {self.limits.output} MB")

    def _ask(self, order, arguments, seconds, what):
        """Send a request and return the value of the reply."""
        left = self.deadline - time.monotonic()
        if left <= 0:
            self.end()
            raise Ended(f"everything together took longer than {self.limits.total:g} s")
        seconds = min(seconds, left)
        until = time.monotonic() + seconds + GRACE
        try:
            self._write(wire.pack([order, seconds, arguments]), until)
            head = wire.HEAD.unpack(self._read(wire.HEAD.size, until))
            if max(head) > 2 * wire.LIMIT:
                raise wire.WireError("what came is too large")
            reply = wire.unpack(self._read(head[0], until), self._read(head[1], until))
            if not isinstance(reply, dict):
                raise wire.WireError("what came is no reply")
            if "value" in reply:
                return reply["value"]
            told = {"error": str(reply.get("error")), "message": str(reply.get("message"))[:400]}
            kinds = reply.get("kinds")
            told["kinds"] = [k for k in kinds if isinstance(k, str)] if isinstance(kinds, list) else []
        except TimeoutError:
            self.end()
            raise Ended(f"{what} took longer than {seconds:g} s and had to be ended") from None
        except (EOFError, BrokenPipeError):
            process = self.process
            self.end()
            raise Ended(f"{what} {process.why or 'ended the process in which the notebook runs'}") from None
        except wire.WireError as fault:
            self.end()
            raise Ended(f"{what}: {fault}") from None
        raise failure(told, what)

    def _write(self, data, until):
        view, out = memoryview(data), self.process.stdin.fileno()
        while view:
            self._wait([], [out], until)
            try:
                view = view[os.write(out, view[: 2**16]) :]
            except BlockingIOError:
                continue

    def _read(self, size, until):
        """Return exactly so many bytes, without taking memory for more than came."""
        pieces, stream = [], self.process.stdout.fileno()
        while size:
            self._wait([stream], [], until)
            piece = os.read(stream, min(size, 2**20))
            if not piece:
                raise EOFError
            pieces.append(piece)
            size -= len(piece)
        return b"".join(pieces)

    @staticmethod
    def _wait(reading, writing, until):
        left = until - time.monotonic()
        if left <= 0 or not any(select.select(reading, writing, [], left)):
            raise TimeoutError


class Function:
    """A student's function, seen from the tests: takes and returns copies of plain values."""

    def __init__(self, submission, name):
        self._submission, self.__name__ = submission, name

    def __call__(self, *args, **kwargs):
        return self._submission.call(self.__name__, args, kwargs)

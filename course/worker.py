"""The far end of the pipe: runs a student's cells one by one, and calls what they defined.

    python -m course.worker MEGABYTES PROCESSES FILE_MEGABYTES USER     0 leaves a limit away, or the user as it is

Requests come on standard input, replies leave on standard output as :mod:`course.wire` writes them; what the cells
print goes to standard error. Nothing that is said here is believed: the process at the other end tests the values.
"""

import os
import re
import resource
import signal
import sys
import traceback

from course import alarm, memory, wire

#: Characters of an error's message that are passed on.
MESSAGE = 400


class Notebook:
    """The names that the cells have defined so far.

    A cell is run as Jupyter runs it: in one namespace, with lines that begin with ``%`` or ``!`` passed over.
    """

    def __init__(self):
        self.names = {"__name__": "__main__", "display": lambda *_, **__: None, "get_ipython": lambda: None}

    def cell(self, text, name):
        """Run a cell."""
        try:
            code = compile(text, f"<{name}>", "exec")
        except SyntaxError:
            code = compile(re.sub(r"^(\s*)[%!].*$", r"\1pass", text, flags=re.M), f"<{name}>", "exec")
        exec(code, self.names)

    def kind(self, name):
        """Return ``"function"``, ``"value"`` or ``"missing"``."""
        if name not in self.names:
            return "missing"
        return "function" if callable(self.names[name]) else "value"

    def value(self, name):
        """Return what a name stands for."""
        return self.names[name]

    def call(self, name, args, kwargs):
        """Return the result of a function."""
        return self.names[name](*args, **kwargs)

    def memory(self):
        """Return the most memory that the process has held, in MB."""
        return memory.peak()


def told(error):
    """Return type and message of an error, with the line of the cell in which it arose."""
    kinds = [kind.__name__ for kind in type(error).__mro__ if kind.__module__ == "builtins"]
    try:
        message = str(error)
    except BaseException:
        message = "(an error whose message cannot be read)"
    if isinstance(error, SyntaxError):
        message = f"{error.msg} (line {error.lineno})"
    else:
        lines = [f for f in traceback.extract_tb(error.__traceback__) if f.filename.startswith("<")]
        if lines:
            message += f" (line {lines[-1].lineno} of {lines[-1].filename[1:-1]})"
    return {"error": type(error).__name__, "kinds": kinds, "message": message.strip()[:MESSAGE]}


def serve(ask, reply):
    """Answer requests until there are no more."""
    notebook, me = Notebook(), os.getpid()
    while True:
        head = ask.read(wire.HEAD.size)
        if len(head) < wire.HEAD.size:
            return
        sizes = wire.HEAD.unpack(head)
        order, seconds, arguments = wire.unpack(*map(ask.read, sizes))
        try:
            with alarm.limit(seconds):
                value = getattr(notebook, order)(*arguments)
                # Encoding runs the student's code too, where a list or a number is of the student's own class.
                frame = wire.pack({"value": value})
        except BaseException as error:
            frame = wire.pack(told(error))
        if os.getpid() != me:
            os._exit(0)  # a cell has forked and come here twice
        reply.write(frame)
        reply.flush()


def restrict(megabytes, processes, file_megabytes):
    """Take limits on memory, processes and written files, for this process and its children."""
    wanted = {
        resource.RLIMIT_AS: megabytes * 2**20,
        resource.RLIMIT_NPROC: processes,
        resource.RLIMIT_FSIZE: file_megabytes * 2**20,
    }
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for which, most in wanted.items():
        if most:
            alarm.lower(which, most)


def main():
    """Keep the pipe for the replies, and give the cells standard error to print to and nothing to read."""
    megabytes, processes, file_megabytes, user = map(int, sys.argv[1:5])
    if user:  # the kernel counts no processes of root
        os.setgroups([])
        os.setgid(user)
        os.setuid(user)
    restrict(megabytes, processes, file_megabytes)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a file that grows too long is an OSError, not the end
    ask, reply = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    serve(ask, reply)


if __name__ == "__main__":
    main()

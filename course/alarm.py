"""Stop code that takes too long or too much, from inside its own process."""

import resource
import signal
from contextlib import contextmanager, suppress


class TooLong(BaseException):
    """A time limit has passed; not an ``Exception``, so that ``except Exception`` in a loop does not swallow it."""


@contextmanager
def limit(seconds):
    """Raise :class:`TooLong` in the block when it takes longer than ``seconds``."""
    on = [True]

    def ring(*_):
        if on[0]:
            raise TooLong(f"took longer than {seconds:g} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        on[0] = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def lower(which, most):
    """Lower one of the limits of :mod:`resource` for this process and its children, where the system has it."""
    hard = resource.getrlimit(which)[1]
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    with suppress(ValueError, OSError):
        resource.setrlimit(which, (most, most))

"""Stop code that takes too long, from inside its own process."""

import signal
from contextlib import contextmanager


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

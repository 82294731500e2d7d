"""The most memory that this process has held; also run as it stands by every kernel of the book."""

import re
import sys
from pathlib import Path


def peak():
    """Return the most memory that this process has held, in MB; None where the system does not tell."""
    try:  # what Linux counts for the resource includes the process that started this one, before it became another
        status = Path("/proc/self/status").read_text()
        return int(re.search(r"^VmHWM:\s*(\d+) kB$", status, re.M)[1]) / 2**10
    except (OSError, TypeError):  # no such file, or no such line
        pass
    try:
        import resource
    except ImportError:  # Windows
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)

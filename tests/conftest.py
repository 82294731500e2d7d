"""What tests of several files use."""

import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

_approx = pytest.approx


def approx(expected, rel=None, abs=None, nan_ok=False):
    """Pytest's, where a relative tolerance alone is one: it adds 1e-12, within which all tiny numbers are equal."""
    return _approx(expected, rel, 0.0 if abs is None and rel is not None else abs, nan_ok)


pytest.approx = approx


@pytest.fixture(scope="session")
def bare(tmp_path_factory):
    """Return an interpreter that has what gdln needs but not gdln."""
    folder = tmp_path_factory.mktemp("bare") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    python = folder / "bin" / "python"
    site = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    # a folder named in a .pth file is searched, but its own .pth files, where an editable gdln stands, are not read
    Path(site, "needs.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python

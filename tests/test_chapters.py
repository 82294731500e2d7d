"""What the extension that runs chapters has every kernel do."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "book" / "_ext"))


@pytest.mark.skipif(os.name == "nt", reason="the system does not tell a process's peak memory")
def test_the_memory_of_a_chapter_is_its_kernels_and_not_that_of_the_build(tmp_path):
    import chapters  # with a hundred modules of Sphinx and of databases, so not for every worker

    build = bytearray(os.urandom(2**20) * 300)  # a large build starts a small kernel
    for held, least, most in ((0, 5, 60), (200, 200, 260)):
        program = chapters.MEMORY.format(measure=str(chapters.MEASURE), file=str(tmp_path / "memory"))
        subprocess.run([sys.executable, "-c", f"{program}\nheld = b'1' * ({held} * 2**20)"], check=True)
        assert least < int((tmp_path / "memory").read_text()) < most
    assert len(build) == 300 * 2**20

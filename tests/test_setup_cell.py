"""The first cell of every notebook installs the library where it is missing, or says in one sentence why it cannot."""

import os
import subprocess
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parent.parent
CELL = nbformat.read(ROOT / "book" / "index.ipynb", as_version=4).cells[0].source


def run(python, cell, folder, **environment):
    keep = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    return subprocess.run(
        [python, "-c", cell], cwd=folder, env=keep | environment, capture_output=True, text=True
    )


def test_without_an_address_one_sentence_says_so(bare, tmp_path):
    assert "/OWNER/" in CELL
    done = run(bare, CELL, tmp_path)
    assert done.returncode and done.stderr.strip().splitlines()[-1].startswith(
        "RuntimeError: This copy of the book is not published"
    )


def test_where_pip_fails_the_cell_stops(bare, tmp_path):
    source = CELL[CELL.index('"gdln[') + 1 : CELL.index('"\n    if')]
    done = run(bare, CELL.replace(source, f"gdln @ git+file://localhost{tmp_path}/nothing"), tmp_path)
    assert done.returncode and "gdln could not be installed" in done.stderr.strip().splitlines()[-1]


@pytest.mark.slow
def test_from_a_repository_the_library_is_installed_with_its_data_and_claims(bare, tmp_path):
    names = ("gdln", "book/data", "book/claims", "pyproject.toml", "setup.py", "README.md", "LICENSE")
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org"]
    repository, tree = tmp_path / "book.git", ["--work-tree", str(ROOT)]
    subprocess.run(["git", "init", "-q", "--bare", "-b", "main", repository], check=True)
    index = {"GIT_DIR": str(repository), "GIT_INDEX_FILE": str(tmp_path / "index")}
    for command in (["add", "-f", *names], ["commit", "-q", "-m", "all"]):
        subprocess.run([*git, *tree, *command], check=True, env=os.environ | index, cwd=ROOT)
    address = CELL[CELL.index("git+") : CELL.index("@main")]
    cell = CELL.replace(address, f"git+file://localhost{repository}").replace("[train,exact,interactive]", "")
    check = cell + "\nfrom gdln import claims, results\nassert claims.rows() and results.load('race_digits')"
    done = run(bare, check, tmp_path, PIP_NO_BUILD_ISOLATION="0", PIP_NO_DEPS="1")
    assert done.returncode == 0, done.stderr[-2000:]
    assert "Installing gdln" in done.stdout
    again = run(bare, cell, tmp_path)
    assert (again.returncode, again.stdout) == (0, "")

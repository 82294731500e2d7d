"""The notebooks that readers open run: those whose cells the build ran are not run twice."""

import os
import subprocess
import sys

import nbformat
import pytest
from jupyter_cache import get_cache
from nbclient import NotebookClient

from tests.test_book import CHAPTERS, ROOT

sys.path.insert(0, str(ROOT / "book" / "_ext"))
from library_cache import ask_kernel, library_hash  # noqa: E402


@pytest.fixture(scope="session")
def cache():
    """Return what the build of this very library keeps of its chapters, or None."""
    _, versions = ask_kernel(ROOT, ROOT)
    folder = ROOT / "_build" / ".jupyter_cache" / library_hash(ROOT, versions, os.environ.get("GDLN_RESULTS"))
    return get_cache(folder) if folder.is_dir() else None


def read(page):
    """Return a notebook's first cell, which installs, and the notebook of the others."""
    notebook = nbformat.read(ROOT / f"{page}.ipynb", as_version=4)
    setup = notebook.cells.pop(0)
    assert setup.metadata["tags"] == ["setup"]
    return setup, notebook


def run(notebook, folder):
    """Run a notebook; raises where a cell fails."""
    return NotebookClient(notebook, timeout=240, resources={"metadata": {"path": str(folder)}}).execute()


def code(notebook):
    """Return the sources of a notebook's code cells."""
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


def ran_in_the_build(cache, notebook):
    """Whether the build ran these very cells to the end."""
    for record in cache.list_cache_records() if cache is not None else ():
        executed = cache.get_cache_bundle(record.pk).nb
        if code(executed) == code(notebook):
            outputs = [output for cell in executed.cells for output in cell.get("outputs", [])]
            return bool(outputs) and not any(output.output_type == "error" for output in outputs)
    return False


@pytest.mark.parametrize("page", CHAPTERS)
def test_a_notebook_runs_to_the_end(page, cache):
    _, notebook = read(page)
    if not ran_in_the_build(cache, notebook):
        run(notebook, (ROOT / page).parent)


def test_the_first_cell_of_every_notebook_does_nothing_where_the_library_is(tmp_path):
    cells = {setup.source: setup for setup, _ in map(read, CHAPTERS)}
    for setup in cells.values():
        executed = run(nbformat.v4.new_notebook(cells=[setup]), tmp_path)
        assert not executed.cells[0].outputs


def test_a_notebook_that_the_build_did_not_run_is_run(cache):
    changed = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 / 0")])
    assert not ran_in_the_build(cache, changed)
    assert not ran_in_the_build(None, read(CHAPTERS[0])[1])
    with pytest.raises(Exception, match="ZeroDivisionError"):
        run(changed, ROOT)


def test_the_build_ran_the_cells_of_every_chapter(cache):
    assert cache is not None, "run `make book` before the tests"
    assert not [page for page in CHAPTERS if not ran_in_the_build(cache, read(page)[1])]


def test_no_folder_beside_a_notebook_is_taken_for_a_package_that_another_looks_for():
    folders = {(ROOT / f"{page}.ipynb").parent for page in CHAPTERS}
    suspects = [folder for folder in folders if any(path.is_dir() for path in folder.iterdir())]
    assert ROOT / "book" in suspects
    for folder in suspects:
        command = [sys.executable, "-c", "import pandas, sklearn, arviz, plotly"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

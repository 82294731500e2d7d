"""nbgrader itself makes the release that the sources say, and grades it to the same points."""

import csv

import nbformat
import pytest

from course import nbgrader_tool, release
from course.sources import available, load
from tests.course.test_release import SETS

pytestmark = pytest.mark.course


@pytest.fixture(scope="module")
def nbgrader():
    """nbgrader's command, in the environment that `make assignments` makes."""
    try:
        return nbgrader_tool.make()
    except nbgrader_tool.NoNbgrader as error:
        if "Could not find a version" in str(error) or "connection" in str(error).lower():
            pytest.skip(str(error).splitlines()[0])
        raise


@pytest.mark.parametrize("name", ["sample", *available()])
def test_autograding_by_nbgrader_gives_full_points_for_the_solutions_and_none_for_the_release(
    nbgrader, name, tmp_path
):
    folder = SETS if name == "sample" else release.FOLDER
    release.release([name], folder, seed=11, course=tmp_path, nbgrader=nbgrader, say=str)
    handed_out = nbformat.read(tmp_path / "release" / name / f"{name}.ipynb", as_version=4)
    for student in ("ada", "bob"):
        path = tmp_path / "submitted" / student / name / f"{name}.ipynb"
        path.parent.mkdir(parents=True)
        nbformat.write(handed_out, path)
    solved = nbformat.read(tmp_path / "source" / name / f"{name}.ipynb", as_version=4)
    by_id = {
        cell.metadata.nbgrader.grade_id: cell.source for cell in solved.cells if "nbgrader" in cell.metadata
    }
    for cell in handed_out.cells:
        if cell.metadata.get("nbgrader", {}).get("solution"):
            cell.source = by_id[cell.metadata.nbgrader.grade_id]
    nbformat.write(handed_out, tmp_path / "submitted" / "ada" / name / f"{name}.ipynb")
    for student in ("ada", "bob"):
        nbgrader_tool.run(nbgrader, tmp_path, "autograde", name, "--student", student, "--create")
    nbgrader_tool.run(nbgrader, tmp_path, "export")
    with (tmp_path / "grades.csv").open(newline="") as file:
        score = {row["student_id"]: float(row["raw_score"]) for row in csv.DictReader(file)}
    assert score == {"ada": sum(test.points for test in load(name, folder).tests), "bob": 0}

"""What is handed out holds all of the questions and nothing of the answers."""

import json
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import nbformat
import pytest

from course import grading, leaks, release
from course.check import run
from course.sources import Cell, available, load, seeds_of

SETS = Path(__file__).parent / "sets"


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """The sample set, released with another seed and without nbgrader."""
    folder = tmp_path_factory.mktemp("course")
    release.release(["sample"], SETS, seed=7, course=folder, say=str)
    return folder


def test_a_student_gets_a_notebook_and_what_to_install_and_a_lecturer_the_solutions(course):
    with zipfile.ZipFile(course / "students" / "sample.zip") as archive:
        assert sorted(archive.namelist()) == ["requirements.txt", "sample.ipynb"]
        notebook = nbformat.reads(archive.read("sample.ipynb").decode(), as_version=4)
        assert b"gdln[train] @ git+" in archive.read("requirements.txt")
        assert {entry.external_attr >> 16 for entry in archive.infolist()} == {0o644}
        assert all(
            entry.compress_size < entry.file_size or entry.file_size < 200 for entry in archive.infolist()
        )
    assert any(cell.source == "SEED = 7" for cell in notebook.cells)
    with zipfile.ZipFile(course / "instructors.zip") as archive:
        assert {"sample.ipynb", "sample.html"} <= set(archive.namelist())
        assert "quince" in archive.read("sample.ipynb").decode()
    assert seeds_of(course) == {"sample": 7}


def test_the_notebook_that_a_student_gets_earns_nothing_and_is_complete(course, sample):
    seeded = sample.with_seed(7)
    handed = grading.hand_in(
        seeded, nbformat.read(course / "release" / "sample" / "sample.ipynb", as_version=4)
    )
    assert handed.notes == () and set(handed.answers) == {"norm-proof", "meaning"}
    assert run(seeded).earned == 10


def test_a_page_of_a_set_loads_nothing_from_another_host(course):
    for path in course.rglob("*.html"):
        text = path.read_text()
        assert "http://" not in text and "https://" not in text
        assert (path.parent / "mathjax" / "tex-svg-full.js").is_file()


def test_releasing_again_replaces_the_notebooks_and_keeps_what_nbgrader_has_collected(course):
    (course / "submitted").mkdir(exist_ok=True)
    (course / "submitted" / "kept").write_text("x")
    before = (course / "students" / "sample.zip").read_bytes()
    release.release(["sample"], SETS, seed=7, course=course, say=str)
    assert (course / "students" / "sample.zip").read_bytes() == before
    assert (course / "submitted" / "kept").is_file()


@pytest.fixture(scope="module")
def whole_course(tmp_path_factory):
    """All sets of the book, released together."""
    folder = tmp_path_factory.mktemp("whole_course")
    release.release(available(), course=folder, say=str)
    return folder


@pytest.mark.parametrize("name", ["sample", *available()])
def test_no_student_file_gives_away_a_solution_a_hidden_test_or_a_rubric(name, course, whole_course):
    folder, course = (SETS, course) if name == "sample" else (release.FOLDER, whole_course)
    problem_set = load(name, folder)
    secret, lines = leaks.secrets(problem_set)
    assert len(secret) > 10 and len(lines) > 5
    for path in release.student_files(name, course):
        text = leaks.text_of(path)
        for mark in ("BEGIN SOLUTION", "HIDDEN TESTS", "Rubric"):
            assert mark not in text
    release.check_students(problem_set, course)


PAGES = {
    "comment of a page": "<!-- quarrel -->",
    "attribute of a page": "<p title='quarrel'></p>",
    "script of a page": "<script>var a = 'quarrel'</script>",
    "page": "<p>quar&#114;el</p>",
}


def leaking(course, place):
    """Put a word of a solution somewhere into a student's file."""
    path = course / "release" / "sample" / "sample.ipynb"
    told = json.loads(path.read_text())
    if place == "metadata":
        told["cells"][3]["metadata"]["nbgrader"]["answer"] = "quince_weighted"
    elif place == "notebook metadata":
        told["metadata"]["rubric_of"] = "quagmire"
    elif place == "key":
        told["cells"][3]["metadata"]["quarrel"] = 1
    elif place == "output":
        cell = next(cell for cell in told["cells"] if cell["cell_type"] == "code")
        cell["outputs"] = [{"output_type": "stream", "name": "stdout", "text": ["quar", "rel\n"]}]
    elif place == "text":
        told["cells"][1]["source"] = ["two points for its order, quagmire"]
    elif place == "number":
        told["cells"][1]["source"] = ["accurate to 1e-12"]
    path.write_text(json.dumps(told))
    if place == "zip":
        with zipfile.ZipFile(course / "students" / "sample.zip", "a") as archive:
            archive.writestr("notes.txt", "Six points for linearity.")
    if place == "zip comment":
        with zipfile.ZipFile(course / "students" / "sample.zip", "a") as archive:
            archive.comment = b"quince_weighted"
    if place == "zip extra field":
        with zipfile.ZipFile(course / "students" / "sample.zip", "a") as archive:
            entry = zipfile.ZipInfo("notes.txt")
            entry.extra = b"\xff\xca\x0f\x00quince_weighted"
            archive.writestr(entry, "")
    page = course / "pages" / "sample.html"
    if place in PAGES:
        page.write_text(page.read_text() + PAGES[place])


@pytest.mark.parametrize(
    "place",
    [
        "metadata",
        "notebook metadata",
        "key",
        "output",
        "text",
        "number",
        "zip",
        "zip comment",
        "zip extra field",
        *PAGES,
    ],
)
def test_a_leak_is_found_wherever_it_is(sample, course, tmp_path, place):
    shutil.copytree(course, tmp_path, dirs_exist_ok=True)
    release.check_students(sample, tmp_path)
    leaking(tmp_path, place)
    with pytest.raises(release.Leak, match="gives away"):
        release.check_students(sample, tmp_path)


def test_the_library_is_installed_by_a_first_cell_only_where_a_set_uses_it(sample):
    assert not any(cell.metadata.get("tags") for cell in release.notebook(sample).cells)
    using = replace(sample, cells=(*sample.cells, Cell("code", "from gdln import race")))
    cells = release.notebook(using).cells
    assert [i for i, cell in enumerate(cells) if cell.metadata.get("tags") == ["setup"]] == [1]
    hidden = "### BEGIN SOLUTION\nfrom gdln import race\n### END SOLUTION"
    secretly = replace(sample, cells=(*sample.cells, Cell("code", hidden, "secret", solution=True)))
    for shown in (secretly, secretly.for_students()):
        assert not any(cell.metadata.get("tags") for cell in release.notebook(shown).cells)

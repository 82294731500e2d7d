"""Whose a submission is, and for which set, is read from folders as platforms give them."""

from pathlib import Path

import nbformat
import pytest

from course.handed_in import entries


@pytest.fixture
def place(sample, tmp_path):
    """Return a function that puts notebooks of the sample set, or other text, into a folder."""

    def put(*names, text=None):
        for name in names:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(nbformat.writes(sample.notebook()) if text is None else text)
        return tmp_path

    return put


def found(sample, folder, wanted=None):
    """Return student, set, file and fault of what was handed in."""
    return [
        (e.student, e.name, e.path and e.path.name, e.fault)
        for e in entries(folder, {"sample": sample}, wanted)
    ]


@pytest.mark.parametrize(
    ("name", "student"),
    [
        ("ada.ipynb", "ada"),
        ("ada/anything.ipynb", "ada"),
        ("ada/sample/sample.ipynb", "ada"),
        ("Ada Lovelace_123_assignsubmission_file_/sample.ipynb", "Ada Lovelace"),
        ("Ada Lovelace_123_assignsubmission_file_sample.ipynb", "Ada Lovelace"),
        ("lovelaceada_4711_0815_sample.ipynb", "lovelaceada"),
        ("lovelaceada_LATE_4711_0815_sample-1.ipynb", "lovelaceada"),
    ],
)
def test_a_student_is_named_by_file_or_folder(sample, place, name, student):
    assert found(sample, place(name)) == [(student, "sample", Path(name).name, "")]


def test_two_students_of_one_name_stay_two(sample, place):
    folder = place("A B_1_assignsubmission_file_/s.ipynb", "A B_2_assignsubmission_file_/s.ipynb")
    assert len({student for student, *_ in found(sample, folder)}) == 2


def test_of_several_notebooks_the_one_named_like_the_set_counts_and_else_a_person_decides(sample, place):
    assert found(sample, place("ada/old.ipynb", "ada/sample.ipynb"))[0][2] == "sample.ipynb"
    ((student, _, path, fault),) = found(sample, place("bob/a.ipynb", "bob/b.ipynb"))[1:]
    assert student == "bob" and path is None and "2 notebooks" in fault and "a.ipynb, b.ipynb" in fault


def test_noise_of_systems_and_links_are_not_submissions(sample, place):
    folder = place(
        "ada.ipynb", ".DS_Store", "__MACOSX/x.ipynb", "bob/.ipynb_checkpoints/b.ipynb", "bob/sample.ipynb"
    )
    (folder / "eve.ipynb").symlink_to(folder / "ada.ipynb")
    rows = found(sample, folder)
    assert [row[0] for row in rows] == ["ada", "bob", "eve"] and "a link" in rows[2][3]


def test_a_folder_without_a_notebook_still_has_its_row(sample, place):
    folder = place("ada/readme.txt", "ada/more.txt", "bob/report.pdf", text="text")
    rows = found(sample, folder, "sample")
    assert rows[0][:3] == ("ada", "sample", None) and "no notebook" in rows[0][3]
    assert rows[1][:3] == ("bob", "sample", "report.pdf")


def test_a_notebook_of_another_set_is_not_graded_as_this_one(sample, place):
    folder = place("ada.ipynb")
    rows = entries(folder, {"sample": sample, "race": sample.with_seed(1)}, "race")
    assert len(rows) == 1 and rows[0].name == "race" and rows[0].fault


def test_a_file_too_large_for_a_notebook_is_not_read(sample, place):
    folder = place("ada/sample.ipynb", text="")
    with (folder / "ada" / "sample.ipynb").open("wb") as file:
        file.truncate(2**36)
    ((student, name, _, fault),) = found(sample, folder)
    assert (student, name, fault) == ("ada", "sample", "")


@pytest.mark.parametrize("name", ["nowhere", "."])
def test_no_folder_and_an_empty_one_say_so(sample, tmp_path, name):
    with pytest.raises(ValueError, match="there is no folder|is empty"):
        entries(tmp_path / name, {"sample": sample})

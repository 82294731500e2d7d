"""Points depend on the values that a submission's functions return, and on nothing else that it does."""

import nbformat
import pytest

from course import grading
from course.check import run
from course.submission import Limits, Submission

GRAM = "import numpy as np\ndef gram(X, c):\n    return X * c @ X.T / X.shape[1]"


def graded(sample, replaced=None, added=()):
    """Return points by test and the reasons, for a full solution with changes and added cells at its beginning."""
    notebook = sample.notebook()
    for cell in notebook.cells:
        grade_id = cell.metadata.get("nbgrader", {}).get("grade_id")
        cell.source = (replaced or {}).get(grade_id, cell.source)
    notebook.cells = [nbformat.v4.new_code_cell(text) for text in added] + notebook.cells
    with Submission(grading.hand_in(sample, notebook).cells, limits=Limits(cell=2, call=2)) as submission:
        outcomes = grading.grade(sample, submission)
    return {o.grade_id: o.earned for o in outcomes}, {o.grade_id: o.reason for o in outcomes}


def test_the_solutions_earn_everything_and_the_untouched_copy_nothing(sample):
    assert run(sample).losses == {} and run(sample).earned == 10
    assert run(sample, student=True).earned == 0


ATTACKS = {
    "asserts are patched": "import builtins\nbuiltins.AssertionError = Exception\nimport sys\nsys.flags",
    "numpy says that all is well": "import numpy as np\nnp.allclose = np.array_equal = lambda *a, **k: True",
    "the seed is changed": "SEED = 1",
    "a trace changes the tests": "import sys\nsys.settrace(lambda *a: None)",
    "the process is left with success": "import atexit, os\natexit.register(lambda: os._exit(0))",
    "the names of the tests are taken": "def assert_(*a): pass\nexample = None\nrefuse_test = gram_test = True",
}


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_an_attack_does_not_earn_what_a_wrong_answer_loses(sample, attack):
    wrong = GRAM.replace("X.T", "X.T * 2") + "\n" + attack
    points, _ = graded(sample, {"gram": wrong}, added=[attack])
    assert points == {"gram-test": 0, "refuse-test": 2, "number-test": 0}


def test_changed_and_deleted_tests_are_put_back(sample):
    points, _ = graded(sample, {"gram": "gram = None", "gram-test": "assert True", "seed": "SEED = 5"})
    assert points["gram-test"] == 0


def test_a_value_that_claims_to_equal_everything_is_compared_as_what_it_holds(sample):
    liar = "class A(float):\n    __eq__ = __lt__ = __sub__ = lambda *a: True\ntrace = A(7.0)"
    points, reasons = graded(sample, {"number": liar})
    assert points["number-test"] == 0 and "trace is the mean" in reasons["number-test"]


def test_a_reason_names_the_property_the_error_or_the_missing_name(sample):
    _, reasons = graded(
        sample, {"gram": GRAM.replace("/", "*"), "refuse": "def checked(c): return c + q", "number": ""}
    )
    assert reasons["gram-test"] == "the columns are not weighted and averaged"
    assert reasons["refuse-test"].startswith("`checked` raised NameError: name 'q' is not defined")
    assert reasons["number-test"] == "`trace` is not defined"
    _, reasons = graded(sample, {"refuse": "def checked(c):\n    raise NotImplementedError"})
    assert reasons["refuse-test"] == "`checked` raised NotImplementedError (line 2 of refuse)"
    _, reasons = graded(sample, {"number": "trace = 1 / 0"})
    assert reasons["number-test"].startswith("`trace` is not defined: this cell raised ZeroDivisionError")
    _, reasons = graded(sample, {"number": "def trace(): pass"})
    assert reasons["number-test"] == "`trace` must be a value"


def test_an_error_of_the_right_kind_counts_where_the_test_asks_for_it(sample):
    points, _ = graded(
        sample, {"refuse": "def checked(c):\n    if min(c) < 0: raise ValueError\n    return c"}
    )
    assert points["refuse-test"] == 2
    points, _ = graded(sample, {"refuse": "def checked(c):\n    if min(c) < 0: raise KeyError\n    return c"})
    assert points["refuse-test"] == 0


def test_helpers_in_cells_of_the_students_own_are_run_in_their_place(sample):
    points, _ = graded(
        sample, {"gram": "def gram(X, c): return helper(X, c)"}, added=[GRAM.replace("gram", "helper")]
    )
    assert points["gram-test"] == 5


def test_a_notebook_without_metadata_still_earns_what_its_code_is_worth(sample):
    notebook = sample.notebook()
    for cell in notebook.cells:
        cell.metadata = {}
    handed = grading.hand_in(sample, notebook)
    with Submission(handed.cells) as submission:
        assert sum(o.earned for o in grading.grade(sample, submission)) == 10
    assert "no answer cell 'norm-proof'" in handed.notes[0]


def with_text(sample, after, place):
    """Return the hand-in of a student's copy in which a cell of text was added below or above another."""
    notebook = sample.for_students().notebook()
    at = [cell.metadata.get("nbgrader", {}).get("grade_id") for cell in notebook.cells].index(after)
    notebook.cells.insert(at + place, nbformat.v4.new_markdown_cell("By the trace."))
    return grading.hand_in(sample, notebook)


@pytest.mark.parametrize("place", [0, 1], ids=["above", "below"])
def test_text_in_a_cell_of_its_own_beside_an_answer_is_part_of_it(sample, place):
    handed = with_text(sample, "norm-proof", place)
    assert handed.answers["norm-proof"] == "By the trace." and handed.notes == ()


def test_text_that_belongs_to_no_answer_is_pointed_out(sample):
    handed = with_text(sample, "gram", 1)
    assert "By the trace." not in handed.answers.values()
    assert handed.notes == ("text was added after 'gram': it belongs to no answer, so look at it",)


def test_a_locked_cell_comes_from_the_source_once_wherever_the_student_left_it(sample):
    notebook = sample.notebook()
    seed = next(cell for cell in notebook.cells if cell.source == "SEED = 2026")
    seed.source = "SEED = 7"
    notebook.cells += [seed]
    cells = grading.hand_in(sample, notebook).cells
    assert [text for name, text in cells if name == "seed"] == ["SEED = 2026"]
    assert any("SEED 7" in note for note in grading.hand_in(sample, notebook).notes)


@pytest.mark.parametrize("told", [None, 3, [], {"grade_id": 3}, {"grade_id": []}, {"grade_id": "unknown"}])
def test_strange_metadata_make_an_ordinary_cell(sample, told):
    notebook = sample.notebook()
    notebook.cells[-1].metadata["nbgrader"] = told
    grading.hand_in(sample, notebook)


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "empty")]
    + [
        (junk, "not a notebook")
        for junk in (b"def f(): pass", b"\xff\xfe", b"[]", b'{"cells": 3}', b"{" * 100000)
    ],
)
def test_a_file_that_is_no_notebook_says_so(tmp_path, content, reason):
    path = tmp_path / "a.ipynb"
    path.write_bytes(content)
    with pytest.raises(grading.NotANotebook, match=reason):
        grading.read(path)

"""A source that breaks the format is refused, and a student's copy holds nothing of the solutions."""

from pathlib import Path

import pytest

from course import sources

SETS = Path(__file__).parent / "sets"
TEXT = (SETS / "sample.md").read_text()


def changed(tmp_path, *pairs):
    """Return what is said about the sample set with some of its text replaced."""
    text = TEXT
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new, 1)
    (tmp_path / "sample.md").write_text(text)
    with pytest.raises(sources.BadSource) as caught:
        sources.load("sample", tmp_path)
    return str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("  minutes: 90", "  minutes: 30", "minutes must be from 90 to 150, got 30"),
        ("  minutes: 90\n", "", "needs course: minutes"),
        ("teaches: [foundations/one_mode]", "teaches: [race/nothing]", "there is no book/race/nothing.md"),
        ("SEED = 2026", "seed = 2026", "must be locked and define SEED"),
        ("(4 points): a proof", "(5 points): a proof", "question 1 says 5 points, its cells have 4"),
        ('"points": 6', '"points": 7', "a set has 20 points, got 21"),
        ("## Question 3", "## Question 5", "not numbered 1, 2, 3"),
        ('"grade_id": "meaning"', '"grade_id": "norm-proof"', "'norm-proof' stands twice"),
        ("**Rubric.**\nTwo", "Two", "needs its **Rubric.**"),
        ("import numpy as np\n\nassert np.array", "assert np.array", "uses 'np'"),
        ("rng = np.random.default_rng([SEED, 10])", "rng = generator(10)", "uses 'generator'"),
        ('    assert np.allclose(gram(X, c), quarrel, atol=1e-12), "the columns are not weighted and averaged"',
         "    assert np.allclose(gram(X, c), quarrel, atol=1e-12)", "needs a message"),
        ("assert np.allclose(", "np.testing.assert_allclose(", "tells a student the expected value"),
        ("### END HIDDEN TESTS", "", "BEGIN HIDDEN TESTS is never closed"),
        ("import numpy as np\n\n\ndef checked", "def checked", "refuse: uses 'np' of another cell"),
        ("    ### END SOLUTION\n", "", "BEGIN SOLUTION is never closed"),
        ("    return quince_weighted", "    return (quince_weighted", "does not parse"),
        ('"meaning", "locked": false', '"meaning", "locked": true', "an answer cannot be locked"),
    ],
)  # fmt: skip
def test_a_broken_format_is_refused_with_what_is_wrong(tmp_path, old, new, said):
    assert said in changed(tmp_path, (old, new))


def test_every_fault_of_a_source_is_listed_at_once(tmp_path):
    said = changed(tmp_path, ("minutes: 90", "minutes: 9"), ("## Question 3", "## Question 5"))
    assert "minutes" in said and "numbered" in said


def test_a_set_that_does_not_exist_says_so(tmp_path):
    with pytest.raises(sources.BadSource, match="there is no problem set 'race'"):
        sources.load("race", tmp_path)


def test_a_student_sees_signatures_stubs_and_visible_tests_only(sample):
    cells = sample.for_students().by_id
    assert (
        cells["gram"].text.endswith("    raise NotImplementedError")
        and "def gram(X, c):" in cells["gram"].text
    )
    assert cells["number"].text == "import numpy as np\n\nraise NotImplementedError"
    assert cells["norm-proof"].text == "*Your answer here.*"
    assert cells["gram-test"].text.splitlines()[-1].startswith("assert np.shape(example)")
    everything = str(sample.for_students().notebook())
    assert not any(word in everything for word in ("quince", "quarrel", "quagmire", "Rubric", "BEGIN", "END"))


def test_a_seed_changes_the_first_cell_and_nothing_else(sample):
    other = sample.with_seed(7)
    assert other.seed == 7 and other.by_id["seed"].text == "SEED = 7"
    assert [a for a, b in zip(other.cells, sample.cells, strict=True) if a != b] == [other.by_id["seed"]]


def test_names_of_answers_are_told_apart(sample):
    assert sample.names == {"gram": "function", "checked": "function", "trace": "value"}
    text = "import a\nx, (y, *z) = 1, (2, 3)\nfor i in x:\n    w = [k for k in z]\n"
    text += "def f(p):\n    q = 1\nwith a as b: pass\n"
    assert sources.defined(text) == dict.fromkeys(["x", "y", "z", "i", "w", "b"], "value") | {"f": "function"}


def test_names_that_a_test_needs_are_those_that_it_neither_makes_nor_imports():
    text = "import numpy as np\nrng = f(SEED)\ndef g(u):\n    return h(u, rng)\nassert all(k < n for k in g(1)), m.a\n"
    assert sources.used(text) == {"f", "SEED", "h", "n", "m"}

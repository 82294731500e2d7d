"""Chapter notebooks for students hold the exercises, and of their solutions neither text nor code."""

import re
import sys

import nbformat
import pytest

from course.sources import ROOT, bound, used_or_nothing

sys.path.insert(0, str(ROOT / "scripts"))
from make_notebooks import (  # noqa: E402
    PLACE,
    SETUP,
    Labels,
    chapters,
    exercises,
    setup_cell,
    without_solutions,
    write,
)

PAGES = [path.relative_to(ROOT).as_posix() for path in chapters()]
SOLUTION = re.compile(r"^```\{solution-start\}.*?^```\{solution-end\}\n```$", re.M | re.S)


@pytest.fixture(scope="module")
def labels():
    """Labels of the book, as the notebooks resolve them."""
    return Labels([path for path in (ROOT / "book").rglob("*.md") if path.parent.name != "_ext"])


@pytest.fixture(scope="module")
def told(labels):
    """The notebooks of all pages as students get them."""
    return {
        page: nbformat.reads(write(ROOT / page, labels, setup_cell("0"), student=True), as_version=4)
        for page in PAGES
    }


def flat(text):
    """Return text with single spaces."""
    return " ".join(text.split())


def words_of(text):
    """Return the words of a text, but for the shortest."""
    return set(re.findall(r"\w{4,}", text))


@pytest.fixture(scope="module")
def format_words(labels):
    """Words that the format itself puts into notebooks: links are shown with the titles of where they lead."""
    works = labels.references(labels.bibliography)
    kinds = " ".join(exercises.KINDS.values()).title()
    return words_of(" ".join([PLACE, SETUP, works, kinds, *(title for _, title in labels.where.values())]))


@pytest.mark.parametrize("page", PAGES)
def test_no_line_of_a_solution_stands_in_a_students_notebook(page, told, format_words):
    source = (ROOT / page).read_text()
    text = "\n".join(cell.source for cell in told[page].cells)
    solutions = SOLUTION.findall(source)
    public = flat(SOLUTION.sub("", source))
    lines = {flat(line) for solution in solutions for line in solution.splitlines()}
    secret = {line for line in lines if len(line) > 12 and line not in public}
    assert len(solutions) == text.count(PLACE) == source.count("{solution-start}")
    assert not solutions or secret
    assert [line for line in secret if line in flat(text)] == []
    words = words_of("\n".join(solutions)) - words_of(public) - format_words
    assert words & words_of(text) == set()


@pytest.mark.parametrize("page", PAGES)
def test_the_chapters_own_code_needs_no_solution(page, told):
    known = {"display"}
    for cell in told[page].cells:
        if cell.cell_type == "code":
            assert used_or_nothing(cell.source) - known == set(), cell.source
            known |= bound(cell.source)


def test_a_solution_is_left_out_with_its_code_and_what_follows_stays():
    text = (
        "Before.\n\n```{solution-start} ex-a\n:class: dropdown\n```\nSecret.\n\n```{code-cell}\nsecret = 1\n```\n"
        "```{solution-end}\n```\n\nAfter.\n"
    )
    kept = without_solutions(text)
    assert (
        "ecret" not in kept
        and kept.startswith("Before.")
        and kept.rstrip().endswith("After.")
        and PLACE in kept
    )
    assert "ecret" not in without_solutions("````{solution} ex-a\nSecret.\n```\nsecret\n```\n````\nAfter.")
    with pytest.raises(ValueError, match="never closed"):
        without_solutions(text.replace("{solution-end}", "{note}"))

"""The book's sources read well in a diff, and assert through claims alone."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts"))
from one_sentence_a_line import reflow  # noqa: E402


def test_every_page_has_one_sentence_a_line():
    command = [sys.executable, ROOT / "scripts" / "one_sentence_a_line.py", "--check"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


NAMED = re.compile(r"`((?:assignments|benchmarks|book|course|gdln|scripts|tests)/[\w./-]+\.[a-z]+)`")


@pytest.mark.parametrize("page", [*sorted((ROOT / "book").rglob("*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md"],
                         ids=lambda page: page.stem)  # fmt: skip
def test_a_file_that_a_page_names_is_there(page):
    named = NAMED.findall(page.read_text(encoding="utf-8"))
    assert not [name for name in named if not (ROOT / name).exists()]


def test_a_named_file_is_found_by_its_whole_path():
    assert NAMED.findall(
        "by `tests/race/test_trees.py`, not `scripts/make_<name>.py`, `gdln.race` or `trees.py`"
    ) == ["tests/race/test_trees.py"]


def asserts(text):
    """Return the assert statements in the code cells of a page."""
    import jupytext

    cells = [cell.source for cell in jupytext.reads(text, fmt="md:myst").cells if cell.cell_type == "code"]
    nodes = [node for cell in cells for node in ast.walk(ast.parse(cell))]
    return [ast.unparse(node) for node in nodes if isinstance(node, ast.Assert)]


@pytest.mark.parametrize("page", sorted((ROOT / "book").rglob("*.md")), ids=lambda page: page.stem)
def test_no_cell_asserts_what_the_ledger_does_not_show(page):
    assert not asserts(page.read_text(encoding="utf-8"))


def test_a_raw_assert_is_found_in_every_cell_and_nowhere_else():
    head = "---\nkernelspec:\n  display_name: Python 3\n  name: python3\n---\n\nWe assert this.\n\n"
    cell = (
        "```{code-cell} ipython3\n---\ntags: [hide-input]\n---\nfor k in range(3):\n    assert k < 3\n```\n"
    )
    page = f"{head}```python\nassert False\n```\n\n{cell}"
    assert asserts(page) == ["assert k < 3"] and asserts(f"{page}\nMore.\n\n{cell}") == ["assert k < 3"] * 2


@pytest.mark.parametrize(
    "before, after",
    [
        ("One. Two\nis longer. Three?", "One.\nTwo is longer.\nThree?"),
        (
            "See Eq. 3, e.g. Fig. 2 by Saxe et al. In short.",
            "See Eq. 3, e.g. Fig. 2 by Saxe et al. In short.",
        ),
        ("As $a. B$ and `c. D` and {eq}`e. F` say. So", "As $a. B$ and `c. D` and {eq}`e. F` say.\nSo"),
        ("It is 3.5. $x$ grows.", "It is 3.5.\n$x$ grows."),
        ("- One. Two.\n  Three.\n- Four.", "- One.\n  Two.\n  Three.\n- Four."),
        ("Ends. - not a list", "Ends. - not a list"),
        ("$$\nx. Y\n$$ (eq-a)\n\nOne. Two.", "$$\nx. Y\n$$ (eq-a)\n\nOne.\nTwo."),
        ("```python\n# One. Two.\n```", "```python\n# One. Two.\n```"),
        ("```{glossary}\nword\n  One. Two.\n```", "```{glossary}\nword\n  One. Two.\n```"),
        (
            "Text:\n\n    a = 1\n    b = 2. * a\n\nOne. Two.",
            "Text:\n\n    a = 1\n    b = 2. * a\n\nOne.\nTwo.",
        ),
        (
            "- One. Two.\n\n      a = 1\n      b = 2\n\n  So. On.",
            "- One.\n  Two.\n\n      a = 1\n      b = 2\n\n  So.\n  On.",
        ),
        ("1. One.\n   - Two.\n\n     Three. Four.", "1. One.\n   - Two.\n\n     Three.\n     Four."),
        ("Text\n    that goes on.", "Text that goes on."),
        ("````{prf:theorem} A. B\n:label: thm-a. B\n\nOne. Two.\n````", None),
        ("| a. B | c |\n|---|---|\n# One. Two", "| a. B | c |\n|---|---|\n# One. Two"),
        ("---\ntitle: A. B\n---\n\nOne. Two.", "---\ntitle: A. B\n---\n\nOne.\nTwo."),
    ],
)
def test_only_breaks_between_sentences_of_prose_move(before, after):
    if after is None:
        after = before.replace("One. Two.", "One.\nTwo.")
    assert reflow(before) == after
    assert reflow(after) == after

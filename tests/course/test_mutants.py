"""Mutants change the solution in one place, and the tests of a set are asked about each."""

import ast
from pathlib import Path

from course.mutants import mutants, survivors
from course.sources import load

TEXT = """\
import numpy as np


def f(A, x, n):
    \"\"\"Return 2 * 3.\"\"\"
    ### BEGIN SOLUTION
    total = np.sqrt(n) * A.T @ x
    for _ in range(n):
        total = min(total, -x / 2)
    return total.sum(axis=0)
    ### END SOLUTION


y = 2 * 3
"""


def test_factors_transposes_products_and_extrema_are_changed_inside_the_solution_only():
    found = list(mutants(TEXT))
    changes = {(line, change) for line, change, _ in found}
    expected = {
        (7, "square root dropped"), (7, "A.T not transposed"), (7, "* A.T dropped"), (7, "np.sqrt(n) * dropped"),
        (7, "np.sqrt(n) * A.T @ x turned round"), (7, "* to /"), (8, "one step fewer"), (9, "min to max"),
        (9, "- dropped"), (9, "/ 2 dropped"), (9, "/ to *"), (9, "2 to 3"), (10, "sum to mean"), (10, "0 to 1"),
    }  # fmt: skip
    assert changes == expected
    for _, _, text in found:
        assert text != TEXT and ast.parse(text)


def test_tests_that_hold_a_solution_notice_every_mutant_and_weak_ones_do_not(sample, tmp_path):
    alive, tried = survivors(sample)
    assert alive == [] and tried >= 10
    whole = (Path(__file__).parent / "sets" / "sample.md").read_text()
    weak = whole.replace("quarrel, atol=1e-12", "quarrel, atol=1e12")
    (tmp_path / "sample.md").write_text(weak.replace("abs(trace - 1) < 1e-12", "abs(trace - 1) < 1e12"))
    alive, tried = survivors(load("sample", tmp_path))
    assert any(line.startswith("gram:8: / to *") for line in alive) and len(alive) < tried

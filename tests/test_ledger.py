"""What the ledger's extension does with numbers that the text quotes."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "book" / "_ext"))
from ledger import paper, rounds_to, shown  # noqa: E402

from gdln.claims import _used  # noqa: E402


@pytest.mark.parametrize(
    "quoted, right, wrong",
    [
        ("24.1", (24.05, 24.149), (24.03, 24.17)),
        ("24", (23.5, 24.5), (23.3, 24.7)),
        ("-0.58", (-0.576, -0.584), (-0.57, 0.58)),
        ("\u22120.58", (-0.58,), (0.58,)),
        ("4e-9", (3.5e-9, 4.4e-9), (4.7e-9, 3.3e-9, 4e-8)),
        ("2.5e3", (2450, 2549), (2430, 2570)),
        ("99 %", (0.986, 0.994), (0.98, 0.997, 99)),
        ("3.2 %", (0.0320,), (0.0313, 0.0327)),
    ],
)
def test_a_quoted_number_is_the_measured_one_rounded(quoted, right, wrong):
    assert all(rounds_to(value, quoted) for value in right)
    assert not any(rounds_to(value, quoted) for value in wrong)


@pytest.mark.parametrize("quoted", ["", "about 3", "1/2", "3 x", "nan", "1e", "2,5"])
def test_what_is_no_number_cannot_be_quoted(quoted):
    with pytest.raises(ValueError, match="needs a number"):
        rounds_to(1.0, quoted)


def test_a_page_shows_minus_signs_and_raised_powers():
    assert "".join(node.astext() for node in shown("-4e-9")) == "\u22124 × 10\u22129"
    assert shown("99 %")[0].astext() == "99\u00a0%"


@pytest.mark.parametrize(
    "source, name",
    [
        ("derived here; Saxe et al. 2022, Fig. 5b", "saxe"),
        ("Li and Sompolinsky 2022, abstract", "li"),
        ("Boopathy and Fiete 2022; Chen et al. 2022", "boopathy"),
        ("Saxe et al. 2014", "other"),
        ("this book's experiment", "other"),
    ],
)
def test_a_claim_belongs_to_the_first_of_the_five_papers_it_names(source, name):
    assert paper(source) == name


@pytest.mark.parametrize(
    "row, measured, used",
    [
        ({"expected": 2.0, "atol": 0.5}, 2.25, 0.5),
        ({"expected": -2.0, "rtol": 0.5}, -1.0, 1.0),
        ({"expected": 3, "atol": 0}, 3.0, 0.0),
        ({"below": 4.0}, 1.0, 0.25),
        ({"below": 4.0}, -1.0, 0.0),
        ({"below": 0}, -1.0, None),
        ({"above": 1.0}, 4.0, 0.25),
        ({"above": 0}, 4.0, None),
        ({"above": 1.0, "below": 3.0}, 2.5, 0.5),
        ({"above": 1.0, "below": 3.0}, 2.0, 0.0),
    ],
)
def test_what_a_claim_uses_of_its_allowance_goes_from_the_middle_to_the_bound(row, measured, used):
    assert _used(row, measured) == used

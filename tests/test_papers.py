"""The tables of the papers' figures: each status is borne out by the ledger, and each place exists."""

import re
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "book" / "_ext"))
from ledger import PAPERS, paper  # noqa: E402
from papers import problems  # noqa: E402

from gdln.claims import rows  # noqa: E402

HELD, MISSING = {"a", "b"}, {"gone"}
ROW = {"item": "Fig. 1", "shows": "a curve", "status": "reproduced", "where": ["fig-a"], "claims": ["a"]}
BOOK = yaml.safe_load((ROOT / "book" / "papers.yml").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"claims": ["a", "b"]},
        {"status": "scaled down", "why": "smaller"},
        {"status": "scaled down", "why": "smaller", "claims": ["a", "gone"]},
        {"status": "not found", "why": "the other way round"},
        {"status": "not here", "why": "no data", "claims": ["gone"]},
        {"status": "not here", "why": "no data", "claims": [], "where": []},
        {"status": "drawing", "claims": []},
    ],
)
def test_a_row_that_the_ledger_bears_out_is_in_order(change):
    assert problems(ROW | change, HELD, MISSING) == []


@pytest.mark.parametrize(
    "change, words",
    [
        ({"claims": []}, "none of its claims was held"),
        ({"claims": ["gone"]}, "none of its claims was held"),
        ({"claims": ["a", "gone"]}, "cannot be had"),
        ({"claims": ["a", "typo"]}, "not in the ledger"),
        ({"why": "no reason for it"}, "needs no why"),
        ({"where": []}, "does not say where"),
        ({"status": "done"}, "needs one of reproduced"),
        ({"status": "scaled down"}, "does not say why"),
        ({"status": "scaled down", "why": "smaller", "claims": ["gone"]}, "none of its claims was held"),
        ({"status": "not here", "why": "no data"}, "were held"),
        ({"status": "not here", "claims": []}, "does not say why"),
        ({"figure": "3"}, "needs item, shows and status"),
        ({"shows": ""}, "needs item, shows and status"),
    ],
)
def test_a_row_that_says_more_than_the_ledger_is_found_out(change, words):
    assert any(words in problem for problem in problems(ROW | change, HELD, MISSING))


def test_the_rows_of_the_book_fit_the_claims_listed():
    listed = rows()
    missing = {key for key, row in listed.items() if "why" in row}
    found = [
        problem
        for entry in BOOK
        for row in entry["rows"]
        for problem in problems(row, set(listed) - missing, missing)
    ]
    assert not found


def test_the_five_papers_have_a_table_each_and_every_result_that_cannot_be_had_is_in_one():
    assert [entry["paper"] for entry in BOOK] == list(PAPERS)
    page = (ROOT / "book" / "papers.md").read_text(encoding="utf-8")
    assert re.findall(r"^```\{paper-table\} (\w+)$", page, re.M) == list(PAPERS)
    for entry in BOOK:
        named = {key for row in entry["rows"] for key in row.get("claims", [])}
        missing = {
            key for key, row in rows().items() if "why" in row and paper(row["source"]) == entry["paper"]
        }
        assert missing <= named, entry["paper"]


def test_every_figure_of_the_race_paper_has_its_row():
    items = " ".join(row["item"] for row in BOOK[0]["rows"]).replace("Figs. 1 and 2", "Fig. 1 Fig. 2")
    assert {int(n) for n in re.findall(r"Fig\. (\d+)", items)} == set(range(1, 11))

import math

import nbformat
import pytest
import yaml
from nbclient import NotebookClient

from gdln import claims
from gdln.claims import METADATA_KEY, check_criterion, claim, rows

ROW = {"key": "key", "statement": "a number", "source": "here", "origin": "derived"}


@pytest.fixture
def listed(monkeypatch):
    """Stand in for the book's rows: call it with the fields of one row."""
    return lambda **fields: monkeypatch.setattr(claims, "rows", lambda: {"key": ROW | fields})


@pytest.mark.parametrize(
    "criterion, inside, outside",
    [
        ({"expected": 1.0, "atol": 0.125}, (0.875, 1.125), (0.874, 1.126)),
        ({"expected": -8.0, "rtol": 0.125}, (-9.0, -7.0), (-9.01, -6.99)),
        ({"expected": 0, "atol": 1e-9}, (0, 1e-9), (1.1e-9,)),
        ({"below": 1.5}, (1.49, -1e9), (1.5,)),
        ({"above": 1.0}, (1.01, 1e9), (1.0,)),
        ({"above": 1.0, "below": 1.5}, (1.25,), (1.0, 1.5)),
    ],
)
def test_a_claim_holds_inside_its_criterion_and_fails_outside(listed, criterion, inside, outside):
    listed(**criterion)
    for right in inside:
        claim("key", right)
    for wrong in (*outside, math.nan, math.inf, -math.inf):
        with pytest.raises(AssertionError, match="'key' does not hold: a number: measured"):
            claim("key", wrong)


@pytest.mark.parametrize(
    "criterion",
    [
        {},
        {"expected": 1.0},
        {"atol": 0.1},
        {"expected": 1.0, "atol": 0.1, "rtol": 0.1},
        {"expected": 1.0, "atol": 0.1, "below": 2},
        {"expected": 1.0, "atol": math.inf},
        {"expected": 1.0, "atol": -0.1},
        {"expected": 0.0, "rtol": 0.1},
        {"expected": math.nan, "atol": 0.1},
        {"expected": "1", "atol": 0.1},
        {"expected": True, "atol": 0.1},
        {"below": math.inf},
        {"above": 2, "below": 1},
        {"above": 1, "below": 1},
    ],
)
def test_a_criterion_that_is_missing_twofold_or_without_bite_is_refused(listed, criterion):
    listed(**criterion)
    with pytest.raises(ValueError, match="claim 'key'"):
        claim("key", 1.0)


def test_the_value_of_a_theory_stands_where_the_row_leaves_it_open_and_only_there(listed):
    listed(rtol=0.1)
    claim("key", 2.1, 2.0)
    with pytest.raises(AssertionError, match="needed 2 ± 10 %"):
        claim("key", 2.3, 2.0)
    with pytest.raises(ValueError, match="needs an expected value"):
        claim("key", 2.0)
    with pytest.raises(ValueError, match="finite number for expected"):
        claim("key", 2.0, math.nan)
    listed(expected=2.0, rtol=0.1)
    with pytest.raises(ValueError, match="has an expected value in its row"):
        claim("key", 2.0, 2.0)


def test_an_unknown_key_and_a_result_that_cannot_be_had_are_refused(listed):
    listed(why="no such data")
    with pytest.raises(ValueError, match="cannot be had: no such data"):
        claim("key", 1.0)
    with pytest.raises(ValueError, match="'other' has no row"):
        claim("other", 1.0)


def test_every_row_of_the_book_has_a_criterion_that_bites_or_says_why_not():
    found = rows()
    assert len(found) > 500
    for row in found.values():
        if "why" not in row:
            open_value = "expected" not in row and ("atol" in row or "rtol" in row)
            check_criterion(row | {"expected": 1.0} if open_value else row)


@pytest.mark.parametrize(
    "text, message",
    [
        ("- key: a", "lacks statement, source, origin"),
        ("key: a", "needs a list of rows"),
        ("- a\n- b", "needs a list of rows"),
        ("", "needs a list of rows"),
        (yaml.safe_dump([ROW, ROW]), "repeats the key 'key'"),
        (yaml.safe_dump([ROW | {"tolerence": 1}]), "unknown fields: tolerence"),
        (yaml.safe_dump([ROW | {"origin": "elsewhere"}]), "needs an origin among"),
        ("- key: [", "line 1 is no YAML"),
        (yaml.safe_dump([ROW | {"why": "no", "below": 1}]), "both a criterion and why"),
    ],
)
def test_a_faulty_file_of_rows_is_named_in_one_sentence(tmp_path, monkeypatch, text, message):
    (tmp_path / "part").mkdir()
    (tmp_path / "part" / "some.yml").write_text(text)
    monkeypatch.setattr(claims, "FOLDER", tmp_path)
    rows.cache_clear()
    with pytest.raises(ValueError, match=message) as error:
        rows()
    assert "some.yml" in str(error.value) and "\n" not in str(error.value)
    rows.cache_clear()


def test_a_notebook_carries_the_measured_value_as_data_and_as_a_line():
    key, row = next((k, r) for k, r in rows().items() if "expected" in r)
    cell = nbformat.v4.new_code_cell(f"from gdln.claims import claim\nclaim({key!r}, {row['expected']!r})")
    executed = NotebookClient(nbformat.v4.new_notebook(cells=[cell])).execute()
    output = executed.cells[0].outputs[0]
    record = output.metadata[METADATA_KEY]
    assert (record["key"], record["statement"], record["measured"]) == (
        key,
        row["statement"],
        row["expected"],
    )
    assert output.data["text/plain"].startswith(f"✓ {row['statement']}: ")

import nbformat
import pytest
from nbclient import NotebookClient

from gdln.claims import METADATA_KEY, claim


@pytest.mark.parametrize(
    "criterion",
    [
        {"expected": 1.0, "atol": 0.1},
        {"expected": 1.0, "rtol": 0.1},
        {"below": 1.1},
        {"above": 1.0, "below": 1.1},
    ],
)
def test_a_claim_holds_inside_its_tolerance_and_fails_outside(criterion):
    claim("key", "a number", 1.05, **criterion)
    for wrong in (1.2, float("nan")):
        with pytest.raises(AssertionError, match="'key' does not hold: a number: measured"):
            claim("key", "a number", wrong, **criterion)


@pytest.mark.parametrize(
    "criterion",
    [
        {},
        {"expected": 1.0},
        {"atol": 0.1},
        {"expected": 1.0, "atol": 0.1, "rtol": 0.1},
        {"expected": 1.0, "below": 2},
    ],
)
def test_a_claim_without_exactly_one_criterion_is_refused(criterion):
    with pytest.raises(ValueError, match="claim 'key'"):
        claim("key", "a number", 1.0, **criterion)


def test_a_notebook_carries_the_measured_value_as_data_and_as_a_line():
    cell = nbformat.v4.new_code_cell("from gdln.claims import claim\nclaim('key', 'a number', 1.05, below=2)")
    executed = NotebookClient(nbformat.v4.new_notebook(cells=[cell])).execute()
    output = executed.cells[0].outputs[0]
    record = {"key": "key", "statement": "a number", "measured": 1.05, "criterion": "< 2"}
    assert output.metadata[METADATA_KEY] == record
    assert output.data["text/plain"] == "✓ a number: 1.05 (needed < 2)"

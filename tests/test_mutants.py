"""The script that tries the tests changes one token at a time, and nothing that mathematics does not hold."""

import ast
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "scripts"))
from mutants import files_of_tests, mutants  # noqa: E402

TEXT = '''\
def f(x, y=2):
    """Return 3 - 1."""
    if x < 0 and not y:
        raise ValueError(f"need x >= {0}, got {x + 1}")
    return -x * y**2  # 2 * 3
'''


def test_every_operator_sign_and_number_of_the_code_is_changed_once():
    found = {(line, change) for line, change, _ in mutants(TEXT)}
    assert found == {
        (3, "< to <="),
        (3, "and to or"),
        (3, "not dropped"),
        (3, "0 to 1"),
        (5, "- dropped"),
        (5, "* to /"),
        (5, "** to *"),
        (5, "2 to 3"),
    }


def test_a_mutant_differs_in_one_place_and_is_still_python():
    texts = [text for _, _, text in mutants(TEXT)]
    assert len(set(texts)) == len(texts) and TEXT not in texts
    for text in texts:
        ast.parse(text)
        assert sum(a != b for a, b in zip(text.splitlines(), TEXT.splitlines(), strict=True)) == 1


def test_a_module_is_tried_by_its_own_tests_and_those_of_its_part():
    names = [path.name for path in files_of_tests("race.bases")]
    assert names[0] == "test_bases.py" and "test_theory_meets_simulation.py" in names
    assert [path.name for path in files_of_tests("plotting")] == ["test_plotting.py"]

"""The script that tries the tests changes one token at a time, and nothing that mathematics does not hold."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "scripts"))
from mutants import ROOT, equivalent, files_of_tests, mutants, statement  # noqa: E402

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


@pytest.mark.parametrize(
    "line",
    [
        "y = x > 1e-12",
        "y = brentq(f, x, xtol=1e-3)",
        "warnings.warn(text, stacklevel=2)",
        "raise ValueError(2 * x)",
    ],
)
def test_tolerances_settings_and_messages_are_left_alone(line):
    assert {change for _, change, _ in mutants(line)} <= {"> to >="}


def test_every_mutant_listed_as_equivalent_is_one_of_its_module():
    listed = {}
    for module, code, change in equivalent():
        listed.setdefault(module, set()).add((code, change))
    assert len(listed) > 20
    for module, rows in listed.items():
        text = (ROOT / "gdln" / Path(*module.split("."))).with_suffix(".py").read_text(encoding="utf-8")
        lines = text.splitlines()
        made = {(lines[line - 1].strip(), change) for line, change, _ in mutants(text)}
        assert not rows - made, module


def test_default_values_of_fields_are_left_alone_and_what_a_class_computes_is_not():
    text = "class A:\n    size: float = 2.0\n    most = 3\n\n    def f(self):\n        k: int = 4\n        return k\n"
    assert [(line, change) for line, change, _ in mutants(text)] == [(3, "3 to 4"), (6, "4 to 5")]


def test_the_unknown_length_of_a_reshape_loses_its_sign_and_nothing_else():
    assert [change for _, change, _ in mutants("y = x.reshape(-1, n)")] == ["- dropped"]


def test_the_same_change_of_one_line_is_numbered_from_the_left():
    found = {change: text for _, change, text in mutants("y = a[-1] * b[-1] - c")}
    assert found["- dropped"] == "y = a[1] * b[-1] - c" and found["- dropped (2)"] == "y = a[-1] * b[1] - c"


def test_a_number_that_is_not_a_tolerance_is_moved():
    assert [change for _, change, _ in mutants("y = 1e-5")] == ["1e-05 to 1.5000000000000002e-05"]


def test_a_module_is_tried_by_its_own_tests_its_examples_and_what_names_it_in_its_part():
    names = [path.name for path in files_of_tests("race.bases")]
    assert names[:2] == ["test_bases.py", "bases.py"] and "test_contexts.py" in names
    assert "test_trees.py" not in names  # it does not name the module
    assert [path.name for path in files_of_tests("plotting")] == ["test_plotting.py", "plotting.py"]


PARTS = """\
def f(x):
    if (
        x > 0
    ):
        y = (x
             + 1)
        return y
    return 0
"""


@pytest.mark.parametrize(("line", "lines"), [(3, {2, 3, 4}), (5, {5, 6}), (6, {5, 6}), (8, {8}), (1, {1})])
def test_the_statement_of_a_line_is_all_its_lines_but_not_its_body(line, lines):
    assert statement(PARTS, line) == lines


def test_a_mutant_is_tried_by_the_tests_that_reach_its_statement(tmp_path):
    (tmp_path / "halves.py").write_text(
        "LEAST = 1\n\n\ndef half(x):\n    return x / 2\n\n\ndef double(x):\n    return 2 * x\n"
    )
    (tmp_path / "test_halves.py").write_text(
        "import pytest\nfrom halves import LEAST, double, half\n\n\n"
        "@pytest.fixture(scope='module')\ndef six():\n    return double(3)\n\n\n"
        "def test_half():\n    assert half(4) == 2\n\n\n"
        "def test_six(six):\n    assert six > LEAST\n"
    )
    code = (
        "import sys, pathlib, json; sys.path.insert(0, sys.argv[1]); import mutants; "
        "mutants.run_tests(sys.argv[2], ['test_halves.py'], mutants.Reach(sys.argv[2] + '/halves.py'), "
        "pathlib.Path(sys.argv[2], 'notes.json'))"
    )
    scripts = Path(__file__).resolve().parent.parent / "scripts"
    subprocess.run([sys.executable, "-c", code, scripts, tmp_path], check=True, cwd=tmp_path)
    common, tests = json.loads((tmp_path / "notes.json").read_text())
    # modules are imported, and the fixture made, for all tests
    assert {1, 4, 8, 9} <= set(common) and 5 not in common
    lines = {name.split("::")[1]: set(reached) for name, (_, reached) in tests.items()}
    assert 5 in lines["test_half"] and 5 not in lines["test_six"]

"""The library imports without what only some functions use, and those functions say what they miss."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from gdln import optional
from tests.test_floors import FILES, MODULES, PACKAGES, TORCH, import_statements

ROOT = Path(__file__).resolve().parent.parent
BLOCKED = (
    "arviz",
    "IPython",
    "distributed",
    "joblib",
    "mpmath",
    "pandas",
    "platformdirs",
    "plotly",
    "pooch",
    "torch",
    "tqdm",
)
BLOCK = """\
import sys
from importlib.abc import MetaPathFinder

class Missing(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Missing())
"""
FREE = sorted(PACKAGES | {m for m in MODULES if m not in TORCH and "nets" not in m.split(".")})
#: scikit-learn is a base class here, so nothing can be put off.
LEARNERS = {"renormalization.estimator"}


def run(code, blocked=BLOCKED):
    lines = BLOCK.format(blocked=set(blocked)) + code
    return subprocess.run([sys.executable, "-c", lines], cwd=ROOT, capture_output=True, text=True)


def test_every_module_without_networks_is_imported_by_numpy_scipy_matplotlib_and_yaml_alone():
    done = run("\n".join(f"import gdln.{m}" for m in FREE if m not in LEARNERS), {*BLOCKED, "sklearn"})
    assert done.returncode == 0, done.stderr
    done = run(
        "\n".join(f"import gdln.{m}" for m in LEARNERS), {*BLOCKED} - {"joblib"}
    )  # scikit-learn needs joblib
    assert done.returncode == 0, done.stderr


#: Calls that miss something, and the beginning of the words with which each ends.
CALLS = {
    "from gdln import sweep; sweep.sweep(dict, {'a': [1]})": "ModuleNotFoundError: a sweep needs pandas: "
    "pip install pandas",
    "from gdln.data import images; images.fetch('mnist')": "ModuleNotFoundError: a download needs pooch: "
    "pip install pooch",
    "from gdln.renormalization import scalar; scalar.log_average_meijer(1.0, 4, [5], 1.0)": "ModuleNotFoundError: "
    "a Meijer function needs mpmath: pip install mpmath, or install gdln with the extra [exact]",
    # images are looked for without pooch, and the file is what is missed
    "from gdln.data import images; images.load('cifar10')": "FileNotFoundError: ",
    "import sys; from gdln import fingerprint; fingerprint.content([1]); assert 'pandas' not in sys.modules": "fine",
}


@pytest.fixture(scope="module")
def ends():
    """The words with which each call ends, one after the other in a process that has nothing but what is needed."""
    lines = ["import os; os.environ.pop('GDLN_DATA', None)"]
    for call in CALLS:
        lines += [
            "try:",
            f"    {call}",
            "except Exception as error:",
            "    print(f'{type(error).__name__}: {error}')",
        ]
        lines += ["else:", "    print('fine')"]
    done = run("\n".join(lines))
    assert done.returncode == 0, done.stderr
    return dict(zip(CALLS, done.stdout.splitlines(), strict=True))


@pytest.mark.parametrize("call", CALLS)
def test_what_is_missing_is_named_with_the_way_to_get_it(call, ends):
    words = CALLS[call]
    assert ends[call].startswith(words) and (words.endswith(": ") or ends[call] == words)


def test_a_package_that_is_broken_in_its_own_way_says_so_itself(tmp_path, monkeypatch):
    (tmp_path / "halfway.py").write_text("import a_part_that_is_not_there")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="No module named 'a_part_that_is_not_there'"):
        optional.load("halfway", "nothing")


def test_the_extras_are_those_of_the_package_and_no_other_is_needed():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    for package, extra in optional.EXTRAS.items():
        assert any(re.match(rf"{package}\b", line) for line in extras[extra]), package
    core = {re.match(r"[\w-]+", line)[0] for line in project["dependencies"]}
    names = {"scikit-learn": "sklearn", "pyyaml": "yaml"}
    known = (
        {names.get(name, name) for name in core}
        | set(optional.EXTRAS)
        | {"torch", "gdln", "IPython", "distributed"}
        | {"matplotlib_inline"}  # the backend of notebooks, imported only where it draws
    )
    for path in FILES.values():
        for node in import_statements(path.read_text()):
            found = {alias.name for alias in node.names} if isinstance(node, ast.Import) else set()
            found |= {node.module} if isinstance(node, ast.ImportFrom) else set()
            tops = {name.partition(".")[0] for name in found}
            assert tops <= known | set(sys.stdlib_module_names) | {"cycler"}, path  # matplotlib brings cycler


def test_an_instance_is_known_without_importing_its_package():
    import pandas

    assert optional.is_from(pandas.Series([1]), "pandas", "Series")
    assert not optional.is_from([1], "pandas", "Series")


def test_the_first_cell_of_a_notebook_installs_every_extra_that_a_function_asks_for():
    cell = (ROOT / "scripts" / "make_notebooks.py").read_text()
    installed = set(re.search(r"gdln\[([\w,]+)\] @", cell)[1].split(","))
    assert set(optional.EXTRAS.values()) | {"train", "interactive"} <= installed

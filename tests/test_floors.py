"""The library keeps its floors: the package's docstring names them, the imports must follow."""

import ast
import re
from graphlib import TopologicalSorter
from pathlib import Path

import gdln

ROOT = Path(__file__).resolve().parent.parent
FLOORS = [re.findall(r"``(\w+)``", part) for part in re.split(r"^- ", gdln.__doc__, flags=re.M)[1:]]
FLOORS[-1] = [name for name in FLOORS[-1] if name != "from"]
HEIGHT = {name: k for k, names in enumerate(FLOORS) for name in names}


def imports(path):
    """Modules of the library that a module imports, inside functions too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "gdln":
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("gdln."):
            found.add(node.module.removeprefix("gdln."))
        elif isinstance(node, ast.Import):
            found |= {a.name.removeprefix("gdln.") for a in node.names if a.name.startswith("gdln.")}
    return found


MODULES = {path.stem: imports(path) for path in (ROOT / "gdln").glob("*.py") if path.stem != "__init__"}


def test_every_module_stands_on_one_floor_and_has_its_place_in_the_reference():
    assert set(HEIGHT) == set(MODULES)
    assert sum(map(len, FLOORS)) == len(MODULES)
    api = re.findall(r"automodule:: gdln\.(\w+)", (ROOT / "book" / "api.md").read_text())
    assert sorted(api) == sorted(MODULES)


def test_modules_import_from_their_own_floor_or_below_and_never_in_a_circle():
    for module, used in MODULES.items():
        for other in used:
            assert HEIGHT[other] <= HEIGHT[module], f"{module} stands below {other}, which it imports"
    list(TopologicalSorter(MODULES).static_order())


def test_only_the_top_floor_needs_torch():
    for module in MODULES:
        text = (ROOT / "gdln" / f"{module}.py").read_text()
        needs = re.search(r"^\s*(import|from) torch", text, re.M) is not None
        assert needs <= (HEIGHT[module] == len(FLOORS) - 1), module

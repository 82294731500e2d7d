"""The library keeps its floors: who may import whom, where torch stands, and where each module is shown and tested."""

import ast
import functools
import re
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import gdln

ROOT = Path(__file__).resolve().parent.parent
PARTS = {"race", "renormalization", "bottleneck", "convergence", "alignment", "synthesis"}
#: What a package may import besides itself and the ground.
BELOW = {
    "ground": set(),
    "data": set(),
    "nets": set(),
    "kernels": {"data"},
    "linear": set(),
    **dict.fromkeys(PARTS, {"data", "nets", "kernels", "linear"}),
    "diagnosis": {"data", "nets", "kernels", "linear"} | PARTS,
}
#: Modules that train networks in torch, besides those of ``nets`` and every part's own ``nets``.
TORCH = {"race.pathways", "renormalization.langevin"} | {
    f"alignment.{name}"
    for name in ("rules", "perceptrons", "convolutional", "recurrent", "routing", "experiments")
}
#: Modules that look at a network of the user's.
TORCH |= {f"diagnosis.{name}" for name in ("networks", "kernels", "layers", "measure", "known", "__main__")}


def name_of(path):
    """Dotted name of a file of the library, without ``gdln.``; a package has its folder's."""
    parts = path.relative_to(ROOT / "gdln").with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {name_of(path): path for path in sorted((ROOT / "gdln").rglob("*.py"))}
PACKAGES = {name for name, path in FILES.items() if path.name == "__init__.py" and name}
MODULES = {name for name, path in FILES.items() if path.name != "__init__.py"}


@functools.cache
def import_statements(text):
    """The import statements of a text, inside functions too."""
    return [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Import | ast.ImportFrom)]


def imports(text, name, package=False):
    """Modules of the library that a module's text imports, inside functions too, absolutely or relatively."""
    here = ["gdln", *name.split(".")] if name else ["gdln"]
    found = set()
    for node in import_statements(text):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        else:
            # One dot is the folder of the module, which for a package is the package itself.
            base = here[: len(here) - node.level + package] if node.level else []
            stem = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                whole = f"{stem}.{alias.name}"
                found.add(whole if whole.removeprefix("gdln.") in FILES else stem)
    return {m.removeprefix("gdln").lstrip(".") for m in found if (m + ".").startswith("gdln.")}


@functools.cache
def used():
    """Modules that each module and package imports."""
    return {name: imports(path.read_text(), name, name not in MODULES) for name, path in FILES.items()}


def package_of(module):
    return module.split(".")[0] if module.split(".")[0] in PACKAGES else "ground"


@pytest.mark.parametrize(
    "text",
    [
        "from gdln.race import graph",
        "from gdln.race.graph import GatedGraph",
        "import gdln.race.graph",
        "from . import graph",
        "from .graph import GatedGraph",
        "from ..race.graph import GatedGraph",
        "def late():\n    from .graph import GatedGraph",
    ],
)
def test_no_way_of_importing_escapes_the_eye(text):
    assert imports(text, "race.trees") == {"race.graph"}


def test_the_dots_of_a_package_start_in_the_package():
    assert imports("from .graph import GatedGraph", "race", package=True) == {"race.graph"}
    assert imports("from ..linear.modes import modes", "race.trees") == {"linear.modes"}


def test_every_package_stands_on_a_floor_and_is_named_in_the_docstring_of_the_library():
    assert set(BELOW) - {"ground"} == PACKAGES
    named = set(re.findall(r"``(\w+)``", gdln.__doc__)) - {"solve"}
    assert named == PACKAGES | {m for m in MODULES if "." not in m}


def test_imports_are_absolute():
    for name, path in FILES.items():
        levels = {n.level for n in import_statements(path.read_text()) if isinstance(n, ast.ImportFrom)}
        assert levels <= {0}, name


def test_modules_import_from_the_floors_below_and_no_part_imports_another():
    for module, others in used().items():
        if not module:
            continue
        home = package_of(module)
        for other in others:
            there = package_of(other)
            assert there in {home, "ground"} | BELOW[home], f"{module} imports {other}"


def test_modules_import_modules_and_never_in_a_circle():
    for module in MODULES:
        assert not used()[module] & (PACKAGES | {""}), f"{module} imports a whole package"
    list(TopologicalSorter({m: used()[m] for m in MODULES}).static_order())


def test_torch_stands_only_where_networks_are_trained():
    for module in MODULES:
        needs = re.search(r"^\s*(import|from) torch", FILES[module].read_text(), re.M) is not None
        allowed = module.split(".")[0] == "nets" or module.split(".")[-1] == "nets" or module in TORCH
        assert needs == allowed, module


def test_importing_a_package_or_a_module_without_networks_loads_no_torch_and_checking_neither():
    free = {m for m in MODULES if m not in TORCH and "nets" not in m.split(".")}
    lines = ["import sys", *(f"import gdln.{m}" for m in sorted(PACKAGES | free))]
    checking = "gdln.checks.array('x', [1.0])"  # which knows a tensor when it sees one
    code = "\n".join([*lines, checking, "assert 'torch' not in sys.modules"])
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_no_exported_name_hides_a_module_and_every_one_exists():
    for package in PACKAGES:
        module = __import__(f"gdln.{package}", fromlist=["_"])
        names = getattr(module, "__all__", [])
        assert not {f"{package}.{n}" for n in names} & MODULES, package
        assert len(names) <= 16 and all(hasattr(module, n) for n in names), package


def test_every_package_has_a_page_of_the_reference():
    pages = sorted((ROOT / "book" / "api").glob("*.md"))
    shown = [re.findall(r"^```\{package\} gdln\.?(\w*)\n```$", page.read_text(), re.M) for page in pages]
    assert sorted(shown) == sorted([name] for name in PACKAGES | {""})
    contents = (ROOT / "_toc.yml").read_text()
    assert all(f"- file: book/api/{page.stem}\n" in contents for page in pages)


def test_every_module_has_a_file_of_tests():
    tests = {
        ".".join(path.relative_to(ROOT / "tests").parts).removesuffix(".py").replace("test_", "")
        for path in (ROOT / "tests").rglob("test_*.py")
    }
    missing = MODULES - tests
    assert not missing, f"no tests for {sorted(missing)}"


def test_files_of_tests_stand_in_the_folder_of_what_they_test():
    for path in (ROOT / "tests").rglob("test_*.py"):
        folder = path.relative_to(ROOT / "tests").parts[:-1]
        if folder[:1] != ("course",):  # the tools of the course, which are no part of the library
            assert len(folder) <= 1 and set(folder) <= PACKAGES, path


def test_the_picture_of_the_imports_is_in_step():
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "make_graph.py", "--check"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr

"""What goes into the site of notebooks, checked without a browser: chapters, wheels, versions, the runtime's folder."""

import json
import re
import sys
import tomllib
from pathlib import Path

import nbformat
import pytest
import yaml
from packaging.requirements import Requirement

from tests.test_book import CHAPTERS, ROOT

sys.path[:0] = [str(ROOT / "book" / "_ext"), str(ROOT / "scripts")]
import make_lite  # noqa: E402
import make_notebooks  # noqa: E402
from browser import needed, runs_in_a_browser  # noqa: E402

#: Versions in the runtime that `_config.yml` names; what the library needs there must be among them.
RUNTIME = {"numpy": "2.0.2", "scipy": "1.14.1", "matplotlib": "3.8.4", "scikit-learn": "1.6.1", "pandas": "2.2.3",
           "pyyaml": "6.0.2"}  # fmt: skip


@pytest.fixture(scope="module")
def free():
    """The sources of the chapters that a browser can run."""
    return make_lite.chapters()


def requirements(extra=""):
    """Return what the library needs in a browser, by name, without what the site carries."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = project["dependencies"] + (project["optional-dependencies"][extra] if extra else [])
    browser = {"sys_platform": "emscripten", "python_version": "3.12"}
    found = [Requirement(line) for line in lines]
    found = [r for r in found if r.marker is None or r.marker.evaluate(browser)]
    return {r.name: r.specifier for r in found if r.name not in make_lite.CARRIED}


@pytest.mark.parametrize("extra", ["", "exact", "interactive"])
def test_the_runtime_has_what_the_library_needs_in_a_browser_at_versions_it_allows(extra):
    assert "v0.27.7" in make_lite.runtime()
    for name, range_ in requirements(extra).items():
        assert RUNTIME[name] in range_, f"{name} {range_}"


def test_what_the_site_carries_is_pinned_by_the_lock():
    lock = [line.partition("==")[0] for line in (ROOT / "requirements.lock").read_text().splitlines()]
    assert set(make_lite.CARRIED) <= set(lock)


def test_the_site_s_own_environment_is_pinned():
    lines = (ROOT / "requirements-lite.lock").read_text().splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert all(re.fullmatch(r"[a-z0-9-]+==[0-9][0-9a-z.]*", line) for line in pins) and pins == sorted(pins)
    assert {"jupyterlite-core==0.6.4", "jupyterlite-pyodide-kernel==0.6.1"} <= set(pins)


def test_torch_is_found_at_any_depth_and_nothing_else_keeps_a_chapter_out():
    head = "```{code-cell} ipython3\n%s\n```\n"
    assert not runs_in_a_browser(ROOT, head % "import torch")
    assert not runs_in_a_browser(ROOT, head % "from gdln.race.nets import GatedNetwork")
    assert not runs_in_a_browser(ROOT, head % "from gdln.alignment import rules")
    assert not runs_in_a_browser(ROOT, head % "def late():\n    from torch import nn")
    assert runs_in_a_browser(ROOT, head % ":tags: [x]\n\nimport plotly\nfrom gdln.race import graph")
    assert runs_in_a_browser(ROOT, "import torch, in words\n" + head % "%matplotlib inline\nx = 1")
    assert needed(ROOT, "import gdln.sweep") >= {"json", "numpy", "fcntl"}


def test_a_chapter_runs_in_the_browser_or_imports_torch(free):
    pages = {path.relative_to(ROOT).with_suffix("").as_posix() for path in free}
    for page in CHAPTERS:
        named = re.search(r"^\s*(import|from) torch\b", (ROOT / f"{page}.md").read_text(), re.M)
        assert (page in pages) != bool(named), page


@pytest.fixture(scope="module")
def notebooks(free):
    pages = [path for path in (ROOT / "book").rglob("*.md") if path.parent.name != "_ext"]
    labels = make_notebooks.Labels(pages, reachable=set(free))
    texts = {p: make_notebooks.write(p, labels, make_lite.setup_cell(p)) for p in free}
    return {path: nbformat.reads(text, as_version=4) for path, text in texts.items()}


def test_notebooks_of_the_site_link_only_to_each_other(notebooks, free):
    for path, notebook in notebooks.items():
        text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
        for target in re.findall(r"\]\(([^)\s]+\.(?:ipynb|md))\)", text):
            assert (path.parent / target).resolve().with_suffix(".md") in free, f"{path.name}: {target}"


def test_their_first_cell_installs_from_the_site_and_the_others_are_the_chapter_s(notebooks):
    for path, notebook in notebooks.items():
        committed = nbformat.read(path.with_suffix(".ipynb"), as_version=4)
        codes = [[c.source for c in n.cells if c.cell_type == "code"] for n in (notebook, committed)]
        assert codes[0][1:] == codes[1][1:]
        extra = ",interactive" if "plotly" in needed(ROOT, "\n".join(codes[0][1:])) else ""
        assert codes[0][0].endswith(f"%pip install -q gdln[exact{extra}]")


def test_a_folder_that_lacks_files_of_the_runtime_is_refused_by_their_names(tmp_path):
    with pytest.raises(SystemExit, match="needs the folder of an unpacked Pyodide"):
        make_lite.files_of(tmp_path)
    one = {"depends": [], "file_name": "one.whl"}
    packages, lacking = dict.fromkeys(make_lite.LOADED, one), one | {"depends": ["two"]}
    (tmp_path / "pyodide-lock.json").write_text(json.dumps({"packages": packages | {"ssl": lacking}}))
    with pytest.raises(SystemExit, match="needs the package two"):
        make_lite.files_of(tmp_path)
    (tmp_path / "pyodide-lock.json").write_text(json.dumps({"packages": packages}))
    for name in make_lite.CORE[:-1]:
        (tmp_path / name).touch()
    (tmp_path / "pyodide-lock.json").write_text(json.dumps({"packages": packages}))
    with pytest.raises(SystemExit, match="python_stdlib.zip, one.whl"):
        make_lite.files_of(tmp_path)


def test_the_workflow_publishes_the_book_with_the_site_below_it():
    steps = yaml.safe_load((ROOT / ".github" / "workflows" / "pages.yml").read_text())["jobs"]["publish"][
        "steps"
    ]
    assert any("make site" in step.get("run", "") for step in steps)
    assert any(step.get("with", {}).get("path") == "_build/site" for step in steps)
    where = yaml.safe_load((ROOT / "_config.yml").read_text())["launch_buttons"]["jupyterlite_url"]
    assert Path(where).parts[0] == "lite" and "_build/site/lite" in (ROOT / "Makefile").read_text()

"""A small book, built with the real configuration and extensions, keeps its promises when something changes."""

import re
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

import pytest
import yaml
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).resolve().parent.parent
CHAPTER = """\
---
file_format: mystnb
kernelspec:
  name: python3
  display_name: Python 3
  language: python
---

# One chapter

```{code-cell} ipython3
import sys
sys.path.insert(0, "FOLDER")
from gdln.claims import claim
from gdln.value import VALUE
claim("small-value", "the value $v$", VALUE, below=3)
print("the value is", VALUE)
```
"""
LEDGER = """\
# The ledger

With $v$.

```{claim-count}
```

```{ledger} small.yml
```
"""


def test_every_locked_version_installs_on_the_first_python_we_promise():
    pins = dict(line.split("==") for line in (ROOT / "requirements.lock").read_text().splitlines()[2:])
    needs = {}
    for name, version in pins.items():
        try:
            found = metadata(name)
        except PackageNotFoundError:
            continue
        if found["Version"].partition("+")[0] == version:
            needs[name] = found["Requires-Python"] or ""
    assert len(needs) > 100
    assert not [name for name, need in needs.items() if "3.11.0" not in SpecifierSet(need)]


def test_the_lock_holds_names_and_versions_and_nothing_else():
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    assert [line for line in lines if line.startswith("#")] == lines[:2]
    assert all(re.fullmatch(r"[a-z0-9-]+==[0-9][0-9a-z.]*", line) for line in lines[2:])
    assert lines[2:] == sorted(lines[2:], key=lambda line: line.partition("==")[0])


@pytest.fixture
def book(tmp_path):
    """A book of two pages; call it to build: returns the process."""
    shutil.copytree(
        ROOT / "book" / "_ext", tmp_path / "book" / "_ext", ignore=shutil.ignore_patterns("__pycache__")
    )
    shutil.copytree(ROOT / "book" / "_static", tmp_path / "book" / "_static")
    (tmp_path / "gdln").mkdir()
    for name in ("__init__.py", "claims.py"):
        shutil.copy(ROOT / "gdln" / name, tmp_path / "gdln" / name)
    shutil.copy(ROOT / "_config.yml", tmp_path)
    (tmp_path / "gdln" / "value.py").write_text("VALUE = 1.25\n")
    (tmp_path / "book" / "claims").mkdir()
    (tmp_path / "book" / "references.bib").write_text("")
    (tmp_path / "book" / "chapter.md").write_text(CHAPTER.replace("FOLDER", str(tmp_path)))
    (tmp_path / "book" / "chapter.ipynb").write_text("{}")
    (tmp_path / "book" / "ledger.md").write_text(LEDGER)
    toc = {"format": "jb-book", "root": "book/chapter", "chapters": [{"file": "book/ledger"}]}
    (tmp_path / "_toc.yml").write_text(yaml.safe_dump(toc))
    listed = [{"key": "small-value", "source": "here", "origin": "experiment", "setting": "none"}]

    def build(rows=listed):
        (tmp_path / "book" / "claims" / "small.yml").write_text(yaml.safe_dump(rows))
        command = [Path(sys.executable).with_name("jupyter-book"), "build", ".", "-W", "-n", "--keep-going"]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)

    build.folder, build.listed = tmp_path, listed
    return build


def page(book, name):
    return (book.folder / "_build" / "html" / "book" / f"{name}.html").read_text()


@pytest.mark.slow
def test_a_changed_library_runs_chapters_again_and_nothing_else_does(book):
    first = book()
    assert first.returncode == 0, first.stderr[-2000:]
    assert "Executing notebook" in first.stderr + first.stdout
    assert "the value is 1.25" in page(book, "chapter") and "1.25" in page(book, "ledger")
    assert "1 claims were asserted" in page(book, "ledger")

    (book.folder / "book" / "ledger.md").write_text(LEDGER + "\nMore.\n")
    again = book()
    assert again.returncode == 0 and "Executing notebook" not in again.stderr + again.stdout
    assert "1.25" in page(book, "ledger")  # the measured value survives a build from the cache

    (book.folder / "gdln" / "value.py").write_text("VALUE = 2.5\n")
    changed = book()
    assert changed.returncode == 0 and "Executing notebook" in changed.stderr + changed.stdout
    assert "the value is 2.5" in page(book, "chapter") and "2.5" in page(book, "ledger")


@pytest.mark.slow
def test_a_claim_that_fails_or_is_listed_and_measured_nowhere_fails_the_build(book):
    nowhere = book(rows=[*book.listed, {"key": "small-other", "source": "here", "origin": "derived"}])
    assert nowhere.returncode != 0
    assert "'small-other' is listed but was measured nowhere" in nowhere.stderr
    unlisted = book(rows=[])
    assert unlisted.returncode != 0 and "'small-value' is not listed" in unlisted.stderr
    (book.folder / "gdln" / "value.py").write_text("VALUE = 3.5\n")
    wrong = book()
    assert wrong.returncode != 0
    report = (book.folder / "_build" / "html" / "reports" / "book" / "chapter.err.log").read_text()
    assert "claim 'small-value' does not hold: the value $v$: measured 3.5, needed < 3" in report

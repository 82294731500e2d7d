"""A small book, built with the real configuration and extensions, keeps its promises when something changes.

Three chapters, a ledger, an empty home, the plainest locale and a folder with a space in its name. Whatever happens
between two builds, the ledger shows the claims of the pages as they are, no fewer and no more.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

import pytest
import yaml
from bs4 import BeautifulSoup
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).resolve().parent.parent
HEAD = """\
---
file_format: mystnb
kernelspec:
  name: python3
  display_name: Python 3
  language: python
---

"""
#: The three chapters; what a test wants of them comes through the environment, which is no part of the cache's key.
CHAPTERS = {
    "first": """\
# The first chapter

Words.

```{code-cell} ipython3
import os
from gdln.claims import claim
from gdln.value import VALUE
claim("small-first", VALUE)
if "PLOT" in os.environ:
    import matplotlib.pyplot as plt
    plt.plot([0, VALUE])
print("seen by the first chapter: ü", VALUE)
```
""",
    "second": """\
# The second chapter

```{code-cell} ipython3
import os, sys, time
from gdln.claims import claim
claim("small-second", float(os.environ.get("TWO", 2)))
claim("small-even", 4, 2 + 2)
if "SAY" in os.environ:
    print(os.environ["SAY"], file=sys.stderr)
```
""",
    "third": """\
# The third chapter

```{code-cell} ipython3
import os, pathlib, time
from gdln.claims import claim
if "SLEEP" in os.environ:
    pathlib.Path(os.environ["SLEEP"]).touch()
    time.sleep(300)
claim("small-third", 3)
```
""",
}
EVERY = {"the value": "1.25", "two": "2", "an even number": "4", "three": "3"}
ROWS = [
    {"key": "small-first", "statement": "the value", "below": 3},
    {"key": "small-second", "statement": "two", "above": 1},
    {"key": "small-even", "statement": "an even number", "atol": 0},
    {"key": "small-third", "statement": "three", "expected": 3, "atol": 0},
]
ROWS = [{**row, "source": "here", "origin": "experiment"} for row in ROWS]
INDEX = "# A small book\n\nIt says {claim}`1.2 <small-first>`.\n\n```{claim-count}\n```\n"
LEDGER = (
    "# The ledger\n\nMathematics, $v$.\n\n```{claim-count}\n```\n\n```{ledger} all.yml part/more.yml\n```\n"
)
EXECUTION = "# Times\n\n```{nb-exec-table}\n```\n\n```{build-info}\n```\n"


def test_every_locked_version_installs_on_the_first_python_we_promise():
    pins = dict(line.split("==") for line in (ROOT / "requirements.lock").read_text().splitlines()[2:])
    needs = {}
    for name, version in pins.items():
        try:
            found = metadata(name)
        except PackageNotFoundError:
            continue
        if found["Version"].partition("+")[0] == version:
            needs[name] = found.get("Requires-Python") or ""
    assert len(needs) > 100
    assert not [name for name, need in needs.items() if "3.11.0" not in SpecifierSet(need)]


def test_the_lock_holds_names_and_versions_and_nothing_else():
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    assert [line for line in lines if line.startswith("#")] == lines[:2]
    assert all(re.fullmatch(r"[a-z0-9-]+==[0-9][0-9a-z.]*", line) for line in lines[2:])
    assert lines[2:] == sorted(lines[2:], key=lambda line: line.partition("==")[0])


#: Jupyter Book's own command, and what `make book` runs in its place.
BUILD = (Path(sys.executable).with_name("jupyter-book"), "build", ".", "-W", "-n", "--keep-going", "-q")
SCRIPT = (sys.executable, "-X", "utf8", "scripts/book.py")


class Book:
    """The small book in a folder of its own."""

    def __init__(self, folder):
        self.folder, self.home = folder / "a book", folder / "home"
        self.home.mkdir(parents=True)
        for name in ("_ext", "_static", "_templates"):
            shutil.copytree(
                ROOT / "book" / name,
                self.folder / "book" / name,
                ignore=shutil.ignore_patterns("__pycache__"),
            )
        (self.folder / "scripts").mkdir()
        copied = (
            "_config.yml",
            "CITATION.cff",
            "requirements.lock",
            "scripts/make_notebooks.py",
            "scripts/book.py",
        )
        for name in copied:
            shutil.copy(ROOT / name, self.folder / name)
        self.restore()

    def restore(self):
        """Bring the sources to their first state, touching only what differs."""
        wanted = {f"book/{name}.md": HEAD + text for name, text in CHAPTERS.items()}
        wanted |= {"book/index.md": INDEX, "book/ledger.md": LEDGER, "book/execution.md": EXECUTION}
        wanted |= {
            "book/claims/all.yml": yaml.safe_dump(ROWS[:3]),
            "book/claims/part/more.yml": yaml.safe_dump(ROWS[3:]),
        }
        wanted |= {
            "gdln/__init__.py": "",
            "gdln/claims.py": (ROOT / "gdln" / "claims.py").read_text(encoding="utf-8"),
        }
        wanted |= {"gdln/value.py": "VALUE = 1.25\n", "book/data/run.json": "{}\n", "book/references.bib": ""}
        for folder in ("book/claims", "book/data", "gdln"):
            for path in (self.folder / folder).rglob("*.*"):
                if path.suffix != ".pyc" and path.relative_to(self.folder).as_posix() not in wanted:
                    path.unlink()
        for name, text in wanted.items():
            self.write(name, text)
        self.contents(*CHAPTERS)

    def write(self, name, text):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.is_file() or path.read_text() != text:
            path.write_text(text)

    def change(self, name, old, new):
        text = (self.folder / name).read_text()
        assert old in text
        self.write(name, text.replace(old, new))

    def contents(self, *chapters):
        """List these chapters in the table of contents."""
        parts = [{"caption": "All", "chapters": [{"file": f"book/{name}"} for name in chapters]}]
        parts += [{"caption": "Back", "chapters": [{"file": "book/ledger"}, {"file": "book/execution"}]}]
        self.write("_toc.yml", yaml.safe_dump({"format": "jb-book", "root": "book/index", "parts": parts}))

    def start(self, command=BUILD, **environment):
        """Start a build."""
        kept = {
            k: v
            for k, v in os.environ.items()
            if not k.startswith(("LC_", "XDG_", "JUPYTER", "IPYTHON", "MPL", "MAKE", "MFLAGS"))
        }
        kept |= {
            "HOME": str(self.home),
            "LANG": "C",
            "LC_ALL": "C",
            "TZ": "Pacific/Honolulu",
            "PYTHONPATH": str(self.folder),
        }
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env={**kept, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def start_and_wait(self, command=BUILD):
        """Start a build and return it when it is in the middle of the third chapter."""
        reached = self.home / "reached"
        reached.unlink(missing_ok=True)
        process = self.start(command, SLEEP=str(reached))
        while not reached.exists():
            assert process.poll() is None, process.stdout.read()
            time.sleep(0.1)
        return process

    def build(self, command=BUILD, **environment):
        """Build; returns what was printed and the chapters that ran."""
        process = self.start(command, **environment)
        said = process.communicate(timeout=300)[0]
        self.ran = re.findall(r"^ *\d+ of \d+   book/(\w+)   \d+ s", said, re.M)
        self.code, self.said = process.returncode, said
        return said

    def page(self, name):
        page = self.folder / "_build" / "html" / "book" / f"{name}.html"
        return BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser")

    def article(self, name):
        return self.page(name).find("article")

    def links(self, name, part):
        """Return the addresses on a page that hold a word."""
        return [a["href"] for a in self.page(name).find_all("a", href=True) if part in a["href"]]

    def holds(self):
        """Assert that the last build was green and that the ledger shows what the pages show."""
        assert self.code == 0 and "WARNING" not in self.said, self.said[-3000:]
        listed = yaml.safe_load((self.folder / "_toc.yml").read_text())["parts"][0]["chapters"]
        pages = [self.article(Path(entry["file"]).name) for entry in listed]
        shown = sorted(pair for page in pages for pair in re.findall(r"✓ (.+): (\S+) \(needed", page.text))
        rows = [row.find_all("td") for row in self.article("ledger").select("table.ledger tbody tr")]
        assert sorted((row[0].text.strip(), row[1].text.strip()) for row in rows) == shown and shown
        for page in ("ledger", "index"):
            assert f"{len(shown)} claims were asserted and held" in self.article(page).text
        return dict(shown)


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    book = Book(tmp_path_factory.mktemp("small"))
    book.first = book.build(TZ="Pacific/Kiritimati", PLOT="1"), book.ran, book.code
    book.untouched = not [path for path in book.home.rglob("*") if path.is_file()]
    return book


@pytest.fixture
def sources(shared):
    """The book with its sources as at first, whatever was built last."""
    shared.restore()
    return shared


@pytest.fixture
def book(sources):
    """The book with its sources as at first, built."""
    sources.build()
    assert sources.code == 0, sources.said
    return sources


@pytest.mark.slow
def test_a_first_build_in_an_empty_home_shows_every_claim_and_prints_a_line_a_chapter(shared):
    said, ran, code = shared.first
    assert code == 0, said[-3000:]
    assert ran == ["first", "second", "third"] and "3 of 3   book/third" in said
    assert "IPKernelApp" not in said and shared.untouched
    assert shared.holds() == EVERY
    assert "ü 1.25" in shared.article("first").text and shared.article("first").find("img")


@pytest.mark.slow
def test_an_unchanged_book_runs_nothing_and_keeps_its_ledger(book):
    book.build()
    assert book.holds() == EVERY and book.ran == []


@pytest.mark.slow
def test_a_chapter_with_one_word_edited_keeps_its_claims_and_does_not_run(book):
    book.change("book/first.md", "Words.", "Other words.")
    book.build()
    assert book.holds() == EVERY and book.ran == [] and "Other words." in book.article("first").text


@pytest.mark.slow
def test_an_edited_cell_runs_its_chapter_alone_and_its_claims_are_the_new_ones(book):
    book.change("book/second.md", '"small-even", 4, 2 + 2', '"small-even", 6, 2 + 4')
    book.build()
    assert book.holds()["an even number"] == "6" and book.ran == ["second"]


@pytest.mark.slow
def test_chapters_in_another_order_keep_their_claims(book):
    book.contents("third", "first", "second")
    book.build()
    assert book.holds() == EVERY and book.ran == []


@pytest.mark.slow
def test_a_touched_chapter_keeps_its_claims(book):
    (book.folder / "book" / "second.md").touch()
    book.build()
    assert book.holds() == EVERY and book.ran == []


@pytest.mark.slow
@pytest.mark.parametrize("command", [BUILD, SCRIPT], ids=["jupyter-book", "the script"])
def test_a_build_stopped_in_the_middle_goes_on_where_it_was(sources, command):
    book = sources
    book.write("gdln/value.py", f"VALUE = 1.25  # another library for {Path(command[0]).name}\n")
    process = book.start_and_wait(command)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=120)[0]
    assert process.returncode != 0 and "Traceback" not in said, said
    assert said.endswith("Stopped. Chapters that have run are kept: the next build goes on from here.\n")
    book.build()
    assert book.holds() == EVERY and book.ran == ["third"]


@pytest.mark.slow
def test_a_failing_claim_is_explained_stays_red_and_is_green_once_mended(book):
    book.change("book/second.md", "import os, sys, time", "import os, sys")
    for _ in range(2):  # nothing changes, so nothing may turn green
        said = book.build(TWO="1")
        assert book.code != 0 and "claim 'small-second' does not hold: two: measured 1, needed > 1" in said
        assert '    claim("small-second", float(os.environ.get("TWO", 2)))' in said
        assert "'small-even' is listed but was measured nowhere" in said
    book.build()
    assert book.holds() == EVERY and book.ran == ["second"]
    assert not list((book.folder / "_build" / "html" / "reports").rglob("*.log"))


@pytest.mark.slow
def test_what_a_chapter_says_on_stderr_once_is_not_kept_for_later_builds(book):
    book.change("book/second.md", "import os, sys, time", "import os, sys # ")
    said = book.build(SAY="once a day")
    assert book.code != 0 and "stderr was found" in said
    book.build()
    assert book.holds() == EVERY and book.ran == ["second"]


@pytest.mark.slow
def test_a_chapter_removed_takes_its_claims_and_its_page_along(book):
    book.contents("first", "third")
    book.build()
    assert book.code != 0 and "'small-second' is listed but was measured nowhere" in book.said
    book.write("book/claims/all.yml", yaml.safe_dump(ROWS[:1]))
    book.build()
    assert set(book.holds()) == {"the value", "three"} and book.ran == []
    assert not (book.folder / "_build" / "html" / "book" / "second.html").exists()


@pytest.mark.slow
def test_a_chapter_without_code_any_more_has_no_claims_any_more(book):
    book.write("book/second.md", "# The second chapter\n\nWords alone.\n")
    book.write("book/claims/all.yml", yaml.safe_dump(ROWS[:1]))
    book.build()
    assert set(book.holds()) == {"the value", "three"} and book.ran == []


@pytest.mark.slow
def test_a_changed_row_is_shown_and_asserted_again_where_its_criterion_changed(book):
    book.write("book/claims/part/more.yml", yaml.safe_dump([{**ROWS[3], "setting": "a new setting"}]))
    book.build()
    assert book.holds() == EVERY and book.ran == [] and "a new setting" in book.article("ledger").text
    book.write("book/claims/part/more.yml", yaml.safe_dump([{**ROWS[3], "statement": "a small number"}]))
    book.build()
    assert book.holds()["a small number"] == "3" and book.ran == ["third"]
    book.write("book/claims/part/more.yml", yaml.safe_dump([{**ROWS[3], "expected": 3.0001}]))
    said = book.build()
    assert book.code != 0 and "claim 'small-third' does not hold: three: measured 3, needed 3 ± 0" in said


@pytest.mark.slow
def test_a_missing_row_and_a_spare_row_fail(book):
    book.write("book/claims/part/more.yml", "[]\n")
    assert "claim 'small-third' has no row in book/claims" in book.build() and book.code != 0
    spare = {**ROWS[3], "key": "small-spare"}
    book.write("book/claims/part/more.yml", yaml.safe_dump([ROWS[3], spare]))
    assert "claim 'small-spare' is listed but was measured nowhere" in book.build() and book.code != 0


@pytest.mark.slow
def test_a_number_quoted_on_another_page_is_held_against_the_new_value(book):
    book.change("book/first.md", 'claim("small-first", VALUE)', 'claim("small-first", 2 * VALUE)')
    said = book.build()
    assert book.ran == ["first"] and book.code != 0
    assert "the text says 1.2 for claim 'small-first', measured 2.5" in said
    book.change("book/index.md", "{claim}`1.2 <", "{claim}`2.5 <")
    book.build()
    assert book.holds() == {**EVERY, "the value": "2.5"} and "It says 2.5." in book.article("index").text


@pytest.mark.slow
def test_a_changed_library_runs_every_chapter_again(book):
    book.write("gdln/value.py", "VALUE = 1.2\n")
    book.build()
    assert book.holds() == {**EVERY, "the value": "1.2"} and book.ran == ["first", "second", "third"]


@pytest.mark.slow
def test_two_builds_at_once_are_one_too_many_and_a_killed_one_blocks_nothing(sources):
    book = sources
    book.write("gdln/value.py", "VALUE = 1.22\n")
    process = book.start_and_wait()
    said = book.build()
    assert book.code != 0 and "Another build is at work in" in said and "Traceback" not in said
    process.kill()
    process.communicate()
    book.build()
    assert book.holds()["the value"] == "1.22"


@pytest.mark.slow
def test_a_kernel_with_another_library_is_refused_in_one_sentence(sources, tmp_path):
    book = sources
    shutil.copytree(book.folder / "gdln", tmp_path / "gdln")
    said = book.build(PYTHONPATH=str(tmp_path))
    assert book.code != 0 and "Traceback" not in said
    assert f"would import gdln from {tmp_path}/gdln/__init__.py, not from {book.folder}/gdln" in said


@pytest.mark.slow
def test_files_of_claims_that_cannot_be_used_are_one_sentence_each(sources):
    sources.write("book/claims/all.yml", "key: small-first\n")
    sources.write("book/claims/part/more.yml", "- {statement: three, source: here, origin: derived}\n")
    sources.write("book/claims/part/wrong.yml", "- key: [\n")
    said = sources.build().splitlines()
    assert sources.code != 0 and not sources.ran
    assert said[-3].startswith("book/claims: all.yml needs a list of rows")
    assert said[-2] == "book/claims: row 1 of part/more.yml lacks key"
    assert said[-1].startswith("book/claims: part/wrong.yml, line 2 is no YAML")


@pytest.mark.slow
def test_a_file_of_claims_that_is_not_there_is_one_sentence(book):
    (book.folder / "book" / "claims" / "part" / "more.yml").unlink()
    said = book.build()
    assert book.code != 0 and "Traceback" not in said
    assert "book/claims: part/more.yml cannot be read: No such file or directory" in said


@pytest.fixture
def project(book):
    """The small book with what `make book` needs, an environment that is ready, and no trace of git."""
    for name in ("Makefile", "pyproject.toml", "setup.py", "scripts/environment.py"):
        shutil.copy(ROOT / name, book.folder / name)
    (book.folder / ".venv").mkdir(exist_ok=True)
    for name in ("bin", "lib", "pyvenv.cfg"):
        if Path(sys.prefix, name).exists() and not (book.folder / ".venv" / name).exists():
            (book.folder / ".venv" / name).symlink_to(Path(sys.prefix, name))
    ask = (
        "import sys; sys.path.insert(0, 'scripts'); import environment; print(environment.fingerprint('cpu'))"
    )
    mark = subprocess.run(
        [sys.executable, "-c", ask], cwd=book.folder, capture_output=True, text=True, check=True
    )
    (book.folder / ".venv" / "done").write_text(mark.stdout)
    assert " " in str(book.folder) and not (book.folder / ".git").exists()
    return book


MAKE = ("make", "book", f"PYTHON={sys.executable}")


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_book_says_where_the_book_is_and_with_v_all_it_does(project):
    where = rf"The book is at {re.escape(str(project.folder))}/_build/html/index\.html \(\d+ s\)\n"
    said = project.build(MAKE)
    assert project.holds() == EVERY and re.fullmatch("writing 6 pages\n" + where, said)
    project.write("gdln/value.py", "VALUE = 1.21\n")
    said = project.build(MAKE)
    chapters = [rf" +{n} of 3   book/{name}   \d+ s\n" for n, name in enumerate(CHAPTERS, 1)]
    assert re.fullmatch("".join(chapters) + "writing 6 pages\n" + where, said), said
    said = project.build((*MAKE, "V=1"))
    assert project.code == 0 and "Running Sphinx" in said and "build succeeded" in said


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_book_shows_a_failing_chapter_in_ten_lines(project):
    cell = "\n".join(f"x{number} = {number}" for number in range(30)) + "\nx = 1 / 0\n"
    project.change("book/second.md", "import os, sys, time", cell + "import os, sys, time")
    said = project.build(MAKE)
    assert project.code != 0 and "Traceback" not in said
    lines = said.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("book/second failed: "))
    assert lines[start] == "book/second failed: ZeroDivisionError: division by zero"
    shown = [line for line in lines[start + 1 :] if line.startswith("    ")]
    assert "    x = 1 / 0" in shown and "    x27 = 27" in shown and len(shown) <= 9


@pytest.mark.slow
@pytest.mark.parametrize("page", ["README.md", "book/run.md"])
def test_without_make_the_commands_on_the_page_are_those_of_the_makefile(project, page):
    block = re.search(r"Without make.*?```sh\n(.*?)```", (ROOT / page).read_text(), re.S)[1]
    environment, build, test = (line.partition("#")[0].strip() for line in block.splitlines())
    makefile = " ".join((ROOT / "Makefile").read_text().replace("$(BIN)", ".venv/bin").split())
    assert environment.removeprefix("python ") in makefile and build in makefile
    assert set(test.split()) <= set(makefile.split())
    python, *script = environment.split()
    assert project.build((sys.executable, *script)) == "" and project.code == 0
    project.build(build.split())
    assert project.holds() == EVERY and "The book is at" in project.said


@pytest.mark.slow
def test_launch_buttons_open_the_revision_a_book_was_built_from_and_edits_the_branch(book):
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org"]
    asked = book.build(REVISION="HEAD")
    assert book.code != 0 and "REVISION=HEAD needs a git checkout" in asked and "Traceback" not in asked
    for command in (["init", "-q"], ["add", "_config.yml"], ["commit", "-q", "-m", "all"]):
        subprocess.run([*git, *command], cwd=book.folder, check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], cwd=book.folder, capture_output=True, text=True).stdout
    config = yaml.safe_load((book.folder / "_config.yml").read_text())["repository"]
    name, branch = "/".join(config["url"].split("/")[-2:]), config["branch"]
    for revision, wanted in (("v1.2/3", "v1.2/3"), ("HEAD", head.strip()), ("", branch)):
        book.build(REVISION=revision)
        assert book.holds() == EVERY and book.ran == []
        for page in CHAPTERS:
            (binder,), (colab,) = book.links(page, "mybinder.org"), book.links(page, "colab.research")
            assert binder.startswith(
                f"https://mybinder.org/v2/gh/{name}/{wanted}?urlpath=lab/tree/book/{page}."
            )
            assert f"/github/{name}/blob/{wanted}/book/{page}." in colab
            assert book.links(page, "/edit/")[0].endswith(f"{name}/edit/{branch}/book/{page}.md")
    asked = book.build(REVISION="no revision")
    assert book.code != 0 and "REVISION needs a commit or a tag, got 'no revision'" in asked
    shutil.rmtree(book.folder / ".git")


def test_the_key_of_the_cache_changes_with_library_results_and_versions_and_with_nothing_else(tmp_path):
    sys.path.insert(0, str(ROOT / "book" / "_ext"))
    from library_cache import library_hash

    book = Book(tmp_path)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "run.json").write_text("{}\n")
    one = library_hash(book.folder, {"arviz": "1"})
    assert (
        one
        == library_hash(book.folder, {"arviz": "1"})
        == library_hash(book.folder, {"arviz": "1"}, elsewhere)
    )
    (elsewhere / "run.json").write_text("[]\n")
    keys = [
        one,
        library_hash(book.folder, {"arviz": "2"}),
        library_hash(book.folder, {"arviz": "1"}, elsewhere),
    ]
    for name in ("gdln/value.py", "gdln/part/new.py", "book/data/run.json", "book/data/folder/new.json"):
        book.write(name, "changed = True\n")
        keys.append(library_hash(book.folder, {"arviz": "1"}))
    assert len(set(keys)) == len(keys) == 7


def test_the_check_of_notebooks_finds_stale_missing_and_orphan_ones(tmp_path):
    book = Book(tmp_path)

    def run(*options):
        command = [sys.executable, book.folder / "scripts" / "make_notebooks.py", *options]
        return subprocess.run(command, capture_output=True, text=True)

    assert "book/first.ipynb, book/second.ipynb, book/third.ipynb" in run("--check").stderr
    assert run().returncode == 0 and run("--check").returncode == 0
    book.change("book/first.md", "Words.", "Other words.")
    assert "out of step" in run("--check").stderr and run().returncode == 0
    book.contents("first", "third")
    found = run("--check")
    assert found.returncode != 0 and "without a chapter in _toc.yml" in found.stderr
    assert "book/second.ipynb" in found.stderr and "book/first.ipynb" not in found.stderr

"""The book's sources and the built pages keep their promises to a reader."""

import csv
import json
import os
import re
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml
from bs4 import BeautifulSoup

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "book" / "_ext"))
import api  # noqa: E402
from browser import runs_in_a_browser  # noqa: E402

HTML = ROOT / "_build" / "html"
TOC = yaml.safe_load((ROOT / "_toc.yml").read_text())
LISTED = [entry for part in TOC["parts"] for c in part["chapters"] for entry in (c, *c.get("sections", ()))]
PAGES = [TOC["root"], *[entry["file"] for entry in LISTED]]
CHAPTERS = [page for page in PAGES if "```{code-cell}" in (ROOT / f"{page}.md").read_text()]
TAUGHT = [page for page in CHAPTERS if page != TOC["root"]]
WORKPLACE = re.compile(r"(?<![\w.])/(?:work|root|home|tmp)/")


def built(page):
    path = HTML / f"{page}.html"
    if not path.is_file():
        pytest.fail(f"{path} is missing: run `make book` before the tests")
    return BeautifulSoup(path.read_text(), "html.parser")


def test_every_notebook_is_in_step_with_its_source():
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "make_notebooks.py", "--check"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", CHAPTERS)
def test_code_fits_its_column(page):
    cells = re.findall(r"^```\{code-cell\}.*?^```", (ROOT / f"{page}.md").read_text(), flags=re.M | re.S)
    code = [re.sub(r"^---\n.*?^---\n", "", cell, flags=re.M | re.S) for cell in cells]
    assert not [line for cell in code for line in cell.splitlines() if len(line) > 84]


@pytest.mark.parametrize("page", CHAPTERS)
def test_what_a_cell_prints_fits_its_column(page):
    printed = [
        line
        for pre in built(page).select(".cell_output .output:not(.is-claim) pre")  # claims are wrapped
        for line in pre.get_text().splitlines()
    ]
    cells = re.findall(r"^```\{code-cell\}.*?^```", (ROOT / f"{page}.md").read_text(), flags=re.M | re.S)
    assert bool(printed) or not any("print(" in cell for cell in cells)  # else the outputs were not found
    assert not [line for line in printed if len(line) > 84]


@pytest.mark.parametrize("page", CHAPTERS)
def test_a_notebook_holds_the_code_of_its_source_and_no_directive(page):
    import jupytext

    source = jupytext.read(ROOT / f"{page}.md", fmt="md:myst")
    notebook = json.loads((ROOT / f"{page}.ipynb").read_text())
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    wanted = [cell.source for cell in source.cells if cell.cell_type == "code"]
    assert ["".join(cell["source"]) for cell in code[1:]] == wanted
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in code)
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            text = "".join(cell["source"])
            assert not re.search(
                r"^(`{3}|:{3,})\{|^\{\.|\{(eq|ref|numref|cite\S*|prf\S*|doc)\}`", text, re.M
            ), text[:200]
            assert text.count("<details>") == text.count("</details>"), text[:200]


@pytest.mark.parametrize("page", TAUGHT)
def test_every_exercise_has_a_folded_solution_and_there_are_at_least_four(page):
    text = (ROOT / f"{page}.md").read_text()
    exercises = re.findall(r"\{exercise(?:-start)?\}.*\n(?::.*\n)*?:label: ([\w-]+)", text)
    solutions = re.findall(r"\{solution(?:-start)?\} ([\w-]+)\n(?::.*\n)*?:class: dropdown", text)
    assert sorted(exercises) == sorted(solutions)
    assert len(exercises) >= 4


@pytest.mark.parametrize("page", TAUGHT)
def test_a_chapter_says_what_it_needs_and_makes_claims(page):
    text = (ROOT / f"{page}.md").read_text()
    assert "**Prerequisites:**" in text and "**Time:**" in text
    assert "claim(" in text


@pytest.mark.parametrize("page", CHAPTERS)
def test_every_figure_has_alt_text_that_says_something_and_a_caption(page):
    article = built(page).find("article")
    for image in article.find_all("img"):
        alt = image.get("alt", "")
        assert len(alt) > 30 and "_images/" not in alt and not alt.endswith(".png"), (
            f"{page}: alt text {alt!r}"
        )
        figure = image.find_parent("figure")
        assert figure is not None and figure.find("figcaption") is not None, f"{page}: no caption for {alt!r}"


@pytest.mark.parametrize("page", PAGES)
def test_no_page_loads_anything_from_another_host(page):
    soup = built(page)
    for tag, attribute in (("script", "src"), ("img", "src"), ("link", "href"), ("iframe", "src")):
        for element in soup.find_all(tag):
            address = element.get(attribute) or ""
            if tag == "link" and not {"stylesheet", "preload", "icon"} & set(element.get("rel", [])):
                continue
            assert not re.match(r"(https?:)?//", address), f"{page} loads {address}"


@pytest.mark.parametrize("package", api.packages())
def test_the_page_of_a_package_shows_every_function_with_its_source_and_its_summary(package):
    name = package.partition(".")[2] or "ground"
    article = built(f"book/api/{name}").find("article")
    heads = [head.text.rstrip("#") for head in article.find_all("h2")]
    assert heads[: len(api.modules_of(package))] == [m.rpartition(".")[2] for m in api.modules_of(package)]
    for module in api.modules_of(package):
        for kind, name in api.members(module):
            entry = article.find("dt", id=f"{module}.{name}")
            assert entry is not None, f"{module}.{name} is not on its page"
            if kind != "data":
                assert "[source]" in entry.text
                assert article.select(f'table.autosummary a[href="#{module}.{name}"]'), (
                    f"no summary of {name}"
                )
    assert {dt.find_previous("h2").text.rstrip("#") for dt in article.select("dl.data > dt")} <= {"Constants"}


def test_a_function_names_the_chapters_that_use_it_and_no_others():
    entry = built("book/api/race").find("dt", id="gdln.race.routing.speed_up").parent
    links = [a["href"].partition("#")[0] for a in entry.select("p.used-in a")]
    using = [p for p in CHAPTERS if "routing.speed_up(" in (ROOT / f"{p}.md").read_text()]
    assert links == [os.path.relpath(f"{page}.html", "book/api") for page in using] and links


def test_launch_buttons_point_to_files_that_exist():
    address = yaml.safe_load((ROOT / "_config.yml").read_text())["repository"]["url"]
    for page in CHAPTERS:
        links = [a["href"] for a in built(page).find_all("a", href=True)]
        colab = [h for h in links if "colab.research.google.com" in h]
        binder = [h for h in links if "mybinder.org" in h]
        assert colab and binder, page
        assert colab[0].endswith(f"{page}.ipynb") and f"{page}.ipynb" in binder[0]
        assert address.removeprefix("https://github.com/") in colab[0]
        lite = [h for h in links if "lite/lab" in h]
        wanted = os.path.relpath(f"lite/lab/index.html?path={page}.ipynb", Path(page).parent)
        assert set(lite) == (
            {wanted} if runs_in_a_browser(ROOT, (ROOT / f"{page}.md").read_text()) else set()
        )
        assert (ROOT / f"{page}.ipynb").is_file()


def test_a_page_with_a_box_of_code_finds_its_script_and_the_library_beside_it():
    pages = [page for page in PAGES if "```{try-it}" in (ROOT / f"{page}.md").read_text()]
    assert pages
    for page in PAGES:
        soup, folder = built(page), (HTML / page).parent
        scripts = [tag["src"].partition("?")[0] for tag in soup.find_all("script", src=True)]
        scripts = [address for address in scripts if address.endswith("try_it.js")]
        wheel = soup.find("meta", attrs={"name": "gdln-wheel"})
        assert (len(scripts), wheel is not None) == ((1, True) if page in pages else (0, False)), page
        if page in pages:
            for address in (scripts[0], wheel["content"].partition("?")[0]):
                assert (folder / address).is_file(), f"{page}: {address}"


def test_scripts_of_figures_to_explore_are_loaded_where_one_stands_and_nowhere_else():
    for page in PAGES:
        soup, folder = built(page), (HTML / page).parent
        figures = soup.find_all("figure", class_="explore")
        wanted = (ROOT / f"{page}.md").read_text().count("```{explore} ")
        scripts = [tag for tag in soup.find_all("script", src=True) if "explore/mount.js" in tag["src"]]
        styles = [tag for tag in soup.find_all("link", href=True) if "explore.css" in tag["href"]]
        assert len(figures) == wanted, page
        assert len(scripts) == len(styles) == min(1, wanted), page
        for figure in figures:
            assert scripts[0]["type"] == "module"
            assert (
                (folder / scripts[0]["src"].partition("?")[0])
                .parent.joinpath(f"{figure['data-explore']}.js")
                .is_file()
            )
            assert re.search(r"Figure \d", figure.find(class_="explore-place").text), page
            assert "Try:" in figure.find("figcaption").text, page


def sources(*patterns):
    """Return the files of the project, those that .gitignore names left out: a downloaded zip has no git."""
    lines = (ROOT / ".gitignore").read_text().split()
    ignored = [".git", *(line.strip("/").rpartition("/")[2] for line in lines)]
    for folder, folders, files in os.walk(ROOT):
        folders[:] = [name for name in folders if not any(fnmatch(name, pattern) for pattern in ignored)]
        yield from (Path(folder, name) for name in files if any(fnmatch(name, p) for p in patterns))


def test_the_files_of_the_project_are_found_without_git_and_none_that_a_build_leaves():
    found = {str(path.relative_to(ROOT)) for path in sources("*.py", "*.md", "*.yml", "Makefile", "*.json")}
    assert {"Makefile", "_config.yml", "README.md", "gdln/__init__.py", "book/_ext/ledger.py"} <= found
    assert not [name for name in found if name.startswith((".git/", ".venv/", "_build/"))]


def test_no_file_names_a_machine_path_or_repeats_the_public_address():
    for path in sources("*.py", "*.md", "*.yml", "*.toml", "*.cff", "Makefile", "*.lock", "*.json"):
        text = path.read_text()
        if path.name != "test_book.py":
            assert not WORKPLACE.search(text), f"{path.relative_to(ROOT)}: {WORKPLACE.search(text)[0]}"
        if path.name not in ("_config.yml", "test_book.py"):
            assert "github.com/OWNER" not in text, path.relative_to(ROOT)


def test_no_page_tells_a_reader_to_install_the_library_from_an_index():
    for path in sources("*.md", "*.ipynb", "*.yml"):
        assert not re.search(r"pip install (-\w+ )*gdln\b", path.read_text()), path.relative_to(ROOT)


def test_environment_and_lock_name_the_same_versions():
    lock = dict(
        line.split("==") for line in (ROOT / "requirements.lock").read_text().splitlines() if "==" in line
    )
    lock = {name.lower().replace("_", "-"): version for name, version in lock.items()}
    names = {"pytorch-cpu": "torch", "matplotlib-base": "matplotlib"}
    packages = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    pins = dict(p.split("=") for p in packages if isinstance(p, str) and "=" in p)
    assert len(pins) > 5
    for name, version in pins.items():
        if name != "python":
            assert lock[names.get(name, name)] == version


def test_no_chapter_took_a_minute():
    soup = built("book/execution")
    times = [
        float(row.find_all("td")[3].text) for row in soup.find("article").find("table").find_all("tr")[1:]
    ]
    assert len(times) == len(CHAPTERS) and max(times) < 60


@pytest.mark.skipif(os.name == "nt", reason="the system does not tell a process's peak memory")
def test_no_chapter_took_a_gigabyte():
    kept = json.loads((ROOT / "_build" / ".kernel" / "memory.json").read_text())
    assert set(CHAPTERS) <= set(kept)
    assert not {page: kept[page] for page in CHAPTERS if kept[page] >= 1024}


def test_the_code_in_the_readme_runs():
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    assert len(blocks) == 1
    exec(compile(blocks[0], "README.md", "exec"), {})


def test_every_page_has_an_icon_and_says_in_words_of_its_own_what_it_is_about():
    said = {}
    for page in PAGES:
        soup = built(page)
        assert (HTML / page).parent.joinpath(soup.find("link", rel="icon")["href"]).resolve().is_file()
        found = soup.find("meta", attrs={"name": "description"})
        if page in CHAPTERS:
            said[page] = found["content"]
            assert 40 <= len(said[page]) <= 200 and "\\" not in said[page], page
            assert soup.find("meta", property="og:title")["content"] in soup.title.text
    assert len(set(said.values())) == len(CHAPTERS)


def test_the_ledger_to_download_holds_what_the_page_shows():
    rows = json.loads((HTML / "book" / "ledger.json").read_text())
    with (HTML / "book" / "ledger.csv").open(newline="", encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    anchors = {row["id"].removeprefix("claim-"): row for row in built("book/ledger").select("tr[id]")}
    assert [row["key"] for row in rows] == [row["key"] for row in table]
    assert {row["key"] for row in rows} == set(anchors)
    for row in rows:
        cells = [cell.get_text().strip() for cell in anchors[row["key"]].select("td")]
        if row["why"] is None:
            assert cells[1] == f"{row['measured']:.4g}" and cells[2].startswith(row["needed"])


def test_numbers_quoted_in_the_text_lead_to_their_rows_of_the_ledger():
    rows = {row["id"] for row in built("book/ledger").select("tr[id]")}
    links = [
        (page, a["href"]) for page in CHAPTERS for a in built(page).find("article").select("a.quoted-claim")
    ]
    assert len(links) == sum(len(built(page).select("article .quoted-claim")) for page in CHAPTERS) > 300
    for page, link in links:
        ledger, _, row = link.partition("#")
        assert ((HTML / page).parent / ledger).resolve() == HTML / "book" / "ledger.html", page
        assert row in rows, page


def test_every_row_of_every_file_of_claims_is_shown_in_the_ledger():
    shown = {row["id"] for row in built("book/ledger").select('[id^="claim-"]')}
    files = [yaml.safe_load(path.read_text()) for path in (ROOT / "book" / "claims").rglob("*.yml")]
    keys = [row["key"] for rows in files for row in rows]
    assert len(keys) > 1000 and {f"claim-{key}" for key in keys} <= shown

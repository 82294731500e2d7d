"""A notebook reads like its page: links that lead somewhere, works that are listed, plots and solutions folded."""

import re
import sys
from urllib.parse import unquote

import nbformat
import pytest

from tests.test_book import CHAPTERS, HTML, ROOT, built

sys.path.insert(0, str(ROOT / "scripts"))
import make_notebooks  # noqa: E402


def read(page):
    """Return the cells of a page's notebook, the one that installs left out."""
    return nbformat.read(ROOT / f"{page}.ipynb", as_version=4).cells[1:]


def prose(cells):
    """Return the text of all Markdown cells."""
    return "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


@pytest.mark.parametrize("page", CHAPTERS)
def test_a_link_within_a_notebook_names_one_of_its_headings_and_another_an_existing_file(page):
    text = prose(read(page))
    headings = {title.replace(" ", "-") for title in re.findall(r"^#+ (.+)$", text, re.M)}
    for target in re.findall(r"\]\(([^()\s]+)\)", text):
        if target.startswith("#"):
            assert unquote(target[1:]) in headings, (page, target)
        elif "://" not in target:
            assert ((ROOT / page).parent / target.partition("#")[0]).is_file(), (page, target)


@pytest.mark.parametrize("page", CHAPTERS)
def test_a_work_that_a_notebook_names_stands_in_its_list(page):
    cells, labels = read(page), make_notebooks.Labels([])
    cited = re.findall(r"\{cite(?::[tp])?\}`([^`]+)`", (ROOT / f"{page}.md").read_text())
    keys = {key.strip() for keys in cited for key in keys.split(",")}
    listed = re.findall(r"^- .+$", cells[-1].source, re.M) if keys else []
    assert len(listed) == len(keys)
    assert bool(keys) == ("## References" in prose(cells))
    assert "{\\" not in prose(cells[-1:])  # accents, not LaTeX's commands
    for key in keys:
        surname = make_notebooks.surname(labels.bibliography[key].persons["author"][0])
        year = labels.bibliography[key].fields["year"]
        assert any(surname in item and year in item for item in listed), key


@pytest.mark.parametrize("page", CHAPTERS)
def test_what_the_page_folds_is_folded_in_the_notebook(page):
    inside = False
    for cell in read(page):
        if cell.cell_type == "markdown":
            inside = inside or "<summary>Solution of" in cell.source
            inside = inside and not re.match(r"(?s)\*\*Exercise|#", cell.source)
            continue
        jupyter = cell.metadata.get("jupyter", {})
        if "hide-input" in cell.metadata.get("tags", ()):
            assert jupyter.get("source_hidden"), cell.source
        if inside and "source_hidden" in jupyter and "hide-input" not in cell.metadata.get("tags", ()):
            assert jupyter["outputs_hidden"], cell.source


@pytest.mark.slow  # needs the built book
@pytest.mark.parametrize("page", CHAPTERS)
def test_the_button_that_downloads_a_chapter_gives_this_notebook(page):
    link = built(page).select_one('a[href*="_sources"][href$=".ipynb"]')
    downloaded = ((HTML / f"{page}.html").parent / link["href"]).resolve()
    assert downloaded.read_text() == (ROOT / f"{page}.ipynb").read_text()


def test_code_and_output_of_a_solution_are_folded_and_a_plain_cell_is_open(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "# Page\n\n```{code-cell} ipython3\nopen_cell = 1\n```\n\n```{exercise-start}\n:label: ex-one\n"
        ":class: code difficulty-1 minutes-5\n```\nAdd.\n\n"
        "```{exercise-end}\n```\n\n```{solution-start} ex-one\n:class: dropdown\n```\nSo:\n\n"
        "```{code-cell} ipython3\nsolution = 2\n```\n\n```{solution-end}\n```\n\n"
        "```{code-cell} ipython3\n:tags: [hide-input]\nplot = 3\n```\n"
    )
    labels = make_notebooks.Labels([])
    labels.where["ex-one"] = (page, "Exercise 1")
    setup = nbformat.v4.new_code_cell("")
    cells = make_notebooks.Converter(page, labels, setup).notebook().cells
    folded = {
        cell.source: dict(cell.metadata.get("jupyter", {})) for cell in cells if cell.cell_type == "code"
    }
    assert folded["open_cell = 1"] == {}
    assert folded["solution = 2"] == {"source_hidden": True, "outputs_hidden": True}
    assert folded["plot = 3"] == {"source_hidden": True}


def test_a_comment_in_a_cell_is_no_heading():
    text = "# One\n\n```python\n# not one\n```\n\n## Two\n"
    assert [title for _, title in make_notebooks.sections(text)] == ["One", "Two"]
    assert make_notebooks.anchor("What is $x$?") is None
    assert make_notebooks.anchor("Who wins?") == "#Who-wins%3F"

"""What helps to find something: words and symbols that explain themselves, lists, the index, the search."""

import json
import re
import sys
import time
from pathlib import Path

import pytest
from docutils import nodes
from docutils.frontend import get_default_settings
from docutils.utils import new_document

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "book" / "_ext"))
import definitions  # noqa: E402
import lists  # noqa: E402

from tests.test_book import CHAPTERS, HTML, ROOT, TAUGHT, TOC, built  # noqa: E402
from tests.test_browser import browser, open_page, pytestmark, site  # noqa: E402, F401

BROWSER = pytestmark
del pytestmark
WORDS = {
    "path": ("term-path", "path", [("text", "A way.")], {"race"}),
    "paths": ("term-path", "path", [("text", "A way.")], {"race"}),
    "gradient flow": ("term-flow", "gradient flow", [("text", "Small steps.")], {"foundations"}),
    "P-3L": ("term-P-3L", "P-3L", [("text", "Three layers.")], {"convergence"}),
}


def page(*children):
    document = new_document("page", get_default_settings())
    section = nodes.section("", nodes.title("", "A path"), ids=["a"])
    document += section
    section.extend(children)
    return document


def marked(document):
    return [
        (node.astext(), node["refuri"])
        for node in document.findall(nodes.reference)
        if "defined" in node["classes"]
    ]


def test_the_first_use_of_a_word_is_marked_and_no_later_one():
    text = nodes.paragraph("", "", nodes.Text("Two paths by gradient  flow; a path, gradient flow."))
    document = page(text, nodes.paragraph("", "A path again."))
    found = definitions.mark_words(document, WORDS, "g.html")
    assert marked(document) == [("paths", "g.html#term-path"), ("gradient  flow", "g.html#term-flow")]
    assert found == {
        "g.html#term-path": [[("text", "A way.")]],
        "g.html#term-flow": [[("text", "Small steps.")]],
    }
    assert text.astext() == "Two paths by gradient  flow; a path, gradient flow."


@pytest.mark.parametrize("text", ["pathway", "a subpath", "path-wise", "re-path", "PATH", "pathS"])
def test_a_part_of_a_word_is_no_word(text):
    document = page(nodes.paragraph("", text))
    assert definitions.mark_words(document, WORDS, "g") == {} and not marked(document)


@pytest.mark.parametrize("kind", [nodes.literal, nodes.reference, nodes.strong, nodes.math])
def test_a_word_is_marked_in_running_text_alone(kind):
    document = page(nodes.paragraph("", "", kind("", "path")), nodes.literal_block("path", "path"))
    assert definitions.mark_words(document, WORDS, "g") == {}
    inside = nodes.admonition("", nodes.title("", "Before"), nodes.paragraph("", "A path."), classes=["tip"])
    assert definitions.mark_words(page(inside), WORDS, "g") == {}


def test_a_plain_word_keeps_to_the_parts_that_define_it():
    assert set(definitions.fitting(WORDS, "race")) == set(WORDS)
    assert set(definitions.fitting(WORDS, "alignment")) == {"gradient flow", "P-3L"}


def test_a_symbol_is_marked_where_a_formula_is_nothing_else_and_the_text_speaks_of_it():
    symbols = {
        "a": [
            ("strength", [("text", "mode strength")], "a", [("math", "a")]),
            ("node", [("text", "a node")], "", []),
        ],
        "\\Sigma^{yx}": [("row", [("text", "correlation of both")], "sigma_yx", [])],
    }
    other = nodes.paragraph(
        "", "", nodes.Text("Let "), nodes.math("", "a"), nodes.Text(" be a number that is large.")
    )
    formulas = [nodes.math("", latex) for latex in ("a=0", "\\Sigma^{ yx}", "\\Sigma^{yx}", "a", "a")]
    spoken = nodes.paragraph(
        "", "", nodes.Text("Of nodes. The correlations and the modes: "), *formulas, nodes.Text(". Nodes.")
    )
    document = page(other, spoken)
    found = definitions.mark_symbols(document, symbols, "n.html")
    assert marked(document) == [("\\Sigma^{ yx}", "n.html#row"), ("a", "n.html#strength")]
    assert found["n.html#row"] == [[("text", "correlation of both"), ("code", "sigma_yx")]]
    assert found["n.html#strength"] == [[("math", "a"), ("text", "mode strength"), ("code", "a")]]


def test_a_row_of_several_symbols_says_which_it_means():
    cells = [
        nodes.entry("", nodes.paragraph("", "", nodes.math("", "M"), nodes.Text(", "), nodes.math("", "P"))),
        nodes.entry("", nodes.paragraph("", "gates, samples")),
        nodes.entry(),
        nodes.entry("", nodes.paragraph("", "", nodes.literal("", "n_gates"))),
    ]
    body = nodes.tbody("", nodes.row("", *cells))
    document = page(nodes.table("", nodes.tgroup("", nodes.thead(), body)))
    found = definitions.symbols_of(document)["A path"]
    assert set(found) == {"M", "P"} and found["M"] == found["P"]
    anchor, text, code, names = found["M"][0]
    assert "".join(part for _, part in names + text) == "M, P: gates, samples" and code == "n_gates"
    assert document.ids[anchor] is body[0] and body[0]["ids"] == [anchor]


def test_a_chapter_knows_the_symbols_of_its_part_and_of_all_parts():
    row = [("a", [], "", [])]
    tables = {
        "All parts": {"x": row},
        "Foundations and the neural race": {"s": row},
        "Input-weight alignment": {"z": row},
    }
    assert set(definitions.known(tables, "The neural race")) == {"x", "s"}
    assert set(definitions.known(tables, "Foundations")) == {"x", "s"}
    assert set(definitions.known(tables, "One network, many theories")) == {"x"}


@pytest.mark.parametrize(
    "latex, letter",
    [
        ("\\kappa", ("κ", "kappa")),
        ("\\varkappa", ("ϰ", "kappa")),
        ("\\Sigma^{yx}", ("Σ", "sigma")),
        ("\\hat\\lambda_i", ("λ", "lambda")),
        ("\\Theta_\\infty", ("Θ", "theta")),
        ("W_1", None),
        ("\\mathcal L", None),
    ],
)
def test_a_greek_symbol_has_a_letter_and_a_name(latex, letter):
    found = definitions.greek(latex)
    if letter and letter[0] == "ϰ":
        letter = ("κ", "kappa")  # the same letter in another hand
    assert found == letter


def test_every_part_has_its_symbols_and_a_row_its_own_address():
    article = built("book/notation").find("article")
    heads = [head.text.rstrip("#").lower() for head in article.find_all("h2")]
    captions = [part["caption"] for part in TOC["parts"] if part.get("numbered")]
    missing = [caption for caption in captions if not any(caption.lower() in head for head in heads)]
    assert set(missing) <= {"One network, many theories"}  # it uses the symbols of the parts it joins
    rows = [row.get("id") for row in article.select("tbody tr") if row.find("td").select(".math")]
    assert all(rows) and len(rows) == len(set(rows)) > 50


@pytest.mark.parametrize("chapter", TAUGHT)
def test_words_and_symbols_of_a_chapter_lead_to_their_definitions(chapter):
    soup, folder = built(chapter), (HTML / chapter).parent
    links = soup.select("article a.defined")
    assert links
    said = json.loads(soup.find("script", id="definitions").string)
    assert {a["href"] for a in links} == set(said) and all(said.values())
    pages = {}
    for link in links:
        name, _, anchor = link["href"].partition("#")
        text = pages.setdefault(name, (folder / name).resolve().read_text(encoding="utf-8"))
        assert f'id="{anchor}"' in text, link["href"]


def test_the_lists_have_every_theorem_and_every_figure_of_the_book():
    article = built("book/lists").find("article")
    listed = {a["href"].rpartition("#")[2] for a in article.select("a[href*='#']")}
    for name in CHAPTERS:
        text = (ROOT / f"{name}.md").read_text(encoding="utf-8")
        labels = re.findall(r"\{prf:(?!proof)\w+\}[^\n]*\n(?::[\w-]+:[^\n]*\n)*?:label: ([\w-]+)", text)
        labels += re.findall(r"^    name: (fig-[\w-]+)$", text, re.M)
        assert set(labels) <= listed, name
    for image in article.select("img.thumbnail"):
        assert (HTML / "book" / image["src"]).is_file()
    assert "Figure ." not in article.text and "pending" not in article.text


def test_a_figure_without_a_caption_or_an_address_is_not_listed():
    image = nodes.image(uri="a.png", alt="a")
    whole = nodes.figure("", image.deepcopy(), nodes.caption("", "A caption"), ids=["fig-a"])
    bare = nodes.figure("", image.deepcopy(), ids=["fig-b"])
    nameless = nodes.figure("", image.deepcopy(), nodes.caption("", "A caption"))
    assert [label for label, *_ in lists.figures_of(page(whole, bare, nameless))] == ["fig-a"]


def test_the_index_can_be_reached_and_has_words_symbols_and_functions():
    assert any(a["href"].endswith("genindex.html") for a in built("book/finding").select("article a[href]"))
    entries = (HTML / "genindex.html").read_text(encoding="utf-8")
    for word in ("tangent kernel", "kappa", "mode_strength", "GatedKernel"):
        assert word in entries, word
    assert "race-sharing-100" not in entries


def marks(test):
    for mark in BROWSER:
        test = mark(test)
    return test


@marks
def test_a_definition_shows_at_a_word_by_keyboard_and_by_mouse_and_goes_at_escape(browser, site):  # noqa: F811
    tab, wrong = open_page(browser, site, "book/race/race", 390)
    word, box = tab.locator("a.defined:not(.symbol)").first, tab.locator("#definition")
    assert not box.is_visible()
    word.focus()
    assert box.is_visible() and len(box.inner_text()) > 20
    assert word.get_attribute("aria-describedby") == "definition"
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390
    tab.keyboard.press("Escape")
    assert not box.is_visible() and word.get_attribute("aria-describedby") is None
    symbol = tab.locator("a.defined.symbol").first
    symbol.hover()
    box.wait_for(state="visible")
    tab.mouse.move(0, 0)
    box.wait_for(state="hidden")
    assert not wrong
    tab.close()


@marks
@pytest.mark.parametrize(
    "query, first",
    [
        ("mode_strength", "mode_strength"),
        ("GatedKernel.from_inputs", "gdln.renormalization.kernels.GatedKernel.from_inputs"),
        ("kappa", "book/notation.html#symbol-"),
        ("γ", "book/notation.html#symbol-"),
        ("race-sharing-100", "book/ledger.html#claim-race-sharing-100"),
        ("tangent kernel", "book/glossary.html#term-tangent-kernel"),
    ],
)
def test_a_search_puts_what_is_asked_for_on_top_within_a_second(browser, site, query, first):  # noqa: F811
    tab = browser.new_page()
    tab.goto(f"{site}/search.html", wait_until="load")
    tab.wait_for_function("typeof Search !== 'undefined' && Search._index")
    taken = []
    for _ in range(3):  # the machine may be busy with something else
        tab.evaluate("document.getElementById('search-results').replaceChildren()")
        start = time.monotonic()
        tab.evaluate("query => Search.performSearch(query)", query)
        link = tab.locator("#search-results ul.search > li > a").first
        link.wait_for()
        taken.append(time.monotonic() - start)
    assert first in link.get_attribute("href")
    assert min(taken) < 1, taken
    tab.close()

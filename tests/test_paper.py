"""What is printed: chapters as LaTeX, built here from a small book; the script that judges what TeX made of it."""

import json
import re
import sys

import pytest
from sphinx.application import Sphinx

from tests.test_book import ROOT

sys.path.insert(0, str(ROOT / "scripts"))
import pdf  # noqa: E402

CONF = """
import sys
sys.path.insert(0, {ext!r})
extensions = ["myst_parser", "sphinx_exercise", "sphinx_proof", "paper", "formats", "tables_seen"]
myst_enable_extensions = ["dollarmath"]
numfig, math_numfig, numfig_secnum_depth = True, True, 1
latex_documents = [("index", "gdln.tex", "Small", "us", "manual")]
"""
CHAPTER = """\
(sec-one)=
# One

The number of {eq}`eq-one` and {ref}`ex-two`, in `gdln.race.some_long_name`.

$$x = 1$$ (eq-one)

```{prf:theorem} All $x$ are one
:label: thm-one

So it is.
```

```{prf:proof}
Look at it.
```

```{exercise}
:label: ex-one
:class: by-hand difficulty-1 minutes-5
First.
```

```{solution} ex-one
:class: dropdown
The first answer is $y$.

$$y = 2$$ (eq-two)
```

```{exercise}
:label: ex-two
:class: by-hand difficulty-1 minutes-5
Second, see {eq}`eq-two`.
```

```{solution} ex-two
:class: dropdown
The second answer.
```

| symbol | meaning |
|---|---|
| $x$ | a word, and many others that take much of the line |
"""


@pytest.fixture(scope="module")
def printed(tmp_path_factory):
    """Return the LaTeX of a small book with one chapter, a page before it and the ledger behind, and its numbers."""
    folder = tmp_path_factory.mktemp("paper")
    (folder / "book" / "api").mkdir(parents=True)
    conf = CONF.format(ext=str(ROOT / "book" / "_ext")).replace(', "tables_seen"', "")
    (folder / "conf.py").write_text(conf)
    (folder / "index.md").write_text(
        "# Small\n\n```{toctree}\nbook/before\n```\n\n```{toctree}\n:numbered:\nbook/one\n```\n\n"
        "```{toctree}\nbook/ledger\nbook/api/race\n```\n"
    )
    (folder / "book" / "before.md").write_text(
        "# Before\n\nSee {ref}`sec-row`.\n\nIn one file each:\n\n```{formats}\n```\n"
    )
    (folder / "book" / "one.md").write_text(CHAPTER)
    (folder / "book" / "ledger.md").write_text("# Ledger\n\n(sec-row)=\n## A row\n\nFour hundred pages.\n")
    (folder / "book" / "api" / "race.md").write_text("# The race\n\nA list of functions.\n")
    app = Sphinx(folder, folder, folder / "out", folder / "trees", "latex", status=None, warning=None)
    app.build()
    return (folder / "out" / "gdln.tex").read_text(), json.loads(
        (folder / "out" / "numbers.json").read_text()
    )


def test_chapters_are_numbered_and_the_pages_around_them_are_not(printed):
    tex, numbers = printed
    order = re.findall(r"secnumdepth\}\{(-?\d)\}|\\chapter\{(\w+)", tex)
    depth, seen = "0", {}
    for changed, chapter in order:
        depth = changed or depth
        if chapter:
            seen[chapter] = depth
    assert seen["One"] == "0"
    assert {seen["Before"], seen["Ledger"], seen["Solutions"]} == {"-1"}
    assert numbers["equation:book/one:eq-one"] == "1.1"


def test_a_theorem_has_its_number_and_title_and_a_proof_ends_with_its_square(printed):
    tex, _ = printed
    assert r"\begin{gdlnstatement}{Theorem 1.1 (All \texorpdfstring{\(x\)}{x} are one)}" in tex
    assert re.search(
        r"\\begin\{gdlnproof\}\s*\\sphinxAtStartPar\s+Proof\. Look at it\.\s*\\end\{gdlnproof\}", tex
    )
    assert "sphinxadmonition}{note}\n" not in tex  # the box without a title


def test_solutions_stand_behind_the_chapters_with_a_way_there_and_back(printed):
    tex, _ = printed
    chapter, solutions = tex.split(r"\chapter{Solutions}")
    assert "The second answer." in solutions and "The second answer." not in chapter
    for name, number in (("ex-one", "1.1"), ("ex-two", "1.2")):
        assert chapter.count(rf"\pageref{{\detokenize{{solution:{name}}}}}") == 1
        assert solutions.count(rf"\label{{\detokenize{{solution:{name}}}}}") == 1
        assert rf"\hyperref[exercise:{name}]{{Exercise {number}}}" in solutions
    assert r"\hyperref[exercise:ex-two]{Exercise 1.2}" in chapter  # a reference in the text


def test_an_equation_in_a_solution_keeps_the_number_of_its_page(printed):
    tex, numbers = printed
    assert numbers["equation:book/one:eq-two"] == "1.2"
    place = tex.index(r"\label{equation:book/one:eq-two}")
    assert r"\renewcommand{\theequation}{1.2}" in tex[tex.index(r"\chapter{Solutions}") : place]


def test_pages_to_look_things_up_in_are_named_only_and_nothing_refers_into_them(printed):
    tex, _ = printed
    assert "Four hundred pages" not in tex and "A list of functions" not in tex
    assert tex.count("stands in the book on the web") == 2
    assert "book/ledger:sec-row" not in tex


def test_code_in_a_line_breaks_at_dots_and_underscores_and_tables_have_widths(printed):
    tex, _ = printed
    assert r"gdln.\allowbreak{}race.\allowbreak{}some\_\allowbreak{}long" in tex
    assert re.search(r"\\X\{6\}\{\d+\}\\X\{\d+\}\{\d+\}", tex)


def test_the_other_formats_are_named_on_paper_so_that_no_sentence_ends_in_a_colon(printed):
    tex, _ = printed
    found = re.search(r"In one file each:(.*?)\\end\{itemize\}", tex, re.DOTALL)[1]
    names = re.findall(r"\\sphinxcode\{\\sphinxupquote\{(.*?)\}\}: \w", found.replace(r"\allowbreak{}", ""))
    assert names == ["gdln.pdf", "notebooks.zip"] and r"\href" not in found


LOG = """\
LaTeX Warning: Reference `equation:book/race/routing:eq-routing-error' on page 6
 undefined on input line 3.
Missing character: There is no ⧵ (U+29F5) in font [latinmodern-math.otf]/OT!
Overfull \\hbox (21.9pt too wide) in paragraph at lines 3--4
Overfull \\hbox (3.2pt too wide) detected at line 77
Overfull \\hbox (0.4pt too wide) detected at line 78
"""


def test_what_tex_says_of_references_characters_formulas_and_numbers_is_a_fault():
    aux = r"\newlabel{equation:a:b}{{6.1}{134}{}{equation.6.1}{}}"
    assert pdf.faults("", aux, {"equation:a:b": "6.1"}) == []
    found = pdf.faults(LOG.replace("6\n undefined", "6 undefined"), aux, {"equation:a:b": "6.2", "c": "1.1"})
    assert found == [
        "equation:book/race/routing:eq-routing-error is referred to and stands nowhere",
        "There is no ⧵ (U+29F5) in font [latinmodern-math.otf]/OT!",
        "equation:a:b is 6.1 in the PDF and 6.2 on the web",
        "c is nothing in the PDF and 1.1 on the web",
        "a formula at line 77 is 3.2 pt too wide",
    ]


def test_without_tex_one_sentence_says_what_to_install(monkeypatch, capsys):
    assert pdf.missing(find=lambda name: None) == ["xelatex", "latexmk", "xindy", "make"]
    monkeypatch.setattr(pdf, "missing", lambda: ["xelatex"])
    monkeypatch.setattr(sys, "argv", ["pdf.py"])
    with pytest.raises(SystemExit, match="xelatex not found; on Debian: apt-get install make texlive"):
        pdf.main()
    monkeypatch.setattr(sys, "argv", ["pdf.py", "--if-tex"])
    pdf.main()
    assert capsys.readouterr().out.startswith("No PDF: xelatex not found")

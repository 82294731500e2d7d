"""A number that a reader sees names one thing in the whole book, the same on the page and in the notebook."""

import re
import sys
from pathlib import Path
from urllib.parse import unquote, urldefrag

import pytest
from bs4 import BeautifulSoup

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts"))

import make_notebooks  # noqa: E402

NUMBER = re.compile(r"(?:(?P<kind>[A-Z][a-z]+) |\()(?P<number>\d+(?:\.\d+)?)\)?")
CHAPTERS = make_notebooks.chapter_numbers()


@pytest.fixture(scope="module")
def pages():
    """The built chapters, by number."""
    found = {}
    for source, number in CHAPTERS.items():
        path = ROOT / "_build" / "html" / source.relative_to(ROOT).with_suffix(".html")
        if not path.is_file():
            pytest.fail(f"{path} is missing: run `make book` before the tests")
        found[number] = path, BeautifulSoup(path.read_text(), "html.parser")
    return found


def numbers(soup):
    """What a page prints beside the equations, figures, theorems and exercises it holds, by anchor."""
    found = {}
    for tag in soup.select("span.eqno"):
        found[tag.find_parent(id=True)["id"]] = tag.find(string=True).strip()
    for tag in soup.select("span.caption-number"):
        found[tag.find_parent(id=True)["id"]] = tag.get_text().strip()
    return found


@pytest.fixture(scope="module")
def printed(pages):
    """What is printed beside every anchor of the book."""
    return {(path, anchor): text for path, soup in pages.values() for anchor, text in numbers(soup).items()}


def test_chapters_are_numbered_from_one_in_title_sidebar_and_notebook(pages):
    assert list(CHAPTERS.values()) == list(range(1, len(CHAPTERS) + 1))
    for number, (path, soup) in pages.items():
        start = f"{number}. "
        assert soup.title.text.startswith(start) and soup.select_one("article h1").text.startswith(start)
        assert soup.select_one("nav li.current.active > a, nav li.current > a").text.strip().startswith(start)
        source = next(source for source, n in CHAPTERS.items() if n == number)
        assert f'"# {start}' in source.with_suffix(".ipynb").read_text(), path


def test_no_number_is_printed_twice_in_the_book_and_each_bears_its_chapter(pages, printed):
    assert len(set(printed.values())) == len(printed) > 400
    for number, (_, soup) in pages.items():
        for text in numbers(soup).values():
            assert NUMBER.fullmatch(text)["number"].startswith(f"{number}."), text


def test_a_reference_shows_the_number_printed_at_its_target(pages, printed):
    seen = 0
    for path, soup in pages.values():
        for link in soup.select("article a.reference.internal[href]"):
            text = link.get_text().strip()
            page, anchor = urldefrag(link["href"])
            target = (path.parent / unquote(page)).resolve() if page else path
            if anchor and NUMBER.fullmatch(text) and (target, anchor) in printed:
                assert printed[target, anchor] == text, (path.name, link["href"])
                seen += 1
    assert seen > 400


def test_the_notebooks_use_the_numbers_of_the_pages(printed):
    labels = make_notebooks.Labels(list(CHAPTERS))
    on_page = {anchor.removeprefix("equation-"): text for (_, anchor), text in printed.items()}
    shown = {label: text for label, (_, text) in labels.where.items() if NUMBER.fullmatch(text)}
    assert shown == on_page

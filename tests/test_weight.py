"""Pages are light: what a first view loads, what the whole book takes, and the room and variants of each picture."""

import gzip
import re
from functools import cache

import pytest
from PIL import Image

from tests.test_book import CHAPTERS, HTML, built

#: Most that a chapter may load at first, compressed as hosts send it, beside mathematics' typesetter and pictures.
FIRST_VIEW = 200_000
#: Most that the book may take, beside the formats to take along.
WHOLE = 40_000_000
APART = ("mathjax", "plotly")


@cache
def compressed(path):
    return len(gzip.compress(path.read_bytes()))


@pytest.mark.parametrize("page", CHAPTERS)
def test_the_first_view_of_a_chapter_is_light_beside_mathematics_and_pictures(page):
    soup, here = built(page), HTML / f"{page}.html"
    addresses = {script["src"] for script in soup.find_all("script", src=True)}
    addresses |= {sheet["href"] for sheet in soup.find_all("link", rel="stylesheet")}
    files = {here} | {
        (here.parent / address.partition("?")[0]).resolve()
        for address in addresses
        if not any(name in address for name in APART)
    }
    sizes = {path.name: compressed(path) for path in files}
    assert sum(sizes.values()) < FIRST_VIEW, sizes


def test_no_page_loads_the_search_index_but_the_one_that_searches():
    pages = [path for path in HTML.rglob("*.html") if "searchindex.js" in path.read_text(encoding="utf-8")]
    assert [path.name for path in pages] == ["search.html"]


def test_the_whole_book_is_small():
    sizes = {path: path.stat().st_size for path in HTML.rglob("*") if path.suffix not in (".pdf", ".zip")}
    assert sum(sizes.values()) < WHOLE, sorted(sizes.items(), key=lambda item: item[1])[-20:]


@pytest.mark.parametrize("page", CHAPTERS)
def test_a_picture_has_a_variant_for_each_mode_keeps_its_room_and_comes_at_twice_the_resolution(page):
    pictures = built(page).find("article").select("img.picture")
    assert re.findall("in-(light|dark)", " ".join(" ".join(p["class"]) for p in pictures)) == [
        "light",
        "dark",
    ] * (len(pictures) // 2)
    for picture in pictures:
        assert picture["loading"] == "lazy"
        shown = int(picture["width"]), int(picture["height"])
        with Image.open((HTML / f"{page}.html").parent / picture["src"]) as stored:
            assert all(abs(have - 2 * side) <= 2 for have, side in zip(stored.size, shown, strict=True))
            assert stored.convert("RGBA").getchannel("A").getextrema()[0] == 0  # the ground is the page's

"""What the extensions make of a page: pictures for both modes, room for mathematics, lean styles, the foot."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from gdln import plotting

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "book" / "_ext"))
from boxes import marked  # noqa: E402
from cite import authors, cited  # noqa: E402
from lean import cut, icons, rules  # noqa: E402
from pictures import COUNTERPARTS, dark, light, size_on_page  # noqa: E402
from room import height, width, with_room  # noqa: E402

GROUND = np.array([0x14, 0x17, 0x1B]) / 255


def strip(*colours):
    """A picture of one row."""
    return Image.fromarray(np.rint(255 * np.array([colours])).astype(np.uint8), "RGB")


def rgb(name):
    return np.array([int(name[k : k + 2], 16) for k in (1, 3, 5)]) / 255


def laid_on(picture, ground):
    """Colours of the first row over a ground."""
    pixels = np.asarray(picture.convert("RGBA"))[0] / 255
    return pixels[:, 3:] * pixels[:, :3] + (1 - pixels[:, 3:]) * ground


def luminance(colour):
    linear = np.where(colour <= 0.04045, colour / 12.92, ((colour + 0.055) / 1.055) ** 2.4)
    return linear @ np.array([0.2126, 0.7152, 0.0722])


def contrast(one, other):
    low, high = sorted([luminance(one), luminance(other)])
    return (high + 0.05) / (low + 0.05)


def test_a_light_picture_laid_on_white_is_the_picture():
    colours = np.random.default_rng(0).random((200, 3))
    made = laid_on(light(strip(*colours)), np.ones(3))
    assert np.abs(made - np.rint(255 * colours) / 255).max() < 1.5 / 255


def test_white_has_gone_from_both_variants():
    for make in (light, dark):
        assert np.asarray(make(strip([1, 1, 1])))[0, 0, 3] == 0


@pytest.mark.parametrize("name", COUNTERPARTS)
def test_a_colour_fades_to_the_dark_ground_as_it_fades_to_white(name):
    shares = np.linspace(0, 1, 21)[:, None]
    faded = strip(*(shares * rgb(name) + (1 - shares)))
    wanted = shares * rgb(COUNTERPARTS[name]) + (1 - shares) * GROUND
    assert np.abs(laid_on(dark(faded), GROUND) - wanted).max() < 0.03


def test_every_colour_of_the_cycle_has_a_counterpart_that_a_dark_page_shows():
    assert set(plotting.CYCLE) == set(COUNTERPARTS)
    for counterpart in COUNTERPARTS.values():
        assert contrast(rgb(counterpart), GROUND) > 4.5


def test_the_sequential_map_is_the_same_in_the_dark():
    import matplotlib

    colours = np.array(matplotlib.colormaps["viridis"].colors)[::5]
    assert np.abs(laid_on(dark(strip(*colours)), GROUND) - colours).max() < 0.01


def test_what_grows_away_from_white_grows_away_from_the_dark_ground():
    import matplotlib

    ends = matplotlib.colormaps["RdBu_r"](np.linspace(0.5, 1, 6))[:, :3]
    apart = np.linalg.norm(laid_on(dark(strip(*ends)), GROUND) - GROUND, axis=1)
    assert (np.diff(apart[:4]) > 0).all()


@pytest.mark.parametrize("dpi, size", [(110, (400, 300)), (220, (200, 150)), (72, (400, 300))])
def test_a_picture_of_twice_the_resolution_is_shown_at_the_size_it_was_drawn(dpi, size):
    picture = Image.new("RGB", (400, 300))
    picture.info["dpi"] = (dpi, dpi)
    assert size_on_page(picture) == size


@pytest.mark.parametrize(
    "wider, narrower",
    [("abc", "ab"), (r"a_{bcd}", "a_b"), (r"\frac{a+b}{c}", r"\frac{a}{c}"), ("a=b", "ab"), (r"\exp x", "x")],
)
def test_more_in_a_formula_takes_more_room(wider, narrower):
    assert width(wider) > width(narrower)


def test_a_subscript_below_a_superscript_takes_no_more_room_than_the_wider_of_both():
    assert width("a_b^{cd}") == pytest.approx(width("a^{cd}"))


def test_commands_without_a_glyph_take_no_room():
    assert width(r"\hat{\mathbf{x}}") == pytest.approx(width("x"))


def test_a_display_is_as_high_as_its_rows():
    assert height(r"a\\b") - height("a") == pytest.approx(height(r"a\\b\\c") - height(r"a\\b"))
    assert height(r"\frac ab") > height("a")
    assert height(r"\sum_i a_i") > height(r"\summand")


def test_each_formula_says_its_room_and_keeps_the_comma_behind_it():
    body = (
        '<p>(<span class="math notranslate nohighlight">\\(S&gt;0\\)</span>, and '
        '<span class="math notranslate nohighlight">\\(b\\)</span> x</p>'
        '<div class="math notranslate nohighlight" id="equation-a">\n\\[a\\]</div>'
    )
    made = with_room(body)
    assert made.count("--wide:") == 2 and made.count("--rows:") == 1
    assert '<span class="with-mark">(<span' in made and made.count("with-mark") == 1
    assert (
        re.sub(r' style="[^"]*"|<span class="with-mark">', "", made).replace("</span>,</span>", "</span>,")
        == body
    )


def test_rules_are_read_with_their_strings_and_addresses():
    text = 'a{b:url("data:x,{;}")}@media print{a{c:d}}@import "x";e>f{}'
    assert list(rules(text)) == [
        ("a", 'b:url("data:x,{;}")'),
        ("@media print", "a{c:d}"),
        ('@import "x"', None),
        ("e>f", ""),
    ]


def test_a_sheet_keeps_what_can_match_and_nothing_else():
    text = (
        ".a .b{x:1}.a .gone{x:2}#c:not(.gone),.gone{x:3}p{x:4}@media print{.gone{x:5}}@media screen{.a{x:6}}"
    )
    assert cut(text, {"a", "b", "c"}) == ".a .b{x:1}#c:not(.gone){x:3}p{x:4}@media screen{.a{x:6}}"


def test_cutting_twice_changes_nothing():
    text = '@charset "UTF-8";.a{x:1}@font-face{font-family:"Font Awesome 6"}@keyframes k{from{x:1}}.gone{x:2}'
    once = cut(text, {"a"})
    assert once == ".a{x:1}@keyframes k{from{x:1}}"
    assert cut(once, {"a"}) == once


def test_icons_are_drawn_by_their_names_and_older_names():
    library = 'x={pencil:[512,512,[9999,"pencil-alt"],"f303","M1 2"],sun:[5,5,[],"f185","M0"]}'
    sheet = icons({"pencil-alt", "absent"}, library)
    assert ".fa-pencil-alt{" in sheet and "M1 2" in sheet and "sun" not in sheet and "absent" not in sheet


def test_a_proof_a_claim_and_the_content_of_a_theorem_are_marked():
    body = (
        '<div class="proof admonition" id="proof">\n<p>Proof. We</p></div>'
        '<section class="theorem-content" id="proof-content">'
        '<div class="output text_plain highlight-myst-ansi notranslate">'
        '<div class="highlight"><pre><span></span>\u2713 x'
    )
    made = marked(body)
    assert "id=" not in made and "is-proof" in made and "is-claim" in made
    assert marked(made) == made


def test_a_fold_of_code_is_called_by_the_words_that_stand_on_it():
    assert marked('<summary aria-label="Toggle hidden content">\n<p>Show</p>') == "<summary>\n<p>Show</p>"


CITATION = {"authors": [{"name": "The gdln authors"}], "version": "0.1.0", "date-released": "2026-11-21"}


def test_a_citation_has_what_the_file_of_the_project_says():
    made = cited(CITATION, "book/race/race", "Paths & gates", "A book", "https://example.org/race.html")
    assert made["bibtex"].startswith("@incollection{gdln-race-race,\n")
    assert "author    = {{The gdln authors}}" in made["bibtex"] and "year      = {2026}" in made["bibtex"]
    assert r"Paths \& gates" in made["bibtex"] and "doi" not in made["bibtex"]
    assert "Paths & gates" in made["words"] and "{" not in made["words"]
    assert "doi       = {10.1/2}" in cited(CITATION | {"doi": "10.1/2"}, "p", "t", "b", "u")["bibtex"]


def test_people_are_cited_family_first():
    people = [
        {"family-names": "Lovelace", "given-names": "Ada"},
        {"family-names": "Noether", "given-names": "Emmy"},
    ]
    assert authors({"authors": people}) == "Lovelace, Ada and Noether, Emmy"


def test_the_foot_reads_what_the_project_says_of_itself():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"authors", "version", "date-released"} <= set(citation)

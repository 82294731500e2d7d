"""Exercises say what they ask, and the pages for lecturers are made from what chapters and sets say of themselves."""

import re
import sys
from pathlib import Path

import pytest
import yaml
from bs4 import BeautifulSoup

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "book" / "_ext"))

import exercises  # noqa: E402
import syllabus  # noqa: E402

TOC = yaml.safe_load((ROOT / "_toc.yml").read_text())
CHAPTERS = [c["file"] for part in TOC["parts"] if part.get("numbered") for c in part["chapters"]]


def test_kind_difficulty_and_minutes_are_read_in_any_order():
    assert exercises.described(["minutes-20", "by-hand", "difficulty-3"]) == ("by hand", 3, 20)
    assert exercises.described(["open", "difficulty-1", "minutes-240", "wide"]) == ("open", 1, 240)
    assert exercises.sentence("by hand", 2, 15) == "By hand, difficulty 2 of 3, about 15 minutes."


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ("", "got none"),
        ("difficulty-1 minutes-5", "by-hand, code, open"),
        ("code open difficulty-1 minutes-5", "one of the classes"),
        ("code difficulty-1", "one minutes-n"),
        ("code difficulty-1 difficulty-2 minutes-5", "one difficulty-n"),
        ("code difficulty-4 minutes-5", "1 to 3"),
        ("code difficulty-0 minutes-5", "1 to 3"),
        ("code difficulty-1 minutes-0", "1 to 240"),
        ("code difficulty-1 minutes-241", "1 to 240"),
        ("code difficulty-x minutes-5", "one difficulty-n"),
    ],
)
def test_an_exercise_that_does_not_say_what_it_asks_is_refused(classes, message):
    with pytest.raises(ValueError, match=message):
        exercises.described(classes.split())


@pytest.mark.parametrize("page", CHAPTERS)
def test_the_kind_of_an_exercise_is_the_one_its_text_opens_with(page):
    text = (ROOT / f"{page}.md").read_text()
    found = re.findall(r"\{exercise-start\}.*\n:label: (\S+)\n:class: (.*)\n```\n(.*)", text)
    assert len(found) == text.count("{exercise-start}")
    opens = {"by hand": "by hand", "change the code": "code", "a change of code": "code", "open": "open"}
    for label, classes, first in found:
        said = next((kind for words, kind in opens.items() if first.lower().startswith(words)), None)
        assert said in (None, exercises.described(classes.split())[0]), label


def test_minutes_and_needs_are_what_a_chapter_says():
    text = (
        "**Prerequisites:** {doc}`b`, {doc}`the other <../q/c>` and {ref}`sec-d`; {doc}`b` again; matrices.\n"
        "**You will be able to:** read {doc}`e`.\n**Time:** about 45 minutes with the exercises.\n"
    )
    assert syllabus.minutes(text, "a") == 45
    labels = {"sec-d": ("book/p/d", "sec-d")}
    assert syllabus.needs(text, "book/p/a", labels) == ["book/p/b", "book/q/c", "book/p/d"]
    with pytest.raises(ValueError, match="chapter needs a line"):
        syllabus.minutes("**Time:** an hour", "chapter")


def test_a_line_of_the_map_leads_from_a_chapter_to_what_it_builds_on():
    pages = {"book/p/a": 1, "book/p/b": 2, "book/q/c": 3}
    before = {"book/p/a": [], "book/p/b": ["book/p/a"], "book/q/c": ["book/p/b"]}
    drawn = BeautifulSoup(
        syllabus.draw(pages, before, pages, dict.fromkeys(pages, "A & B"), dict.fromkeys(pages, 40)),
        "html.parser",
    )
    assert [title.text for title in drawn.select("path title")] == ["2 builds on 1", "3 builds on 2"]
    assert [a["aria-label"] for a in drawn.select("a")] == [f"{k}. A & B, 40 minutes" for k in (1, 2, 3)]
    boxes = [(float(r["x"]), float(r["y"])) for r in drawn.select("rect")]
    assert boxes[0][0] == boxes[1][0] < boxes[2][0] and boxes[0][1] < boxes[1][1]


def built(page):
    path = ROOT / "_build" / "html" / "book" / "teaching" / f"{page}.html"
    if not path.is_file():
        pytest.fail(f"{path} is missing: run `make book` before the tests")
    return BeautifulSoup(path.read_text(), "html.parser")


def test_the_table_lists_every_exercise_of_the_book_and_links_to_it():
    rows = built("for_lecturers").select("table.exercises tbody tr")
    count = sum((ROOT / f"{page}.md").read_text().count("{exercise-start}") for page in CHAPTERS)
    assert len(rows) == count > 100
    for row in rows:
        cells = [cell.text.strip() for cell in row.select("td")]
        page, _, label = row.a["href"].removeprefix("../").partition("#")
        target = BeautifulSoup((ROOT / "_build/html/book" / page).read_text(), "html.parser").find(id=label)
        assert target.select_one(".caption-number").text.strip() == cells[0]
        asks = exercises.sentence(cells[2], int(cells[3]), int(cells[4]))
        assert target.select_one(".exercise-asks").text.strip() == asks


def test_the_longest_course_has_every_chapter_and_every_set_once():
    weeks = built("for_lecturers").select("table.course")[2]
    links = [a["href"].removeprefix("../").removesuffix(".html") for a in weeks.select("tbody a")]
    assert sorted(links) == sorted(page.removeprefix("book/") for page in CHAPTERS)
    sets = [code.text for code in weeks.select("tbody code")]
    assert sorted(sets) == sorted(path.stem for path in (ROOT / "assignments").glob("*.md"))

"""Courses made of this book: which chapters and problem sets a week has, their minutes, and what each chapter needs.

``{syllabus}`` takes a line a week, ``race/race race/routing | race``: chapters, then problem sets. The minutes come
from the chapters' *Time* and from the head of each set. ``{prerequisites}`` draws the chapters and what they build on,
from their *Prerequisites*, and lists them. A chapter or a set that does not exist is a warning.
"""

import re
from html import escape
from pathlib import Path

import yaml
from docutils import nodes
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective
from tables import chapter_numbers, row_of, table_of

logger = logging.getLogger(__name__)
COLUMN, ROW, BOX, HEAD = 96, 54, (54, 38), 44  # of the drawing, in pixels


class course_table(nodes.General, nodes.Element):
    """Stands for a table until all chapters have their numbers."""


class Syllabus(SphinxDirective):
    """``{syllabus}`` with a line a week."""

    has_content = True

    def run(self):
        folder, weeks = Path(self.env.srcdir), []
        for line in filter(None, map(str.strip, self.content)):
            chapters, _, sets = line.partition("|")
            week = chapters.split(), sets.split()
            for path in (*(f"book/{c}.md" for c in week[0]), *(f"assignments/{s}.md" for s in week[1])):
                if not (folder / path).is_file():
                    logger.warning("syllabus: there is no %s", path, location=self.get_location())
                    return []
                self.env.note_dependency(str(folder / path))
            weeks.append(week)
        return [course_table(weeks=weeks)]


class Prerequisites(SphinxDirective):
    """``{prerequisites}`` draws what every chapter needs, and lists it."""

    def run(self):
        return [course_table(weeks=None)]


def minutes(text, name):
    """Return the minutes that a chapter says it takes.

    Raises
    ------
    ValueError
        If it does not say.
    """
    found = re.search(r"\*\*Time:\*\* about (\d+) minutes", text)
    if found is None:
        raise ValueError(f"{name} needs a line **Time:** about n minutes")
    return int(found[1])


def needs(text, here, labels):
    """Return the chapters that a chapter's prerequisites link to, as pages."""
    line = re.search(r"^\*\*Prerequisites:\*\*(.*?)(?=\*\*You will|$)", text, re.M)
    found = []
    for role, target in re.findall(r"\{(doc|ref)\}`(?:[^`<]*<)?([^`>]+)>?`", line[1] if line else ""):
        if role == "ref":
            page = labels[target][0] if target in labels else None
        else:
            page = str((Path("/", here).parent / target).resolve().relative_to("/"))
        if page and page != here and page not in found:
            found.append(page)
    return found


def set_head(folder, name):
    """Return title and minutes of a problem set, from the head of its source."""
    text = (folder / "assignments" / f"{name}.md").read_text(encoding="utf-8")
    head = yaml.safe_load(text.split("---\n")[1])["course"]
    return head["title"], head["minutes"]


def _resolve(app, doctree, docname):
    env = app.env
    for place in list(doctree.findall(course_table)):
        text = {page: Path(env.doc2path(page)).read_text(encoding="utf-8") for page in chapter_numbers(env)}
        shown = _syllabus if place["weeks"] is not None else _needs
        place.replace_self(shown(app, docname, place["weeks"], text))


def _link(app, docname, page, text):
    return nodes.reference("", text, internal=True, refuri=app.builder.get_relative_uri(docname, page))


def _syllabus(app, docname, weeks, text):
    env, rows, total = app.env, [], 0
    numbers, folder = chapter_numbers(env), Path(app.srcdir)
    for week, (chapters, sets) in enumerate(weeks, 1):
        reading, links, tasks, working = 0, [], [], 0
        for chapter in chapters:
            page = f"book/{chapter}"
            reading += minutes(text[page], page)
            title = f"{numbers[page]}. {env.titles[page].astext()}"
            links += [nodes.Text(" · ")] * bool(links) + [_link(app, docname, page, title)]
        for name in sets:
            title, taken = set_head(folder, name)
            working += taken
            tasks += [nodes.Text(" · ")] * bool(tasks) + [nodes.literal(text=name), nodes.Text(f" ({title})")]
        total += reading + working
        spent = f"{reading} + {working}" if working else str(reading)
        rows.append([[nodes.Text(str(week))], links, tasks or [nodes.Text("–")], [nodes.Text(spent)]])
    weekly = table_of(["week", "chapters", "problem set", "minutes"], map(row_of, rows), ["course"])
    words = (
        f"Together {total / 60:.0f} hours of a student's time: chapters with their exercises + problem sets."
    )
    return [weekly, nodes.paragraph("", words)]


def _needs(app, docname, _, text):
    env, numbers = app.env, chapter_numbers(app.env)
    labels = env.get_domain("std").labels
    before = {page: [p for p in needs(text[page], page, labels) if p in numbers] for page in numbers}
    taken = {page: minutes(text[page], page) for page in numbers}
    rows = []
    for page, number in numbers.items():
        links = []
        for other in before[page]:
            name = f"{numbers[other]}. {env.titles[other].astext()}"
            links += [nodes.Text(" · ")] * bool(links) + [_link(app, docname, other, name)]
        here = _link(app, docname, page, f"{number}. {env.titles[page].astext()}")
        rows.append([[here], links or [nodes.Text("–")], [nodes.Text(str(taken[page]))]])
    uri = {page: app.builder.get_relative_uri(docname, page) for page in numbers}
    title = {page: env.titles[page].astext() for page in numbers}
    drawing = nodes.raw("", draw(numbers, before, uri, title, taken), format="html")
    return [drawing, table_of(["chapter", "builds on", "minutes"], map(row_of, rows), ["course"])]


def draw(numbers, before, uri, title, taken):
    """Return an SVG: a column a part, a box a chapter with number and minutes, a line from each to what it builds on.

    Parameters
    ----------
    numbers, before, uri, title, taken : dict
        By page: its number, the pages it builds on, its address, its title, its minutes.
    """
    parts = list(dict.fromkeys(page.split("/")[1] for page in numbers))
    place, count = {}, dict.fromkeys(parts, 0)
    for page in numbers:
        part = page.split("/")[1]
        place[page] = parts.index(part) * COLUMN + 12, HEAD + count[part] * ROW
        count[part] += 1
    wide, tall = len(parts) * COLUMN, HEAD + max(count.values()) * ROW
    lines, boxes = [], []
    for page, others in before.items():
        x, y = place[page]
        for other in others:
            u, v = place[other]
            start = (x, y + BOX[1] / 2) if u < x else (x + BOX[0], y + BOX[1] / 2)
            end = (u + BOX[0], v + BOX[1] / 2)
            bend = 30 if u == x else (start[0] - end[0]) / 2
            sign = 1 if u == x else -1
            lift = 26 if v == y and x - u > COLUMN else 0  # over the boxes between, not behind them
            lines.append(
                f'<path d="M{start[0]} {start[1]}C{start[0] + sign * bend} {start[1] - lift} {end[0] + bend} '
                f"{end[1] - lift} "
                f'{end[0]} {end[1]}"><title>{numbers[page]} builds on {numbers[other]}</title></path>'
            )
        name = f"{numbers[page]}. {escape(title[page])}"
        boxes.append(
            f'<a href="{uri[page]}" aria-label="{name}, {taken[page]} minutes"><title>{name}</title>'
            f'<rect x="{x}" y="{y}" width="{BOX[0]}" height="{BOX[1]}" rx="5"/>'
            f'<text x="{x + BOX[0] / 2}" y="{y + 17}" text-anchor="middle">{numbers[page]}</text>'
            f'<text x="{x + BOX[0] / 2}" y="{y + 31}" class="minutes" text-anchor="middle">{taken[page]} min</text></a>'
        )
    heads = [f'<text x="{k * COLUMN + 4}" y="20" class="part">{part}</text>' for k, part in enumerate(parts)]
    return (
        f'<div class="chapter-map"><svg viewBox="0 0 {wide} {tall}" width="{wide}" role="group" '
        f'aria-label="What each chapter builds on">{"".join(heads + lines + boxes)}</svg></div>'
    )


def setup(app):
    """Register the directives."""
    app.add_node(course_table)
    app.add_directive("syllabus", Syllabus)
    app.add_directive("prerequisites", Prerequisites)
    app.connect("doctree-resolved", _resolve)
    return {"version": "1", "env_version": 1, "parallel_read_safe": False}

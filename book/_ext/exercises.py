"""What an exercise asks of a reader: its kind, how hard it is, how long it takes.

Written once, in the exercise's own classes, such as ``:class: by-hand difficulty-2 minutes-20``. The page says it below
the title, and ``{exercise-table}`` lists all exercises of the book. An exercise without one of the three is a warning,
so the strict build fails.
"""

import re

from docutils import nodes
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective
from sphinx_exercise.nodes import exercise_enumerable_node
from tables import chapter_numbers, kept, row_of, table_of

logger = logging.getLogger(__name__)
#: Kinds of exercises, by class, as a reader sees them.
KINDS = {"by-hand": "by hand", "code": "code", "open": "open"}
NUMBERED = re.compile(r"(difficulty|minutes)-(\d+)")
HARDEST = 3


def described(classes):
    """Return kind, difficulty and minutes from the classes of an exercise.

    Raises
    ------
    ValueError
        If one is missing, stands twice, or is out of range; says which.
    """
    kinds = [KINDS[name] for name in classes if name in KINDS]
    if len(kinds) != 1:
        raise ValueError(
            f"one of the classes {', '.join(KINDS)} is needed, got {' '.join(classes) or 'none'}"
        )
    found = [match.groups() for match in map(NUMBERED.fullmatch, classes) if match]
    values = {name: int(value) for name, value in found}
    if len(found) != 2 or len(values) != 2:
        raise ValueError(f"one difficulty-n and one minutes-n are needed, got {' '.join(classes)}")
    if not 1 <= values["difficulty"] <= HARDEST or not 1 <= values["minutes"] <= 240:
        raise ValueError(f"difficulty 1 to {HARDEST} and 1 to 240 minutes are needed, got {values}")
    return kinds[0], values["difficulty"], values["minutes"]


def sentence(kind, difficulty, minutes):
    """Return what stands below the title of an exercise."""
    return f"{kind.capitalize()}, difficulty {difficulty} of {HARDEST}, about {minutes} minutes."


class exercise_table(nodes.General, nodes.Element):
    """Stands for the table of all exercises until every page is read."""


class ExerciseTable(SphinxDirective):
    """``{exercise-table}`` lists the exercises of the book, chapter by chapter."""

    def run(self):
        kept(self.env, "gdln_exercise_tables").setdefault(self.env.docname, True)
        return [exercise_table()]


def _read(app, doctree):
    """Collect the exercises of a page, and say below each title what it asks."""
    env, found = app.env, []
    for node in doctree.findall(exercise_enumerable_node):
        try:
            what = described([name for name in node["classes"] if name != "exercise"])
        except ValueError as error:
            logger.warning("exercise %s: %s", node["label"], error, location=node)
            continue
        found.append((node["label"], *what))
        line = nodes.paragraph("", sentence(*what), classes=["exercise-asks"])
        body = next((child for child in node.children if isinstance(child, nodes.section)), node)
        body.insert(0 if body is not node else 1, line)
    kept(env, "gdln_exercises")[env.docname] = found


def _purge(app, env, docname):
    for name in ("gdln_exercises", "gdln_exercise_tables"):
        kept(env, name).pop(docname, None)


def _outdated(app, env, added, changed, removed):
    """Write the table again whenever a page was read."""
    return list(kept(env, "gdln_exercise_tables")) if added or changed or removed else []


def _resolve(app, doctree, docname):
    """Put the table in its place, with the numbers of the pages."""
    env = app.env
    for place in doctree.findall(exercise_table):
        rows, numbers = [], chapter_numbers(env)
        for page in sorted(kept(env, "gdln_exercises"), key=lambda page: numbers.get(page, 0)):
            for label, kind, difficulty, minutes in env.gdln_exercises[page]:
                number = ".".join(map(str, env.toc_fignumbers[page]["exercise"][label]))
                uri = app.builder.get_relative_uri(docname, page) + f"#{label}"
                link = nodes.reference("", f"Exercise {number}", internal=True, refuri=uri)
                title = env.titles[page].astext()
                words = map(nodes.Text, (title, kind, str(difficulty), str(minutes)))
                rows.append(row_of([[cell] for cell in (link, *words)]))
        head = ["exercise", "chapter", "kind", "difficulty", "minutes"]
        place.replace_self(table_of(head, rows, ["exercises"]))


def setup(app):
    """Register the directive and the hooks that carry exercises to the table."""
    app.setup_extension("sphinx_exercise")
    app.add_node(exercise_table)
    app.add_directive("exercise-table", ExerciseTable)
    app.connect("doctree-read", _read)
    app.connect("env-purge-doc", _purge)
    app.connect("env-get-outdated", _outdated)
    app.connect("doctree-resolved", _resolve)
    return {"version": "1", "env_version": 2, "parallel_read_safe": False}

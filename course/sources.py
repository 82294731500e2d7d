"""Read a problem set from its MyST source, refuse one that breaks the format, and make the student's cells of it."""

import ast
import builtins
import json
import re
import symtable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import jupytext
import nbformat

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "assignments"
NAMES = ("warm_up", "foundations", "race", "renormalization", "bottleneck", "convergence", "alignment")
#: Where a course is released to, and the file in it that keeps the seeds.
COURSE, SEEDS = ROOT / "_build" / "course", "seeds.json"
#: Points of every set.
TOTAL = 20
#: What stands where a student has to write.
STUBS = {"code": "raise NotImplementedError", "markdown": "*Your answer here.*"}
QUESTION = re.compile(r"^## Question (?P<number>\d+) \((?P<points>\d+) points?\): \S", re.M)
SEED = re.compile(r"^SEED = (\d+)$", re.M)
FLAGS = ("grade", "locked", "solution")


class BadSource(ValueError):
    """A source breaks the format of a problem set."""


@dataclass(frozen=True)
class Cell:
    """A cell of a problem set.

    Attributes
    ----------
    kind : str
        ``"code"`` or ``"markdown"``.
    text : str
    grade_id : str
        Empty for a cell that a student may change freely and nothing is expected of.
    points : float
        Zero unless ``grade``.
    grade, locked, solution : bool
        As in nbgrader: a test has ``grade`` and ``locked``, an answer ``solution``.
    """

    kind: str
    text: str
    grade_id: str = ""
    points: float = 0
    grade: bool = False
    locked: bool = False
    solution: bool = False

    @property
    def is_test(self):
        """Whether the cell is an automatic test."""
        return self.kind == "code" and self.grade

    @property
    def is_answer(self):
        """Whether a student writes code here."""
        return self.kind == "code" and self.solution

    @property
    def by_hand(self):
        """Whether a person grades the cell."""
        return self.kind == "markdown" and self.grade

    @property
    def metadata(self):
        """The cell's metadata as nbgrader reads it."""
        if not self.grade_id:
            return {}
        flags = {name: getattr(self, name) for name in FLAGS}
        points = {"points": self.points} if self.grade else {}
        return {
            "nbgrader": {**flags, **points, "grade_id": self.grade_id, "schema_version": 3, "task": False}
        }


@dataclass(frozen=True)
class ProblemSet:
    """A problem set.

    Attributes
    ----------
    name, title : str
    minutes : int
        What a prepared student needs.
    teaches : tuple of str
        Chapters that teach what it asks for, as pages under ``book/``.
    cells : tuple of Cell
    """

    name: str
    title: str
    minutes: int
    teaches: tuple
    cells: tuple

    @cached_property
    def tests(self):
        """The automatic tests, in order."""
        return tuple(cell for cell in self.cells if cell.is_test)

    @cached_property
    def by_hand(self):
        """The answers that a person grades, in order."""
        return tuple(cell for cell in self.cells if cell.by_hand)

    @cached_property
    def by_id(self):
        """Cells by their ``grade_id``."""
        return {cell.grade_id: cell for cell in self.cells if cell.grade_id}

    @property
    def seed(self):
        """The seed of the numbers."""
        return next(int(found[1]) for cell in self.cells if (found := SEED.search(cell.text)))

    @cached_property
    def names(self):
        """What the answers define: name to ``"function"`` or ``"value"``."""
        found = {}
        for cell in self.cells:
            if cell.is_answer:
                found.update(defined(cell.text))
        return found

    def questions(self):
        """Return number, title line, stated points and cells of every question."""
        found = []
        for cell in self.cells:
            heading = QUESTION.search(cell.text) if cell.kind == "markdown" and cell.locked else None
            if heading:
                title = cell.text[heading.start() :].splitlines()[0].removeprefix("## ")
                found.append((int(heading["number"]), title, int(heading["points"]), []))
            if found:
                found[-1][3].append(cell)
        return found

    def with_seed(self, seed):
        """Return the set with other numbers."""
        cells = (
            replace(cell, text=SEED.sub(f"SEED = {int(seed)}", cell.text))
            if cell.locked and not cell.grade
            else cell
            for cell in self.cells
        )
        return replace(self, cells=tuple(cells))

    def for_students(self):
        """Return the set without solutions and hidden tests."""
        return replace(self, cells=tuple(replace(cell, text=student_text(cell)) for cell in self.cells))

    def notebook(self):
        """Return the set as a notebook."""
        cells = []
        for number, cell in enumerate(self.cells):
            new = nbformat.v4.new_code_cell if cell.kind == "code" else nbformat.v4.new_markdown_cell
            cells.append(new(cell.text, metadata=cell.metadata, id=cell.grade_id or f"cell-{number:02d}"))
        kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
        return nbformat.v4.new_notebook(
            cells=cells, metadata={"kernelspec": kernel, "language_info": {"name": "python"}}
        )


def load(name, folder=FOLDER):
    """Return a problem set.

    Parameters
    ----------
    name : str
        Such as ``"race"``.
    folder : path, optional
        Where ``<name>.md`` stands.

    Raises
    ------
    BadSource
        If it does not exist, or breaks the format; the message lists everything that is wrong.
    """
    path = Path(folder) / f"{name}.md"
    if not path.is_file():
        raise BadSource(f"there is no problem set {name!r}: {path} does not exist")
    notebook = jupytext.reads(path.read_text(encoding="utf-8"), fmt="md:myst")
    header = notebook.metadata.get("course", {})
    missing = [key for key in ("title", "minutes", "teaches") if key not in header]
    if missing:
        raise BadSource(f"{path.name}: the front matter needs course: {', '.join(missing)}")
    cells = tuple(map(read_cell, notebook.cells))
    found = ProblemSet(name, header["title"], header["minutes"], tuple(header["teaches"]), cells)
    faults = list(problems(found))
    if faults:
        raise BadSource(f"{path.name}:\n  " + "\n  ".join(faults))
    return found


def available(folder=FOLDER):
    """Return the names of the problem sets that exist, in the order of the course."""
    return tuple(name for name in NAMES if (Path(folder) / f"{name}.md").is_file())


def seeds_of(course=COURSE):
    """Return the seed of every set that was released, by name."""
    path = Path(course) / SEEDS
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def read_cell(cell):
    """Return a notebook's cell as a :class:`Cell`, with what its nbgrader metadata say."""
    told = cell.metadata.get("nbgrader", {})
    flags = {name: bool(told.get(name)) for name in FLAGS}
    kind = "code" if cell.cell_type == "code" else "markdown"
    return Cell(kind, cell.source, str(told.get("grade_id", "")), told.get("points", 0), **flags)


def defined(text):
    """Return what code defines at its top level, apart from imports: name to ``"function"`` or ``"value"``."""
    found = {}
    inner = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)

    def visit(node):
        if isinstance(node, inner):
            if not isinstance(node, ast.Lambda):
                found[node.name] = "function"
            return
        if isinstance(node, (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)):
            return  # their variables stay inside
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found[node.id] = "value"
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(ast.parse(text))
    return found


def used(text):
    """Return the names that code reads and neither defines, imports nor finds among Python's own."""
    found, own = set(), set()

    def visit(table):
        for symbol in table.get_symbols():
            top = table.get_type() == "module"
            if top and (symbol.is_assigned() or symbol.is_imported()):
                own.add(symbol.get_name())
            elif symbol.is_referenced() and (top or symbol.is_global()):
                found.add(symbol.get_name())
        for child in table.get_children():
            visit(child)

    visit(symtable.symtable(text, "<test>", "exec"))
    return found - own - set(dir(builtins))


def strip(text, what, stub=None):
    """Return text without its ``### BEGIN <what>`` ... ``### END <what>`` regions, a stub in the place of each."""
    lines, inside = [], False
    for line in text.splitlines():
        if f"BEGIN {what}" in line:
            if inside:
                raise BadSource(f"### BEGIN {what} stands inside another")
            inside = True
            if stub is not None:
                lines.append(line[: len(line) - len(line.lstrip())] + stub)
        elif f"END {what}" in line:
            if not inside:
                raise BadSource(f"### END {what} without its beginning")
            inside = False
        elif not inside:
            lines.append(line)
    if inside:
        raise BadSource(f"### BEGIN {what} is never closed")
    return "\n".join(lines).rstrip()


def student_text(cell):
    """Return what a student sees of a cell."""
    if cell.solution:
        return strip(cell.text, "SOLUTION", STUBS[cell.kind])
    return strip(cell.text, "HIDDEN TESTS") if cell.is_test else cell.text


def problems(problem_set):
    """Yield everything in which a set breaks the format."""
    ids = [cell.grade_id for cell in problem_set.cells if cell.grade_id]
    for grade_id in sorted({name for name in ids if ids.count(name) > 1}):
        yield f"grade_id {grade_id!r} stands twice"
    for grade_id in ids:
        if not re.fullmatch(r"[a-z][a-z0-9-]*", grade_id):
            yield f"grade_id {grade_id!r}: small letters, digits and hyphens only"
    code = [cell for cell in problem_set.cells if cell.kind == "code"]
    if not code or not code[0].locked or not SEED.search(code[0].text):
        yield "the first code cell must be locked and define SEED on a line of its own"
    if not 90 <= problem_set.minutes <= 150:
        yield f"minutes must be from 90 to 150, got {problem_set.minutes}"
    for page in problem_set.teaches:
        if not (ROOT / "book" / f"{page}.md").is_file():
            yield f"teaches {page!r}: there is no book/{page}.md"
    for cell in problem_set.cells:
        yield from (f"{cell.grade_id or 'a cell without grade_id'}: {fault}" for fault in cell_problems(cell))
    names = set().union(*(defined_or_nothing(cell.text) for cell in code if cell.is_answer))
    for test in problem_set.tests:
        for name in sorted(used_or_nothing(test.text) - names - {"SEED"}):
            yield f"{test.grade_id}: the test uses {name!r}, which no answer defines and the cell does not import"
    always = {"SEED"}.union(*(bound(cell.text) for cell in code if cell.locked and not cell.is_test))
    for cell in code:
        if cell.is_answer:
            for name in sorted(used_or_nothing(cell.text) - names - always):
                yield f"{cell.grade_id}: uses {name!r} of another cell, whose mistakes must not cost this one"
    questions = problem_set.questions()
    if not 4 <= len(questions) <= 6:
        yield f"a set has 4 to 6 questions, locked, '## Question 2 (5 points): title'; got {len(questions)}"
    if [number for number, *_ in questions] != list(range(1, len(questions) + 1)):
        yield "the questions are not numbered 1, 2, 3, ..."
    for number, _, points, cells in questions:
        if sum(cell.points for cell in cells) != points:
            yield f"question {number} says {points} points, its cells have {sum(c.points for c in cells):g}"
    if sum(cell.points for cell in problem_set.cells) != TOTAL:
        yield f"a set has {TOTAL} points, got {sum(cell.points for cell in problem_set.cells):g}"
    if not problem_set.by_hand or not problem_set.tests:
        yield "a set needs answers graded by hand and automatic tests"


def cell_problems(cell):
    """Yield everything in which one cell breaks the format."""
    if (cell.grade or cell.solution or cell.locked) and not cell.grade_id:
        yield "needs a grade_id"
    if cell.grade and not (isinstance(cell.points, (int, float)) and cell.points > 0):
        yield f"needs points above 0, got {cell.points!r}"
    if cell.solution and "### BEGIN SOLUTION" not in cell.text:
        yield "an answer needs ### BEGIN SOLUTION"
    if not cell.solution and "BEGIN SOLUTION" in cell.text:
        yield "### BEGIN SOLUTION in a cell that is no answer"
    if not cell.is_test and "BEGIN HIDDEN TESTS" in cell.text:
        yield "### BEGIN HIDDEN TESTS in a cell that is no test"
    if cell.solution and cell.locked:
        yield "an answer cannot be locked"
    if cell.is_test and not cell.locked:
        yield "a test must be locked"
    if cell.is_answer and cell.grade:
        yield "code is graded by a test cell of its own, not where it is written"
    if cell.by_hand and "**Rubric.**" not in cell.text:
        yield "an answer graded by hand needs its **Rubric.** inside the solution"
    try:
        student = student_text(cell)
    except BadSource as fault:
        yield str(fault)
        return
    if "BEGIN" in student or "Rubric" in student:
        yield "a mark of the solution is left in the student's copy"
    if cell.kind != "code":
        return
    for text in (cell.text, student):
        try:
            ast.parse(text)
        except SyntaxError as fault:
            yield f"does not parse: {fault}"
            return
    if not cell.is_test:
        return
    if "### BEGIN HIDDEN TESTS" not in cell.text:
        yield "a test needs ### BEGIN HIDDEN TESTS"
    if student.count("assert ") == 0:
        yield "a test needs an example that a student can run, above the hidden tests"
    for node in ast.walk(ast.parse(cell.text)):
        if isinstance(node, ast.Assert) and node.msg is None:
            yield f"line {node.lineno}: an assert needs a message that names the property"
        if isinstance(node, ast.Attribute) and node.attr.startswith("assert_"):
            yield f"line {node.lineno}: {node.attr} tells a student the expected value; use assert with a message"


def defined_or_nothing(text):
    """Return the names that code defines, none where it does not parse."""
    try:
        return set(defined(text))
    except SyntaxError:
        return set()


def bound(text):
    """Return all names that code assigns or imports at its top level, none where it does not parse."""
    try:
        symbols = symtable.symtable(text, "<cell>", "exec").get_symbols()
    except SyntaxError:
        return set()
    return {s.get_name() for s in symbols if s.is_assigned() or s.is_imported()}


def used_or_nothing(text):
    """Return the names that code needs, none where it does not parse."""
    try:
        return used(text)
    except SyntaxError:
        return set()

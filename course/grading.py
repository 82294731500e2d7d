"""Run the tests of a source on a submission: points, and why they were lost."""

import time
from dataclasses import dataclass

import nbformat

from course import alarm, wire
from course.sources import QUESTION, SEED, STUBS, defined, used
from course.submission import Ended, Failed, Function

#: Bytes that a notebook may have.
LARGEST = 20 * 2**20
#: Characters of a reason that are shown.
REASON = 300


@dataclass(frozen=True)
class Outcome:
    """What a test came to.

    Attributes
    ----------
    grade_id : str
    points, earned : float
    reason : str
        Empty where all points are earned.
    seconds : float
    """

    grade_id: str
    points: float
    earned: float
    reason: str
    seconds: float


@dataclass(frozen=True)
class HandIn:
    """What a student handed in, put beside the source.

    Attributes
    ----------
    cells : tuple of (str, str)
        Name and text of every code cell to run: locked ones as in the source, tests left out.
    answers : dict
        ``grade_id`` to text of every answer that a person grades.
    notes : tuple of str
        What a person should know, such as a cell that is missing.
    """

    cells: tuple
    answers: dict
    notes: tuple


class NotANotebook(ValueError):
    """A file is no notebook."""


def read(path, most=LARGEST):
    """Return a notebook as handed in.

    Parameters
    ----------
    path : path
        Of the file.
    most : int, optional
        Bytes that the file may have.

    Raises
    ------
    NotANotebook
        If it is none; the message says why.
    """
    size = path.stat().st_size
    if size == 0:
        raise NotANotebook("the file is empty")
    if size > most:
        raise NotANotebook(f"the file has {size / 2**20:.0f} MB, at most {most // 2**20} are read")
    try:
        notebook = nbformat.reads(path.read_bytes().decode("utf-8-sig"), as_version=4)
        nbformat.validate(notebook)
    except Exception as error:  # whatever a reader of notebooks makes of a file that is none
        raise NotANotebook(f"the file is not a notebook ({type(error).__name__})") from None
    return notebook


def hand_in(problem_set, notebook):
    """Put a student's notebook beside the source.

    Cells run in the order in which they stand in the notebook, those that the student added too. Locked cells come
    from the source, also where the notebook has lost them. Text that the student added right below or above the cell
    for an answer is part of the answer.

    Parameters
    ----------
    problem_set : ProblemSet
        Solutions included.
    notebook : NotebookNode
        The student's.

    Returns
    -------
    HandIn
    """
    cells, answers, notes, seen, beside = [], {}, [], set(), []
    sources = [source_of(problem_set, cell) for cell in notebook.cells]
    handed_out = {"", *(cell.text.strip() for cell in problem_set.for_students().cells)}
    for number, (cell, source) in enumerate(zip(notebook.cells, sources, strict=True)):
        grade_id = None if source is None else source.grade_id
        if source is not None and source.grade_id in seen and not source.locked:
            notes.append(f"the cell {grade_id!r} stands more than once")
        repeated = source is not None and source.grade_id in seen
        seen.add(grade_id if source is not None else None)
        if source is not None and source.by_hand:
            answers.setdefault(grade_id, []).append(cell.source)
        elif source is not None and source.locked:
            if source.kind == "code" and not source.is_test and not repeated:
                cells.append((grade_id, source.text))
                if (found := SEED.search(cell.source)) and int(found[1]) != problem_set.seed:
                    notes.append(
                        f"made from a release with SEED {found[1][:20]}, graded with {problem_set.seed}"
                    )
        elif cell.cell_type == "code":
            cells.append((grade_id if source else f"added cell {len(cells) + 1}", cell.source))
        elif source is None and cell.cell_type == "markdown" and cell.source.strip() not in handed_out:
            above = next(filter(None, reversed(sources[:number])), None)
            below = next(filter(None, sources[number:]), None)
            near = [s for s in (above, below) if s is not None and s.by_hand]
            if near:
                answers.setdefault(near[0].grade_id, []).append(cell.source)
            else:
                beside.append("the beginning" if above is None else repr(above.grade_id))
    lost = [cell for cell in problem_set.cells if cell.grade_id and cell.grade_id not in seen]
    given = [(c.grade_id, c.text) for c in lost if c.locked and c.kind == "code" and not c.is_test]
    names = [cell.grade_id for cell in lost if cell.solution]
    if names:
        notes.append("no answer cell " + ", ".join(map(repr, names)))
    if beside:
        notes.append(
            f"text was added after {', '.join(dict.fromkeys(beside))}: it belongs to no answer, so look at it"
        )
    answers = {name: joined(texts) for name, texts in answers.items()}
    return HandIn(tuple(given + cells), answers, tuple(notes))


def source_of(problem_set, cell):
    """Return the cell of the source that a cell of a notebook comes from, ``None`` where the student made it."""
    told = cell.metadata.get("nbgrader", {})
    grade_id = told.get("grade_id") if isinstance(told, dict) else None
    return problem_set.by_id.get(grade_id) if isinstance(grade_id, str) else None


def joined(texts):
    """Return what was written for an answer, without the stub where there is more than it."""
    written = [text for text in texts if text.strip() not in ("", STUBS["markdown"])]
    return "\n\n".join(written or texts[:1])


def complete(problem_set, replaced=None):
    """Return the hand-in of somebody who has the solutions.

    Parameters
    ----------
    problem_set : ProblemSet
        Solutions included, or the student's copy of it.
    replaced : dict, optional
        ``grade_id`` of an answer to another text for it.
    """
    notebook = problem_set.notebook()
    for cell in notebook.cells:
        grade_id = cell.metadata.get("nbgrader", {}).get("grade_id")
        cell.source = (replaced or {}).get(grade_id, cell.source)
    return hand_in(problem_set, notebook)


def grade(problem_set, submission):
    """Return the outcome of every automatic test of a set.

    Parameters
    ----------
    problem_set : ProblemSet
        Solutions and hidden tests included.
    submission : Submission
        What the student defined.

    Returns
    -------
    list of Outcome
    """
    return [run_test(problem_set, test, submission) for test in problem_set.tests]


def run_test(problem_set, test, submission):
    """Return the outcome of one test: all of its points, or none and the reason."""
    start = time.monotonic()
    try:
        with alarm.limit(submission.limits.test):
            names = given(problem_set, test, submission)
            exec(compile(test.text, f"<{test.grade_id}>", "exec"), names)
        reason = ""
    except AssertionError as error:
        reason = str(error) or "a property does not hold"
    except alarm.TooLong as error:
        reason = f"the test {error}"
        submission.end()  # an answer may still be under way
    except Failed as error:
        reason = str(error)
    except wire.WireError as error:
        reason = str(error)
    except Exception as error:
        reason = f"the test cannot use what came: {type(error).__name__}: {error}"
    earned = 0 if reason else test.points
    return Outcome(test.grade_id, test.points, earned, short(reason), time.monotonic() - start)


def given(problem_set, test, submission):
    """Return the names that a test needs: the seed, functions at the far end, copies of values."""
    names = {"__name__": "__main__", "SEED": problem_set.seed}
    for name in sorted(used(test.text) - {"SEED"}):
        try:
            kind = submission.kind(name)
        except Ended as error:
            raise Failed(str(error)) from None
        if kind == "missing":
            raise Failed(f"`{name}` is not defined{because(problem_set, name, submission)}")
        if kind != problem_set.names[name]:
            raise Failed(f"`{name}` must be a {problem_set.names[name]}")
        names[name] = Function(submission, name) if kind == "function" else submission.value(name)
    return names


def because(problem_set, name, submission):
    """Return why a name may be missing: the cell that should define it has failed."""
    for cell in problem_set.cells:
        if cell.is_answer and cell.grade_id in submission.faults and name in defined(cell.text):
            return f": {submission.faults[cell.grade_id]}"
    return ""


def short(text):
    """Return a reason on one line."""
    line = " ".join(text.split())
    return line if len(line) <= REASON else line[: REASON - 3] + "..."


def headings(problem_set):
    """Return the question, as ``"2"``, of every graded cell."""
    found, number = {}, ""
    for cell in problem_set.cells:
        heading = QUESTION.search(cell.text) if cell.kind == "markdown" else None
        number = heading["number"] if heading else number
        if cell.grade:
            found[cell.grade_id] = number
    return found

"""Write what grading came to: points, a page of feedback for each student, and what needs a person."""

import csv
import hashlib
import html
import io
import json
import re

from course import grading
from course.pages import copy_mathjax, markdown, page
from course.sources import STUBS

#: Columns of the table in which a person enters points.
BY_HAND = ("student", "question", "cell", "out of", "points", "comment", "answer", "why")
#: What is said of an answer that is the stub still, which earns nothing unless a person enters something else.
UNANSWERED = "not answered"
#: What is said of points for somebody who is not in the folder that was graded last.
ABSENT = "no hand-in of this student in the folder that was graded last"
#: A picture in Markdown or HTML.
PICTURE = re.compile(r"!\[[^\]]*\]\(|<img\b", re.I)


def digest(text):
    """Return a word that tells two answers apart."""
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def shown(points):
    """Return points as a person writes them."""
    return f"{points:g}"


class ByHand:
    """The table in which a person enters points: kept from run to run.

    Points entered for an answer that has changed since are taken out again, and the row says what they were. Rows
    with points for students who are not in the folder this time stay.

    Parameters
    ----------
    path : path
        Of the CSV file.
    """

    def __init__(self, path):
        self.path, self.entered = path, {}
        if path.is_file():
            text = read_text(path)
            head = text.split("\n")[0]
            delimiter = next((mark for mark in ";\t" if mark in head), ",")
            table = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, restval="")
            if missing := [name for name in BY_HAND if name not in (table.fieldnames or ())]:
                raise ValueError(
                    f"{path} has lost the column {missing[0]!r}; its first line was {head.strip()!r}"
                )
            for row in table:
                row = {name: row[name] for name in BY_HAND}
                row["student"] = as_it_was(row["student"])
                self.entered[row["student"], row["cell"]] = row

    def row(self, student, question, cell, answer, why):
        """Return the row of one answer, with what a person has entered for it."""
        old = self.entered.get((student, cell.grade_id), {})
        row = dict.fromkeys(BY_HAND, "")
        row |= {"student": student, "question": question, "cell": cell.grade_id, "out of": shown(cell.points)}
        row |= {"answer": digest(answer), "why": why}
        if why == UNANSWERED:
            row["points"] = "0"
        if has_points(old):
            if old.get("answer") == row["answer"]:
                row |= {"points": old["points"].strip(), "comment": old["comment"]}
            else:
                row["comment"] = f"the answer has changed; it had {old['points']}: {old['comment']}"
        return row

    def others(self, rows):
        """Return the rows with points that belong to none of the answers of this run."""
        now = {(row["student"], row["cell"]) for row in rows}
        return [
            row | {"why": ABSENT} for key, row in self.entered.items() if key not in now and has_points(row)
        ]


def has_points(row):
    """Whether a person has entered points in a row; the zero of an answer that was not given is nobody's."""
    nobodys = row.get("why") == UNANSWERED and (row["points"].strip(), row["comment"].strip()) == ("0", "")
    return bool(row.get("points", "").strip()) and not nobodys


def read_text(path):
    """Return a table's text, in UTF-8 as it was written or in the code page in which a Windows spreadsheet saves."""
    content = path.read_bytes()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252", errors="replace")


def points_of(row):
    """Return the points that a person has entered in a row, ``None`` where there are none yet.

    Raises
    ------
    ValueError
        If they are no number from 0 to what the question is worth.
    """
    text = row["points"].replace(",", ".")
    if not text:
        return None
    try:
        points = float(text)
    except ValueError:
        points = -1.0
    if not 0 <= points <= float(row["out of"]):
        who = f"{row['student']}, {row['cell']}"
        raise ValueError(f"{who}: points must be a number from 0 to {row['out of']}, got {row['points']!r}")
    return points


def write(problem_set, results, folder):
    """Write the reports of a set.

    ``points.csv`` has a row a student, ``by_hand.csv`` a row an answer that a person grades, ``by_hand.html`` the
    answers beside their rubrics, ``feedback/<student>.html`` what a student gets to see, ``attention.txt`` whatever
    else a person should look at.

    Parameters
    ----------
    problem_set : ProblemSet
        Solutions included.
    results : list of (Entry, dict)
        As :func:`course.judge.judge` returns them.
    folder : path
        Where to write.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "feedback").mkdir(exist_ok=True)
    numbers = grading.headings(problem_set)
    table = ByHand(folder / "by_hand.csv")
    rows, points, attention = [], [], []
    for entry, result in results:
        mine = [
            table.row(entry.student, numbers[cell.grade_id], cell, result["answers"].get(cell.grade_id, ""),
                      open_reason(cell, result))
            for cell in problem_set.by_hand
        ]  # fmt: skip
        rows += mine
        by_hand = {row["cell"]: points_of(row) for row in mine}
        points.append(line_of(problem_set, entry, result, by_hand))
        (folder / "feedback" / f"{safe(entry.student)}.html").write_text(
            feedback(problem_set, entry, result, {row["cell"]: row for row in mine}), encoding="utf-8"
        )
        attention += [f"{entry.student}: {text}" for text in remarks(result)]
    write_csv(folder / "points.csv", points)
    others = table.others(rows)
    attention += [f"{name}: {ABSENT}" for name in dict.fromkeys(row["student"] for row in others)]
    write_csv(folder / "by_hand.csv", rows + others)
    copy_mathjax(folder)
    (folder / "by_hand.html").write_text(answers_page(problem_set, rows, results), encoding="utf-8")
    (folder / "attention.txt").write_text("".join(f"{line}\n" for line in attention), encoding="utf-8")


def open_reason(cell, result):
    """Return why a person has to look, besides grading."""
    if result["failed"]:
        return "no notebook could be read: " + result["failed"]
    text = result["answers"].get(cell.grade_id)
    if text is None:
        return "the answer cell is missing: look whether it stands elsewhere in the notebook"
    if is_empty(text):
        return UNANSWERED
    return "there is a picture in the answer: see it in the notebook" if PICTURE.search(text) else ""


def is_empty(text):
    """Whether an answer is the stub that was handed out, or nothing."""
    return text.strip() in ("", STUBS["markdown"])


def remarks(result):
    """Yield what a person should know about a submission."""
    if result["failed"]:
        yield result["failed"]
    yield from result["notes"]


def safe(student):
    """Return a name that a file can have, another for every student."""
    name = re.sub(r"[^\w.@+-]", "_", student).lstrip(".")
    return name if name == student else f"{name}-{digest(student)[:6]}"


def line_of(problem_set, entry, result, by_hand):
    """Return a student's row of the table of points."""
    earned = {test["grade_id"]: test["earned"] for test in result["tests"]}
    numbers, line = grading.headings(problem_set), {"student": entry.student}
    for cell in problem_set.cells:
        if cell.grade:
            column = f"{numbers[cell.grade_id]} {cell.grade_id} /{shown(cell.points)}"
            value = earned.get(cell.grade_id, 0) if cell.is_test else by_hand[cell.grade_id]
            line[column] = "" if value is None else shown(value)
    automatic = sum(earned.values())
    entered = [value for value in by_hand.values() if value is not None]
    line["automatic"] = shown(automatic)
    line["by hand"] = shown(sum(entered)) if entered else ""
    line["open"] = str(sum(value is None for value in by_hand.values()))
    line["total"] = shown(automatic + sum(entered)) if len(entered) == len(by_hand) else ""
    line["remark"] = "; ".join(remarks(result))
    return line


def write_csv(path, rows):
    """Write rows, all of the same columns, as a spreadsheet reads them; a formula is kept from being one."""
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows({key: harmless(value) for key, value in row.items()} for row in rows)


def harmless(value):
    """Return a cell's text so that a spreadsheet takes it for text."""
    return f"'{value}" if value[:1] in ("=", "+", "@", "\t") or re.match(r"-\D", value) else value


def as_it_was(value):
    """Return the text that :func:`harmless` made harmless."""
    return value[1:] if value[:1] == "'" and harmless(value[1:]) == value else value


def feedback(problem_set, entry, result, by_hand):
    """Return a student's page."""
    numbers = {number: title for number, title, *_ in problem_set.questions()}
    tests = {test["grade_id"]: test for test in result["tests"]}
    lines, last = [], ""
    for cell in problem_set.cells:
        if not cell.grade:
            continue
        number = grading.headings(problem_set)[cell.grade_id]
        if number != last:
            lines.append(f"<tr><th colspan='3'>{html.escape(numbers[int(number)])}</th></tr>")
            last = number
        if cell.is_test:
            test = tests.get(cell.grade_id, {"earned": 0, "reason": result["failed"]})
            got, said = shown(test["earned"]), test["reason"]
        else:
            row = by_hand[cell.grade_id]
            given = points_of(row)
            got = "not graded yet," if given is None else shown(given)
            said = "" if given is None else row["comment"]
        lines.append(
            f"<tr><td>{html.escape(cell.grade_id)}</td><td class='number'>{got} of {shown(cell.points)}</td>"
            f"<td>{html.escape(said)}</td></tr>"
        )
    line = line_of(problem_set, entry, result, {name: points_of(row) for name, row in by_hand.items()})
    most = shown(sum(cell.points for cell in problem_set.cells))
    total = f"{line['total']} of {most}" if line["total"] else f"{line['automatic']} so far, of {most}"
    lines.append(f"<tr><th>Total</th><th colspan='2'>{total}</th></tr>")
    parts = [f"<p class='note'>{html.escape(text)}</p>" for text in remarks(result)]
    parts.append(f"<table>{''.join(lines)}</table>")
    if result["cells"]:
        faults = "".join(
            f"<li><code>{html.escape(name)}</code>: {html.escape(text)}</li>"
            for name, text in result["cells"].items()
        )
        parts.append(f"<h2>Cells that failed</h2><ul>{faults}</ul>")
    return page(f"{problem_set.title}: {entry.student}", "".join(parts))


def answers_page(problem_set, rows, results):
    """Return a page with rubric, model answer and every student's answer, question by question."""
    answers = {entry.student: result["answers"] for entry, result in results}
    parts = [
        "<p>Enter points and comments in <code>by_hand.csv</code>, and grade again to have them counted.</p>"
    ]
    for cell in problem_set.by_hand:
        number = grading.headings(problem_set)[cell.grade_id]
        parts.append(f"<h2>Question {number}: {html.escape(cell.grade_id)}, {shown(cell.points)} points</h2>")
        parts.append(f"<div class='rubric'>{markdown(unmarked(cell.text))}</div>")
        for row in rows:
            if row["cell"] == cell.grade_id:
                text = answers[row["student"]].get(cell.grade_id, "")
                why = f"<p class='note'>{html.escape(row['why'])}</p>" if row["why"] else ""
                parts.append(
                    f"<h3>{html.escape(row['student'])}</h3>{why}<div class='answer'>{markdown(text)}</div>"
                )
    return page(f"{problem_set.title}: answers to grade by hand", "".join(parts), mathjax="mathjax")


def unmarked(text):
    """Return a solution without the lines that mark it."""
    return re.sub(r"^### (BEGIN|END) SOLUTION$", "", text, flags=re.M)


def save(path, result):
    """Write a result, so that a run which is cut leaves no half of one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(result), encoding="utf-8")
    part.replace(path)

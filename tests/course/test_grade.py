"""A folder of submissions is graded to the end, whatever is in it, and nothing outside a scratch folder changes."""

import csv
import hashlib
import json
import shutil
import threading
from pathlib import Path

import nbformat
import pytest

from course import cage, grade, report
from course.pages import markdown
from course.sources import ROOT, STUBS
from course.submission import Limits, Submission

SETS = Path(__file__).parent / "sets"
LIMITS = Limits(cell=6, call=4, test=60, total=60, memory=2048, processes=24, disk=32, output=8)


@pytest.fixture(scope="session")
def sandbox():
    """The sandbox of this system."""
    if shutil.which("bwrap") is None:
        pytest.skip("bubblewrap is not installed, so no sandbox is tried (Debian: apt install bubblewrap)")
    return cage.find(LIMITS)


def notebook(sample, replaced=None, added=()):
    """Return a full solution as text, with answers replaced and cells added at the beginning."""
    made = sample.notebook()
    for cell in made.cells:
        grade_id = cell.metadata.get("nbgrader", {}).get("grade_id")
        cell.source = (replaced or {}).get(grade_id, cell.source)
    made.cells = [nbformat.v4.new_code_cell(text) for text in added] + made.cells
    return nbformat.writes(made)


def rows_of(path):
    """Return the rows of a table by student."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        return {row["student"]: row for row in csv.DictReader(file)}


def tree(*folders):
    """Return what stands in folders: every path, and a hash of every file."""
    found = {}
    for folder in folders:
        for path in sorted(Path(folder).rglob("*")):
            if "__pycache__" not in path.parts:
                found[str(path)] = (
                    hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
                )
    return found


class Remembering(grade.Grader):
    """A grader that starts a process once for what several tests hand in: the key says all that decides a result."""

    known = {}

    def judged(self, entry):
        key = self.key(entry)
        if key not in self.known:
            self.known[key] = json.dumps(super().judged(entry))
        return json.loads(self.known[key])


def grader(sample, sandbox, to, limits=LIMITS, kind=Remembering):
    """Return a grader of the sample set."""
    return kind({"sample": sample}, SETS, limits, sandbox, to)


BOMB = """
import os, time
children = 0
for _ in range(60):
    if os.fork() == 0:
        time.sleep(30)
        os._exit(0)
    children += 1
"""
ASSERTS = """
import builtins, numpy as np
builtins.AssertionError = type("Never", (Exception,), {})
np.allclose = np.array_equal = builtins.abs = lambda *a, **k: 0
gram_test = refuse_test = number_test = example = True
class Yes(float):
    __eq__ = __gt__ = __lt__ = lambda *a: True
    __sub__ = lambda *a: Yes(0)
def gram(X, c): return Yes(0)
trace = Yes(7)
"""


@pytest.mark.slow
def test_ten_hostile_submissions_and_an_ordinary_one_are_graded_in_one_run(sample, sandbox, tmp_path):
    outside, folder = tmp_path / "outside", tmp_path / "submissions"
    outside.mkdir()
    (outside / "precious").write_text("stays")
    folder.mkdir()
    places = [str(outside), str(folder), str(ROOT / "assignments"), str(ROOT / "course"), "/usr/share/doc"]
    delete = f"import os, shutil\nfor place in {places}:\n    shutil.rmtree(place, ignore_errors=True)\n"
    delete += f"open({str(outside / 'new')!r}, 'w').write('x')"
    net = "import socket\nsocket.create_connection(('192.0.2.1', 80), 2)"
    hostile = {
        "syntax": notebook(sample, {"gram": "def gram(X, c:\n    return X"}),
        "loop": notebook(sample, {"gram": "while True:\n    pass"}),
        "memory": notebook(sample, {"gram": "import numpy as np\nkept = np.ones(10**9)"}),
        "bomb": notebook(sample, {"gram": BOMB}),
        "delete": notebook(sample, {"gram": delete}),
        "socket": notebook(sample, {"gram": net}),
        "asserts": notebook(
            sample, {"gram": ASSERTS, "number": "", "gram-test": "assert True"}, added=[ASSERTS]
        ),
        "prints": notebook(sample, {"gram": "for _ in range(1000):\n    print('x' * 10**6)"}),
        "empty": "",
        "other": "%PDF-1.7 my solutions",
    }
    for name, text in hostile.items():
        (folder / f"{name}.ipynb").write_text(text)
    (folder / "ordinary").mkdir()
    (folder / "ordinary" / "sample.ipynb").write_text(notebook(sample, {"number": "trace = 2.0"}))
    before = tree(tmp_path, ROOT / "course", ROOT / "assignments")
    said = []
    by_set = grade.run(
        folder, grader(sample, sandbox, tmp_path.parent / f"{tmp_path.name}-graded"), say=said.append
    )
    assert tree(tmp_path, ROOT / "course", ROOT / "assignments") == before

    results = {entry.student: result for entry, result in by_set["sample"]}
    assert len(results) == 11
    reasons = {
        "syntax": "SyntaxError",
        "loop": "took longer than 6 s",
        "memory": "MemoryError",
        "bomb": "BlockingIOError" if "processes" in sandbox.held else "started more than 24 processes",
        "delete": "FileNotFoundError",
        "socket": "OSError",
        "prints": "printed more than 8 MB",
    }
    for name, reason in reasons.items():
        assert reason in results[name]["cells"]["gram"], (name, results[name])
        earned = {test["grade_id"]: test["earned"] for test in results[name]["tests"]}
        assert earned == {"gram-test": 0, "refuse-test": 2, "number-test": 0}, (name, results[name])
    assert [test["earned"] for test in results["asserts"]["tests"]] == [0, 2, 0], results["asserts"]
    assert results["empty"]["failed"] == "the file is empty"
    assert results["other"]["failed"].startswith("the file is not a notebook")
    graded = tmp_path.parent / f"{tmp_path.name}-graded" / "sample"
    rows = rows_of(graded / "points.csv")
    assert set(rows) == {*hostile, "ordinary"}
    assert rows["ordinary"]["automatic"] == "7" and rows["empty"]["automatic"] == "0"
    assert {path.stem for path in (graded / "feedback").glob("*.html")} == set(rows)
    assert "the file is empty" in (graded / "attention.txt").read_text()


def test_the_sandbox_keeps_network_and_files_away_and_says_what_it_cannot_limit(sandbox):
    assert {"network", "files", "memory", "disk"} <= set(sandbox.held)
    account = "\n".join(cage.Cage(False, ("network", "files")).account())
    assert "does not limit: number of processes; it is watched" in account and "nothing does" in account


def test_too_many_processes_are_ended_from_outside_where_the_kernel_does_not_count(sandbox):
    few = Limits(cell=6, call=4, total=30, memory=2048, processes=24)

    def start(limits):
        """Start a worker that may fork, watched for fewer processes."""
        worker = sandbox.start(Limits(memory=2048, processes=200), watched=False)
        threading.Thread(target=cage.watch, args=(worker, limits), daemon=True).start()
        return worker

    with Submission([("bomb", BOMB + "time.sleep(3)"), ("fine", "a = 1")], start, few) as submission:
        assert submission.value("a") == 1
        assert submission.faults["bomb"] == "this cell started more than 24 processes"


def test_a_second_run_skips_what_stands_and_takes_up_what_changed(sample, tmp_path):
    folder = tmp_path / "submissions"
    folder.mkdir()
    (folder / "ada.ipynb").write_text(notebook(sample))
    (folder / "bob.ipynb").write_text(notebook(sample, {"number": ""}))
    first, second, third, fourth = [], [], [], []
    grade.run(folder, grader(sample, None, tmp_path / "graded"), say=first.append)
    assert first[:2] == ["ada: sample, 10 of 10 automatic points", "bob: sample, 7 of 10 automatic points"]
    (folder / "bob.ipynb").write_text(notebook(sample))
    grade.run(folder, grader(sample, None, tmp_path / "graded"), say=second.append)
    assert second[:2] == ["ada: sample stands as graded before", "bob: sample, 10 of 10 automatic points"]
    (folder / "bob.ipynb").unlink()  # one is enough for the rest
    grade.run(folder, grader(sample.with_seed(3), None, tmp_path / "graded"), say=third.append)
    assert third[0] == "ada: sample, 10 of 10 automatic points"
    changed = Limits(call=5)
    grade.run(folder, grader(sample.with_seed(3), None, tmp_path / "graded", changed), say=fourth.append)
    assert fourth[0] == "ada: sample, 10 of 10 automatic points"


def test_points_entered_by_hand_are_counted_and_kept_until_the_answer_changes(sample, tmp_path):
    folder, to = tmp_path / "submissions", tmp_path / "graded"
    folder.mkdir()
    (folder / "ada.ipynb").write_text(
        notebook(sample, {"norm-proof": "By $\\sum$.", "meaning": "It doubles."})
    )
    grade.run(folder, grader(sample, None, to), say=str)
    row = rows_of(to / "sample" / "points.csv")["ada"]
    assert (row["automatic"], row["open"], row["total"]) == ("10", "2", "")
    page = (to / "sample" / "feedback" / "ada.html").read_text()
    assert "10 so far, of 20" in page and "not graded yet, of 4" in page
    enter(to / "sample" / "by_hand.csv", {"norm-proof": ("3", "no order"), "meaning": ("5,5", "")})
    grade.run(folder, grader(sample, None, to), say=str)
    row = rows_of(to / "sample" / "points.csv")["ada"]
    assert (row["by hand"], row["open"], row["total"]) == ("8.5", "0", "18.5")
    page = (to / "sample" / "feedback" / "ada.html").read_text()
    assert "3 of 4" in page and "no order" in page and "18.5 of 20" in page
    (folder / "ada.ipynb").write_text(
        notebook(sample, {"norm-proof": "Otherwise.", "meaning": "It doubles."})
    )
    grade.run(folder, grader(sample, None, to), say=str)
    row = rows_of(to / "sample" / "points.csv")["ada"]
    assert (row["by hand"], row["open"], row["total"]) == ("5.5", "1", "")
    assert "it had 3: no order" in (to / "sample" / "by_hand.csv").read_text()


def graded_by_hand(sample, tmp_path, name="ada", replaced=None):
    """Grade one submission with two answers, and return the folders and the table for points by hand."""
    folder, to = tmp_path / "submissions", tmp_path / "graded"
    folder.mkdir(exist_ok=True)
    answers = {"norm-proof": "By $\\sum$.", "meaning": "It doubles.", **(replaced or {})}
    (folder / f"{name}.ipynb").write_text(notebook(sample, answers))
    grade.run(folder, grader(sample, None, to), say=str)
    return folder, to, to / "sample" / "by_hand.csv"


def test_a_table_saved_in_a_code_page_of_windows_keeps_points_and_names(sample, tmp_path):
    folder, to, table = graded_by_hand(sample, tmp_path, "Zoë Müller")
    enter(table, {"norm-proof": ("3", "für heute"), "meaning": ("5", "")})
    table.write_bytes(table.read_text(encoding="utf-8-sig").encode("cp1252"))
    grade.run(folder, grader(sample, None, to), say=str)
    assert rows_of(to / "sample" / "points.csv")["Zoë Müller"]["total"] == "18"
    assert "für heute" in table.read_text(encoding="utf-8-sig")


def test_a_table_that_lost_a_column_is_refused_with_its_name_and_left_alone(sample, tmp_path):
    folder, to, table = graded_by_hand(sample, tmp_path)
    table.write_text(spoilt := table.read_text(encoding="utf-8-sig").replace("comment", "remark"))
    with pytest.raises(ValueError, match="by_hand.csv has lost the column 'comment'"):
        grade.run(folder, grader(sample, None, to), say=str)
    assert table.read_text() == spoilt


def test_an_answer_that_was_not_given_is_no_work_for_a_person(sample, tmp_path):
    stub = STUBS["markdown"]
    folder, to, table = graded_by_hand(sample, tmp_path, replaced={"norm-proof": stub, "meaning": stub})
    row = rows_of(to / "sample" / "points.csv")["ada"]
    assert (row["by hand"], row["open"], row["total"]) == ("0", "0", "10")
    graded_by_hand(sample, tmp_path)
    row = rows_of(to / "sample" / "points.csv")["ada"]
    assert (row["by hand"], row["open"], row["total"]) == ("", "2", "")
    assert "has changed" not in table.read_text()


def test_nobody_gets_points_by_a_name_like_that_of_another(sample, tmp_path):
    graded_by_hand(sample, tmp_path, "'ada")
    folder, to, table = graded_by_hand(sample, tmp_path, "=ada")
    folder, to, table = graded_by_hand(sample, tmp_path)
    with table.open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        row["points"] = {"'ada": "4", "'=ada": "3", "ada": "1"}[row["student"]]
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    grade.run(folder, grader(sample, None, to), say=str)
    points = {name: row["by hand"] for name, row in rows_of(to / "sample" / "points.csv").items()}
    assert points == {"'ada": "8", "'=ada": "6", "ada": "2"}


def test_points_stay_while_another_folder_is_graded(sample, tmp_path):
    folder, to, table = graded_by_hand(sample, tmp_path)
    enter(table, {"norm-proof": ("3", "no order"), "meaning": ("5", "")})
    late = tmp_path / "late"
    late.mkdir()
    (late / "ben.ipynb").write_text(notebook(sample))
    grade.run(late, grader(sample, None, to), say=str)
    assert list(rows_of(to / "sample" / "points.csv")) == ["ben"]
    assert report.ABSENT in (to / "sample" / "attention.txt").read_text()
    grade.run(folder, grader(sample, None, to), say=str)
    assert rows_of(to / "sample" / "points.csv")["ada"]["total"] == "18"


def test_a_picture_in_an_answer_is_pointed_out(sample, tmp_path):
    answers = {"norm-proof": "See ![page](attachment:page.jpg)", "meaning": "No, $n!=(a)$."}
    *_, table = graded_by_hand(sample, tmp_path, replaced=answers)
    with table.open(newline="", encoding="utf-8-sig") as file:
        why = {row["cell"]: row["why"] for row in csv.DictReader(file)}
    assert "picture" in why["norm-proof"] and why["meaning"] == ""


@pytest.mark.parametrize(
    "text, shown",
    [
        ("The flow\n$$\na_1 < b_1\n$$\nends.", "\\[a_1 &lt; b_1\\]"),
        ("The flow $$a_1*b_1*c$$ ends.", "\\[a_1*b_1*c\\]"),
        ("\\begin{align}\na_1 &= b \\\\\nc_1 &< d\n\\end{align}", "a_1 &amp;= b \\\\\nc_1 &amp;&lt; d"),
    ],
)
def test_formulas_reach_the_page_in_each_way_in_which_jupyter_takes_them(text, shown):
    assert shown in markdown(text) and "$" not in markdown(text)


def enter(path, points):
    """Enter points and a comment in the table, as a spreadsheet with a semicolon would save it."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        row["points"], row["comment"] = points[row["cell"]]
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=";")
        writer.writeheader()
        writer.writerows(rows)


@pytest.mark.parametrize("points", ["5", "-1", "many", "nan"])
def test_points_beyond_the_question_are_refused_with_the_place(sample, tmp_path, points):
    folder, to = tmp_path / "submissions", tmp_path / "graded"
    folder.mkdir()
    (folder / "ada.ipynb").write_text(notebook(sample))
    grade.run(folder, grader(sample, None, to), say=str)
    enter(to / "sample" / "by_hand.csv", {"norm-proof": (points, ""), "meaning": ("", "")})
    with pytest.raises(ValueError, match="ada, norm-proof: points must be a number from 0 to 4"):
        grade.run(folder, grader(sample, None, to), say=str)


def test_a_grader_that_breaks_says_so_and_is_tried_again(sample, tmp_path, monkeypatch):
    folder, to = tmp_path / "submissions", tmp_path / "graded"
    folder.mkdir()
    (folder / "ada.ipynb").write_text(notebook(sample))
    with monkeypatch.context() as patch:
        patch.setattr(grade.sys, "executable", "/usr/bin/false")
        by_set = grade.run(folder, grader(sample, None, to, kind=grade.Grader), say=str)
    assert by_set["sample"][0][1]["system"] and "the grader itself failed" in by_set["sample"][0][1]["failed"]
    said = []
    grade.run(folder, grader(sample, None, to, kind=grade.Grader), say=said.append)
    assert said[0] == "ada: sample, 10 of 10 automatic points"


def test_what_students_write_cannot_act_in_the_lecturers_browser_or_spreadsheet(sample, tmp_path):
    folder, to = tmp_path / "submissions", tmp_path / "graded"
    folder.mkdir()
    evil = "<script>alert(1)</script> [x](javascript:alert(1)) ![p](http://192.0.2.1/p) $<img src=x>$"
    (folder / "=cmd()<b>.ipynb").write_text(notebook(sample, {"meaning": evil, "number": "trace = '<b>'"}))
    grade.run(folder, grader(sample, None, to), say=str)
    pages = [path.read_text() for path in (to / "sample").rglob("*.html")]
    assert len(pages) == 2
    for page in pages:
        for bad in ("<script>alert", 'javascript:alert(1)"', "<img", "<b>"):
            assert bad not in page
    assert next(iter(rows_of(to / "sample" / "points.csv"))).startswith("'=cmd")


def test_names_of_files_are_another_for_every_student():
    names = ["ada", "a b", "a_b", "..", "Zoë", "a/b", "-x", ""]
    assert len({report.safe(name) for name in names}) == len(names)
    assert report.safe("Zoë") == "Zoë" and "/" not in report.safe("a/b")


def test_a_result_is_whole_or_not_there(tmp_path):
    report.save(tmp_path / "a" / "b.json", {"key": "x"})
    assert json.loads((tmp_path / "a" / "b.json").read_text()) == {"key": "x"}
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b.json"]

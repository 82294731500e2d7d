"""Hold a problem set against its own promises, before it is given to anybody.

    python -m course.check race                 everything about one set
    python -m course.check race --no-mutants    without the mutation run, which takes longest
    python -m course.check                      every set there is

Printed and checked: the solutions earn every automatic point, with the seeds of other years too, and the untouched
student copy none (its stubs raise ``NotImplementedError``); each wrong submission of ``tests/course/wrong/<set>.yml``
loses what the file says and no more; the tests notice at least nine in ten of the mutants of the solutions. Times and
memory stay within limits.
"""

import argparse
import sys
import time
from dataclasses import dataclass

import yaml

from course import grading
from course.mutants import survivors
from course.sources import FOLDER, ROOT, available, load
from course.submission import Submission

WRONG = ROOT / "tests" / "course" / "wrong"
#: What the solutions of a set may take, in seconds and MB, and the share of mutants that must be noticed.
SECONDS, MEGABYTES, KILLED = 180, 1024, 0.9
#: Seeds of other years, for which the solutions must hold as well.
YEARS = (1, 2027)
#: Fewest wrong submissions of a set.
FEWEST = 4


@dataclass(frozen=True)
class Run:
    """A graded run.

    Attributes
    ----------
    outcomes : list of Outcome
    faults : dict
        Cells that failed, and why.
    seconds, megabytes : float
        Of everything together, and of the submission's process.
    """

    outcomes: list
    faults: dict
    seconds: float
    megabytes: float

    @property
    def earned(self):
        """Points of all tests."""
        return sum(outcome.earned for outcome in self.outcomes)

    @property
    def losses(self):
        """Points lost, by test."""
        return {o.grade_id: o.points - o.earned for o in self.outcomes if o.earned < o.points}


def run(problem_set, replaced=None, student=False):
    """Grade the solutions, with some answers replaced, or the untouched student copy; without a cage.

    Parameters
    ----------
    problem_set : ProblemSet
        Solutions included.
    replaced : dict, optional
        ``grade_id`` of an answer to what a student might have written there.
    student : bool, optional
        Grade the student's copy instead.

    Returns
    -------
    Run
    """
    start = time.monotonic()
    handed = grading.complete(problem_set.for_students() if student else problem_set, replaced)
    with Submission(handed.cells) as submission:
        outcomes = grading.grade(problem_set, submission)
        megabytes = submission.memory()
    return Run(outcomes, submission.faults, time.monotonic() - start, megabytes)


def wrong(problem_set):
    """Return the wrong submissions of a set: a list of name, cells and what is lost.

    Raises
    ------
    ValueError
        If one names a cell or a test that does not exist.
    """
    path = WRONG / f"{problem_set.name}.yml"
    if not path.is_file():
        raise ValueError(f"there is no {path.relative_to(ROOT)}")
    found = yaml.safe_load(path.read_text(encoding="utf-8")) or []
    answers = {cell.grade_id for cell in problem_set.cells if cell.is_answer}
    tests = {cell.grade_id: cell.points for cell in problem_set.tests}
    for entry in found:
        if set(entry) != {"name", "cells", "loses"}:
            raise ValueError(f"{path.name}: an entry needs name, cells and loses, got {sorted(entry)}")
        if unknown := set(entry["cells"]) - answers:
            raise ValueError(f"{path.name}, {entry['name']!r}: no answer cell {sorted(unknown)}")
        for test, points in entry["loses"].items():
            if tests.get(test) != points:
                raise ValueError(
                    f"{path.name}, {entry['name']!r}: {test} is worth {tests.get(test)}, not {points}"
                )
    return found


def problems(problem_set, mutants=True, most=None, say=print):
    """Yield what is wrong with a set, and tell on the way what was measured.

    Parameters
    ----------
    problem_set : ProblemSet
        Solutions and hidden tests included.
    mutants : bool, optional
        Whether to run the mutants.
    most : int, optional
        How many of them; all unless given.
    say : callable, optional
        Takes each line of the account.
    """
    full = run(problem_set)
    automatic = sum(test.points for test in problem_set.tests)
    by_hand = sum(cell.points for cell in problem_set.by_hand)
    say(
        f"{problem_set.name}: solutions earn {full.earned:g} of {automatic:g} automatic points, {by_hand:g} by hand"
    )
    say(f"  {full.seconds:.1f} s, {full.megabytes:.0f} MB")
    for outcome in full.outcomes:
        say(f"  {outcome.grade_id}: {outcome.earned:g} of {outcome.points:g}, {outcome.seconds:.1f} s")
        if outcome.reason:
            yield f"the solutions lose {outcome.grade_id}: {outcome.reason}"
    for cell, fault in full.faults.items():
        yield f"the cell {cell} fails with the solutions: {fault}"
    if full.seconds > SECONDS or full.megabytes > MEGABYTES:
        yield f"the solutions take over {SECONDS} s or {MEGABYTES} MB"
    for seed in YEARS:
        for test, points in run(problem_set.with_seed(seed)).losses.items():
            yield f"with the seed {seed} the solutions lose {points:g} in {test}"
    untouched = run(problem_set, student=True)
    say(f"  the untouched copy earns {untouched.earned:g}")
    for outcome in untouched.outcomes:
        if outcome.earned:
            yield f"the untouched copy earns {outcome.earned:g} in {outcome.grade_id}"
        elif "NotImplementedError" not in outcome.reason:
            yield f"the untouched copy fails {outcome.grade_id} with something else: {outcome.reason}"
    entries = wrong(problem_set)
    if len(entries) < FEWEST:
        yield f"at least {FEWEST} wrong submissions are needed, got {len(entries)}"
    for entry in entries:
        lost = run(problem_set, entry["cells"])
        right = lost.losses == entry["loses"]
        say(f"  wrong, {entry['name']}: loses {lost.losses}" + ("" if right else f", not {entry['loses']}"))
        reasons = "; ".join(f"{o.grade_id}: {o.reason}" for o in lost.outcomes if o.reason)
        say(f"    {reasons}")
        if not right:
            yield f"wrong submission {entry['name']!r} loses {lost.losses}, not {entry['loses']}"
    if mutants:
        alive, tried = survivors(problem_set, most)
        say(f"  mutants: {tried - len(alive)} of {tried} noticed; survivors:" if tried else "  no mutants")
        for line in alive:
            say(f"    {line}")
        if tried - len(alive) < KILLED * tried:
            yield f"only {tried - len(alive)} of {tried} mutants are noticed"


def main():
    """Check the sets that are named, or all."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sets", nargs="*", help="such as race; all unless given")
    parser.add_argument("--no-mutants", action="store_true", help="leave the mutation run away")
    parser.add_argument("--folder", default=FOLDER, help="where the sources stand")
    parser.add_argument("--most", type=int, help="mutants to try, drawn at random; all unless given")
    options = parser.parse_args()
    found = []
    for name in options.sets or available(options.folder):
        found += [
            f"{name}: {fault}"
            for fault in problems(load(name, options.folder), not options.no_mutants, options.most)
        ]
    print(*found, sep="\n")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()

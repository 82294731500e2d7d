"""Grade what students have handed in.

    make grade SUBMISSIONS=folder                 every set that is found
    make grade SUBMISSIONS=folder SET=race        one set
    python -m course.grade folder --set race      the same

The folder has one sub-folder or one file a student: as Moodle and Canvas give it, as nbgrader collects it, or by hand.
Every submission is graded by itself, in a bubblewrap sandbox without network, with a scratch folder of its own and
limits on time, memory, processes and output. The tests come from the source and run outside the sandbox on what the
student's functions return, so nothing that a submission does or writes changes its points.

In ``_build/graded/<set>/`` stand then ``points.csv``, ``feedback/<student>.html``, ``by_hand.html`` with the answers
that need a person beside their rubrics, ``by_hand.csv`` to enter points for them, and ``attention.txt`` with what else
to look at. Grade again after entering points: the totals are written anew, and only what is new or has changed, in a
submission, a source or the seed, is run again.
"""

import argparse
import hashlib
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path

from course import cage, report
from course.handed_in import entries
from course.judge import Job
from course.sources import FOLDER, ROOT, BadSource, available, load, seeds_of
from course.submission import Limits

RESULTS = ROOT / "_build" / "graded"
#: What decides a result besides the submission and the source.
CODE = ("alarm", "cage", "grading", "judge", "sources", "submission", "wire", "worker")
#: Seconds for the trusted process, beyond what the submission and the tests may take.
MARGIN = 60


@dataclass(frozen=True)
class Grader:
    """How submissions are graded.

    Attributes
    ----------
    sets : dict
        Name to set, with the seed of the release.
    folder : Path
        Where their sources stand.
    limits : Limits
    cage : Cage or None
    to : Path
        Where results go.
    """

    sets: dict
    folder: Path
    limits: Limits
    cage: cage.Cage | None
    to: Path

    def key(self, entry):
        """Return a word that changes with all that decides the result."""
        source = (self.folder / f"{entry.name}.md").read_bytes()
        code = [(ROOT / "course" / f"{name}.py").read_bytes() for name in CODE]
        how = json.dumps([asdict(self.limits), self.sets[entry.name].seed, self.cage is not None]).encode()
        with entry.path.open("rb") as file:  # read in pieces, as it may be of any size
            handed_in = hashlib.file_digest(file, "sha256").digest()
        return hashlib.sha256(b"\0".join([handed_in, source, how, *code])).hexdigest()

    def grade(self, entry, say=print):
        """Return the result of an entry: the one that stands, or a new one."""
        if entry.fault:
            say(f"{entry.student}: {entry.fault}")
            return failed(entry.fault)
        place = self.to / entry.name / "results" / f"{report.safe(entry.student)}.json"
        key = self.key(entry)
        if place.is_file():
            old = json.loads(place.read_text(encoding="utf-8"))
            if old["key"] == key:
                say(f"{entry.student}: {entry.name} stands as graded before")
                return old
        result = {**self.judged(entry), "key": key}
        if not result["system"]:
            report.save(place, result)
        say(f"{entry.student}: {entry.name}, {told(result)}")
        return result

    def judged(self, entry):
        """Return the result of the process that grades an entry."""
        as_root = None if self.cage is None else self.cage.as_root
        seed = self.sets[entry.name].seed
        job = Job(entry.name, str(self.folder), seed, str(entry.path), self.limits, as_root)
        tests = len(self.sets[entry.name].tests)
        longest = self.limits.total + tests * self.limits.test + MARGIN
        command = [sys.executable, "-m", "course.judge"]
        try:
            done = subprocess.run(
                command, input=job.text(), capture_output=True, text=True, timeout=longest, cwd=ROOT
            )
            return json.loads(done.stdout)
        except subprocess.TimeoutExpired:
            return failed("grading took too long and was given up", system=True)
        except ValueError:
            said = done.stderr.strip().splitlines()[-1:] or ["no word of why"]
            return failed(f"the grader itself failed: {said[0]}", system=True)


def failed(why, system=False):
    """Return the result of a submission that could not be graded."""
    return {"tests": [], "answers": {}, "notes": [], "failed": why, "system": system, "cells": {}}


def told(result):
    """Return a result in a few words."""
    if result["failed"]:
        return result["failed"]
    earned = sum(test["earned"] for test in result["tests"])
    return f"{earned:g} of {sum(test['points'] for test in result['tests']):g} automatic points"


def run(folder, grader, wanted=None, jobs=1, say=print):
    """Grade a folder and write the reports.

    Parameters
    ----------
    folder : path
        One sub-folder or file a student.
    grader : Grader
        With the sets, the limits and the sandbox.
    wanted : str, optional
        The set to grade; all that are found unless given.
    jobs : int, optional
        Submissions graded at a time.
    say : callable, optional
        Takes each line of the account.

    Returns
    -------
    dict
        Set to list of (Entry, result).
    """
    found = entries(folder, grader.sets, wanted)
    with ThreadPoolExecutor(jobs) as pool:
        results = list(pool.map(partial(grader.grade, say=say), found))
    by_set = {}
    for entry, result in zip(found, results, strict=True):
        by_set.setdefault(entry.name, []).append((entry, result))
    for name, pairs in by_set.items():
        if name:
            report.write(grader.sets[name], pairs, grader.to / name)
            say(f"{len(pairs)} graded: {grader.to / name / 'points.csv'}")
    unknown = [f"{entry.student}: {result['failed']}\n" for entry, result in by_set.get("", [])]
    grader.to.mkdir(parents=True, exist_ok=True)
    (grader.to / "not_graded.txt").write_text("".join(unknown), encoding="utf-8")
    if unknown:
        say(
            f"{len(unknown)} not graded, because nobody can tell for which set: {grader.to / 'not_graded.txt'}"
        )
    return by_set


def main():
    """Find a sandbox, say what it gives, and grade."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("submissions", type=Path, help="one sub-folder or file a student")
    parser.add_argument("--set", help="grade this set only")
    parser.add_argument("--seed", type=int, help="of the numbers; that of the last release unless given")
    parser.add_argument("--to", type=Path, default=RESULTS, help="where the results go")
    parser.add_argument("--jobs", type=int, default=1, help="submissions graded at a time")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the sources of the sets stand")
    parser.add_argument("--without-cage", action="store_true", help="run submissions as yourself: trust them")
    for field in fields(Limits):
        parser.add_argument(f"--{field.name}", type=type(field.default), default=field.default, help="limit")
    options = parser.parse_args()
    limits = Limits(**{field.name: getattr(options, field.name) for field in fields(Limits)})
    try:
        found = None if options.without_cage else cage.find(limits)
        names = available(options.folder) if options.set is None else [options.set]
        sets = {name: load(name, options.folder) for name in names}
        seeds = seeds_of() if options.seed is None else dict.fromkeys(names, options.seed)
        sets = {name: s.with_seed(seeds.get(name, s.seed)) for name, s in sets.items()}
        print(
            *(
                ["WITHOUT A SANDBOX: submissions may do what you may do."]
                if found is None
                else found.account()
            ),
            sep="\n",
        )
        grader = Grader(sets, options.folder, limits, found, options.to)
        by_set = run(options.submissions, grader, options.set, options.jobs)
    except (cage.NoCage, BadSource, ValueError) as error:
        sys.exit(str(error))
    if any(result["system"] for pairs in by_set.values() for _, result in pairs):
        sys.exit("some submissions could not be graded, by no fault of theirs: see above, and grade again")


if __name__ == "__main__":
    main()

"""Grade one submission in a process of its own: what goes wrong here, too, touches no other submission.

    python -m course.judge < job.json > result.json

The job names a set, where its source stands, the seed, the notebook, the limits and the cage. The result has points
and reasons, or why there are none.
"""

import json
import os
import resource
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from course import alarm, grading
from course.cage import Cage
from course.sources import load
from course.submission import CannotStart, Limits, Submission, bare

#: Address space of the trusted process, in MB: a value may be as large as the pipe lets through, and tests work on it.
MEMORY = 8192


@dataclass(frozen=True)
class Job:
    """What is to be graded, and how.

    Attributes
    ----------
    name, folder : str
        The set, and where its source stands.
    seed : int
    path : str
        The notebook that was handed in.
    limits : Limits
    as_root : bool or None
        Which cage; none where ``None``.
    """

    name: str
    folder: str
    seed: int
    path: str
    limits: Limits
    as_root: bool | None

    def text(self):
        """Return the job as JSON."""
        return json.dumps(asdict(self))


def read_job(text):
    """Return the job that JSON describes."""
    told = json.loads(text)
    return Job(**{**told, "limits": Limits(**told["limits"])})


def judge(job):
    """Return the result of a job as a dictionary.

    ``tests`` has a row for each automatic test, ``answers`` what a person grades, ``notes`` what a person should
    know, ``failed`` why there are no points at all; ``system`` is true where that is no fault of the submission.
    """
    problem_set = load(job.name, job.folder).with_seed(job.seed)
    result = {"tests": [], "answers": {}, "notes": [], "failed": "", "system": False, "cells": {}}
    try:
        handed = grading.hand_in(problem_set, grading.read(Path(job.path)))
    except grading.NotANotebook as error:
        return result | {"failed": str(error)}
    start = bare if job.as_root is None else Cage(job.as_root).start
    try:
        with Submission(handed.cells, start, job.limits) as submission:
            outcomes = grading.grade(problem_set, submission)
    except CannotStart as error:
        return result | {"failed": str(error), "system": True}
    return result | {
        "tests": [asdict(outcome) for outcome in outcomes],
        "answers": handed.answers,
        "notes": list(handed.notes),
        "cells": {name: grading.short(fault) for name, fault in submission.faults.items()},
    }


def main():
    """Read a job, keep standard output for the result, and judge."""
    alarm.lower(resource.RLIMIT_AS, MEMORY * 2**20)
    job = read_job(sys.stdin.read())
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # a test may print
    json.dump(judge(job), out)
    out.close()


if __name__ == "__main__":
    main()

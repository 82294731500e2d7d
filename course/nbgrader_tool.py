"""nbgrader in an environment of its own, whose notebooks run in the book's environment."""

import json
import os
import subprocess
import sys

from course.sources import FOLDER, ROOT, STUBS
from scripts.environment import Unmade, aside

ENVIRONMENT = ROOT / "_build" / "nbgrader"
LOCK = FOLDER / "requirements.lock"
CONFIG = """\
# nbgrader's settings for the problem sets, written by `make assignments`.
c = get_config()
c.CourseDirectory.course_id = "gdln"
c.CourseDirectory.root = {root!r}
# What a student sees in the place of a solution.
c.ClearSolutions.code_stub = {{"python": {code!r}}}
c.ClearSolutions.text_stub = {text!r}
# Seconds for a cell.
c.ExecutePreprocessor.timeout = 240
# The exchange is the site's own choice: a folder that lecturers and students share, see nbgrader's documentation.
# c.Exchange.root = "/srv/nbgrader/exchange"
"""


class NoNbgrader(RuntimeError):
    """nbgrader cannot be installed."""


def make(environment=ENVIRONMENT, say=print):
    """Make the environment, unless it stands, and return its nbgrader.

    Its ``python3`` kernel is the Python that runs this: notebooks find numpy and the library there. Without that,
    every import in a submission fails and everybody silently gets 0 points.

    Raises
    ------
    NoNbgrader
        If it cannot be made; the message ends with what pip says.
    """

    def announce():
        say(f"Environment for nbgrader in {environment}: two or three minutes, once")

    def point_kernel_here():
        kernel = environment / "share" / "jupyter" / "kernels" / "python3" / "kernel.json"
        command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        threads = {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        told = {"argv": command, "display_name": "Python 3", "language": "python", "env": threads}
        kernel.write_text(json.dumps(told))

    try:
        return aside(environment, LOCK, announce, point_kernel_here) / "nbgrader"
    except Unmade as error:
        raise NoNbgrader(str(error)) from None


def write_config(course):
    """Write ``nbgrader_config.py`` of a course folder."""
    text = CONFIG.format(root=str(course), code=STUBS["code"], text=STUBS["markdown"])
    (course / "nbgrader_config.py").write_text(text, encoding="utf-8")


def run(nbgrader, course, *arguments):
    """Run an nbgrader command in a course folder, and return what it printed.

    Raises
    ------
    NoNbgrader
        If it fails.
    """
    # Packages of its own, and the commands that nbgrader calls by their names.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment["PATH"] = os.pathsep.join([str(nbgrader.parent), environment["PATH"]])
    result = subprocess.run(
        [nbgrader, *arguments], cwd=course, env=environment, capture_output=True, text=True
    )
    said = result.stdout + result.stderr
    if result.returncode:
        raise NoNbgrader(f"nbgrader {' '.join(map(str, arguments))}: {said.strip()[-2000:]}")
    return said


def generate(nbgrader, course, names):
    """Let nbgrader make the students' notebooks of some sets, in ``release/``."""
    for name in names:
        run(nbgrader, course, "generate_assignment", name, "--create", "--force")

"""Make from the sources what a lecturer hands out.

    make assignments                 every set, with the numbers of the sources
    make assignments SEED=2027       with other numbers
    python -m course.release race    one set

In ``_build/course/`` stand then: an nbgrader course (``source/``, ``release/``, ``nbgrader_config.py``; the exchange is
left to the site), ``students/<set>.zip`` to put on a learning platform, ``pages/<set>.html`` to read,
``instructors.zip`` with the solutions, and ``seeds.json``, with which `make grade` grades. Everything a student gets is
held against the solutions before it is kept. nbgrader's commands work after ``. _build/nbgrader/bin/activate``.
"""

import argparse
import json
import re
import shutil
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import nbformat

from course import leaks, nbgrader_tool
from course.pages import code, copy_mathjax, markdown, page
from course.sources import COURSE, FOLDER, SEEDS, STUBS, BadSource, Cell, available, load, seeds_of
from scripts.make_notebooks import address, branch, setup_cell

#: What a student installs to work at home; Binder and Colab have it, or their first cell gets it.
REQUIREMENTS = """\
# pip install -r requirements.txt, then: jupyter lab
gdln[train] @ git+{address}@{branch}
jupyterlab
"""


class Leak(RuntimeError):
    """A student's file gives away a solution."""


def notebook(problem_set):
    """Return a set as a notebook, with a first cell that installs the library where students see it used."""
    made = problem_set.notebook()
    seen = [cell.text for cell in problem_set.for_students().cells if cell.kind == "code"]
    if any(re.search(r"\bgdln\b", text) for text in seen):
        setup = setup_cell(branch())
        setup["id"] = "install-gdln"
        first = next(i for i, cell in enumerate(made.cells) if cell.cell_type == "code")
        made.cells.insert(first, setup)
    return made


def write_notebook(problem_set, path):
    """Write a set as a notebook."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(nbformat.writes(notebook(problem_set)) + "\n", encoding="utf-8")


def write_page(problem_set, path):
    """Write a set as a page to read, solutions included if the set has them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    copy_mathjax(path.parent)
    parts, title = [f"<p>About {problem_set.minutes} minutes, 20 points.</p>"], problem_set.title
    for cell in problem_set.cells:
        text = re.sub(r"^# .*\n", "", cell.text) if cell.kind == "markdown" else cell.text
        shown = markdown(text) if cell.kind == "markdown" else code(text)
        solved = cell.solution or (cell.is_test and "HIDDEN TESTS" in text)
        parts.append(f"<div class='solution'>{shown}</div>" if solved else shown)
    path.write_text(page(title, "".join(parts), mathjax="mathjax"), encoding="utf-8")


def write_zip(path, files):
    """Write files, by their name in the archive, with a fixed date: the same content is the same archive."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0))
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            archive.writestr(entry, content)


def same_cells(problem_set, path):
    """Whether a notebook that nbgrader made has the cells that the sources give a student."""
    ours = [(cell.cell_type, cell.source) for cell in notebook(problem_set.for_students()).cells]
    theirs = nbformat.read(path, as_version=4).cells
    return ours == [(cell.cell_type, cell.source.rstrip()) for cell in theirs]


def check_students(problem_set, course):
    """Raise :class:`Leak` if a student's file of a set gives something away."""
    empty = replace(problem_set, title="", cells=(Cell("code", "import gdln"), *map(bare, problem_set.cells)))
    words = "\n".join(
        [
            "\n".join(leaks.strings(notebook(empty))),
            page("", "", mathjax="mathjax"),
            REQUIREMENTS.format(address=address(), branch=branch()),
            *STUBS.values(),
            "checksum name ipynb solution locked false true null None",
        ]
    )
    for path in student_files(problem_set.name, course):
        if given := leaks.found(problem_set, path, words):
            raise Leak(f"{path} gives away: {', '.join(given[:10])}")


def bare(cell):
    """Return a cell without its text."""
    return replace(cell, text="")


def student_files(name, course):
    """Return all files of a set that students may get."""
    return [
        course / "release" / name / f"{name}.ipynb",
        course / "students" / f"{name}.zip",
        course / "pages" / f"{name}.html",
    ]


def release(names, folder=FOLDER, seed=None, course=COURSE, nbgrader=None, say=print):
    """Write the course.

    Parameters
    ----------
    names : sequence of str
        Sets to write.
    folder : path, optional
        Where their sources stand.
    seed : int, optional
        Of the numbers; that of the sources unless given.
    course : path, optional
        Where to write.
    nbgrader : path, optional
        nbgrader's command, which then makes ``release/``; otherwise the sources' own notebooks stand there.
    say : callable, optional
        Takes each line of the account.

    Returns
    -------
    list of ProblemSet
        With their seed.

    Raises
    ------
    BadSource
        If a source breaks the format.
    Leak
        If a student's file gives away a solution.
    """
    sets = [load(name, folder) for name in names]
    sets = sets if seed is None else [problem_set.with_seed(seed) for problem_set in sets]
    course.mkdir(parents=True, exist_ok=True)
    nbgrader_tool.write_config(course)
    requirements = REQUIREMENTS.format(address=address(), branch=branch())
    for problem_set in sets:
        name = problem_set.name
        for kind, content in (("source", problem_set), ("release", problem_set.for_students())):
            shutil.rmtree(course / kind / name, ignore_errors=True)
            write_notebook(content, course / kind / name / f"{name}.ipynb")
    if nbgrader is not None:
        nbgrader_tool.generate(nbgrader, course, names)
    solutions = {}
    for problem_set in sets:
        name = problem_set.name
        handed_out = course / "release" / name / f"{name}.ipynb"
        if not same_cells(problem_set, handed_out):
            raise BadSource(f"{name}: nbgrader leaves out something else than the sources say")
        write_page(problem_set.for_students(), course / "pages" / f"{name}.html")
        content = {f"{name}.ipynb": handed_out.read_text(encoding="utf-8"), "requirements.txt": requirements}
        write_zip(course / "students" / f"{name}.zip", content)
        check_students(problem_set, course)
        write_page(problem_set, course / "solutions" / f"{name}.html")
        for path in (course / "source" / name / f"{name}.ipynb", course / "solutions" / f"{name}.html"):
            solutions[path.name] = path.read_text(encoding="utf-8")
        say(f"{name}: {course / 'students' / f'{name}.zip'}")
    for path in sorted((course / "solutions" / "mathjax").rglob("*.js")):
        solutions[path.relative_to(course / "solutions").as_posix()] = path.read_bytes()
    write_zip(course / "instructors.zip", solutions)
    seeds = {**seeds_of(course), **{problem_set.name: problem_set.seed for problem_set in sets}}
    (course / SEEDS).write_text(json.dumps(seeds), encoding="utf-8")
    return sets


def main():
    """Release the sets that are named, or all."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sets", nargs="*", help="such as race; all unless given")
    parser.add_argument("--seed", type=int, help="of the numbers; that of the sources unless given")
    parser.add_argument("--to", type=Path, default=COURSE, help="where the course goes")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the sources of the sets stand")
    parser.add_argument("--without-nbgrader", action="store_true", help="write release/ without nbgrader")
    options = parser.parse_args()
    try:
        nbgrader = None if options.without_nbgrader else nbgrader_tool.make()
        names = options.sets or available(options.folder)
        release(names, options.folder, options.seed, options.to.resolve(), nbgrader)
    except (BadSource, Leak, nbgrader_tool.NoNbgrader) as error:
        sys.exit(str(error))
    print(f"Solutions: {options.to.resolve() / 'instructors.zip'}; an nbgrader course stands beside it")
    if "/OWNER/" in address():
        print("The address in _config.yml is a placeholder: students cannot install gdln from it yet")


if __name__ == "__main__":
    main()

"""Find out who handed in what: a folder with one file or one sub-folder a student, as learning platforms give it."""

import re
from dataclasses import dataclass
from pathlib import Path

import nbformat

from course.grading import LARGEST
from course.sources import NAMES

#: What Moodle and Canvas add to a student's name.
PLATFORMS = (
    re.compile(r"^(?P<student>.+?)_\d+_assignsubmission_file_?.*$"),
    re.compile(r"^(?P<student>[^_]+)(?:_LATE)?_\d+_\d+_.+$"),
)
#: Folders and files that no student made.
NOISE = ("__MACOSX", "Thumbs.db", "desktop.ini")


@dataclass(frozen=True)
class Entry:
    """One student's hand-in for one set.

    Attributes
    ----------
    student : str
    name : str
        The set; empty where nobody can tell.
    path : Path or None
        The notebook; ``None`` where there is none.
    fault : str
        Why it cannot be graded, if so.
    """

    student: str
    name: str
    path: Path | None
    fault: str = ""


def entries(folder, sets, wanted=None):
    """Return what was handed in.

    Parameters
    ----------
    folder : path
        With one file or sub-folder a student.
    sets : dict
        Name to :class:`course.sources.ProblemSet`.
    wanted : str, optional
        The one set to look for; whatever there is unless given.

    Returns
    -------
    list of Entry
        Sorted by student; at least one for each file or sub-folder.

    Raises
    ------
    ValueError
        If the folder does not exist or is empty.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(f"there is no folder {folder}")
    owners = [path for path in sorted(folder.iterdir()) if not noise(path)]
    if not owners:
        raise ValueError(f"nobody has handed in anything: {folder} is empty")
    names = [student_of(path) for path in owners]
    found = []
    for path, name in zip(owners, names, strict=True):
        student = name if names.count(name) == 1 else path.stem if path.is_file() else path.name
        found += of_student(student, path, sets, wanted)
    return found


def noise(path):
    """Whether a file or folder is a system's own."""
    return path.name.startswith(".") or path.name in NOISE


def student_of(path):
    """Return the student's name from that of a file or folder."""
    name = path.name if path.is_dir() else path.stem
    for pattern in PLATFORMS:
        if found := pattern.match(name):
            return found["student"]
    return name


def of_student(student, path, sets, wanted):
    """Return the entries of one student."""
    if path.is_symlink():
        return [Entry(student, wanted or "", None, "a link was handed in, not a file")]
    if path.is_file():
        return [classified(student, path, sets, wanted)]
    inside = sorted(p for p in path.rglob("*") if p.is_file() and not p.is_symlink())
    inside = [p for p in inside if not any(noise(Path(part)) for part in p.relative_to(path).parts)]
    notebooks = [p for p in inside if p.suffix == ".ipynb"]
    if not notebooks:
        other = inside[0] if len(inside) == 1 else None
        if other:
            return [classified(student, other, sets, wanted)]
        return [Entry(student, wanted or "", None, "no notebook (.ipynb) in the folder")]
    by_set = {}
    for notebook in notebooks:
        by_set.setdefault(kind_of(notebook, sets), []).append(notebook)
    found = []
    for name in sorted(by_set) if wanted is None else [wanted]:
        several = by_set.get(name, by_set.get("", []) if wanted and len(by_set) == 1 else [])
        exact = [p for p in several if p.stem == name]
        if len(several) == 1 or len(exact) == 1:
            found.append(Entry(student, name, (exact or several)[0]))
        elif not several:
            found.append(Entry(student, name, None, f"no notebook of the set {name} in the folder"))
        else:
            files = ", ".join(str(p.relative_to(path)) for p in several)
            found.append(
                Entry(student, name, None, f"{len(several)} notebooks, nobody can tell which: {files}")
            )
    return found


def classified(student, path, sets, wanted):
    """Return the entry of a single file."""
    kind = kind_of(path, sets)
    if wanted and kind not in ("", wanted):
        return Entry(student, wanted, None, f"the notebook belongs to the set {kind}")
    return Entry(
        student, wanted or kind, path, "" if wanted or kind else "nobody can tell to which set it belongs"
    )


def kind_of(path, sets):
    """Return the set of a notebook, by the names of its cells and else by its own name; empty if unknown."""
    try:
        if path.stat().st_size > LARGEST:
            raise ValueError("too large to be read")
        cells = nbformat.reads(path.read_bytes().decode("utf-8-sig"), as_version=4).cells
        ids = {str(cell.metadata["nbgrader"]["grade_id"]) for cell in cells if "nbgrader" in cell.metadata}
    except Exception:  # a file that is no notebook is found out, and said, where it is graded
        ids = set()
    shared = {name: len(ids & set(problem_set.by_id)) for name, problem_set in sets.items()}
    best = max(shared, key=shared.get, default="")
    if best and shared[best]:
        return best
    named = [name for name in [*sets, *NAMES] if name in path.stem]
    return next(iter(named or (sets if len(sets) == 1 else [""])))

#!/usr/bin/env python
"""Change one token of a theory at a time and see whether its tests notice.

    python scripts/mutants.py                       modules that differ from the last commit
    python scripts/mutants.py --since origin/main   modules that differ from another commit
    python scripts/mutants.py race.bases --most 40  these modules, forty mutants each, drawn with --seed

A mutant swaps an operator, a comparison or a Boolean word, drops a sign, or moves a number. It is killed where a test
of the module fails; a survivor is a line that no test holds, unless it means the same: those are listed, with the
reason, in ``tests/equivalent_mutants.txt``. A first run without mutants notes which lines each test reaches and how
long it takes; a mutant is then tried by the tests that reach its statement, the fastest first.
"""

import argparse
import ast
import importlib
import json
import multiprocessing
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from tqdm import tqdm

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
EQUIVALENT = ROOT / "tests" / "equivalent_mutants.txt"
OPERATORS = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Pow: ast.Mult,
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.And: ast.Or, ast.Or: ast.And,
}  # fmt: skip
SIGNS = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.Pow: "**", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">",
    ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!=", ast.And: "and", ast.Or: "or",
}  # fmt: skip
#: Options of solvers and of memory that do not change what is solved.
SETTINGS = {"xtol", "rtol", "atol", "tol", "ftol", "gtol", "maxiter", "batch", "stacklevel"}
#: Numbers up to this one are tolerances.
SMALL = 1e-6
#: Seconds that a run of tests may take to start, on a busy machine.
START = 30


def mutants(text):
    """Yield every mutant of a module's text as (line, what changed, new text), the same change of a line numbered.

    Docstrings, error messages, warnings, annotations and default values of arguments and fields stay as they are, and
    so do numbers of at most a millionth and the options of :data:`SETTINGS`: how far below the digits shown a search
    ends, or in what pieces an array is worked through, is not mathematics, and tests that held it would be tests of
    rounding. A negative length in a reshape keeps its size, which numpy does not read.
    """
    tree = ast.parse(text)
    skipped = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.Raise, ast.Assert, ast.JoinedStr)) or (
            isinstance(node, ast.Call) and ast.unparse(node.func) == "warnings.warn"
        ):
            skipped.update(map(id, ast.walk(node)))
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("reshape"):
            skipped.update(id(a.operand) for a in node.args if isinstance(a, ast.UnaryOp))
        if isinstance(node, ast.keyword) and node.arg in SETTINGS:
            skipped.update(map(id, ast.walk(node.value)))
        if isinstance(node, ast.Constant) and type(node.value) is float and 0 < node.value <= SMALL:
            skipped.add(id(node))
        if isinstance(node, ast.FunctionDef):
            for part in (*node.args.defaults, *node.args.kw_defaults, *node.decorator_list):
                skipped.update(map(id, ast.walk(part)) if part is not None else ())
        if isinstance(node, ast.ClassDef):
            for part in (line.value for line in node.body if isinstance(line, ast.AnnAssign) and line.value):
                skipped.update(map(id, ast.walk(part)))
    lines = text.splitlines(keepends=True)
    starts = np.concatenate([[0], np.cumsum([len(line.encode()) for line in lines])])

    def place(line, column):
        return starts[line - 1] + column

    def between(before, after, sign, new):
        """Replace an operator in the source between two operands."""
        data = text.encode()
        low, high = place(before.end_lineno, before.end_col_offset), place(after.lineno, after.col_offset)
        gap = data[low:high].decode()
        if gap.count(sign) != 1:
            return None  # a comment or a bracket stands between
        return (data[:low].decode() + gap.replace(sign, new)) + data[high:].decode()

    made = []
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        found = []
        if isinstance(node, ast.BinOp) and type(node.op) in OPERATORS:
            found = [(node.left, node.right, type(node.op))]
        elif isinstance(node, ast.Compare) and type(node.ops[0]) in OPERATORS:
            found = [(node.left, node.comparators[0], type(node.ops[0]))]
        elif isinstance(node, ast.BoolOp):
            found = [(node.values[0], node.values[1], type(node.op))]
        for left, right, kind in found:
            old, new = SIGNS[kind], SIGNS[OPERATORS[kind]]
            changed = between(left, right, old, new)
            if changed is not None:
                made.append(
                    (node.lineno, place(left.end_lineno, left.end_col_offset), f"{old} to {new}", changed)
                )
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.Not)):
            data = text.encode()
            low, high = (
                place(node.lineno, node.col_offset),
                place(node.operand.lineno, node.operand.col_offset),
            )
            what = "- dropped" if isinstance(node.op, ast.USub) else "not dropped"
            made.append((node.lineno, low, what, data[:low].decode() + data[high:].decode()))
        if isinstance(node, ast.Constant) and type(node.value) in (int, float):
            data = text.encode()
            low, high = place(node.lineno, node.col_offset), place(node.end_lineno, node.end_col_offset)
            value = node.value + 1 if type(node.value) is int else node.value * 1.5 + (node.value == 0)
            changed = data[:low].decode() + repr(value) + data[high:].decode()
            made.append((node.lineno, low, f"{node.value!r} to {value!r}", changed))
    seen = Counter()
    for line, _, change, changed in sorted(made, key=lambda m: m[:2]):
        seen[line, change] += 1
        yield line, change + (f" ({seen[line, change]})" if seen[line, change] > 1 else ""), changed


def files_of_tests(module):
    """Return the files of tests that hold a module: its own first, then those of its part that name it."""
    place = Path(*module.split("."))
    folder = ROOT / "tests" / place.parent
    own = folder / f"test_{place.name}.py"
    examples = (ROOT / "gdln" / place).with_suffix(".py")  # of its docstrings
    shared = [
        path
        for path in (sorted(folder.glob("test_*.py")) if "." in module else [])
        if re.search(rf"^(from|import) gdln.*\b{place.name}\b", path.read_text(), re.M)
    ]
    return [path for path in dict.fromkeys([own, examples, *shared]) if path.is_file()]


def changed_modules(commit):
    """Return the modules of the library that differ from a commit."""
    command = ["git", "diff", "--name-only", commit, "--", "gdln"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    paths = [Path(name) for name in names if name.endswith(".py") and (ROOT / name).is_file()]
    return [".".join(path.with_suffix("").parts[1:]) for path in paths if path.name != "__init__.py"]


def equivalent():
    """Return the listed mutants that mean the same: (module, line of code, change)."""
    if not EQUIVALENT.is_file():
        return set()
    found = set()
    for row in EQUIVALENT.read_text().splitlines():
        if row and not row.startswith("#"):
            module, rest = row.split("|", 1)
            code, change, _ = rest.rsplit("|", 2)  # the code may have bars of its own
            found.add((module.strip(), code.strip(), change.strip()))
    return found


def statement(text, line):
    """Return the lines of the statement that a line belongs to; of one with a body, those of its head."""
    spans = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.stmt):
            body = getattr(node, "body", None)
            spans.append((node.lineno, max(node.lineno, body[0].lineno - 1) if body else node.end_lineno))
    first, last = min((b - a, a, b) for a, b in spans if a <= line <= b)[1:]
    return set(range(first, last + 1))


class Reach:
    """Plugin of pytest that notes which lines of a file each test reaches, and in how many seconds.

    What is reached outside any one test, when modules are imported or a fixture is made for several tests, counts
    as reached by all tests of the run.
    """

    def __init__(self, source):
        self.source, self.common, self.tests = str(source), set(), {}
        self.lines, self.whole = self.common, set()

    def trace(self, frame, event, arg):
        """Follow the frames of that file, and no function any more once a test has reached all its lines."""
        code = frame.f_code
        if code.co_filename != self.source or code in self.whole:
            return None
        self.lines.add(frame.f_lineno)
        if event == "return" and self.lines.issuperset(line for *_, line in code.co_lines() if line):
            self.whole.add(code)
        return self.trace

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item, nextitem):
        """Note the lines and the time of one test."""
        self.lines, self.whole, start = set(), set(), time.perf_counter()
        try:
            return (yield)
        finally:
            self.tests[item.nodeid] = time.perf_counter() - start, sorted(self.lines)
            self.lines, self.whole = self.common, set()

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef, request):
        """Note what a fixture of several tests reaches for all of them."""
        own = self.lines, self.whole
        if fixturedef.scope != "function":
            self.lines, self.whole = self.common, set()
        try:
            return (yield)
        finally:
            self.lines, self.whole = own


def run_tests(copy, names, reach=None, notes=None):
    """Run the fast tests in a copy of the tree, in a process that was forked for it, and leave with their code."""
    # Groups of processes: what the tests start is ended with them.
    os.setsid()
    silent = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(silent, stream)
    os.chdir(copy)
    sys.path[:] = [str(copy), *(path for path in sys.path if path not in ("", str(ROOT)))]
    os.environ["PYTHONPATH"] = str(copy)
    for name in [n for n in sys.modules if n.split(".")[0] in ("gdln", "tests")]:
        del sys.modules[name]
    options = ["-x", "-q", "-p", "no:cacheprovider", "--doctest-modules"]
    if reach:
        sys.settrace(reach.trace)
    code = pytest.main([*options, "-m", "not browser and not slow", *names], plugins=[reach] if reach else [])
    if reach:
        sys.settrace(None)
        notes.write_text(json.dumps([sorted(reach.common), reach.tests]))
    os._exit(int(code))


def passes(seconds, *arguments):
    """Whether the tests pass in a copy of the tree; those that run for ever do not."""
    child = multiprocessing.get_context("fork").Process(target=run_tests, args=arguments)
    child.start()
    child.join(seconds)
    if child.is_alive():
        os.killpg(child.pid, signal.SIGKILL)
        child.join()
    return child.exitcode in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)


def begin(folder):
    """Make a worker's own copy of the tree, and load what the tests import once, for all mutants."""
    global COPY
    COPY = Path(tempfile.mkdtemp(dir=folder))
    # A module is written many times a second, which the times of bytecode do not tell apart.
    sys.dont_write_bytecode = True
    for name in ("gdln", "tests", "book/claims", "book/data", "scripts", "benchmarks"):
        shutil.copytree(ROOT / name, COPY / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", COPY)
    for name in ("scipy.integrate", "scipy.optimize", "scipy.stats", "sklearn.datasets", "torch.func"):
        importlib.import_module(name)


def place(module):
    """Return where a worker's copy has a module."""
    return COPY / Path("gdln", *module.split(".")).with_suffix(".py")


def reached(module, path, seconds):
    """Return the lines that all tests of a file reach, and (seconds, lines) by test; None if one fails."""
    notes = COPY / "reached.json"
    names = [str(path.relative_to(ROOT))]
    return (
        json.loads(notes.read_text()) if passes(seconds, COPY, names, Reach(place(module)), notes) else None
    )


def survives(module, changed, tests, seconds):
    """Whether none of the tests named notices a module with this text, nor runs ten times as long as before."""
    source = place(module)
    text = source.read_text()
    source.write_text(changed)
    try:
        limit = min(seconds, START + 10 * sum(t for t, _ in tests))
        return not tests or passes(limit, COPY, [name for _, name in tests])
    finally:
        source.write_text(text)


def main():
    """Run the mutants of every named or changed module and print the survivors."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("modules", nargs="*", help="such as race.bases; all that changed unless given")
    parser.add_argument("--since", default="HEAD", help="commit to compare with")
    parser.add_argument(
        "--most", type=int, default=50, help="mutants a module, drawn at random where there are more"
    )
    parser.add_argument("--seed", type=int, default=0, help="of that draw")
    parser.add_argument("--seconds", type=float, default=120, help="longest run of the tests of one mutant")
    parser.add_argument("--jobs", type=int, default=2, help="mutants tried at once")
    options = parser.parse_args()
    modules = options.modules or changed_modules(options.since)
    known, total, survivors = equivalent(), 0, 0
    with (
        tempfile.TemporaryDirectory() as folder,
        ProcessPoolExecutor(
            options.jobs, multiprocessing.get_context("fork"), initializer=begin, initargs=(folder,)
        ) as pool,
    ):
        for module in modules:
            text = (ROOT / "gdln" / Path(*module.split("."))).with_suffix(".py").read_text()
            lines, tests = text.splitlines(), files_of_tests(module)
            notes = [pool.submit(reached, module, path, options.seconds) for path in tests]
            for path, note in zip(tests, notes, strict=True):
                if note.result() is None:
                    sys.exit(f"{path} fails, or takes over {options.seconds:g} s, without any mutant")

            def trying(line, notes=notes, text=text):
                """Seconds and names of the tests that reach the statement of a line, the fastest first."""
                wanted, found = statement(text, line), []
                for common, times in (note.result() for note in notes):
                    found += [(t, name) for name, (t, lines) in times.items() if wanted & {*common, *lines}]
                return sorted(found)

            found = [
                (line, change, changed)
                for line, change, changed in mutants(text)
                if (module, lines[line - 1].strip(), change) not in known
            ]
            if len(found) > options.most:
                rng = np.random.default_rng(options.seed)
                found = [found[i] for i in sorted(rng.choice(len(found), options.most, replace=False))]
            futures = [
                pool.submit(survives, module, changed, trying(line), options.seconds)
                for line, _, changed in found
            ]
            alive = [
                f"{module}:{line}: {change}: {lines[line - 1].strip()}"
                for (line, change, _), future in zip(
                    found, tqdm(futures, desc=module, disable=None), strict=True
                )
                if future.result()
            ]
            print(*alive, f"{module}: {len(found) - len(alive)} of {len(found)} killed", sep="\n", flush=True)
            total, survivors = total + len(found), survivors + len(alive)
    share = 1 - survivors / total if total else 1
    print(f"{total} mutants of {len(modules)} modules, {share:.1%} killed")
    sys.exit(bool(share < 0.95))


if __name__ == "__main__":
    main()

#!/usr/bin/env python
"""Change one token of a theory at a time and see whether its tests notice.

    python scripts/mutants.py                       modules that differ from the last commit
    python scripts/mutants.py --since origin/main   modules that differ from another commit
    python scripts/mutants.py race.bases --most 40  these modules, forty mutants each, drawn with --seed

A mutant swaps an operator, a comparison or a Boolean word, drops a sign, or moves a number. It is killed where a test
of the module fails; a survivor is a line that no test holds, unless it means the same: those are listed, with the
reason, in ``tests/equivalent_mutants.txt``.
"""

import argparse
import ast
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
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


def mutants(text):
    """Yield every mutant of a module's text as (line, what changed, new text).

    Docstrings, error messages, annotations and default values of keyword arguments stay as they are: tests of
    mathematics do not hold them.
    """
    tree = ast.parse(text)
    skipped = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.Raise, ast.Assert, ast.JoinedStr)):
            skipped.update(map(id, ast.walk(node)))
        if isinstance(node, ast.FunctionDef):
            for part in (*node.args.defaults, *node.args.kw_defaults, *node.decorator_list):
                skipped.update(map(id, ast.walk(part)) if part is not None else ())
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
                yield node.lineno, f"{old} to {new}", changed
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.Not)):
            data = text.encode()
            low, high = (
                place(node.lineno, node.col_offset),
                place(node.operand.lineno, node.operand.col_offset),
            )
            what = "- dropped" if isinstance(node.op, ast.USub) else "not dropped"
            yield node.lineno, what, data[:low].decode() + data[high:].decode()
        if isinstance(node, ast.Constant) and type(node.value) in (int, float):
            data = text.encode()
            low, high = place(node.lineno, node.col_offset), place(node.end_lineno, node.end_col_offset)
            value = node.value + 1 if type(node.value) is int else node.value * 1.5 + (node.value == 0)
            yield (
                node.lineno,
                f"{node.value!r} to {value!r}",
                data[:low].decode() + repr(value) + data[high:].decode(),
            )


def files_of_tests(module):
    """Return the files of tests that hold a module: its own, and the theory against the simulation of its part."""
    from tests.test_floors import TESTED_WITH

    folder = ROOT / "tests" / Path(*module.split(".")[:-1])
    names = {module, TESTED_WITH.get(module, module)}
    own = [
        ROOT / "tests" / Path(*name.split(".")[:-1]) / f"test_{name.split('.')[-1]}.py"
        for name in sorted(names)
    ]
    shared = sorted(folder.glob("test_*.py")) if "." in module else []
    return [path for path in dict.fromkeys([*own, *shared]) if path.is_file()]


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
    rows = (
        line.split("|") for line in EQUIVALENT.read_text().splitlines() if line and not line.startswith("#")
    )
    return {tuple(part.strip() for part in row[:3]) for row in rows}


def killed(copy, tests, seconds):
    """Whether the tests fail in a copy of the tree; a mutant that runs for ever is killed too."""
    names = [str(path.relative_to(ROOT)) for path in tests]
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-x",
        "-q",
        "-p",
        "no:cacheprovider",
        "-m",
        "not browser",
        *names,
    ]
    try:
        return subprocess.run(command, cwd=copy, capture_output=True, timeout=seconds).returncode != 0
    except subprocess.TimeoutExpired:
        return True


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
    parser.add_argument("--seconds", type=float, default=300, help="longest run of a module's tests")
    options = parser.parse_args()
    modules = options.modules or changed_modules(options.since)
    known, total, survivors = equivalent(), 0, []
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for name in ("gdln", "tests", "book/claims", "book/data", "scripts", "benchmarks"):
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", copy)
        for module in modules:
            source = Path("gdln", *module.split(".")).with_suffix(".py")
            text = (ROOT / source).read_text()
            tests = files_of_tests(module)
            if killed(copy, tests, options.seconds):
                sys.exit(
                    f"the tests of {module} fail, or take over {options.seconds:g} s, without any mutant"
                )
            found = list(mutants(text))
            if len(found) > options.most:
                rng = np.random.default_rng(options.seed)
                found = [found[i] for i in sorted(rng.choice(len(found), options.most, replace=False))]
            for line, change, changed in tqdm(found, desc=module, disable=None):
                code = text.splitlines()[line - 1].strip()
                if (module, code, change) in known:
                    continue
                total += 1
                (copy / source).write_text(changed)
                if not killed(copy, tests, options.seconds):
                    survivors.append(f"{module}:{line}: {change}: {code}")
            (copy / source).write_text(text)
    print(*survivors, sep="\n")
    share = 1 - len(survivors) / total if total else 1
    print(f"{total} mutants of {len(modules)} modules, {share:.1%} killed")
    sys.exit(bool(share < 0.95))


if __name__ == "__main__":
    main()

"""Change a reference solution in one place, and see whether the tests of its set notice.

Besides the tokens that ``scripts/mutants.py`` changes (operators, signs, comparisons, numbers), a factor or a
divisor is left away, a transpose dropped, a matrix product turned round, a minimum taken for a maximum, a mean for a
sum, a square root forgotten, and a loop made one step shorter.
"""

import ast
import copy
import os
import resource
import signal
import time
from functools import partial

import numpy as np

from course import alarm
from course.sources import defined, used
from scripts.mutants import mutants as tokens

SWAPPED = {
    "min": "max",
    "minimum": "maximum",
    "argmin": "argmax",
    "sum": "mean",
    "amin": "amax",
    "all": "any",
}
SWAPPED |= {new: old for old, new in SWAPPED.items()}
#: Address space of a mutant, in MB: a changed shape must not take the machine's memory.
MEMORY = 6000


def mutants(text):
    """Yield the mutants of an answer as (line, what changed, new text); only its solution is changed."""
    inside, region = False, set()
    for number, line in enumerate(text.splitlines(), 1):
        inside = (inside or "### BEGIN SOLUTION" in line) and "### END SOLUTION" not in line
        if inside:
            region.add(number)
    for line, change, changed in [*tokens(text), *larger(text)]:
        if line in region and not text.splitlines()[line - 1].lstrip().startswith(("import ", "from ")):
            yield line, change, changed


def larger(text):
    """Yield the mutants that change more than a token."""
    data = text.encode()
    starts = np.concatenate([[0], np.cumsum([len(line.encode()) for line in text.splitlines(keepends=True)])])

    def span(node):
        return (
            starts[node.lineno - 1] + node.col_offset,
            starts[node.end_lineno - 1] + node.end_col_offset,
        )

    def source(node):
        low, high = span(node)
        return data[low:high].decode()

    def put(node, new):
        low, high = span(node)
        return data[:low].decode() + new + data[high:].decode()

    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Mult, ast.Div)):
            sign = "*" if isinstance(node.op, ast.Mult) else "/"
            yield node.lineno, f"{sign} {source(node.right)} dropped", put(node, f"({source(node.left)})")
            if sign == "*":
                yield node.lineno, f"{source(node.left)} * dropped", put(node, f"({source(node.right)})")
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.MatMult):
            turned = f"(({source(node.right)}) @ ({source(node.left)}))"
            yield node.lineno, f"{source(node)} turned round", put(node, turned)
        if isinstance(node, ast.Attribute) and node.attr == "T":
            yield node.lineno, f"{source(node)} not transposed", put(node, f"({source(node.value)})")
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        whole = source(node.func)
        if name in SWAPPED and not (name in ("sum", "mean") and isinstance(node.func, ast.Name)):
            changed = whole[: len(whole) - len(name)] + SWAPPED[name]
            yield node.lineno, f"{name} to {SWAPPED[name]}", put(node.func, changed)
        if name == "sqrt" and len(node.args) == 1:
            yield node.lineno, "square root dropped", put(node, f"({source(node.args[0])})")
        if name == "range" and len(node.args) == 1:
            shorter = f"range({source(node.args[0])} - 1)"
            yield node.lineno, "one step fewer", put(node, shorter)


def survivors(problem_set, most=None, seed=0):
    """Return the mutants that no test notices, and how many were tried.

    Parameters
    ----------
    problem_set : ProblemSet
        Solutions and hidden tests included.
    most : int, optional
        Mutants to try, drawn at random where there are more; all unless given.
    seed : int, optional
        Of that draw.

    Returns
    -------
    alive : list of str
    tried : int
    """
    cells = [cell for cell in problem_set.cells if cell.kind == "code" and not cell.is_test]
    found = [(number, mutant) for number, c in enumerate(cells) if c.is_answer for mutant in mutants(c.text)]
    if most is not None and len(found) > most:
        rng = np.random.default_rng(seed)
        found = [found[i] for i in sorted(rng.choice(len(found), most, replace=False))]
    start, names, alive = time.monotonic(), {"__name__": "__main__"}, []
    everything = fork(partial(survives, problem_set, cells, problem_set.tests, dict(names)), 600)
    seconds = 3 * (time.monotonic() - start) + 5
    if not everything:
        raise ValueError(f"{problem_set.name}: the tests do not pass on the solutions themselves")
    for number, cell in enumerate(cells):
        tests = nearest(problem_set.tests, defined(cell.text))
        for _, (line, change, changed) in (pair for pair in found if pair[0] == number):
            rest = [changed, *(later.text for later in cells[number + 1 :])]
            if fork(partial(survives, problem_set, rest, tests, dict(names)), seconds):
                alive.append(f"{cell.grade_id}:{line}: {change}: {cell.text.splitlines()[line - 1].strip()}")
        exec(compile(cell.text, cell.grade_id, "exec"), names)
    return alive, len(found)


def nearest(tests, names):
    """Return the tests with those first that use some of the names."""
    return sorted(tests, key=lambda test: not used(test.text) & set(names))


def survives(problem_set, cells, tests, names):
    """Run cells and tests in this process; any error says that they do not pass."""
    for cell in cells:
        exec(compile(getattr(cell, "text", cell), "<cell>", "exec"), names)
    for test in tests:
        mine = {name: names[name] for name in used(test.text)}
        mine = {name: value if callable(value) else copy.deepcopy(value) for name, value in mine.items()}
        exec(compile(test.text, "<test>", "exec"), {"__name__": "__main__", "SEED": problem_set.seed, **mine})


def fork(run, seconds):
    """Whether a call ends without an error, in a process that was forked for it."""
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1] == 0
    code = 1
    try:
        silent = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(silent, stream)
        alarm.lower(resource.RLIMIT_AS, MEMORY * 2**20)
        # Code that swallows the alarm, or does not come back from a library, is ended by the second.
        signal.setitimer(signal.ITIMER_PROF, 2 * seconds + 10)
        with alarm.limit(seconds):
            run()
        code = 0
    except BaseException:
        code = 1
    finally:
        os._exit(code)

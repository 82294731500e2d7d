"""One vocabulary in all signatures: the table "Words" of CONTRIBUTING.md, kept."""

import ast
import functools
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MODULES = sorted((ROOT / "gdln").rglob("*.py"))

#: Spellings that the table replaces, and by what.
REPLACED = {
    "learning_rate": "lr",
    "learning_rates": "lrs",
    "eta": "lr",
    "dt": "lr",
    "every": "record_every",
    "cuda": "device",
    "gpu": "device",
    "step_size": "lr",
    "step": "lr",
    "n_iter": "n_steps",
    "n_iterations": "n_steps",
    "epochs": "n_epochs",
    "hidden": "width or widths",
    "n_hidden": "width",
    "seed": "rng or generator",
    "seeds": "rng or generator",
    "which": "the name of what is chosen",
    "parametrization": "parametrisation",
    "parameterization": "parametrisation",
    "variance_w": "sigma2",
    "T": "temperature",
}
#: Where such a word has another meaning.
ALLOWED = {
    "checks.py Diverged.__init__.step": "number of the step",
    "checks.py still_finite.step": "number of the step",
    "kernels/function_space.py UnstableStepSize.__init__.step": "number of the step",
    "plotting.py theory_and_simulation.every": "draws each so many points",
    "race/pathways.py PathwayTrajectory.epochs": "epochs done at each record",
}


def signatures(tree):
    """Every public function, method and dataclass field: qualified name, arguments in order, how many are required."""

    def walk(body, prefix=""):
        for node in body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                fields = [b.target.id for b in node.body if isinstance(b, ast.AnnAssign)]
                yield f"{prefix}{node.name}", node, fields
                yield from walk(node.body, f"{prefix}{node.name}.")
            elif isinstance(node, ast.FunctionDef) and (
                node.name == "__init__" or not node.name.startswith("_")
            ):
                a = node.args
                yield f"{prefix}{node.name}", node, [x.arg for x in a.posonlyargs + a.args + a.kwonlyargs]

    return list(walk(tree.body))


@functools.cache
def everything():
    return [
        (path.relative_to(ROOT / "gdln").as_posix(), *found)
        for path in MODULES
        for found in signatures(ast.parse(path.read_text(encoding="utf-8")))
    ]


def positional(node):
    """Names of the required positional arguments and of the others."""
    args = [a.arg for a in node.args.posonlyargs + node.args.args if a.arg not in ("self", "cls")]
    n = len(args) - len(node.args.defaults)
    return args[:n], args[n:] + [a.arg for a in node.args.kwonlyargs]


def test_no_signature_uses_a_replaced_spelling():
    found = {
        f"{path} {name}.{word}": REPLACED[word]
        for path, name, _, words in everything()
        for word in words
        if word in REPLACED
    }
    assert found.keys() == ALLOWED.keys(), found


def test_every_replaced_spelling_is_told_in_the_table():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    table = text.split("## Words")[1].split("\n## ")[0]
    rows = [line.split("|")[1:-1] for line in table.splitlines() if line.startswith("| `")]
    told = {word for row in rows for word in re.findall(r"`(\w+)`", row[0])}
    assert {w for new in REPLACED.values() for w in new.split(" or ") if " " not in w} <= told | {"lrs"}


def test_times_of_a_run_come_last_of_the_required_arguments():
    wrong = []
    for path, name, node, words in everything():
        if "times" not in words or not isinstance(node, ast.FunctionDef) or path == "checks.py":
            continue
        required, optional = positional(node)
        if name == "half_time":  # of a curve, whose points are (times, values)
            assert required == ["times", "values"]
        elif required[-1:] != ["times"]:
            wrong.append(f"{path} {name}({', '.join(required + optional)})")
    assert not wrong


def test_time_is_the_first_argument_of_a_closed_form():
    wrong = [
        f"{path} {name}"
        for path, name, node, words in everything()
        if "t" in words and isinstance(node, ast.FunctionDef) and path != "checks.py" and words[0] != "t"
    ]
    assert not wrong


def test_sources_of_randomness_are_named_after_their_kind():
    """A parameter's docstring says which generator it is; a Generator is ``rng``, a torch.Generator ``generator``."""
    wrong = []
    for path, name, node, _ in everything():
        doc = ast.get_docstring(node) or ""
        for word, kind in re.findall(r"^(\w+) : ([\w.]*Generator)\b", doc, flags=re.M):
            if (word, kind) not in (("rng", "numpy.random.Generator"), ("generator", "torch.Generator")):
                wrong.append(f"{path} {name}: {word} : {kind}")
    assert not wrong


@pytest.mark.parametrize("path", MODULES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_no_module_makes_a_generator_of_its_own(path):
    """Only the examples in docstrings do, scikit-learn's ``random_state``, and a command, which nobody hands one."""
    made = [
        ast.unparse(node)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func).split(".")[-1] in ("default_rng", "manual_seed", "RandomState", "seed")
    ]
    allowed = {"gdln/renormalization/estimator.py", "gdln/diagnosis/__main__.py"}
    assert not made or path.relative_to(ROOT).as_posix() in allowed


def test_options_are_spelt_with_underscores():
    """Defaults and the names in ``{...}`` of docstrings: ``mean_field``, never ``mean-field``."""
    wrong = []
    for path, name, node, _ in everything():
        texts = re.findall(r"^\w+ : (\{.*?\})", ast.get_docstring(node) or "", flags=re.M)
        if isinstance(node, ast.FunctionDef):
            defaults = [d for d in node.args.defaults + node.args.kw_defaults if d is not None]
            texts += [
                ast.unparse(d) for d in defaults if isinstance(d, ast.Constant) and isinstance(d.value, str)
            ]
        options = [
            option
            for text in texts
            for option in re.findall(r"[\"']([^\"']*)[\"']", text)
            if " " not in option
        ]
        wrong += [f"{path} {name}: {o}" for o in options if not re.fullmatch(r"\w[\w.]*", o)]
    assert not wrong


def test_no_two_classes_share_a_name():
    owners = {}
    for path, name, node, _ in everything():
        if isinstance(node, ast.ClassDef):
            owners.setdefault(name, []).append(path)
    assert not {name: paths for name, paths in owners.items() if len(paths) > 1}


def returned_class(node):
    """First word of the type in the section Returns."""
    doc = ast.get_docstring(node) or ""
    part = re.search(r"^Returns\n-+\n(?:\w+ : )?([\w.]+)", doc, flags=re.M)
    return part.group(1).split(".")[-1] if part else None


def test_solve_returns_a_result_and_simulate_a_trajectory():
    classes = {name for _, name, node, _ in everything() if isinstance(node, ast.ClassDef)}
    wrong = []
    for path, name, node, _ in everything():
        last = name.split(".")[-1]
        if not isinstance(node, ast.FunctionDef) or not re.match(r"(solve|simulate)(_|$)", last):
            continue
        kind = returned_class(node)
        if kind not in classes or last.startswith("simulate") and not kind.endswith("Trajectory"):
            wrong.append(f"{path} {name} returns {kind}")
    assert not wrong


def test_a_run_that_diverges_raises_one_exception():
    """No module raises a bare FloatingPointError but where float64 cannot hold an input."""
    bare = [
        f"{path.relative_to(ROOT).as_posix()}: {ast.unparse(node)[:70]}"
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Raise)
        and node.exc is not None
        and ast.unparse(node.exc).startswith(("FloatingPointError", "OverflowError", "ArithmeticError"))
        and "need" not in ast.unparse(node.exc)
    ]
    assert not bare

import functools
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gdln import fingerprint


@dataclass
class Setting:
    width: int
    labels: np.ndarray


class Line:
    def __init__(self, slope):
        self.slope = slope

    def __call__(self, x):
        return self.slope * x


DIFFERENT = [
    lambda: None,
    lambda: 1,
    lambda: True,
    lambda: 1.0,
    lambda: "1",
    lambda: b"1",
    lambda: -0.0,
    lambda: 0.0,
    lambda: np.float32(1),
    lambda: [1, 2],
    lambda: (1, 2),
    lambda: [1, [2]],
    lambda: [[1], 2],
    lambda: ["ab", "c"],
    lambda: ["a", "bc"],
    lambda: {"a": 1, "b": 2},
    lambda: {"a": 2, "b": 1},
    lambda: {1, 2},
    lambda: np.arange(4.0),
    lambda: np.arange(4.0, dtype=np.float32),
    lambda: np.arange(4.0).reshape(2, 2),
    lambda: np.arange(4.0)[::-1],
    lambda: np.array(["a", "b"]),
    lambda: np.array(["a", None], dtype=object),
    lambda: pd.DataFrame({"a": [1.0, 2.0]}),
    lambda: pd.DataFrame({"b": [1.0, 2.0]}),
    lambda: pd.Series([1.0, 2.0]),
    lambda: Setting(3, np.zeros(2)),
    lambda: Setting(3, np.ones(2)),
    lambda: Line(1.0),
    lambda: Line(2.0),
    lambda: Line,
    lambda: Setting,
    lambda: Path("a"),
    lambda: np.random.default_rng(0),
    lambda: np.random.default_rng(1),
    lambda: np.sin,
    lambda: np.cos,
    lambda: len,
    lambda: functools.partial(pow, 2),
    lambda: functools.partial(pow, 3),
]


def test_values_that_differ_have_different_fingerprints_and_equal_ones_the_same():
    first, second = ([fingerprint.content(make()) for make in DIFFERENT] for _ in range(2))
    assert first == second and len(set(first)) == len(DIFFERENT)


def test_order_counts_in_sequences_and_not_in_mappings_and_sets():
    assert fingerprint.content({"a": 1, "b": 2}) == fingerprint.content({"b": 2, "a": 1})
    assert fingerprint.content({"x", "y", "z"}) == fingerprint.content({"z", "y", "x"})
    assert fingerprint.content([1, 2]) != fingerprint.content([2, 1])
    A = np.arange(6.0).reshape(2, 3)
    assert fingerprint.content(A) == fingerprint.content(np.asfortranarray(A))


def test_shared_and_recursive_values_are_followed():
    a = [1.0]
    assert fingerprint.content([a, a]) == fingerprint.content([[1.0], [1.0]])
    loop, other = [1], [2]
    loop.append(loop)
    other.append(other)
    assert fingerprint.content(loop) != fingerprint.content(other)


def test_tensors_count_by_their_numbers():
    torch = pytest.importorskip("torch")
    one, two = torch.ones(3), torch.ones(3, requires_grad=True)
    assert fingerprint.content(one) == fingerprint.content(two) != fingerprint.content(2 * one)


def test_what_cannot_be_looked_into_is_refused_by_name():
    with pytest.raises(TypeError, match="fixed needs values whose content can be compared, got .*lock"):
        fingerprint.content({"lock": threading.Lock()}, "fixed")
    with pytest.raises(TypeError, match="function needs a function, got int 3"):
        fingerprint.code(3)


def test_comments_docstrings_and_places_do_not_count_but_constants_defaults_and_closures_do():
    def function(text, **scope):
        scope["__name__"] = "typed_in"
        exec(text, scope)
        return fingerprint.code(scope["f"])

    plain = function("def f(x): return x + 1")
    assert plain == function("\n\ndef f(x):\n    'Docs.'\n    # why\n    return x + 1")
    assert plain != function("def f(x): return x + 2")
    assert plain != function("def f(y): return y + 1")
    assert plain != function("def f(x, n=1): return x + n")
    assert function("def f(x, n=1): return x + n") != function("def f(x, n=2): return x + n")
    assert function("def f(x): return x + C", C=1) != function("def f(x): return x + C", C=2)
    assert function("def f(x): return 'a'") != function("def f(x): return 'b'")
    nested = "def f(x): return [y + C for y in x]"
    assert function(nested, C=1) != function(nested, C=2)
    helper = "def g(x): return {} * x\ndef f(x): return g(x)"
    assert function(helper.format(2)) != function(helper.format(3))
    method = "class A:\n    def g(self, x): return {} * x\ndef f(x): return A().g(x)"
    assert function(method.format(2)) != function(method.format(3))
    loop = "def f(x): return f(x - 1) if x else {}"
    assert function(loop.format(2)) == function(loop.format(2)) != function(loop.format(3))


def test_methods_partials_and_objects_count_with_what_they_hold():
    def power(n, x):
        return x**n

    codes = [fingerprint.code(f) for f in (functools.partial(power, 2), functools.partial(power, 3), power)]
    codes += [fingerprint.code(f) for f in (Line(1.0), Line(2.0), Line(1.0).__call__, Line)]
    assert len(set(codes)) == len(codes)
    assert fingerprint.code(Line(1.0)) == fingerprint.code(Line(1.0))


def test_fingerprints_are_the_same_in_another_process():
    code = (
        "from gdln import fingerprint as f; import numpy as np;"
        "print(f.content({'a': {'x', 'y'}, 'b': np.arange(3)}), f.library(), f.code(lambda a: {'b': a}))"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": seed, **ENV},
        ).stdout
        for seed in "12"
    }
    assert len(found) == 1


ENV = {"PYTHONPATH": str(Path(fingerprint.__file__).resolve().parent.parent)}


def test_a_script_has_the_name_of_its_file_however_it_is_started(tmp_path):
    script = tmp_path / "make_it.py"
    script.write_text(
        "from gdln import fingerprint\ndef f(): pass\nprint(fingerprint.name(f), fingerprint.code(f))"
    )
    runs = [
        subprocess.run(
            [sys.executable, *arguments], capture_output=True, text=True, check=True, cwd=tmp_path, env=ENV
        )
        for arguments in (["make_it.py"], [str(script)], ["-c", "import make_it"])
    ]
    assert len({run.stdout for run in runs}) == 1 and runs[0].stdout.startswith("make_it.f ")

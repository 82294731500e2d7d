"""The walk: every public function of the library refuses bad input by the argument's name, and at once.

:func:`over` makes the tests of some modules from a good call of each of their functions; the good calls stand in the
files ``test_entrances_*``. A function, an argument or a module that nobody named fails here.
"""

import contextlib
import copy
import dataclasses
import faulthandler
import importlib
import inspect
import pkgutil
import re
import signal
import threading
from itertools import zip_longest
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import gdln
from gdln import checks

#: Seconds that a call may compute, which a loaded machine does not shorten, and wait.
COMPUTING, WAITING = 5.0, 60.0
PASSED, NOT_FINITE = " passed", " gave NaN or infinity"
#: Modules that are not walked, with the reason.
NOT_WALKED = {
    "gdln.checks": "the checks themselves",
    "gdln.diagnosis.__main__": "a command, refused in words by its own tests",
    "gdln.optional": "its words are the library's own",
    "gdln.nets.devices": "takes what checked functions hand it, in their inner loops",
    "gdln.kernels.spectrum": "takes the kernels that checked functions hand it, in their inner loops",
    "gdln.renormalization.covariance": "what saddle, which is walked, asks of a kernel at every step",
    "gdln.renormalization.descent": "its public face is saddle, which is walked",
    "gdln.renormalization.proposals": "its public face is importance in posterior, which is walked",
}
#: Where None is an answer of its own.
OPTIONAL = {"X2", "fan_in", "z2", "F0", "F0_test", "test_kernel", "stop_below", "test_nngp", "lr",
            "batches", "part", "b0"}  # fmt: skip
INFINITE = {"d", "t", "times"}
SIGNED = {"stop_below", "rate", "level"}
#: Taken element by element, in any shape.
ELEMENTWISE = {"q", "q11", "q12", "q22", "h", "b", "S", "d", "b0", "t"}


def bad_values(name, good):
    """Values that an argument cannot have, made from a good one."""
    yield object()
    if name not in OPTIONAL:
        yield None
    if isinstance(good, np.ndarray):
        for value in (np.nan, np.inf, -np.inf):
            if value == np.inf and name in INFINITE:
                continue
            broken = np.array(good, dtype=float)
            broken.flat[-1] = value
            yield broken
        yield from ("text", np.full(good.shape, "a"), np.empty((0,) * good.ndim), good + 1j)
        yield torch.full(good.shape, np.nan)
        if good.ndim in (1, 2):
            yield as_pandas(np.full(good.shape, np.nan))
        if name not in ELEMENTWISE:
            yield good[..., None, None, None]
        if good.ndim > 1 and name not in ELEMENTWISE:
            yield good[0, 0]
            yield [[1.0], [1.0, 2.0]]
    elif isinstance(good, torch.Tensor):
        for value in (np.nan, np.inf, -np.inf):
            if good.is_floating_point():
                broken = good.clone()
                broken.view(-1)[-1] = value
                yield broken
        yield from ("text", np.full(good.shape, "a"), torch.empty((0,) * good.ndim), good + 1j)
        yield from (good[..., None, None, None], [[1.0], [1.0, 2.0]])
    elif isinstance(good, bool):
        yield from ("no", 2, np.ones(2))
    elif isinstance(good, int | float):
        yield from (np.nan, -np.inf, "3", [1.0, 2.0], np.ones(2), 1j)
        if name not in INFINITE:
            yield np.inf
        if name not in SIGNED:
            yield -1
        if isinstance(good, int) and name not in ("fan_in",):
            yield from (2.5, 2.0, True, -(10**30))
    elif isinstance(good, str):
        yield from ("nonsense", 3, np.ones(2))
    elif isinstance(good, list | tuple):
        yield from (
            [np.nan] * len(good),
            ["a"] * len(good),
            [],
            3 * good[:1] if name != "batches" else good[:1],
        )
    elif isinstance(good, dict):
        yield from (3, "text", [1.0])
        for key, value in good.items():
            yield {k: v for k, v in good.items() if k != key}
            yield from ({**good, key: broken} for broken in (None, "text", *not_finite(value)))
    elif isinstance(good, np.random.Generator):
        yield from (0, np.random, torch.Generator())
    elif isinstance(good, torch.Generator):
        yield from (0, torch, np.random.default_rng(0))
    else:
        yield from (3, "text", np.ones(2))


def not_finite(value):
    """The same array with a NaN, and with an infinity."""
    if isinstance(value, torch.Tensor) and value.is_floating_point():
        value = value.numpy()
        yield from (torch.from_numpy(broken) for broken in not_finite(value))
    elif isinstance(value, np.ndarray) and value.dtype.kind == "f" and value.size:
        for number in (np.nan, np.inf):
            broken = value.copy()
            broken.flat[-1] = number
            yield broken


def broken_records(good):
    """Records with a NaN or an infinity in one of their arrays, where the record itself takes them."""
    for field in dataclasses.fields(good):
        for broken in not_finite(getattr(good, field.name)):
            with contextlib.suppress(TypeError, ValueError):
                yield dataclasses.replace(good, **{field.name: broken})


def odd_values(good):
    """Values that may be right or wrong: arrays shorter than the others, records broken where nobody looks."""
    if dataclasses.is_dataclass(good):
        yield from broken_records(good)
    if isinstance(good, np.ndarray | torch.Tensor):
        for axis in range(good.ndim):
            if good.shape[axis] > 1:
                shorter = good[(slice(None),) * axis + (slice(-1),)]
                yield shorter.copy() if isinstance(good, np.ndarray) else shorter.clone()


class Late(BaseException):
    """A call took too long; not an Exception, so that nothing on the way can catch it."""


@contextlib.contextmanager
def alarm(computing=COMPUTING, waiting=WAITING):
    """Raise :class:`Late` in a call that takes too long, and end the process in one that stays in C."""

    def ring(*_):
        raise Late

    timers = ((signal.SIGPROF, signal.ITIMER_PROF, computing), (signal.SIGALRM, signal.ITIMER_REAL, waiting))
    before = [signal.signal(number, ring) for number, *_ in timers]
    faulthandler.dump_traceback_later(2 * waiting, exit=True)
    for _, timer, seconds in timers:
        signal.setitimer(timer, seconds)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
        for (number, timer, _), handler in zip(timers, before, strict=True):
            signal.setitimer(timer, 0)
            signal.signal(number, handler)


def public(modules):
    """Functions and classes that modules define for others, as pairs of module and name."""
    return {
        (module.__name__, name)
        for module in modules
        for name, thing in inspect.getmembers(module)
        if not name.startswith("_")
        and (inspect.isroutine(thing) or inspect.isclass(thing) or hasattr(thing, "__wrapped__"))
        and thing.__module__ == module.__name__
    }


def name_of(function):
    """Module and name of a function."""
    return f"{function.__module__.split('.')[-1]}.{function.__qualname__}"


def faults(function, good):
    """What goes wrong where one argument of a good call is bad: one line a fault."""
    with alarm():
        never_finite = not finite(function(**good))
    wrong = []
    for name in good:
        for bad in bad_values(name, good[name]):
            if said := fault(function, {**good, name: bad}, called(name, good[name])):
                if never_finite and said == NOT_FINITE:
                    said = PASSED
                wrong.append(f"{name} = {shown(bad)}{said}")
        for odd in odd_values(good[name]):
            fields = (
                [field.name for field in dataclasses.fields(odd)] if dataclasses.is_dataclass(odd) else []
            )
            if said := fault(function, {**good, name: odd}, {*good, *fields, "x"}):
                if said not in (PASSED, never_finite and NOT_FINITE):
                    wrong.append(f"{name} = {shown(odd)}, odd,{said}")
    return wrong


def called(name, good):
    """Words in a message that tell an argument: its name, a key in it, and what a network calls its inputs."""
    return {
        name,
        *(k for k in (good if isinstance(good, dict) else ()) if isinstance(k, str)),
        *({"x"} if name == "X" else ()),
    }


def shown(value):
    """A value in a line; of a record what is not finite in it."""
    if not dataclasses.is_dataclass(value):
        return repr(value)
    broken = [k for k, v in vars(value).items() if not all(np.isfinite(x).all() for x in numbers(v))]
    return f"{type(value).__name__} with {' and '.join(broken) or 'nothing'} not finite"


def fault(function, arguments, names):
    """What is wrong about a call with a bad argument; nothing where it is refused by one of some names."""
    try:
        with alarm():
            result = function(**arguments)
    except Late:
        return f" took more than {COMPUTING} seconds"
    except (TypeError, ValueError, FloatingPointError) as error:
        named = any(re.search(rf"(?<!\w){name}(?!\w)", str(error)) for name in names)
        return None if named else f": said {error}"
    except Exception as error:
        return f": {type(error).__name__} {error}"
    return PASSED if finite(result) else NOT_FINITE


def finite(result):
    return all(np.isfinite(x).all() for x in numbers(result) if np.asarray(x).dtype.kind in "fc")


def strided(a):
    if isinstance(a, torch.Tensor):
        return a.repeat_interleave(2, dim=-1)[..., ::2]
    wide = np.repeat(a, 2, axis=-1)
    return wide[..., ::2]


def read_only(a):
    if isinstance(a, torch.Tensor):
        return a.clone()
    a = np.array(a)
    a.flags.writeable = False
    return a


def as_list(a):
    return a.tolist()


def as_other(a):
    """A tensor for an array, an array for a tensor."""
    return a.numpy().copy() if isinstance(a, torch.Tensor) else torch.tensor(a)


def as_pandas(a):
    a = a.numpy() if isinstance(a, torch.Tensor) else a
    return {1: pd.Series, 2: pd.DataFrame}.get(a.ndim, np.array)(a)


def single(a):
    if isinstance(a, torch.Tensor):
        return a.float() if a.is_floating_point() else a
    return a.astype(np.float32) if a.dtype.kind == "f" else a


def whole(a):
    if isinstance(a, torch.Tensor):
        return a.round().long()
    return np.rint(a).astype(np.int32)


#: Beginnings of what :func:`outcome` says of a refused call.
REFUSALS = ("TypeError: ", "ValueError: ", "Diverged: ")
FORMS = (strided, read_only, as_list, as_other, as_pandas, single, whole)


def in_another_form(value, form):
    """A value with the arrays and tensors in it in another form."""
    if isinstance(value, np.ndarray | torch.Tensor) and not isinstance(value, torch.nn.Parameter):
        return form(value) if value.ndim else value
    if isinstance(value, list | tuple):
        return type(value)(in_another_form(v, form) for v in value)
    if isinstance(value, dict):
        return {k: in_another_form(v, form) for k, v in value.items()}
    return value


def plain(form):
    """What a form does to the numbers alone: arrays and tensors of the type that they had, arrays not to be changed."""

    def numbers_of(a):
        if form not in (single, whole):
            return a.clone() if isinstance(a, torch.Tensor) else read_only(a)
        if isinstance(a, torch.Tensor):
            return form(a).to(a.dtype)
        return read_only(form(a).astype(a.dtype))

    return numbers_of


def differences(function, good):
    """What another form of the same numbers changes: one line a fault. Every call takes a copy of the good one."""
    wrong, expected = [], None
    for form in FORMS:
        if expected is None or form in (single, whole):
            start, again = (in_another_form(copy.deepcopy(good), plain(form)) for _ in range(2))
            expected = outcome(function, start)
            if not same(start, again):
                wrong.append("changed its arguments")
            if form is strided and not any(has_numbers(value) for value in start.values()):
                return wrong
        got = outcome(function, in_another_form(copy.deepcopy(good), form))
        if isinstance(got, list) and isinstance(expected, list):
            far = [(a, b) for a, b in zip_longest(expected, got) if not close(a, b)]
            wrong += [f"{form.__name__}: {b!r} instead of {a!r}" for a, b in far[:1]]
        elif not (isinstance(got, str) and got.startswith(REFUSALS)):
            wrong.append(f"{form.__name__}: {got} instead of {expected}")
        elif isinstance(expected, list):
            # what is documented as a tensor may be asked for as one, or in the type of the others, by name
            tensors = [k for k, v in start.items() if any(isinstance(x, torch.Tensor) for x in flat(v))]
            if form is strided or not any(re.search(rf"(?<!\w)(?i:{name})(?!\w)", got) for name in tensors):
                wrong.append(f"{form.__name__}: {got}")
    return wrong


def close(a, b):
    if a is None or b is None:
        return False
    a, b = np.asarray(a), np.asarray(b)
    rtol = 1e-5 if np.float32 in (a.dtype, b.dtype) else 1e-9
    return a.shape == b.shape and np.allclose(b, a, rtol=rtol, atol=1e-3 * rtol, equal_nan=True)


def outcome(function, arguments):
    """Numbers in the result of a call, or the words with which it was refused."""
    try:
        with alarm():
            return numbers(function(**arguments))
    except Late:
        return f"more than {COMPUTING} seconds"
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def flat(value):
    """Everything in lists, tuples and dictionaries."""
    if isinstance(value, list | tuple | dict):
        return [x for part in (value.values() if isinstance(value, dict) else value) for x in flat(part)]
    return [value]


def has_numbers(value):
    return any(isinstance(x, np.ndarray | torch.Tensor) for x in flat(value))


def same(a, b):
    """Whether two sets of arguments hold the same arrays and tensors."""
    return all(
        type(x) is type(y) and x.shape == y.shape and bool(((x == y) | ((x != x) & (y != y))).all())
        for x, y in zip(flat(a), flat(b), strict=True)
        if isinstance(x, np.ndarray | torch.Tensor) and not isinstance(x, torch.nn.Parameter)
    )


def numbers(result, seen=()):
    """All numbers in a result, in the order of its parts."""
    if isinstance(result, torch.nn.Module):
        return [parameter.detach().cpu().numpy() for parameter in result.parameters()]
    if isinstance(result, torch.Tensor):
        return [result.detach().cpu().numpy()]
    if isinstance(result, np.ndarray):
        return [result] if result.dtype.kind in "biufc" else []
    if isinstance(result, bool | int | float | np.number | np.bool_):
        return [result]
    if isinstance(result, list | tuple | dict):
        return [
            x
            for part in (result.values() if isinstance(result, dict) else result)
            for x in numbers(part, seen)
        ]
    if type(result).__module__.startswith("gdln") and not any(result is other for other in seen):
        # a run that tells its own seconds tells others every time
        parts = [part for name, part in vars(result).items() if name != "seconds"]
        return [x for part in parts for x in numbers(part, (*seen, result))]
    return []


def over(modules, calls, apart=(), right=None):
    """The tests of the walk over modules, for a file to give names to.

    ``calls`` makes a good call of every public function, arguments by name; ``apart`` are names of records, which keep
    what they are given; ``right`` tells by function what comes of a value that is bad elsewhere and right here, as
    beginnings of lines of :func:`faults`. Every call stands in an empty folder.
    """
    functions = [vars(module)[name] for module in modules for _, name in public([module])]
    functions = sorted((f for f in functions if f.__name__ not in apart), key=name_of)
    right = right or {}
    assert set(right) <= set(map(name_of, functions)), "no such function"

    def settle(folder, monkeypatch):
        monkeypatch.chdir(folder)  # a text may name a file
        monkeypatch.setenv("GDLN_RESULTS", str(folder))

    @pytest.mark.parametrize("function", functions, ids=name_of)
    def refused(function, tmp_path, monkeypatch, capfd):
        settle(tmp_path, monkeypatch)
        good = calls()[function]
        missing = {
            p.name for p in inspect.signature(function).parameters.values() if p.kind is not p.VAR_KEYWORD
        } - set(good)
        assert not missing, f"no good value of {missing}"
        with capfd.disabled():  # where the alarm ends the process, its last words are to be seen
            lines = faults(function, good)
        excused = right.get(name_of(function), ())
        wrong = [line for line in lines if not line.startswith(tuple(excused))]
        wrong += [
            f"nothing says {said}" for said in excused if not any(line.startswith(said) for line in lines)
        ]
        assert not wrong, "\n".join(wrong)

    @pytest.mark.parametrize("function", functions, ids=name_of)
    def same_in_other_forms(function, tmp_path, monkeypatch, capfd):
        settle(tmp_path, monkeypatch)
        with capfd.disabled():
            wrong = differences(function, calls()[function])
        assert not wrong, "\n".join(wrong)

    return refused, same_in_other_forms


def walked():
    """Modules that the files of this walk name."""
    files = sorted(Path(__file__).parent.glob("test_entrances_*.py"))
    found = (getattr(importlib.import_module(f"tests.{f.stem}"), "MODULES", ()) for f in files)
    return [module.__name__ for modules in found for module in modules]


def test_every_module_of_the_library_is_walked_once_or_named_apart():
    found = [name for _, name, package in pkgutil.walk_packages(gdln.__path__, "gdln.") if not package]
    assert sorted([*walked(), *NOT_WALKED]) == sorted(found)


def test_the_alarm_ends_a_call_that_computes_and_one_that_waits():
    def compute():
        while True:
            pass

    for endless in (compute, threading.Event().wait):
        with pytest.raises(Late), alarm(computing=0.1, waiting=0.2):
            endless()
    assert signal.getitimer(signal.ITIMER_PROF) == signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def scaled(x, factor):
    return checks.array("x", x, ndim=1) * factor


def doubled(x):
    x *= 2
    return x


def test_the_walk_sees_what_passes_what_is_not_finite_and_what_says_no_name():
    lines = faults(scaled, {"x": np.ones(2), "factor": 2.0})
    assert "factor = -1 passed" in lines
    assert "factor = nan gave NaN or infinity" in lines
    assert any(line.startswith("factor = '3': ") for line in lines)
    assert not any(line.startswith("x = ") for line in lines)


def test_the_walk_sees_changed_arguments_and_forms_that_are_refused_or_taken_for_other_numbers():
    def first_digit(x):
        return np.float64(str(x).strip("[(")[0])

    assert any("read-only" in line for line in differences(doubled, {"x": np.ones(2)}))
    assert differences(first_digit, {"x": np.array([1.0, 25.0])})
    assert not differences(scaled, {"x": np.array([1.0, 2.5]), "factor": 2.0})

"""Everything on torch runs on the device that is named: on the CPU as before, on another one with the same numbers.

The walk takes its calls from the files ``test_entrances_*``, so that a function with ``device`` enters by itself. A
pretended card (:mod:`tests.pretend`) finds what stays behind; where a real one is, it is asked too.
"""

import contextlib
import copy
import functools
import importlib
import inspect
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch

from gdln.alignment import rules
from tests import test_entrances as walk
from tests.pretend import CARD, pretended
from tests.test_floors import FILES, name_of

# chains of eight steps, which say that they are too short
pytestmark = pytest.mark.filterwarnings("ignore::gdln.renormalization.chains.SamplingWarning")

#: Modules that compute with torch, and those that do where a device is named.
IMPORTING = {name for name, path in FILES.items() if "\nimport torch\n" in path.read_text(encoding="utf-8")}
ASKED = {
    name for name, path in FILES.items() if "checks.torch_device(" in path.read_text(encoding="utf-8")
} - IMPORTING
ON_TORCH = IMPORTING | ASKED
#: What draws or makes tensors and has no ``device``, with where they go.
FOLLOWING = {
    "rules.train": "where the learner's weights lie",
    "known.Gain": "where the layer's weights lie",
    "known.langevin": "where the model's weights lie",
}


def entries():
    """Every function, class and method on torch that the walk calls: home, module of tests, key, parameters."""
    found = {}
    for file in sorted(Path(__file__).parent.glob("test_entrances_*.py")):
        module = importlib.import_module(f"tests.{file.stem}")
        walked = {name_of(Path(m.__file__)) for m in getattr(module, "MODULES", ())}
        if not hasattr(module, "calls") or walked and not walked & ON_TORCH:
            continue
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):  # some calls come with files
            calls = module.calls()
        for key, good in calls.items():
            # functions stand for themselves, methods have a name and are handed out with their arguments
            named = isinstance(key, str)
            function = good[0] if named else key
            home = getattr(function, "__module__", type(function).__module__).removeprefix("gdln.")
            if home in ON_TORCH:
                parameters = inspect.signature(function).parameters
                found[key if named else walk.name_of(key)] = (home, module, key, parameters)
    return found


ENTRIES = entries()
WITH_DEVICE = [name for name, (*_, parameters) in ENTRIES.items() if "device" in parameters]
#: Those that make a network or data; the others take a network.
MAKING = [name for name in WITH_DEVICE if ENTRIES[name][-1]["device"].default == "cpu"]


@pytest.fixture(autouse=True)
def a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GDLN_RESULTS", str(tmp_path))


@functools.cache
def good_calls(module):
    """The good calls of a file of the walk, made once; what uses one takes a copy."""
    return module.calls()


def call(name):
    """The function of an entry, and the arguments of its good call, new at every time."""
    _, module, key, _ = ENTRIES[name]
    good = copy.deepcopy(good_calls(module)[key])
    return good if isinstance(key, str) else (key, good)


def tensors(result, seen=()):
    """All tensors in a result, those of networks included."""
    if isinstance(result, torch.nn.Module):
        return list(result.parameters())
    if isinstance(result, torch.Tensor):
        return [result]
    if isinstance(result, list | tuple | dict):
        parts = result.values() if isinstance(result, dict) else result
        return [x for part in parts for x in tensors(part, seen)]
    if type(result).__module__.startswith("gdln") and not any(result is other for other in seen):
        return [x for part in vars(result).values() for x in tensors(part, (*seen, result))]
    return []


def on(device, value):
    """The networks in a value, with all that they know, on a device; anything else as it is."""
    if isinstance(value, list | tuple):
        return type(value)(on(device, part) for part in value)
    if isinstance(value, torch.nn.Module):
        return copy.deepcopy(value).to(device)
    if isinstance(value, rules.Learner):
        value = copy.copy(value)
        value.network = on(device, value.network)
        value.initial = [W.to(device) for W in value.initial]
        value.feedback = value.feedback and [W.to(device) for W in value.feedback]
    elif hasattr(value, "draw_feedback"):
        value = copy.copy(value)
        value.weights = [W.to(device) for W in value.weights]
    return value


def numbers_of(name, device=None):
    """Numbers that an entry's good call gives: as it is without a device, else on that device."""
    function, good = call(name)
    if "device" in good:
        good = {key: value for key, value in good.items() if key != "device"}
        if device is not None:
            good["device"] = device
    elif device is not None:
        good = {key: on(device, value) for key, value in good.items()}
    return walk.numbers(function(**good))


def close(expected, found):
    """Refuse numbers that differ by more than sums in another order do, in a few steps of small networks."""
    assert len(found) == len(expected)
    for a, b in zip(expected, found, strict=True):
        rtol = 1e-4 if np.float32 in (np.asarray(a).dtype, np.asarray(b).dtype) else 1e-9
        np.testing.assert_allclose(b, a, rtol=rtol, atol=rtol)


def same(name, expected, found):
    """Refuse numbers that differ in a bit, or more than by rounding where NumPy computes unless a device is named."""
    if ENTRIES[name][0] in ASKED:
        return close(expected, found)
    assert len(found) == len(expected)
    for a, b in zip(expected, found, strict=True):
        np.testing.assert_array_equal(b, a)


def test_the_walk_meets_every_part_that_computes_with_torch():
    missed = ON_TORCH - {home for home, *_ in ENTRIES.values()}
    assert missed == {"nets.devices", "diagnosis.__main__"}
    assert len(MAKING) > 15 and len(WITH_DEVICE) - len(MAKING) > 5


def test_what_draws_or_makes_tensors_takes_a_device():
    """Whoever takes a torch.Generator or a dtype says where tensors go, by ``device`` or by the network it gets."""
    making = {"generator", "generators", "dtype"}
    silent = {name for name, (*_, given) in ENTRIES.items() if making & set(given) and "device" not in given}
    assert silent == FOLLOWING.keys()


def test_device_is_the_last_keyword_and_its_default_the_cpu_or_where_the_weights_lie():
    wrong = []
    for name in WITH_DEVICE:
        given = ENTRIES[name][-1]
        default = None if {"network", "model", "models", "draw"} & set(given) else "cpu"
        last = list(given)[-1] == "device" and given["device"].kind is inspect.Parameter.KEYWORD_ONLY
        if not last or given["device"].default != default:
            wrong.append(name)
    assert not wrong


@pytest.mark.parametrize("name", WITH_DEVICE)
def test_the_cpu_by_name_gives_the_numbers_of_no_name_to_the_bit(name):
    plain = numbers_of(name)
    for device in ("cpu", torch.device("cpu")):
        named = numbers_of(name, device)
        same(name, plain, named)


@pytest.mark.parametrize("name", ENTRIES)
def test_nothing_is_made_on_the_default_device(name):
    """A tensor made without a device would lie on meta, where nothing is computed."""
    expected = numbers_of(name)
    function, good = call(name)
    torch.set_default_device("meta")
    try:
        result = function(**good)
    finally:
        torch.set_default_device(None)
    assert all(x.device.type == "cpu" for x in tensors(result))
    same(name, expected, walk.numbers(result))


@pytest.mark.parametrize("name", ENTRIES)
def test_on_a_device_apart_the_numbers_are_the_same_and_nothing_stays_behind(name):
    expected = numbers_of(name)
    with pretended() as card:
        found = numbers_of(name, card)
    close(expected, found)


@pytest.mark.parametrize("name", WITH_DEVICE)
def test_what_is_made_lies_on_the_device_and_what_was_measured_comes_back(name):
    function, good = call(name)
    with pretended() as card:
        result = function(**good | {"device": card})
    made = name in MAKING or function is rules.Learner
    for x in tensors(result):
        # the noise waits where the generator lies, and trained routes are counted on the CPU
        waits = any(x is getattr(result, part, None) for part in ("noise", "mask"))
        assert (x.device == CARD) == (made and not waits)


@pytest.mark.parametrize("name", WITH_DEVICE)
def test_a_device_that_is_not_there_is_refused_with_those_that_are(name):
    for device in ("cuda:99", "meta", "nonsense"):
        function, good = call(name)
        words = f"^device needs one of the devices here, .*'cpu'.*, got '{device}'"
        with pytest.raises(ValueError, match=words):
            function(**good | {"device": device})


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a card")
@pytest.mark.parametrize("name", ENTRIES)
def test_a_card_gives_the_numbers_of_the_cpu_to_rounding(name):
    close(numbers_of(name), numbers_of(name, "cuda"))

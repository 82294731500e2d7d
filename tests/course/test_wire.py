"""Values cross the pipe as copies of plain types, and nothing else does."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from course import wire

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.complex_numbers() | st.text()
ARRAYS = hnp.arrays(
    st.sampled_from(["f8", "f4", "i8", "u1", "?", "c16", ">f8", "U3"]),
    hnp.array_shapes(min_dims=0, min_side=0),
)
KEYS = st.text() | st.integers() | st.tuples(st.integers(), st.booleans())
VALUES = st.recursive(
    SCALARS | ARRAYS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(KEYS, inner, max_size=4)
    ),
    max_leaves=12,
)


def across(value):
    """Return what arrives."""
    frame = wire.pack(value)
    tree, _ = wire.HEAD.unpack(frame[: wire.HEAD.size])
    rest = frame[wire.HEAD.size :]
    return wire.unpack(rest[:tree], rest[tree:])


def same(a, b):
    """Whether two values are equal in type, shape and every bit that counts."""
    if type(a) is not type(b):
        return False
    if isinstance(a, np.ndarray):
        return (
            a.shape == b.shape and a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind in "fc")
        )
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    return repr(a) == repr(b)


@settings(max_examples=60, deadline=None)
@given(VALUES)
def test_what_arrives_is_equal_to_what_was_sent(value):
    assert same(across(value), value)


@pytest.mark.parametrize(
    "scalar", [np.float64(0.1), np.float32(0.1), np.int64(3), np.bool_(True), np.complex128(1j)]
)
def test_numpy_scalars_keep_their_type(scalar):
    assert across(scalar) == scalar and type(across(scalar)) is type(scalar)


def test_an_array_that_arrives_is_a_copy_which_may_be_changed():
    sent = np.arange(6.0).reshape(2, 3).T
    came = across(sent)
    came[0, 0] = 7
    assert sent[0, 0] == 0 and np.array_equal(came[1:], sent[1:])


class Liar(float):
    """Says that it equals everything."""

    def __eq__(self, other):
        return True

    __hash__ = float.__hash__


class LyingArray(np.ndarray):
    """Says that it is close to everything."""

    def __array_function__(self, *_):
        return True


def test_a_value_of_a_class_of_its_own_arrives_as_the_plain_value_it_holds():
    assert type(across(Liar(2.0))) is float and across(Liar(2.0)) != 3
    assert type(across(np.zeros(2).view(LyingArray))) is np.ndarray


@pytest.mark.parametrize(
    "value",
    [object(), {1, 2}, np.array([object()]), lambda: 1, [iter([])], np.datetime64("2026-01-01"), b"x"],
)
def test_anything_else_is_refused_before_it_is_sent(value):
    with pytest.raises(wire.WireError, match="came where only|dtype"):
        wire.pack(value)


def test_too_large_too_many_and_too_deep_are_refused():
    with pytest.raises(wire.WireError, match="may have 64 MB"):
        wire.pack(np.zeros(wire.LIMIT // 8 + 1))
    with pytest.raises(wire.WireError, match="entries"):
        wire.pack([0] * wire.ENTRIES)
    nested = []
    for _ in range(wire.DEPTH + 1):
        nested = [nested]
    with pytest.raises(wire.WireError, match="deep"):
        wire.pack(nested)
    endless = []
    endless.append(endless)
    with pytest.raises(wire.WireError, match="deep"):
        wire.pack(endless)


@pytest.mark.parametrize(
    "tree",
    [
        {"array": ["<f8", [10**12], 8]},
        {"array": ["<f8", [-1], 8]},
        {"array": ["|O8", [1], 8]},
        {"array": ["<f8", [1], -8]},
        {"array": ["<f8", [True], 8]},
        {"scalar": ["<f8", [], 80]},
        {"array": 3},
        {"dict": [[[], 1]]},
        {"dict": [[{"list": []}, 1]]},
        {"complex": ["a", 1]},
        {"class": "os.system"},
        {"list": 3},
        [1],
        {},
    ],
    ids=str,
)
def test_a_forged_frame_is_refused_without_taking_memory(tree):
    with pytest.raises(wire.WireError):
        wire.unpack(json.dumps(tree).encode(), bytes(8))


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_random_bytes_are_refused_or_are_a_value_and_nothing_else_happens(tree, blob):
    try:
        wire.unpack(tree, blob)
    except wire.WireError:
        pass

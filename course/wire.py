"""Plain values over a pipe: what comes out at the other end is a copy, whatever was put in.

A frame is two lengths, a JSON tree and the bytes of its arrays. Nothing is unpickled, no class of the sender is
looked up, and every length is checked before memory is taken, so a frame may come from code that is not trusted.
"""

import json
import math
import re
import struct

import numpy as np

HEAD = struct.Struct(">IQ")
#: Bytes that a frame may have: an array of eight million numbers.
LIMIT = 64 * 2**20
#: Entries of nested lists and dictionaries, and how deep they may nest.
ENTRIES, DEPTH = 200_000, 40
PLAIN = re.compile(r"[<>|=][biufcU]\d{1,9}")
ALLOWED = "None, bool, int, float, complex, str, numpy arrays, and lists, tuples and dicts of these"


class WireError(ValueError):
    """A value cannot be sent, or what came is no value."""


def pack(value):
    """Return a value as the bytes of a frame.

    Raises
    ------
    WireError
        If it holds anything but plain values, or is too large.
    """
    blobs, room = [], [ENTRIES]
    tree = json.dumps(encode(value, blobs, room, DEPTH)).encode()
    size = sum(map(len, blobs))
    if len(tree) > LIMIT or size > LIMIT:
        raise WireError(f"a value may have {LIMIT // 2**20} MB, got {(len(tree) + size) / 2**20:.0f} MB")
    return HEAD.pack(len(tree), size) + tree + b"".join(blobs)


def encode(value, blobs, room, depth):
    """Return the JSON tree of a value, and add the bytes of its arrays to ``blobs``."""
    room[0] -= 1
    if room[0] < 0 or depth < 0:
        raise WireError(f"a value may have {ENTRIES} entries, nested {DEPTH} deep")
    if value is None or isinstance(value, (bool, str)):
        return value if value is None or isinstance(value, bool) else str(value)
    if isinstance(value, np.ndarray | np.generic):
        array = np.array(value, order="C", subok=False)
        if not PLAIN.fullmatch(array.dtype.str):
            raise WireError(
                f"an array of dtype {array.dtype} cannot be sent, only numbers, booleans and text"
            )
        blobs.append(array.tobytes())
        kind = "array" if isinstance(value, np.ndarray) else "scalar"
        return {kind: [array.dtype.str, list(array.shape), len(blobs[-1])]}
    if isinstance(value, int):
        if value.bit_length() > 4096:
            raise WireError("an int may have 4096 bits")
        return int(value)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, complex):
        return {"complex": [value.real, value.imag]}
    if isinstance(value, list | tuple):
        kind = "list" if isinstance(value, list) else "tuple"
        return {kind: [encode(item, blobs, room, depth - 1) for item in value]}
    if isinstance(value, dict):
        pairs = [
            [encode(key, blobs, room, depth - 1), encode(item, blobs, room, depth - 1)]
            for key, item in value.items()
        ]
        return {"dict": pairs}
    kind = f"{type(value).__module__}.{type(value).__name__}".removeprefix("builtins.")
    raise WireError(f"a {kind} came where only {ALLOWED} can")


def unpack(tree, blob):
    """Return the value of a frame's two parts, made of Python's and numpy's own types alone.

    Raises
    ------
    WireError
        If they are no value.
    """
    try:
        place = [0]
        return decode(json.loads(tree), blob, place)
    except WireError:
        raise
    except (ValueError, TypeError, KeyError, RecursionError, OverflowError) as fault:
        raise WireError(f"what came is no value: {fault}") from None


def decode(tree, blob, place):
    """Return the value of a JSON tree, whose next array begins at ``place`` in ``blob``."""
    if tree is None or isinstance(tree, (bool, int, float, str)):
        return tree
    if not isinstance(tree, dict) or len(tree) != 1:
        raise WireError("what came is no value")
    ((kind, content),) = tree.items()
    if kind in ("array", "scalar"):
        dtype, shape, size = content
        if not (isinstance(dtype, str) and PLAIN.fullmatch(dtype)):
            raise WireError("what came has an array of unknown dtype")
        dtype = np.dtype(dtype)
        if not all(type(n) is int and n >= 0 for n in [*shape, size]) or len(shape) > 32:
            raise WireError("what came has an array of unknown shape")
        data = blob[place[0] : place[0] + size]
        if len(data) != size or math.prod(shape) * dtype.itemsize != size:
            raise WireError("what came has an array whose bytes do not fill its shape")
        place[0] += size
        if dtype.itemsize == 0:
            return np.zeros(shape, dtype)
        array = np.frombuffer(data, dtype).reshape(shape).copy()
        return array if kind == "array" else array[()]
    if kind == "complex":
        return complex(*map(float, content))
    if kind in ("list", "tuple"):
        items = [decode(item, blob, place) for item in content]
        return items if kind == "list" else tuple(items)
    if kind == "dict":
        return {decode(key, blob, place): decode(item, blob, place) for key, item in content}
    raise WireError("what came is no value")

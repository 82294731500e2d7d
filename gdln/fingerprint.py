"""Fingerprints: short names of what decides a computed value, so that stored values are used only where they hold.

Two fingerprints are equal only if what they were taken of computes the same. The other way round there is no promise:
a line moved in the library gives new fingerprints, and what was stored under the old ones is computed again.
"""

import dataclasses
import dis
import functools
import hashlib
import numbers
import pickle
import platform
import sys
import sysconfig
import types
from collections.abc import Mapping, Set
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from gdln import checks, optional

_HOME = Path(__file__).resolve().parent
#: Packages whose versions belong to a computed value.
_PACKAGES = ("numpy", "scipy", "scikit-learn", "torch")
_INSTALLED = tuple(sysconfig.get_paths()[key] for key in ("stdlib", "platstdlib", "purelib", "platlib"))


def content(value, name="value"):
    """Fingerprint of a value: its type and everything in it.

    Parameters
    ----------
    value : object
        Numbers, text, arrays, tensors, tables, containers of these, functions, and objects that hold such attributes.
        The order of a dictionary or a set does not count, the type of a number does.
    name : str, optional
        Name of the argument, for the message.

    Returns
    -------
    fingerprint : str
        Hexadecimal, of 16 digits; the same in every process.

    Raises
    ------
    TypeError
        If something in it cannot be looked into, such as an open file or a lock.

    Examples
    --------
    >>> content({"a": 1, "b": [2.0]}) == content({"b": [2.0], "a": 1})
    True
    >>> content(1) == content(1.0)
    False
    """
    return _digest(_Walk(checks.instance("name", name, str)).parts(value))


def code(function):
    """Fingerprint of a function: what it computes, not how it is written.

    Its compiled code, defaults and the values it closes over; the functions, classes and constants of its own module,
    or of other modules that are not installed packages, that it refers to, with theirs in turn; and :func:`library`.

    Parameters
    ----------
    function : callable
        Function, lambda, method, partial or object that can be called.

    Returns
    -------
    fingerprint : str
        Hexadecimal, of 16 digits. Comments, docstrings and line numbers do not count.

    Raises
    ------
    TypeError
        If it cannot be called, or refers to something that cannot be looked into.

    Examples
    --------
    >>> code(lambda x: x + 1) == code(lambda x: x + 1), code(lambda x: x + 1) == code(lambda x: x + 2)
    (True, False)
    """
    checks.function("function", function)
    return _digest(["code", library(), name(function), _Walk("function").parts(function)])


@functools.cache
def library():
    """Fingerprint of this library's files and of the versions of Python and of the packages it computes with.

    Returns
    -------
    fingerprint : str
        Hexadecimal, of 16 digits; taken once a process.
    """
    files = [(str(path.relative_to(_HOME)), path.read_bytes()) for path in sorted(_HOME.rglob("*.py"))]
    versions = [".".join(platform.python_version_tuple()[:2])]
    for package in _PACKAGES:
        try:
            versions.append(version(package))
        except PackageNotFoundError:
            versions.append("absent")
    return _digest(["library", files, versions])


def name(function):
    """Module and name of a function; of a script its file's name, however it was started.

    Parameters
    ----------
    function : callable
        Function, lambda, method, partial or object that can be called.

    Returns
    -------
    name : str
        Such as ``"gdln.claims.claim"``.

    Examples
    --------
    >>> name(name), name(functools.partial(name))
    ('gdln.fingerprint.name', 'gdln.fingerprint.name')
    """
    checks.function("function", function)
    if isinstance(function, functools.partial):
        return name(function.func)
    kind = function if hasattr(function, "__qualname__") else type(function)
    module = kind.__module__ or "builtins"
    if module == "__main__":
        file = getattr(function, "__globals__", {}).get("__file__")
        module = Path(file).stem if file else module
    return f"{module}.{kind.__qualname__}"


def _digest(parts):
    """Hash of nested lists of text, bytes and numbers, each with its length, so that no two run into each other."""
    hasher = hashlib.sha256()

    def feed(part):
        if isinstance(part, list | tuple):
            hasher.update(b"l%d:" % len(part))
            for item in part:
                feed(item)
        else:
            data = part if isinstance(part, bytes) else str(part).encode("utf-8", "surrogatepass")
            hasher.update(b"b%d:" % len(data))
            hasher.update(data)

    feed(parts)
    return hasher.hexdigest()[:16]


class _Walk:
    """Turns a value into nested lists of text and bytes; remembers where it is, since values may contain themselves."""

    def __init__(self, name):
        self.name, self.open = name, {}

    def parts(self, value):
        if value is None or isinstance(value, bool | int | float | complex | str | bytes):
            return [type(value).__name__, value if isinstance(value, str | bytes) else repr(value)]
        if id(value) in self.open:
            return ["again", self.open[id(value)]]
        self.open[id(value)] = len(self.open)
        try:
            return self._compound(value)
        finally:
            # popped, so that two equal values have one fingerprint whether they are one object or two
            self.open.pop(id(value))

    def _compound(self, value):
        kind = f"{type(value).__module__}.{type(value).__qualname__}"
        plain = checks.as_numpy(self.name, value)
        if isinstance(plain, np.ndarray) and plain.dtype != object:
            return [kind, plain.dtype.str, list(map(str, plain.shape)), np.ascontiguousarray(plain).tobytes()]
        if isinstance(plain, np.ndarray):
            return [kind, list(map(str, plain.shape)), [self.parts(item) for item in plain.flat]]
        if isinstance(value, np.generic | numbers.Number):
            return [kind, repr(value)]
        if optional.is_from(value, "pandas", "DataFrame"):
            columns = [self.parts(value.iloc[:, k].to_numpy()) for k in range(value.shape[1])]
            return [kind, self.parts(list(value.columns)), self.parts(value.index.to_numpy()), columns]
        series = optional.is_from(value, "pandas", "Series")
        if series or optional.is_from(value, "pandas", "Index"):
            index = self.parts(value.index.to_numpy()) if series else []
            return [kind, self.parts(value.name), self.parts(value.to_numpy()), index]
        if isinstance(value, list | tuple):
            return [kind, [self.parts(item) for item in value]]
        if isinstance(value, Set):
            return [kind, sorted(_digest(self.parts(item)) for item in value)]
        if isinstance(value, Mapping):
            pairs = ([self.parts(key), self.parts(item)] for key, item in value.items())
            return [kind, sorted(_digest(pair) for pair in pairs)]
        if isinstance(value, functools.partial):
            return [kind, self.parts(value.func), self.parts(value.args), self.parts(value.keywords)]
        if isinstance(value, types.MethodType):
            return [kind, self.parts(value.__func__), self.parts(value.__self__)]
        if isinstance(value, types.FunctionType):
            return [kind, name(value), self._function(value) if _is_ours(value) else []]
        if isinstance(value, types.ModuleType):
            return [kind, value.__name__]
        if isinstance(value, type):
            members = {} if _is_installed(value) else vars(value)
            own = {key: item for key, item in members.items() if not key.startswith("__") or callable(item)}
            own = {key: item for key, item in own.items() if not isinstance(item, types.GetSetDescriptorType)}
            return [kind, f"{value.__module__}.{value.__qualname__}", self._members(own)]
        if isinstance(value, staticmethod | classmethod | functools.cached_property):
            return [kind, self.parts(getattr(value, "__func__", None) or value.func)]
        if isinstance(value, property):
            return [kind, [self.parts(part) for part in (value.fget, value.fset, value.fdel)]]
        return self._object(kind, value)

    def _object(self, kind, value):
        """An object by its class and attributes, or as pickle writes it."""
        if isinstance(value, np.random.Generator | np.random.RandomState | np.random.BitGenerator):
            bits = getattr(value, "bit_generator", getattr(value, "_bit_generator", value))
            return [kind, self.parts(bits.state)]
        if dataclasses.is_dataclass(value):
            fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
            return [kind, self.parts(type(value)), self._members(fields)]
        if getattr(value, "__dict__", None):
            return [kind, self.parts(type(value)), self._members(vars(value))]
        try:
            return [kind, pickle.dumps(value, protocol=5)]
        except Exception as error:
            raise TypeError(
                f"{self.name} needs values whose content can be compared, got {checks.described(value)}: {error}"
            ) from error

    def _members(self, members):
        return [
            [str(key), self.parts(item)]
            for key, item in sorted(members.items(), key=lambda pair: str(pair[0]))
        ]

    def _function(self, function):
        closed = [self._cell(cell) for cell in function.__closure__ or ()]
        used = {
            key: function.__globals__[key]
            for key in sorted(_globals(function.__code__))
            if key in function.__globals__
        }
        defaults = [self.parts(function.__defaults__), self.parts(function.__kwdefaults__)]
        return [self._code(function.__code__), defaults, closed, self._members(used)]

    def _cell(self, cell):
        try:
            return self.parts(cell.cell_contents)
        except ValueError:  # not filled yet
            return ["empty"]

    def _code(self, compiled):
        constants = list(compiled.co_consts)
        if constants and isinstance(constants[0], str) and constants[0] == _docstring(compiled):
            constants[0] = None
        constants = [self._code(c) if isinstance(c, types.CodeType) else self.parts(c) for c in constants]
        names = [compiled.co_names, compiled.co_varnames, compiled.co_freevars, compiled.co_cellvars]
        numbers_ = [
            compiled.co_argcount,
            compiled.co_posonlyargcount,
            compiled.co_kwonlyargcount,
            compiled.co_flags,
        ]
        return [compiled.co_code, constants, names, list(map(str, numbers_)), compiled.co_exceptiontable]


def _docstring(compiled):
    """The first constant, where it is the docstring: a text that no instruction loads."""
    loaded = {
        i.argval for i in dis.get_instructions(compiled) if i.opname == "LOAD_CONST" and type(i.argval) is str
    }
    first = compiled.co_consts[0]
    return None if first in loaded else first


def _globals(compiled):
    """Names that the code, or code nested in it, reads from its module."""
    names = {i.argval for i in dis.get_instructions(compiled) if i.opname in ("LOAD_GLOBAL", "LOAD_NAME")}
    for constant in compiled.co_consts:
        if isinstance(constant, types.CodeType):
            names |= _globals(constant)
    return names


def _is_installed(kind):
    """Whether a class is the library's, whose files :func:`library` covers, Python's own or an installed package's."""
    file = getattr(sys.modules.get(kind.__module__), "__file__", None)
    if file is None:  # of a module that is no file: compiled into Python, or typed into a notebook
        return kind.__module__ != "__main__" and kind.__module__ in sys.builtin_module_names
    return Path(file).is_relative_to(_HOME) or _in_package(file)


def _in_package(file):
    return file is not None and file.startswith(_INSTALLED)


def _is_ours(function):
    file = function.__code__.co_filename
    return not (_in_package(file) or Path(file).is_relative_to(_HOME))

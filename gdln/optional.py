"""Packages that only some functions use: imported where they are used, and missed in one sentence.

In a browser some of them cannot be had, and elsewhere nobody should need a cluster's client to solve an equation.
"""

import sys
from importlib import import_module

#: The extra that brings a package; the others come with the library, but for a browser or a bare copy of its files.
EXTRAS = {"mpmath": "exact"}


def load(name, purpose):
    """Import a package, or say what needs it and how to get it.

    Parameters
    ----------
    name : str
        The package, or a module in it.
    purpose : str
        What needs it, as in "a sweep over a grid".

    Returns
    -------
    module : module

    Raises
    ------
    ModuleNotFoundError
        If the package is not installed. A package that is there and misses another one raises its own error.

    Examples
    --------
    >>> load("math", "the circumference").tau
    6.283185307179586
    """
    package = name.partition(".")[0]
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        ways = f"pip install {package}"
        if package in EXTRAS:
            ways += f", or install gdln with the extra [{EXTRAS[package]}]"
        raise ModuleNotFoundError(f"{purpose} needs {package}: {ways}", name=package) from error


def is_from(value, package, kind):
    """Whether a value is an instance of a class of a package, which is not imported for that.

    Parameters
    ----------
    value : object
        What came.
    package, kind : str
        The package and the class in it: nobody holds an instance whose package was never imported.

    Returns
    -------
    found : bool

    Examples
    --------
    >>> is_from([1.0], "pandas", "Series")
    False
    """
    module = sys.modules.get(package)
    return module is not None and isinstance(value, getattr(module, kind))

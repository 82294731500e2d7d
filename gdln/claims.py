"""Claims: statements a chapter asserts where it makes them, and the ledger collects.

A claim has one home, its row in ``book/claims``: statement, criterion, the reason of its tolerance, source, origin
and setting. A cell names the row and brings the number.
"""

import math
from functools import cache
from pathlib import Path

import yaml

from gdln import checks

_HERE = Path(__file__).resolve().parent
#: Where the rows lie: inside an installed library, and in the book's ``claims`` folder in a checkout.
FOLDER = next((p for p in (_HERE / "rows", _HERE.parent / "book" / "claims") if p.is_dir()), _HERE / "rows")
#: Where a displayed line of a notebook carries its claim as data, for the ledger.
METADATA_KEY = "gdln_claim"
CRITERIA = ("expected", "atol", "rtol", "above", "below")
FIELDS = ("key", "statement", *CRITERIA, "reason", "why", "source", "origin", "setting")
ORIGINS = ("paper", "derived", "experiment")


def claim(key, measured, expected=None):
    r"""Assert a number against its row, show one line, and send the measured value to the ledger.

    The row says when the claim holds: within one tolerance of an expected value :math:`e`,
    :math:`|m - e| \le` ``atol`` or ``rtol`` :math:`|e|`, or within strict bounds, ``above`` :math:`< m <` ``below``.

    Parameters
    ----------
    key : str
        Name of the row in ``book/claims``, such as ``"race-xor-curve"``.
    measured : float
        The value of this very run.
    expected : float, optional
        Value the theory gives in this very run, where the row has a tolerance and no expected value of its own.

    Raises
    ------
    AssertionError
        If the claim does not hold; NaN and infinity never hold.
    ValueError
        If there is no such row, or its criterion is missing, said twice or without bite.

    Notes
    -----
    Shown only inside a notebook kernel; elsewhere the call just asserts.

    Examples
    --------
    >>> claim("race-index-two-paths", 3e-9)
    """
    checks.instance("key", key, str)
    measured = float(checks.array("measured", measured, ndim=0, finite=False))
    found = rows()
    if key not in found:
        raise ValueError(f"claim {key!r} has no row in book/claims")
    row = found[key]
    if "why" in row:
        raise ValueError(f"claim {key!r} has a row that says why it cannot be had: {row['why']}")
    kept = asserted(row)
    if expected is not None:
        if "expected" in row:
            raise ValueError(f"claim {key!r} has an expected value in its row, and got another, {expected}")
        row = row | {"expected": float(checks.array("expected", expected, ndim=0, finite=False))}
    check_criterion(row)
    if "expected" in row:
        centre = row["expected"]
        slack = row["atol"] if "atol" in row else row["rtol"] * abs(centre)
        holds = abs(measured - centre) <= slack
    else:
        holds = row.get("above", -math.inf) < measured < row.get("below", math.inf)
    if not (holds and math.isfinite(measured)):
        raise AssertionError(
            f"claim {key!r} does not hold: {row['statement']}: measured {measured:.6g}, needed {criterion(row)}"
        )
    shown = {"key": key, "statement": row["statement"], "measured": measured, "criterion": criterion(row)}
    _show(shown | {"row": kept, "used": _used(row, measured)})


def _used(row, measured):
    """How much of its allowance a claim that holds uses, from zero to one; ``None`` where there is no scale.

    The distance from the expected value in tolerances, or from the middle of two bounds in half their distance. One
    bound has a scale if it is positive: a value of half the upper bound, or of twice the lower one, uses a half.
    """
    above, below = row.get("above"), row.get("below")
    if "expected" in row:
        slack = row["atol"] if "atol" in row else row["rtol"] * abs(row["expected"])
        return abs(measured - row["expected"]) / slack if slack > 0 else 0.0
    if above is not None and below is not None:
        return abs(2 * measured - above - below) / (below - above)
    if below is not None:
        return max(measured, 0.0) / below if below > 0 else None
    return above / measured if above > 0 else None


def asserted(row):
    """Return what of a row a cell asserts and shows: when it changes, the cell must run again."""
    return {name: row[name] for name in ("statement", *CRITERIA) if name in row}


def criterion(row):
    """Say in words and numbers when the claim of a row holds."""
    if "expected" in row or "atol" in row or "rtol" in row:
        centre = f"{row['expected']:.4g}" if "expected" in row else "the theory's value"
        return f"{centre} ± " + (f"{row['atol']:.2g}" if "atol" in row else f"{100 * row['rtol']:.2g} %")
    bounds = (f"{sign} {row[name]:.4g}" for sign, name in ((">", "above"), ("<", "below")) if name in row)
    return " and ".join(bounds)


def check_criterion(row):
    """Refuse a row whose criterion is missing, said twice, not finite or impossible.

    Parameters
    ----------
    row : dict
        One row, see :func:`rows`.

    Raises
    ------
    ValueError
        If the row does not have exactly one of a tolerance around an expected value and strict bounds.
    """
    key = row["key"]
    for name in CRITERIA:
        if name in row and not (type(row[name]) in (int, float) and math.isfinite(row[name])):
            raise ValueError(f"claim {key!r} needs a finite number for {name}, got {row[name]!r}")
    tolerances = [name for name in ("atol", "rtol") if name in row]
    bounds = [name for name in ("above", "below") if name in row]
    if "expected" in row and (len(tolerances) != 1 or bounds):
        raise ValueError(
            f"claim {key!r} has an expected value, so it needs one of atol and rtol, and no bound"
        )
    if "expected" not in row and (tolerances or not bounds):
        raise ValueError(
            f"claim {key!r} needs an expected value with atol or rtol, or a bound above or below"
        )
    if tolerances and row[tolerances[0]] < 0:
        raise ValueError(f"claim {key!r} cannot have a negative {tolerances[0]}, got {row[tolerances[0]]}")
    if "rtol" in row and row["expected"] == 0:
        raise ValueError(f"claim {key!r} has a relative tolerance around zero: say atol")
    if len(bounds) == 2 and not row["above"] < row["below"]:
        raise ValueError(f"claim {key!r} needs above < below, got {row['above']} and {row['below']}")


@cache
def rows():
    """Return the rows of ``book/claims``, by key, in the order of files and rows.

    Returns
    -------
    rows : dict
        Key to row: ``key``, ``statement``, the criterion (``expected`` with ``atol`` or ``rtol``, or ``above`` and
        ``below``), ``reason`` of the tolerance, ``source``, ``origin`` (paper, derived or experiment) and
        ``setting``; a result that cannot be had has ``why`` in place of a criterion.

    Raises
    ------
    ValueError
        If a file is no list of complete rows, or a key stands twice; names the file.
    """
    found = {}
    for path in sorted(FOLDER.rglob("*.yml")):
        for row in read(path):
            if row["key"] in found:
                raise ValueError(f"{path.relative_to(FOLDER)} repeats the key {row['key']!r}")
            found[row["key"]] = row
    return found


def read(path):
    """Return the rows of one file of claims.

    Parameters
    ----------
    path : path
        A YAML file with a list of rows.

    Returns
    -------
    rows : list of dict
        See :func:`rows`.

    Raises
    ------
    ValueError
        If it cannot be read, is no list of mappings, or a row lacks a field or has an unknown one, in one sentence.
    """
    name = path.relative_to(FOLDER) if path.is_relative_to(FOLDER) else path.name
    try:
        listed = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"{name} cannot be read: {error.strerror}") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise ValueError(f"{name}{where} is no YAML: {getattr(error, 'problem', None)}") from None
    if not isinstance(listed, list) or not all(isinstance(row, dict) for row in listed):
        raise ValueError(f"{name} needs a list of rows, each a mapping that starts with '- key:'")
    for number, row in enumerate(listed, 1):
        where = f"row {number} of {name}" + (f", {row['key']!r}," if "key" in row else "")
        lacking = [field for field in ("key", "statement", "source", "origin") if field not in row]
        if lacking:
            raise ValueError(f"{where} lacks {', '.join(lacking)}")
        unknown = [str(field) for field in row if field not in FIELDS]
        if unknown:
            raise ValueError(f"{where} has unknown fields: {', '.join(unknown)}")
        if row["origin"] not in ORIGINS:
            raise ValueError(f"{where} needs an origin among {', '.join(ORIGINS)}, got {row['origin']!r}")
        if "why" in row and any(field in row for field in CRITERIA):
            raise ValueError(f"{where} has both a criterion and why it cannot be had")
    return listed


def _show(record):
    """Display a record as one line of text and as data the book's ledger reads, when a kernel is there."""
    try:
        from IPython import get_ipython
        from IPython.display import display
    except ImportError:
        return
    shell = get_ipython()
    if shell is None or not hasattr(shell, "kernel"):
        return
    line = f"✓ {record['statement']}: {record['measured']:.4g} (needed {record['criterion']})"
    display({"text/plain": line}, metadata={METADATA_KEY: record}, raw=True)

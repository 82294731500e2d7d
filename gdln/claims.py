"""Claims: statements a chapter asserts where it makes them, and the ledger collects."""

#: Where a displayed line of a notebook carries its claim as data, for the ledger.
METADATA_KEY = "gdln_claim"


def claim(key, statement, measured, expected=None, *, atol=None, rtol=None, below=None, above=None):
    r"""Assert a number, show one line, and send the measured value to the ledger.

    Either an ``expected`` value with one tolerance, :math:`|m - e| \le` ``atol`` or ``rtol`` :math:`|e|`, or
    strict bounds, ``above`` :math:`< m <` ``below``.

    Parameters
    ----------
    key : str
        Name of the row on the ledger page, such as ``"race-xor-curve"``.
    statement : str
        What the number is, in one phrase.
    measured : float
        The value of this very run.
    expected : float, optional
        Value the theory, or the source, gives.
    atol : float, optional
        Largest absolute distance from ``expected``.
    rtol : float, optional
        Largest distance relative to ``expected``.
    below : float, optional
        Strict upper bound.
    above : float, optional
        Strict lower bound.

    Raises
    ------
    AssertionError
        If the claim does not hold; NaN never holds.
    ValueError
        If the criterion is missing or said twice.

    Notes
    -----
    Shown only inside a notebook kernel; elsewhere the call just asserts.

    Examples
    --------
    >>> import math
    >>> claim("doc-pi", "22/7 against pi", 22 / 7, math.pi, atol=2e-3)
    >>> claim("doc-pi-bound", "22/7 is too large by", 22 / 7 - math.pi, above=0, below=2e-3)
    """
    measured = float(measured)
    tolerances = [x is not None for x in (atol, rtol)]
    bounds = [x is not None for x in (below, above)]
    if expected is None and (any(tolerances) or not any(bounds)):
        raise ValueError(
            f"claim {key!r} needs an expected value with atol or rtol, or a bound below or above"
        )
    if expected is not None and (sum(tolerances) != 1 or any(bounds)):
        raise ValueError(
            f"claim {key!r} has an expected value, so it needs exactly one of atol and rtol, no bound"
        )

    if expected is not None:
        slack = atol if atol is not None else rtol * abs(expected)
        holds = abs(measured - expected) <= slack
        criterion = (
            f"{expected:.4g} ± {slack:.2g}" if atol is not None else f"{expected:.4g} ± {100 * rtol:.2g} %"
        )
    else:
        holds = (above is None or measured > above) and (below is None or measured < below)
        criterion = " and ".join(
            f"{sign} {bound:.4g}" for sign, bound in ((">", above), ("<", below)) if bound is not None
        )
    if not holds:
        raise AssertionError(
            f"claim {key!r} does not hold: {statement}: measured {measured:.6g}, needed {criterion}"
        )
    _show({"key": key, "statement": statement, "measured": measured, "criterion": criterion})


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

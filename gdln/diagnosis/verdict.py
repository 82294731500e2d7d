"""From measurements to a theory: one table of thresholds, read from the top, the first line that applies."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from gdln import checks


@dataclass(frozen=True)
class Thresholds:
    """Where one regime ends, calibrated in the chapter "Which theory describes my network?".

    Attributes
    ----------
    drift, memory, stationary : float
        Above the first, below the second in absolute value and above the third, weights are draws from a posterior.
    process : float
        Largest distance from the Gaussian process, and of the read-out scale from one, for its limit of infinite width.
    lazy_movement, lazy_gap : float
        Below both the network is lazy.
    rich_movement, rich_gap : float
        Above both it is rich.
    cosine : float
        What the alignment of every layer should exceed in a lazy network.
    mean_field, kernel : float
        Exponents of the kernel's movement in the width: above the first mean field, below the second the kernel regime;
        half-way between the 0, -1/2 and -1 of theory.
    """

    drift: float = 0.5
    memory: float = 0.3
    stationary: float = 0.5
    process: float = 0.15
    lazy_movement: float = 0.1
    lazy_gap: float = 0.1
    rich_movement: float = 0.5
    rich_gap: float = 0.2
    cosine: float = 0.95
    mean_field: float = -0.25
    kernel: float = -0.75

    def __post_init__(self):
        for name in vars(self):
            checks.number(name, getattr(self, name))


THRESHOLDS = Thresholds()

#: What a verdict is called, and the theory to use with it.
THEORIES = {
    "gaussian_process": "the Gaussian process of infinite width (NNGP) predicts the mean",
    "renormalised": "a posterior at finite width: the renormalised kernel, not the prior's",
    "posterior": "a posterior, of which limit cannot be told without the infinitely wide network and the prior",
    "lazy": "kernel regression with the network's own tangent kernel; layerwise alignment holds",
    "mean_field": "feature learning that survives infinite width: mean field",
    "finite_width": "feature learning of a finite width: wider networks of this parametrisation become lazy",
    "intermediate": "features are learnt, and ever fewer with width: a scaling between mean field and kernel regime",
    "rich": "features are learnt: mean field or finite-width theory, which a second width would tell; "
    "the race reduction if the network is linear or gated and modes rise one by one",
    "crossover": "between the limits: no asymptotic theory; in linear and gated networks the moment equations",
    "unknown": "too little was measured for a verdict",
}


@dataclass(frozen=True)
class Verdict:
    """What the table says.

    Attributes
    ----------
    kind : str
        A key of :data:`THEORIES`.
    theory : str
        What to use.
    reasons : tuple of str
        The comparisons that led there, with their numbers.
    """

    kind: str
    theory: str
    reasons: tuple


def decide(measures, thresholds=THRESHOLDS):
    """Read the table.

    Parameters
    ----------
    measures : mapping of str to float or None
        By name, what is missing is not measured: ``movement`` of the tangent kernel; ``trained_gap`` and ``weight_gap``
        of the linearisation, the second standing in for the first; ``drift``, ``memory`` and ``stationary``;
        ``process`` and ``readout_scale``; ``smallest_cosine``; ``width_exponent``.
    thresholds : Thresholds, optional
        The table.

    Returns
    -------
    verdict : Verdict
        With its reasons.

    Raises
    ------
    TypeError, ValueError
        If a measure has an unknown name or is no finite number.

    Examples
    --------
    >>> decide({"movement": 0.02, "trained_gap": 0.03}).kind
    'lazy'
    """
    checks.instance("measures", measures, Mapping)
    checks.instance("thresholds", thresholds, Thresholds)
    found = dict.fromkeys(MEASURES)
    for name, value in measures.items():
        checks.choice("measures", name, MEASURES)
        found[name] = None if value is None else checks.number(f"measures[{name!r}]", value)
    return _posterior(found, thresholds) or _descent(found, thresholds)


#: Names that :func:`decide` knows.
MEASURES = (
    "movement",
    "trained_gap",
    "weight_gap",
    "drift",
    "memory",
    "stationary",
    "process",
    "readout_scale",
    "smallest_cosine",
    "width_exponent",
)


def width_exponent(widths, movements):
    r"""Slope of the kernel's movement against the width, both in logarithms.

    In NTK parametrisation :math:`-1`, in mean field 0: movement goes like :math:`1/(\alpha^2N)` where the output is
    multiplied by :math:`\alpha`.

    Parameters
    ----------
    widths : array_like, shape (n_widths,)
        At least two, sixteen times apart for a slope that seeds do not hide.
    movements : array_like, shape (n_widths,)
        Movement at each width, best a mean over seeds; above zero.

    Returns
    -------
    exponent : float
        By least squares.

    Examples
    --------
    >>> round(width_exponent([32, 512], [0.32, 0.02]), 6)
    -1.0
    """
    widths = checks.array("widths", widths, ndim=1, above=0)
    movements = checks.array("movements", movements, shape=widths.shape, above=0)
    checks.need(len(np.unique(widths)) > 1, "widths", "at least two different widths", widths)
    return float(np.polyfit(np.log(widths), np.log(movements), 1)[0])


def _posterior(m, t):
    """The first line: still travelling, start forgotten, loss at rest."""
    if None in (m["drift"], m["memory"], m["stationary"]):
        return None
    if not (m["drift"] > t.drift and abs(m["memory"]) < t.memory and m["stationary"] > t.stationary):
        return None
    reasons = [
        f"weights travel on, drift {m['drift']:.2g} above {t.drift}",
        f"and have forgotten their start, cosine {m['memory']:.2g} within {t.memory}, with the loss at rest",
    ]
    if m["process"] is None or m["readout_scale"] is None:
        return _verdict("posterior", reasons)
    far = max(m["process"], abs(m["readout_scale"] - 1))  # a negative distance is noise around zero
    near = far < t.process
    reasons.append(
        f"distance from the NNGP {m['process']:.2g}, read-out scale {m['readout_scale']:.3g}: "
        f"{'within' if near else 'beyond'} {t.process}"
    )
    return _verdict("gaussian_process" if near else "renormalised", reasons)


def _descent(m, t):
    """The other lines, by the movement of the tangent kernel and the gap to the linearisation."""
    name = "trained_gap" if m["trained_gap"] is not None else "weight_gap"
    moved, gap = m["movement"], m[name]
    if moved is None or gap is None:
        missing = "the tangent kernel" if moved is None else "the gap to the linearisation"
        return _verdict("unknown", [f"{missing} was not measured"])
    reasons = [
        _said("the tangent kernel moved by", moved, t.lazy_movement, t.rich_movement),
        _said(
            f"the network left its linearisation ({name.replace('_', ' ')}) by", gap, t.lazy_gap, t.rich_gap
        ),
    ]
    if moved < t.lazy_movement and gap < t.lazy_gap:
        if m["smallest_cosine"] is not None:
            word = "above" if m["smallest_cosine"] > t.cosine else "but not above"
            reasons.append(f"smallest alignment of a layer {m['smallest_cosine']:.3g}, {word} {t.cosine}")
        return _verdict("lazy", reasons)
    if not (moved > t.rich_movement and gap > t.rich_gap):
        return _verdict("crossover", reasons)
    exponent = m["width_exponent"]
    if exponent is None:
        return _verdict("rich", reasons)
    reasons.append(f"movement goes with the width to the power {exponent:.2g}")
    between = "finite_width" if exponent < t.kernel else "intermediate"
    kind = "mean_field" if exponent > t.mean_field else between
    return _verdict(kind, reasons)


def _said(words, value, low, high):
    where = (
        f"below {low}" if value < low else f"above {high}" if value > high else f"between {low} and {high}"
    )
    return f"{words} {value:.3g}, {where}"


def _verdict(kind, reasons):
    return Verdict(kind, THEORIES[kind], tuple(reasons))

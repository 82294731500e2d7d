"""The table: every line, both sides of every threshold, and what is missing."""

import dataclasses

import numpy as np
import pytest

from gdln.diagnosis import verdict
from gdln.diagnosis.verdict import THEORIES, THRESHOLDS, Thresholds, decide

LAZY = {"movement": 0.05, "trained_gap": 0.05}
RICH = {"movement": 0.9, "trained_gap": 0.4}
DRAWN = {"drift": 0.9, "memory": 0.1, "stationary": 1.0}


@pytest.mark.parametrize(
    "measures, kind",
    [
        (LAZY, "lazy"),
        (RICH, "rich"),
        (RICH | {"width_exponent": -0.1}, "mean_field"),
        (RICH | {"width_exponent": -0.6}, "intermediate"),
        (RICH | {"width_exponent": -1.1}, "finite_width"),
        ({"movement": 0.3, "trained_gap": 0.15}, "crossover"),
        ({"movement": 0.9, "trained_gap": 0.05}, "crossover"),
        ({"movement": 0.05, "trained_gap": 0.4}, "crossover"),
        ({"movement": 0.05, "weight_gap": 0.05}, "lazy"),
        ({"movement": 0.05, "trained_gap": 0.05, "weight_gap": 0.9}, "lazy"),
        ({"movement": 0.05}, "unknown"),
        ({"trained_gap": 0.05}, "unknown"),
        ({}, "unknown"),
        (RICH | DRAWN, "posterior"),
        (RICH | DRAWN | {"process": 0.05, "readout_scale": 1.05}, "gaussian_process"),
        (RICH | DRAWN | {"process": -0.05, "readout_scale": 0.95}, "gaussian_process"),
        (RICH | DRAWN | {"process": 0.3, "readout_scale": 1.0}, "renormalised"),
        (RICH | DRAWN | {"process": 0.0, "readout_scale": 2.0}, "renormalised"),
        (RICH | DRAWN | {"stationary": 0.1}, "rich"),
        (LAZY | {"drift": 0.1, "memory": 0.1, "stationary": 1.0}, "lazy"),
        (LAZY | {"drift": 0.9, "memory": -0.5, "stationary": 1.0}, "lazy"),
    ],
)
def test_the_first_line_that_applies_decides(measures, kind):
    found = decide(measures)
    assert found.kind == kind and found.theory == THEORIES[kind] and found.reasons


@pytest.mark.parametrize("name, low, high", [("movement", "lazy_movement", "rich_movement")])
def test_just_inside_and_just_outside_of_a_threshold_differ(name, low, high):
    bound = getattr(THRESHOLDS, low)
    assert decide(LAZY | {name: bound - 1e-9}).kind == "lazy"
    assert decide(LAZY | {name: bound}).kind == "crossover"
    bound = getattr(THRESHOLDS, high)
    assert decide(RICH | {name: bound + 1e-9}).kind == "rich"
    assert decide(RICH | {name: bound}).kind == "crossover"


def test_other_thresholds_give_other_verdicts_and_reasons_name_them():
    strict = dataclasses.replace(THRESHOLDS, lazy_movement=0.01)
    assert decide(LAZY, strict).kind == "crossover"
    assert "0.01" in decide(LAZY, strict).reasons[0]
    with pytest.raises(TypeError, match="rich_gap needs a number"):
        Thresholds(rich_gap="much")


def test_the_alignment_of_a_lazy_network_is_told_on_either_side():
    assert "above 0.95" in decide(LAZY | {"smallest_cosine": 0.99}).reasons[-1]
    assert "but not above 0.95" in decide(LAZY | {"smallest_cosine": 0.5}).reasons[-1]


def test_names_and_numbers_are_checked():
    with pytest.raises(ValueError, match="did you mean 'movement'"):
        decide({"movment": 0.1})
    with pytest.raises(ValueError, match=r"measures\['movement'\] needs"):
        decide({"movement": np.nan})


def test_the_exponent_is_the_slope_in_logarithms():
    widths = np.array([32, 128, 512])
    for power in (-1.0, -0.5, 0.0):
        assert verdict.width_exponent(widths, 3 * widths**power) == pytest.approx(power, abs=1e-12)
    with pytest.raises(ValueError, match="two different widths"):
        verdict.width_exponent([32, 32], [0.1, 0.2])

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


#: Measures beside the one that is varied, its name, the threshold, and the verdict below, at and above it.
BOUNDS = [
    (LAZY, "movement", "lazy_movement", "lazy", "crossover", "crossover"),
    (LAZY, "trained_gap", "lazy_gap", "lazy", "crossover", "crossover"),
    (RICH, "movement", "rich_movement", "crossover", "crossover", "rich"),
    (RICH, "trained_gap", "rich_gap", "crossover", "crossover", "rich"),
    (RICH, "width_exponent", "mean_field", "intermediate", "intermediate", "mean_field"),
    (RICH, "width_exponent", "kernel", "finite_width", "intermediate", "intermediate"),
    (RICH | DRAWN, "drift", "drift", "rich", "rich", "posterior"),
    (RICH | DRAWN, "memory", "memory", "posterior", "rich", "rich"),
    (RICH | DRAWN, "stationary", "stationary", "rich", "rich", "posterior"),
    (
        RICH | DRAWN | {"readout_scale": 1.0},
        "process",
        "process",
        "gaussian_process",
        "renormalised",
        "renormalised",
    ),
]


@pytest.mark.parametrize("measures, name, threshold, below, at, above", BOUNDS)
def test_below_at_and_above_a_threshold(measures, name, threshold, below, at, above):
    bound = getattr(THRESHOLDS, threshold)
    kinds = [decide(measures | {name: bound + step}).kind for step in (-1e-9, 0, 1e-9)]
    assert kinds == [below, at, above]


def test_a_reason_says_on_which_side_of_its_thresholds_a_number_lies():
    for moved, where in (
        (0.05, "below 0.1"),
        (0.1, "between 0.1 and 0.5"),
        (0.5, "between 0.1"),
        (0.6, "above 0.5"),
    ):
        assert f"moved by {moved}, {where}" in decide({"movement": moved, "trained_gap": 0.15}).reasons[0]


def test_the_thresholds_are_those_of_the_calibration():
    assert dataclasses.asdict(THRESHOLDS) == {
        "drift": 0.5, "memory": 0.3, "stationary": 0.5, "process": 0.15, "lazy_movement": 0.1, "lazy_gap": 0.1,
        "rich_movement": 0.5, "rich_gap": 0.2, "cosine": 0.95, "mean_field": -0.25, "kernel": -0.75,
    }  # fmt: skip


@pytest.mark.parametrize("known", [{"process": 0.05}, {"readout_scale": 1.0}, {}])
def test_the_limit_of_a_posterior_needs_both_distance_and_readout(known):
    assert decide(RICH | DRAWN | known).kind == "posterior"


def test_other_thresholds_give_other_verdicts_and_reasons_name_them():
    strict = dataclasses.replace(THRESHOLDS, lazy_movement=0.01)
    assert decide(LAZY, strict).kind == "crossover"
    assert "0.01" in decide(LAZY, strict).reasons[0]
    with pytest.raises(TypeError, match="rich_gap needs a number"):
        Thresholds(rich_gap="much")


def test_the_alignment_of_a_lazy_network_is_told_on_either_side():
    assert "above 0.95" in decide(LAZY | {"smallest_cosine": 0.99}).reasons[-1]
    for cosine in (0.5, 0.95):
        assert "but not above 0.95" in decide(LAZY | {"smallest_cosine": cosine}).reasons[-1]


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
    assert verdict.width_exponent([0.5, 1, 2], [8.0, 4.0, 2.0]) == pytest.approx(-1, abs=1e-12)
    for wrong in (([0.0, 1.0], [1.0, 1.0]), ([1.0, 2.0], [1.0, 0.0])):
        with pytest.raises(ValueError, match="needs numbers above 0"):
            verdict.width_exponent(*wrong)

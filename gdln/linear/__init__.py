"""Deep linear networks: each mode of the data climbs its own chain.

Start with ``modes``: the correlations of a data set, their singular modes, and the strength of one mode over time in
closed form, for two layers or more. ``riccati`` solves two layers exactly from balanced weights of any size, from lazy
to rich. ``simulation`` trains every weight in plain numpy and uses none of these formulas.

The parts build on the modes: the race turns every path of a gated network into such a chain.
"""

from gdln.linear.modes import (
    Modes,
    chain_weights,
    correlations,
    depth_strength,
    depth_time,
    mode_strength,
    mode_time,
)
from gdln.linear.riccati import kernel_distance, lambda_balanced_weights
from gdln.linear.simulation import decoupled_weights, random_weights, simulate_chain

__all__ = [
    "Modes",
    "chain_weights",
    "correlations",
    "decoupled_weights",
    "depth_strength",
    "depth_time",
    "kernel_distance",
    "lambda_balanced_weights",
    "mode_strength",
    "mode_time",
    "random_weights",
    "simulate_chain",
]

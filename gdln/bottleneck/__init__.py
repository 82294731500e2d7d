"""Infinitely wide networks with a finite layer in the middle: acceleration and feature learning.

Start with ``architecture``: a ``Bottleneck`` joins a lower and an upper part of infinite width; its state at the start
is a draw. ``dynamics`` follows its outputs and the bottleneck's activities through training, by the history of the
upper part's kernel or by sampled tangent features. ``linear`` has the linear network in closed form, with its times and
speed-ups. ``experiments`` times one network against its baselines without a bottleneck, on one clock.
"""

from gdln.bottleneck.architecture import (
    Bottleneck,
    ConditionalDraw,
    activity,
    composite_kernel,
    draw,
    draw_features,
    limit_kernels,
)
from gdln.bottleneck.dynamics import tangent
from gdln.bottleneck.experiments import baseline, prepare
from gdln.bottleneck.linear import acceleration

__all__ = [
    "Bottleneck",
    "ConditionalDraw",
    "acceleration",
    "activity",
    "baseline",
    "composite_kernel",
    "draw",
    "draw_features",
    "limit_kernels",
    "prepare",
    "tangent",
]

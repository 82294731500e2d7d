"""Gated deep linear networks: paths through a graph race to explain the data.

Start with ``graph``: a ``GatedGraph`` and the ``correlations`` of the data that its paths see give the exact gradient.
``bases`` looks for directions in which the paths decouple, and ``reduction`` keeps one number a layer and mode
(``reduce_flow``), whose equations ``trees`` follows for many paths at once and ``routing`` solves in closed form for
routes between domains. ``contexts`` and ``gate_learning`` ask where gates come from.

Held against them: ``propagation`` and ``routing_simulation``, which send data through every weight in numpy; ``nets``
and ``pathways`` (images), which need torch and are imported by name.
"""

from gdln.race.bases import diagonalise
from gdln.race.contexts import items_in_contexts, module_gates
from gdln.race.graph import Correlations, GatedGraph, correlations, path_gates
from gdln.race.reduction import Reduction, decoupled_weights, path_modes, reduce_flow
from gdln.race.routing import solve_routing
from gdln.race.trees import PathwayTree

__all__ = [
    "Correlations",
    "GatedGraph",
    "PathwayTree",
    "Reduction",
    "correlations",
    "decoupled_weights",
    "diagonalise",
    "items_in_contexts",
    "module_gates",
    "path_gates",
    "path_modes",
    "reduce_flow",
    "solve_routing",
]

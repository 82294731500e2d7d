"""Feature learning with global convergence: wide shallow networks, and networks with a random first layer.

Start with ``features``: what the trained layer sees, the inputs themselves or random features of them. ``flow`` follows
every unit through training in mean-field or NTK scaling; ``certificates`` bounds the rate, the movement and the number
of units before, or without, running it. ``experiments`` compares the two scalings and fixed features on test data.

Held against them: ``nets``, the same networks with all their weights, which needs torch and is imported by name.
"""

from gdln.convergence.certificates import Certificate, certify, rate_bound, smallest_eigenvalue
from gdln.convergence.experiments import train_and_test
from gdln.convergence.features import RandomFeatures, draw_features, feature_kernel, linear_features
from gdln.convergence.flow import Flow, draw_functions, draw_units, tangent_kernel, velocity

__all__ = [
    "Certificate",
    "Flow",
    "RandomFeatures",
    "certify",
    "draw_features",
    "draw_functions",
    "draw_units",
    "feature_kernel",
    "linear_features",
    "rate_bound",
    "smallest_eigenvalue",
    "tangent_kernel",
    "train_and_test",
    "velocity",
]

"""Small networks with a bottleneck, and small problems for them."""

from gdln.bottleneck.architecture import Bottleneck
from gdln.kernels.moments import FullyConnected


def architecture(width=3, activation="erf", lower=1, upper=1, **options):
    return Bottleneck(FullyConnected(lower, activation), FullyConnected(upper, activation), width, **options)


def problem(rng, n=12, n_inputs=6, n_outputs=1):
    """Inputs and labels of one sign or the other."""
    X = rng.standard_normal((n, n_inputs))
    return X, rng.choice([-1.0, 1.0], (n, n_outputs))

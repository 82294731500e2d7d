"""The worked example of two gates and four points, and problems like it drawn at random."""

import numpy as np

from gdln.renormalization import gates
from gdln.renormalization.kernels import GatedKernel, input_kernel

X = np.array([[1, 0], [0, 1], [1, -1], [0.5, 0.5]])
G = np.array([[1.0, 0], [1, 1], [1, 0], [1, 1]])
Y = np.array([1, -1, 0.5, 2])
X_NEW, G_NEW = np.array([[1.0, 1], [-1, 2]]), np.array([[1.0, 1], [1, 0]])
WORKED = {"widths": 4, "sigma2": 1.5, "temperature": 0.1}
NEW = (input_kernel(X, X_NEW, 1.5), 0.75 * (X_NEW**2).sum(axis=1), G_NEW)


def worked(depth):
    """Kernel of the worked example."""
    return GatedKernel(input_kernel(X, sigma2=1.5), G, depth=depth)


def problem(rng, n=40, n_inputs=50, n_gates=3, depth=1, sigma2=1.0):
    """Kernel, targets of a ReLU teacher, inputs and gates."""
    x = rng.standard_normal((n, n_inputs))
    g = gates.random_planes(n_gates, n_inputs, rng, constant=True)(x)
    y = np.maximum(x @ rng.standard_normal((n_inputs, 5)) / np.sqrt(n_inputs), 0) @ rng.standard_normal(5)
    return GatedKernel(input_kernel(x, sigma2=sigma2), g, depth=depth), y, x, g

"""Globally gated deep linear networks: what learning does to the shape of a kernel.

Start with ``gates``: functions of the input that switch branches on and off. ``paths`` are products of them, and
``kernels`` turns inputs and paths into a ``GatedKernel`` that depends on order parameters, one small matrix a
layer; ``features`` does the same for many samples (``FeatureKernel``). ``saddle`` finds the order parameters
(``solve``), with ``descent`` as its minimiser from the kernel's best ``scale``, and predicts with the
``covariance`` there. ``scalar`` has the networks without gates, where the matrix is a number; ``patches`` the
convolutional ones. ``generalisation`` joins task, gates and prediction; ``estimator`` offers all this in
scikit-learn's manner.

Held against them: ``posterior`` samples the weights of networks of any width without these kernels, with ``proposals``
for independent draws; ``langevin`` lets networks walk, needs torch and is imported by name. ``chains`` averages what
they draw and warns where ``mixing`` finds that it is not to be trusted.
"""

from gdln.renormalization.gates import by_task, clusters, constant, random_planes
from gdln.renormalization.kernels import GatedKernel, KernelStack, capacity, input_kernel
from gdln.renormalization.paths import path_features
from gdln.renormalization.saddle import (
    Errors,
    Prediction,
    SaddleSolution,
    action,
    gp_limit,
    solve,
    width_path,
)

__all__ = [
    "Errors",
    "GatedKernel",
    "KernelStack",
    "Prediction",
    "SaddleSolution",
    "action",
    "by_task",
    "capacity",
    "clusters",
    "constant",
    "gp_limit",
    "input_kernel",
    "path_features",
    "random_planes",
    "solve",
    "width_path",
]

"""Kernels computed by neural-tangents, for the tests to compare with (run in an environment of its own).

python -m venv nt
nt/bin/pip install neural-tangents==0.6.5 jax==0.4.30 jaxlib==0.4.30 "numpy<2" "scipy<1.14"
PYTHONPATH=. nt/bin/python scripts/make_kernel_fixtures.py
"""

import jax
import numpy as np
from experiment import arguments, save
from neural_tangents import stax

jax.config.update("jax_enable_x64", True)

SEED, W_STD, B_STD = 0, 1.5, 0.1
ACTIVATIONS = {"erf": stax.Erf, "relu": stax.Relu}


def dense():
    return stax.Dense(1, W_std=W_STD, b_std=B_STD, parameterization="ntk")


def hidden(activation, depth):
    return [layer for _ in range(depth) for layer in (dense(), ACTIVATIONS[activation]())]


def kernel_matrices(layers, X):
    _, _, kernel = stax.serial(*layers)
    out = kernel(X, None, ("nngp", "ntk"))
    return {"nngp": np.asarray(out.nngp).tolist(), "ntk": np.asarray(out.ntk).tolist()}


def main(argv=None):
    chosen = arguments(__doc__, argv, counts={"points": 8, "inputs": 5}, reduced={"points": 3})
    X = np.random.default_rng(SEED).standard_normal((chosen.points, chosen.inputs))
    X[-1] = 2 * X[0]  # one collinear pair
    networks, bottlenecks = [], []
    for activation in ACTIVATIONS:
        for depth in (1, 2, 3):
            layers = [*hidden(activation, depth), dense()]
            networks.append({"activation": activation, "depth": depth, **kernel_matrices(layers, X)})
        for lower, upper in ((1, 1), (2, 1), (1, 2)):
            layers = [*hidden(activation, lower), dense(), *hidden(activation, upper), dense()]
            record = {"activation": activation, "lower": lower, "upper": upper}
            bottlenecks.append({**record, **kernel_matrices(layers, X)})
    save(
        "kernel_fixtures",
        chosen,
        {
            "seed": SEED,
            "W_std": W_STD,
            "b_std": B_STD,
            "X": X.tolist(),
            "collinear": [0, chosen.points - 1],
        },
        {"networks": networks, "linear_layer": bottlenecks},
        packages=("neural-tangents", "jax", "jaxlib", "numpy", "scipy"),
    )


if __name__ == "__main__":
    main()

"""Kernel regression on Fashion-MNIST at sizes with and without room for a dense solver: error, memory, products.

Even against odd classes, by the kernels of three infinitely wide ReLU layers. Needs Fashion-MNIST (Debian's package
dataset-fashion-mnist, or GDLN_DATA). Writes book/data/kernel_regression.json. About six CPU-minutes and 3 GB.
"""

import time

import numpy as np
from experiment import arguments, runs, save

from gdln.data import images
from gdln.kernels.gram import gram
from gdln.kernels.iterative import solve_iteratively
from gdln.kernels.moments import FullyConnected

NETWORK, RIDGE, DENSE = FullyConnected(3, "relu"), 0.01, 4000


def prepared(n):
    """Inputs of norm sqrt(d) about the training mean, and labels +1 for even classes, of n images and the test set."""
    train, test = (images.load("fashion", split) for split in ("train", "test"))
    mean = train.X[:n].mean(0)
    rows = [train.X[:n] - mean, test.X - mean]
    rows = [X * np.sqrt(X.shape[1]) / np.linalg.norm(X, axis=1)[:, None] for X in rows]
    return rows, [np.where(labels % 2 == 0, 1.0, -1.0) for labels in (train.labels[:n], test.labels)]


def solved(n, kernel):
    """One size and kernel."""
    (X, test), (y, wanted) = prepared(n)

    def block(A, B):
        return getattr(gram(NETWORK, A, B), kernel)

    start = time.process_time()
    rank = min(1000, n // 4)
    found = solve_iteratively(block, X, y, RIDGE, rng=np.random.default_rng(0), rank=rank)
    seconds = time.process_time() - start
    difference = None
    if n <= DENSE:
        exact = np.linalg.solve(block(X, X) + RIDGE * np.eye(n), y)
        difference = float(np.abs(found.coefficients - exact).max() / np.abs(exact).max())
    predicted = np.concatenate(
        [block(test[i : i + 1000], X) @ found.coefficients for i in range(0, len(test), 1000)]
    )
    return {
        "rank": rank,
        "error": float((np.sign(predicted) != wanted).mean()),
        "residual": found.residual,
        "products": found.products,
        "corrections": found.corrections,
        "difference": difference,
        "stored gigabytes": 4 * n**2 / 1e9,
        "seconds": round(seconds, 1),
    }


def main(argv=None):
    chosen = arguments(__doc__, argv, counts={"largest": 20_000}, reduced={"largest": 1000})
    grid = {"n": [n for n in (1000, 4000, 20_000) if n <= chosen.largest], "kernel": ["nngp", "ntk"]}
    rows = runs("kernel_regression", solved, grid, chosen.jobs)
    points = [{"n": n, "kernel": kernel} for n in grid["n"] for kernel in grid["kernel"]]
    parameters = {
        "layers": 3,
        "activation": "relu",
        "ridge": RIDGE,
        "images": "fashion",
        "test images": 10_000,
    }
    save("kernel_regression", chosen, parameters, [p | row for p, row in zip(points, rows, strict=True)])


if __name__ == "__main__":
    main()

"""Saddle points of a gated network on Fashion-MNIST, by the matrix of samples and by features: memory, time, agreement.

Even against odd classes with four gates on all pixels. Needs Fashion-MNIST (Debian's package dataset-fashion-mnist, or
GDLN_DATA). Writes book/data/saddle_point.json. About two CPU-minutes and 2 GB.
"""

import time

import numpy as np
from experiment import arguments, runs, save
from joblib.externals.loky import ProcessPoolExecutor
from make_kernel_regression import prepared

from course import memory
from gdln import renormalization as rn
from gdln.renormalization import gates
from gdln.renormalization.features import FeatureKernel

SETTING = {"widths": 1000, "temperature": 0.1}
N_GATES, DENSE, BATCH = 4, 4000, 1000
KERNELS = {"samples": rn.GatedKernel.from_inputs, "features": FeatureKernel}


def solution(n, way):
    """Solution, mean and variance of the test images, CPU seconds and the most memory that this process has held."""
    (X, test), (y, wanted) = prepared(n)
    planes = gates.random_planes(N_GATES, X.shape[1], np.random.default_rng(0), constant=True)
    start = time.process_time()
    kernel = KERNELS[way](X, planes)
    found = rn.solve(kernel, y, **SETTING)
    seconds = time.process_time() - start
    parts = [found.predict(test[i : i + BATCH]) for i in range(0, len(test), BATCH)]
    mean, variance = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("mean", "variance")
    )
    row = {
        "features": N_GATES * X.shape[1],
        "action": found.action,
        "evaluations": found.evaluations,
        "gradient": found.gradient,
        "error": float((np.sign(mean) != wanted).mean()),
        "variance": float(variance.mean()),
        "seconds": round(seconds, 1),
        "gigabytes": memory.peak() * 2**20 / 1e9,
    }
    return row, {"U": found.U[0], "mean": mean, "variance": variance}


def solved(n):
    """One size, each way in a process of its own, as the most memory of a process never falls."""
    ways = [way for way in KERNELS if way == "features" or n <= DENSE]
    rows, arrays = {}, {}
    for way in ways:
        with ProcessPoolExecutor(max_workers=1) as alone:
            rows[way], arrays[way] = alone.submit(solution, n, way).result()
    if len(ways) < 2:
        return rows
    pairs = {name: (arrays["samples"][name], arrays["features"][name]) for name in arrays["samples"]}
    differences = {name: float(np.abs(a - b).max() / np.abs(a).max()) for name, (a, b) in pairs.items()}
    actions = [row["action"] for row in rows.values()]
    return rows | {"differences": differences | {"action": abs(actions[0] / actions[1] - 1)}}


def main(argv=None):
    chosen = arguments(__doc__, argv, counts={"largest": 60_000}, reduced={"largest": 4000})
    points = [{"n": n} for n in (4000, 20_000, 60_000) if n <= chosen.largest]
    rows = runs("saddle_point", solved, points, chosen.jobs)
    parameters = SETTING | {"gates": N_GATES, "sigma2": 1.0, "images": "fashion", "test images": 10_000}
    save("saddle_point", chosen, parameters, [p | row for p, row in zip(points, rows, strict=True)])


if __name__ == "__main__":
    main()

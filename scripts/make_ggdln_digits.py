"""Error of gated networks on parity of digits against width and regularisation: theory and exact posterior.

Writes book/data/ggdln_digits.json (scikit-learn digits) or, with --set mnist, book/data/ggdln_mnist.json, which
also has theory at two thousand points. MNIST is read from the folder named by GDLN_DATA.
"""

import argparse
import sys

import numpy as np
from tqdm import tqdm

from gdln import results
from gdln.data import images
from gdln.data.regression import even_odd
from gdln.renormalization import gates, generalisation, posterior


def sampled(task, family, width, sigma2, temperature, draws, seed):
    """Bias, variance and their errors in the exact posterior of one finite network, by independent draws."""
    chains = posterior.importance(
        task.X, family(task.X), task.y, task.X_new, family(task.X_new), width=width, sigma2=sigma2,
        temperature=temperature, rng=np.random.default_rng(seed), n_draws=draws, dof=40.0,
    )  # fmt: skip
    found = vars(chains.errors(task.y_new))
    # bias and variance share their draws: the error of the sum is that of the sum of their influences
    weight, output, spread = (chains.draws[name][0] for name in ("weight", "output", "spread"))
    away = output - chains.mean
    influence = (2 * away * (chains.mean - task.y_new) + away**2 + spread).mean(axis=1)
    error = found["bias"] + found["variance"]
    return {
        "width": width, "sigma2": sigma2, **found, "error": error,
        "error_error": float(np.sqrt(weight**2 @ (influence - weight @ influence) ** 2)),
        "effective": chains.effective, "draws": draws,
    }  # fmt: skip


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--set", choices=["digits", "mnist"], default="digits")
    parser.add_argument("--draws", type=int, default=2000)
    args = parser.parse_args(argv)
    mnist = args.set == "mnist"
    setting = {
        "set": args.set, "n_samples": 200, "n_new": 400 if not mnist else 1000, "n_gates": 10, "temperature": 0.01,
        "data_seed": 0, "gate_seed": 1, "sample_seed": 2, "draws": args.draws,
        "sigma2": [0.1, 1.0, 4.0], "widths": [int(N) for N in np.unique(np.geomspace(5, 2000, 20).astype(int))],
        "sampled_widths": [20, 100, 400] if not mnist else [30, 100],
        "large_samples": [] if not mnist else [500, 1000, 2000], "large_sigma2": 0.1,
        "large_widths": [50, 150, 500, 1500, 5000],
    }  # fmt: skip
    pictures = images.load("mnist", "test") if mnist else images.digits()

    def make(n):
        task = even_odd(pictures, n, setting["n_new"], np.random.default_rng(setting["data_seed"]))
        rng = np.random.default_rng(setting["gate_seed"])
        return task, gates.random_planes(setting["n_gates"], task.X.shape[1], rng, allow_silent=True)

    T = setting["temperature"]
    task, family = make(setting["n_samples"])
    theory, samples, large = [], [], []
    for sigma2 in tqdm(setting["sigma2"], file=sys.stderr, desc="theory"):
        rows = generalisation.along_widths(
            task, family, widths=setting["widths"], sigma2=sigma2, temperature=T
        )
        theory += [
            {"sigma2": sigma2, **row, "width": row["width"] if np.isfinite(row["width"]) else None}
            for row in rows
        ]
    for n in tqdm(setting["large_samples"], file=sys.stderr, desc="large"):
        rows = generalisation.along_widths(
            *make(n), widths=setting["large_widths"], sigma2=setting["large_sigma2"], temperature=T
        )
        large += [
            {"n_samples": n, **row, "width": row["width"] if np.isfinite(row["width"]) else None}
            for row in rows
        ]
    grid = [(N, s) for s in setting["sigma2"][: 2 if mnist else 3] for N in setting["sampled_widths"]]
    for width, sigma2 in tqdm(grid, file=sys.stderr, desc="samples"):
        samples.append(sampled(task, family, width, sigma2, T, args.draws, setting["sample_seed"]))
    results.save(
        f"ggdln_{args.set}", setting, {"theory": theory, "samples": samples, "large": large},
        packages=("numpy", "scipy", "scikit-learn", "arviz"),
    )  # fmt: skip


if __name__ == "__main__":
    main()

"""Error of gated networks on parity of digits against width and regularisation: theory and exact posterior.

Writes book/data/ggdln_digits.json (scikit-learn digits) or, with --set mnist, book/data/ggdln_mnist.json, which
also has theory at two thousand points. MNIST is read from the folder named by GDLN_DATA.
"""

import numpy as np
from experiment import arguments, runs, save

from gdln.data import images
from gdln.data.regression import even_odd
from gdln.renormalization import gates, generalisation, posterior


def sampled(task, family, width, sigma2, setting):
    """Errors of one finite network in its exact posterior: weighted draws, or at narrow widths a Gibbs chain.

    Where there are many more samples than units the proposal of the weighted draws is no longer near the posterior.
    """
    rng, narrow = np.random.default_rng(setting["sample_seed"]), width < setting["gibbs_below"]
    data = task.X, family(task.X), task.y, task.X_new, family(task.X_new)
    prior = {"sigma2": sigma2, "temperature": setting["temperature"], "rng": rng}
    if narrow:
        chains = posterior.gibbs(*data, widths=width, **prior, n_draws=setting["draws"])
    else:
        chains = posterior.importance(*data, width=width, **prior, n_draws=setting["draws"], dof=40.0)
    return {
        "width": width, "sigma2": sigma2, **vars(chains.errors(task.y_new)), "effective": chains.effective,
        "sampler": "gibbs" if narrow else "importance", "draws": setting["draws"],
    }  # fmt: skip


def make(n, setting):
    pictures = images.load("mnist", "test") if setting["set"] == "mnist" else images.digits()
    task = even_odd(pictures, n, setting["n_new"], np.random.default_rng(setting["data_seed"]))
    rng = np.random.default_rng(setting["gate_seed"])
    return task, gates.random_planes(setting["n_gates"], task.X.shape[1], rng, allow_silent=True)


def theory(n, sigma2, widths, setting):
    """Rows of the theory at every width; the infinite one is None."""
    rows = generalisation.along_widths(
        *make(n, setting), widths=widths, sigma2=sigma2, temperature=setting["temperature"]
    )
    return {"rows": [row | {"width": row["width"] if np.isfinite(row["width"]) else None} for row in rows]}


def sample(width, sigma2, setting):
    task, family = make(setting["n_samples"], setting)
    return sampled(task, family, width, sigma2, setting)


def main(argv=None):
    chosen = arguments(
        __doc__, argv, counts={"draws": 2000}, reduced={"draws": 200}, choices={"set": ("digits", "mnist")}
    )
    mnist = chosen.set == "mnist"
    setting = {
        "set": chosen.set, "n_samples": 200, "n_new": 400 if not mnist else 1000, "n_gates": 10, "temperature": 0.01,
        "data_seed": 0, "gate_seed": 1, "sample_seed": 2, "draws": chosen.draws, "gibbs_below": 50,
        "sigma2": [0.1, 1.0, 4.0], "widths": [int(N) for N in np.unique(np.geomspace(5, 2000, 20).astype(int))],
        "sampled_widths": [20, 100, 400] if not mnist else [30, 100],
        "large_samples": [] if not mnist else [500, 1000, 2000], "large_sigma2": 0.1,
        "large_widths": [50, 150, 500, 1500, 5000],
    }  # fmt: skip
    name, jobs = f"ggdln_{chosen.set}", chosen.jobs
    common = {
        key: setting[key] for key in ("set", "n_new", "n_gates", "temperature", "data_seed", "gate_seed")
    }

    def rows(part, label, key, points, widths):
        if not points:
            return []
        found = runs(f"{name}_{part}", theory, points, jobs, widths=widths, setting=common)
        pairs = zip(points, found, strict=True)
        return [{label: point[key], **row} for point, run in pairs for row in run["rows"]]

    small = [{"n": setting["n_samples"], "sigma2": sigma2} for sigma2 in setting["sigma2"]]
    large = [{"n": n, "sigma2": setting["large_sigma2"]} for n in setting["large_samples"]]
    sigma2 = setting["sigma2"][: 2 if mnist else 3]
    grid = [{"width": N, "sigma2": s} for s in sigma2 for N in setting["sampled_widths"]]
    found = {
        "theory": rows("theory", "sigma2", "sigma2", small, setting["widths"]),
        "samples": runs(f"{name}_samples", sample, grid, jobs, setting=setting),
        "large": rows("large", "n_samples", "n", large, setting["large_widths"]),
    }
    save(name, chosen, setting, found, packages=("numpy", "scipy", "scikit-learn"))


if __name__ == "__main__":
    main()

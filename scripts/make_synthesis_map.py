"""One network against the theories over scale and width, its learning rules, its scatter and its posterior.

Writes book/data/synthesis_map.json. About three CPU-minutes.
"""

import numpy as np
from experiment import arguments, runs, save

from gdln.synthesis import experiments, measures, network

SCALES = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
WIDTHS = (8, 16, 32, 64, 128, 256, 512, 1024)
KEPT = slice(None, None, 4)  # of the times, in the stored curves


def task():
    """The data of all runs."""
    return network.digits_questions(300, 16, np.random.default_rng(0))


def digits(value, n=5):
    """Numbers to a few significant digits, in lists."""
    if isinstance(value, dict):
        return {name: digits(x, n) for name, x in value.items()}
    return [float(f"{x:.{n}g}") for x in value] if np.ndim(value) else float(f"{value:.{n}g}")


def start(width, seed):
    """Weights of one network of the map."""
    return network.antisymmetric_weights(16, 3, width, np.random.default_rng(100 * seed + width))


def trained(gamma, width, n_seeds):
    """Networks of one cell, and the curves of the first."""
    found = [experiments.compare(*start(width, seed), task(), gamma) for seed in range(n_seeds)]
    row = {"gamma": gamma, "width": width}
    for name in ("half_times", "movement", "features", "cosine"):
        row[name] = [digits(getattr(one, name)) for one in found]
    for name in ("stop_errors", "clock_errors"):
        row[name] = [digits(getattr(one, name), 4) for one in found]
    row["empirical"] = [digits(one.predicted["empirical"]) for one in found]
    for name in ("curve", "empirical_curve"):
        row[name] = digits(np.maximum(getattr(found[0], name)[KEPT], 1e-6), 3)
    return row


def ruled(gamma, rule, n_seeds):
    """Half-times of the three modes under a learning rule, width 1024."""
    sigma, times = task().sigma, experiments.TIMES
    found = [
        measures.half_times(network.simulate(*start(1024, seed), sigma, gamma, times, rule), sigma)
        for seed in range(n_seeds)
    ]
    return {"gamma": gamma, "rule": rule, "half_times": [digits(one) for one in found]}


def scattered(gamma, width, n_seeds):
    """Half-times of the strongest mode for many starts."""
    sigma, times = task().sigma, experiments.TIMES[experiments.TIMES < 4]
    found = []
    for seed in range(1000, 1000 + n_seeds):
        weights = network.antisymmetric_weights(16, 3, width, np.random.default_rng(seed))
        found.append(measures.half_times(network.simulate(*weights, sigma, gamma, times), sigma)[0])
    return {"gamma": gamma, "width": width, "half_times": digits(found)}


def sampled(gamma, noise, width):
    """The posterior of one cell."""
    n_sweeps = 2000 if width < 512 else 1000
    rng = np.random.default_rng(width)
    errors = experiments.compare_posterior(task(), gamma, noise, width, n_sweeps, rng)
    return {"gamma": gamma, "noise": noise, "width": width} | digits(errors, 4)


def main(argv=None):
    chosen = arguments(__doc__, argv, counts={"seeds": 4, "scatter": 24}, reduced={"seeds": 1, "scatter": 3})
    scales, widths = {"gamma": list(SCALES)}, {"width": list(WIDTHS)}
    trainings = runs("synthesis_map", trained, scales | widths, chosen.jobs, n_seeds=chosen.seeds)
    for row in trainings:  # the scatter over seeds is kept where it is quoted
        each = row.pop("clock_errors")
        row["clock_errors"] = {name: digits(np.mean([e[name] for e in each], axis=0), 4) for name in each[0]}
    grid = {"gamma": [0.01, *SCALES], "rule": list(network.RULES)}
    rules = runs("synthesis_map_rules", ruled, grid, chosen.jobs, n_seeds=min(chosen.seeds, 3))
    grid = {"gamma": [0.03, 10.0], "width": [32, 128, 512]}
    scatter = runs("synthesis_map_scatter", scattered, grid, chosen.jobs, n_seeds=chosen.scatter)
    grid = {"gamma": list(SCALES[1:]), "noise": [0.1, 1.0], "width": list(WIDTHS[:-1])}
    posterior = runs("synthesis_map_posterior", sampled, grid, chosen.jobs)
    save(
        "synthesis_map",
        chosen,
        {
            "data": "digits, 300 to train, 500 to test, 16 white components, three questions, default_rng(0)",
            "start": "antisymmetric, default_rng(100 seed + width); scatter default_rng(seed)",
            "times": digits(experiments.TIMES[KEPT]),
            "clock": list(experiments.CLOCK),
            "seeds": list(range(chosen.seeds)),
            "scatter_seeds": list(range(1000, 1000 + chosen.scatter)),
            "n_sweeps": "2000, at width 512 1000, after 100; default_rng(width)",
        },
        {"map": trainings, "rules": rules, "scatter": scatter, "posterior": posterior},
        packages=("numpy", "scipy", "scikit-learn"),
    )


if __name__ == "__main__":
    main()

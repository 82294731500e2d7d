#!/usr/bin/env python
"""Write the tables of the figures to explore whose theory is too large for a browser: about three CPU-minutes.

    scripts/make_explore.py                all tables, into book/_static/explore
    scripts/make_explore.py kernel_shape   one of them

Each is a JSON file with parameters and versions; ``tests/test_explore.py`` computes some entries again.
"""

import sys
from pathlib import Path

import numpy as np

from gdln import renormalization as rn
from gdln import results
from gdln.renormalization import gates
from gdln.synthesis import experiments, network, theories

FOLDER = Path(__file__).resolve().parent.parent / "book" / "_static" / "explore"
WIDTHS = [10000, 1000, 400, 200, 100, 60, 40, 25, 16, 10]
PRIORS = [0.1, 0.15, 0.25, 0.4, 0.6, 1.0, 1.5, 2.5, 4.0]
TEMPERATURES = [0.02, 0.05, 0.1, 0.2, 0.5, 1.0]
NETWORK_WIDTHS, STEPS, N_TRAIN, SEEDS = [32, 64, 128, 256, 512], [1, 3, 10, 30, 100, 300, 1000], 100, [0, 1]


def shape_task():
    """Points, planes and labels of the teacher that uses one of three gates, as in chapter "Shape"."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((40, 50))
    planes = gates.random_planes(3, 50, rng, constant=True)
    signal = 2 * planes(x)[:, 1] * (x @ rng.standard_normal(50)) / np.sqrt(50)
    return x, planes, signal + 0.3 * rng.standard_normal(40)


def shape_path(sigma2, temperature, widths=tuple(WIDTHS)):
    """Order parameters along the widths, and how far the kernel points along the labels."""
    x, planes, y = shape_task()
    kernel = rn.GatedKernel.from_inputs(x, planes, sigma2=sigma2)
    U = [solution.U[0] for solution in rn.width_path(kernel, y, widths=list(widths), temperature=temperature)]
    aligned = [y @ kernel(u) @ y / (y @ y * np.linalg.norm(kernel(u))) for u in U]
    return np.array(U), np.array(aligned)


def kernel_shape():
    """Return parameters and table of the renormalised kernel's shape."""
    found = [[shape_path(s2, T) for T in TEMPERATURES] for s2 in PRIORS]
    rows, columns = np.triu_indices(3)
    table = {
        "U": [[digits(U[:, rows, columns]) for U, _ in row] for row in found],
        "aligned": [[digits(aligned) for _, aligned in row] for row in found],
    }
    return {"widths": WIDTHS, "priors": PRIORS, "temperatures": TEMPERATURES, "seed": 0}, table


def network_scores(width, seed, steps=tuple(STEPS)):
    """Gram scores of prediction and of the error-blind control, shape (n_steps, n_layers) each, and the loss."""
    import torch

    from gdln.alignment.experiments import digits_task, measure_alignment

    torch.set_num_threads(1)
    task = digits_task(N_TRAIN, np.random.default_rng(seed))
    draws = {"generator": torch.Generator().manual_seed(seed), "rng": np.random.default_rng(seed)}
    scores = measure_alignment(task.x, task.y, width, 3, checkpoints=steps, **draws)
    return scores.gram, scores.blind, scores.loss


def alignment_scores():
    """Return parameters and table of the scores of networks of several widths along training."""
    found = [[network_scores(width, seed) for seed in SEEDS] for width in NETWORK_WIDTHS]
    names = ("gram", "blind", "loss")
    table = {name: [[digits(run[k]) for run in row] for row in found] for k, name in enumerate(names)}
    parameters = {
        "widths": NETWORK_WIDTHS,
        "steps": STEPS,
        "seeds": SEEDS,
        "n_train": N_TRAIN,
        "depth": 3,
        "lr": 0.3,
    }
    return parameters, table


def one_network():
    """Return parameters and table of the map of five theories: errors of every cell, and the curves of one network."""
    stored = results.load("synthesis_map")
    questions = network.digits_questions(300, 16, np.random.default_rng(0))
    s = np.linalg.svd(questions.sigma, compute_uv=False)
    rows = stored["results"]["map"]
    scales, widths = (sorted({row[axis] for row in rows}) for axis in ("gamma", "width"))
    names = list(experiments.PREDICTIONS)
    table = {"curve": [], "own": [], "when": [], "what": []}
    for row in rows:
        found = np.array(row["half_times"])[:, 0]
        said = {"empirical": np.array(row["empirical"])[:, 0]}
        speaking = [name for name in names if name in row["stop_errors"][0]]
        for name in set(speaking) - set(said):
            said[name] = theories.mode_half_times(s, row["gamma"], name)[0]
        when = {name: np.mean(np.abs(said[name] / found - 1)) for name in speaking}
        what = {name: np.mean([one[name] for one in row["stop_errors"]]) for name in speaking}
        table["when"].append([short(when[name]) if name in when else None for name in names])
        table["what"].append([short(what[name]) if name in what else None for name in names])
        table["curve"].append(row["curve"])
        table["own"].append(row["empirical_curve"])
    parameters = {
        "scales": scales,
        "widths": widths,
        "theories": names,
        "strengths": digits(s),
        "times": stored["parameters"]["times"],
    }
    return parameters, table


def short(value):
    """A number with three digits."""
    return float(f"{value:.3g}")


def digits(values):
    """Numbers with eight digits: what a figure shows, and a test can hold, without the rest."""
    return [digits(v) for v in values] if np.ndim(values) else float(f"{values:.8g}")


TABLES = {"kernel_shape": kernel_shape, "alignment_scores": alignment_scores, "one_network": one_network}


def main(names):
    """Write the tables that are named, all unless any is."""
    for name in names or TABLES:
        parameters, table = TABLES[name]()
        packages = ("numpy", "scipy", *(("scikit-learn", "torch") if name == "alignment_scores" else ()))
        print(results.save(name, parameters, table, packages, folder=FOLDER))


if __name__ == "__main__":
    main(sys.argv[1:])

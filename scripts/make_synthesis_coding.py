"""Codes of Bayesian networks with linear, sigmoidal and ReLU units, a lazy control and a longer chain.

Writes book/data/synthesis_coding.json. About ten CPU-minutes.
"""

from dataclasses import asdict

import numpy as np
from experiment import arguments, runs, save

from gdln.synthesis import coding
from gdln.synthesis.coding_sampling import sample_codes

N_SAMPLES, N_INPUTS, N_CLASSES, TEMPERATURE = 60, 100, 3, 0.02
WIDTHS, LAZY_WIDTH, LONGER = (100, 200, 400), 200, 3


def sampled(activation, width, seed, n_trajectories, scaling="mean_field"):
    """Statistics of one chain, on the task of its seed."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((N_SAMPLES, N_INPUTS))
    labels = rng.permutation(np.arange(N_SAMPLES) % N_CLASSES)
    K0, Y = X @ X.T / N_INPUTS, np.eye(N_CLASSES)[labels]
    sigma2 = 1 / N_SAMPLES if scaling == "mean_field" else 1.0
    options = {"n_trajectories": n_trajectories, "scaling": scaling}
    chain = sample_codes(K0, Y, width, activation, TEMPERATURE, sigma2, rng, **options)
    a, phi = chain.a[-1], chain.phi[-1]
    shares, means = coding.class_codes(phi, labels)
    loud = np.abs(a).max(axis=1) > 1
    pure = a[loud].max(axis=1) / np.linalg.norm(a[loud], axis=1)
    found = asdict(coding.code_statistics(a, phi, labels))
    found |= {
        "alignment": coding.class_alignment(chain.kernel, Y),
        "persistence": coding.persistence(chain.a[0], a),
        "saturated": np.mean(np.minimum(np.abs(means), np.abs(means - 1)) < 0.25),
        "loud": loud.mean(),
        "one_class": pure.mean() if loud.any() else None,
        "class_share_mean": coding.class_share(chain.kernel, labels),
        "acceptance": chain.acceptance,
        "step": chain.lr,
    }
    if scaling == "mean_field":
        fields = (Y - chain.outputs) / TEMPERATURE
        law = coding.unit_law(
            chain.a.reshape(-1, N_CLASSES), chain.phi.reshape(-1, N_SAMPLES), fields, sigma2
        )
        found |= {f"law_{name}": value for name, value in asdict(law).items()}
        found["rms"] = np.sqrt(np.square(chain.outputs - Y).mean())
    if activation == "linear" and scaling == "mean_field":
        theory = coding.solve_linear_code(K0, Y, TEMPERATURE, sigma2)
        cold = coding.solve_linear_code(K0, Y, 0.0, sigma2)
        found |= {
            "moment_error": np.abs(chain.A - theory.A).max(),
            "output_error": np.linalg.norm(chain.outputs - theory.outputs) / np.linalg.norm(theory.outputs),
            "moment": np.trace(theory.A) / N_CLASSES,
            "moment_cold": np.trace(cold.A) / N_CLASSES,
            "class_share_theory": coding.class_share(theory.kernel, labels),
            "alignment_theory": coding.class_alignment(theory.kernel, Y),
        }
    found = {name: None if value is None else float(f"{value:.5g}") for name, value in found.items()}
    return found | {"A": chain.A.round(5).tolist(), "codes": shares}


def main(argv=None):
    counts = {"seeds": 3, "trajectories": 800}
    chosen = arguments(__doc__, argv, counts=counts, reduced={"seeds": 1, "trajectories": 200})
    seeds, fixed = list(range(chosen.seeds)), {"n_trajectories": chosen.trajectories}
    found = {}
    for activation in coding.ACTIVATIONS:
        grid = {"activation": [activation], "width": list(WIDTHS), "seed": seeds}
        table = runs(f"synthesis_coding_{activation}", sampled, grid, chosen.jobs, **fixed)
        parts = {str(n): table[k * len(seeds) : (k + 1) * len(seeds)] for k, n in enumerate(WIDTHS)}
        point = [{"activation": activation, "width": LAZY_WIDTH, "seed": 0}]
        (lazy,) = runs(f"synthesis_coding_lazy_{activation}", sampled, point, scaling="ntk", **fixed)
        found[activation] = parts | {"lazy": lazy}
    point = [{"activation": "relu", "width": LAZY_WIDTH, "seed": 0}]
    long = LONGER * chosen.trajectories
    (found["relu"]["long"],) = runs("synthesis_coding_long", sampled, point, n_trajectories=long)
    parameters = {
        "n_samples": N_SAMPLES,
        "n_inputs": N_INPUTS,
        "n_classes": N_CLASSES,
        "temperature": TEMPERATURE,
        "sigma2": "1 / n_samples, lazy: 1",
        "trajectories": chosen.trajectories,
        "long": f"{LONGER} times as many, seed 0, the width of the lazy control",
        "widths": list(WIDTHS),
        "lazy_width": LAZY_WIDTH,
        "seeds": seeds,
    }
    save("synthesis_coding", chosen, parameters, found)


if __name__ == "__main__":
    main()

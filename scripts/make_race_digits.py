"""Pathway networks on the 8 by 8 digits: trained and untrained routes against K, gain, activation and domains.

Writes book/data/race_digits.json. About five CPU-minutes.
"""

import argparse
import time

import numpy as np
import torch
from tqdm import tqdm

from gdln import results
from gdln.data import images
from gdln.race import pathways

COMMON = {"n_domains": 16, "lr": 0.2, "batch_size": 50, "hidden": 64}
LINEAR = {"activation": "linear", "gain": 0.1, "inputs": "permuted", "relabelling": "random"}
SETTINGS = (
    [{**LINEAR, "n_trained": K} for K in (2, 4, 6, 8, 12)]
    + [{**LINEAR, "n_trained": 4, "gain": gain} for gain in (1.0, 3.0)]
    + [{**LINEAR, "n_trained": K, "activation": "leaky_relu"} for K in (2, 4, 6)]
    + [{**LINEAR, "n_trained": K, "inputs": "rotated"} for K in (2, 4, 6)]
    + [{**LINEAR, "n_trained": K, "relabelling": "lexicographic"} for K in (2, 4)]
)


def table(settings, split, seeds, n_epochs, record_every):
    """One row a setting: accuracies of every seed along training. ``split(seed)`` gives train and test images."""
    rows = []
    for setting in tqdm(settings):
        start = time.process_time()
        runs = [
            pathways.experiment(
                *split(seed), seed=seed, n_epochs=n_epochs, record_every=record_every, **COMMON | setting
            )
            for seed in seeds
        ]
        rows.append(
            {
                **setting,
                "epochs": runs[0].epochs.tolist(),
                "trained": [run.trained.round(4).tolist() for run in runs],
                "untrained": [
                    [None if np.isnan(u) else round(float(u), 4) for u in run.untrained] for run in runs
                ],
                "loss": [round(float(run.loss[-1]), 5) for run in runs],
                "cpu_seconds_per_run": round((time.process_time() - start) / len(runs), 1),
            }
        )
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=100)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    seeds = list(range(arguments.seeds))

    def split(seed):
        return images.digits().split(1400, np.random.default_rng(seed))

    rows = table(SETTINGS, split, seeds, arguments.epochs, record_every=20)
    parameters = {**COMMON, "n_train": 1400, "momentum": 0.9, "epochs": arguments.epochs, "seeds": seeds}
    results.save("race_digits", parameters, {"settings": rows}, packages=("numpy", "scikit-learn", "torch"))


if __name__ == "__main__":
    main()

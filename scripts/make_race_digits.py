"""Pathway networks on the 8 by 8 digits: trained and untrained routes against K, gain, activation and domains.

Writes book/data/race_digits.json. About five CPU-minutes.
"""

import time

import numpy as np
import torch
from experiment import arguments, runs, save

from gdln.data import images
from gdln.race import pathways

COMMON = {"n_domains": 16, "lr": 0.2, "batch_size": 50, "width": 64}
LINEAR = {"activation": "linear", "gain": 0.1, "inputs": "permuted", "relabelling": "random"}
SETTINGS = (
    [{**LINEAR, "n_trained": K} for K in (2, 4, 6, 8, 12)]
    + [{**LINEAR, "n_trained": 4, "gain": gain} for gain in (1.0, 3.0)]
    + [{**LINEAR, "n_trained": K, "activation": "leaky_relu"} for K in (2, 4, 6)]
    + [{**LINEAR, "n_trained": K, "inputs": "rotated"} for K in (2, 4, 6)]
    + [{**LINEAR, "n_trained": K, "relabelling": "lexicographic"} for K in (2, 4)]
)


def trained(setting, seed, settings, split, n_epochs, record_every, device):
    """Accuracies of one network along training. ``split(seed)`` gives train and test images."""
    torch.set_num_threads(1)
    start = time.process_time()
    options = COMMON | settings[setting]
    run = pathways.experiment(
        *split(seed),
        rng=np.random.default_rng(seed),
        generator=torch.Generator().manual_seed(seed),
        n_epochs=n_epochs,
        record_every=record_every,
        device=device,
        **options,
    )
    return {
        "epochs": run.epochs.tolist(),
        "trained": run.trained.round(4).tolist(),
        "untrained": [None if np.isnan(u) else round(float(u), 4) for u in run.untrained],
        "loss": round(float(run.loss[-1]), 5),
        "cpu_seconds": time.process_time() - start,
    }


def table(name, settings, split, seeds, n_epochs, record_every, chosen):
    """One row a setting: accuracies of every seed along training, by the workers and on the device that are chosen."""
    grid = {"setting": list(range(len(settings))), "seed": seeds}
    fixed = {"settings": settings, "split": split, "n_epochs": n_epochs, "record_every": record_every}
    found = iter(runs(name, trained, grid, chosen.jobs, device=chosen.device, **fixed))
    rows = []
    for setting in settings:
        group = [next(found) for _ in seeds]
        columns = {key: [run[key] for run in group] for key in ("trained", "untrained", "loss")}
        seconds = round(sum(run["cpu_seconds"] for run in group) / len(group), 1)
        rows.append({**setting, "epochs": group[0]["epochs"], **columns, "cpu_seconds_per_run": seconds})
    return rows


def split_digits(seed):
    return images.digits().split(1400, np.random.default_rng(seed))


def main(argv=None):
    counts, reduced = {"seeds": 5, "epochs": 100}, {"seeds": 1, "epochs": 20}
    chosen = arguments(__doc__, argv, counts=counts, reduced=reduced, device=True)
    seeds = list(range(chosen.seeds))
    rows = table("race_digits", SETTINGS, split_digits, seeds, chosen.epochs, 20, chosen)
    parameters = {**COMMON, "n_train": 1400, "momentum": 0.9, "epochs": chosen.epochs, "seeds": seeds}
    save("race_digits", chosen, parameters, {"settings": rows}, ("numpy", "scikit-learn", "torch"))


if __name__ == "__main__":
    main()

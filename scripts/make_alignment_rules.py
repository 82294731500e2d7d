"""Seven learning rules on the digits: against width, depth and the number of images.

Writes book/data/alignment_rules.json. About four CPU-minutes.
"""

import argparse

import torch
from tqdm import tqdm

from gdln import results
from gdln.alignment.experiments import digits_task, train_rule
from gdln.alignment.rules import RULES

LRS = (0.1, 0.3, 1.0)
SETTINGS = (
    [{"n_train": 1000, "width": width, "depth": 3, "n_epochs": 30, "lrs": LRS} for width in (16, 64, 256)]
    + [{"n_train": 1000, "width": 512, "depth": 3, "n_epochs": 15, "lrs": (1.0,)}]
    + [{"n_train": 50, "width": 256, "depth": 3, "n_epochs": 100, "lrs": LRS}]
    + [{"n_train": 1000, "width": 256, "depth": depth, "n_epochs": 15, "lrs": LRS} for depth in (1, 6)]
)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for setting in tqdm(SETTINGS):
        options = dict(setting)
        tasks = [
            digits_task(options["n_train"], seed, dtype=torch.float32) for seed in range(arguments.seeds)
        ]
        options.pop("n_train")
        for rule in RULES:
            result = train_rule(rule, tasks, **options)
            rows.append(
                {
                    **setting,
                    "rule": rule,
                    "accuracy": (100 * result.accuracy).round(3).tolist(),
                    "lr": result.lr.tolist(),
                    "table": (100 * result.table).round(3).tolist(),
                    "diverged": result.diverged.tolist(),
                }
            )
    results.save(
        "alignment_rules",
        {
            "data": "digits, 297 for validation, 500 for test",
            "batch_size": 50,
            "seeds": list(range(arguments.seeds)),
            "accuracy": "per cent, one a seed",
        },
        rows,
        packages=("numpy", "scikit-learn", "torch"),
    )


if __name__ == "__main__":
    main()

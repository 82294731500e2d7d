"""Seven learning rules on the digits: against width, depth and the number of images.

Writes book/data/alignment_rules.json. About four CPU-minutes.
"""

from functools import partial

import numpy as np
import torch
from experiment import arguments, runs, save

from gdln.alignment.experiments import digits_task, train_rule
from gdln.alignment.perceptrons import Perceptrons
from gdln.alignment.rules import RULES

LRS = (0.1, 0.3, 1.0)
SETTINGS = (
    [{"n_train": 1000, "width": width, "depth": 3, "n_epochs": 30, "lrs": LRS} for width in (16, 64, 256)]
    + [{"n_train": 1000, "width": 512, "depth": 3, "n_epochs": 15, "lrs": (1.0,)}]
    + [{"n_train": 50, "width": 256, "depth": 3, "n_epochs": 100, "lrs": LRS}]
    + [{"n_train": 1000, "width": 256, "depth": depth, "n_epochs": 15, "lrs": LRS} for depth in (1, 6)]
)


def sources(seed):
    """One generator for weights and the order of the data, one for the feedback."""
    return torch.Generator().manual_seed(seed), torch.Generator().manual_seed(1000 + seed)


def trained(setting, rule, n_seeds):
    """One rule in one setting, all seeds at once."""
    torch.set_num_threads(1)
    options = dict(SETTINGS[setting])
    n_train, width, depth = (options.pop(name) for name in ("n_train", "width", "depth"))
    tasks = [
        digits_task(n_train, np.random.default_rng(seed), dtype=torch.float32) for seed in range(n_seeds)
    ]
    draw = partial(Perceptrons.draw, [64, *[width] * depth, 10], 1, dtype=torch.float32)
    result = train_rule(rule, tasks, draw, generators=map(sources, range(n_seeds)), **options)
    return {
        **SETTINGS[setting],
        "rule": rule,
        "accuracy": (100 * result.accuracy).round(3).tolist(),
        "lr": result.lr.tolist(),
        "table": (100 * result.table).round(3).tolist(),
        "diverged": result.diverged.tolist(),
    }


def main(argv=None):
    chosen = arguments(__doc__, argv, counts={"seeds": 3}, reduced={"seeds": 1})
    grid = {"setting": list(range(len(SETTINGS))), "rule": list(RULES)}
    rows = runs("alignment_rules", trained, grid, chosen.jobs, n_seeds=chosen.seeds)
    save(
        "alignment_rules",
        chosen,
        {
            "data": "digits, 297 for validation, 500 for test",
            "batch_size": 50,
            "seeds": list(range(chosen.seeds)),
            "accuracy": "per cent, one a seed",
        },
        rows,
        packages=("numpy", "scikit-learn", "torch"),
    )


if __name__ == "__main__":
    main()

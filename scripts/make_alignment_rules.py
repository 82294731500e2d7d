"""Seven learning rules: against width and, on the digits, against depth and the number of images.

The digits come with scikit-learn; with --set, images of 28 by 28 pixels are read from the files of MNIST,
Fashion-MNIST or KMNIST (the folder named by GDLN_DATA, or for Fashion-MNIST Debian's package
dataset-fashion-mnist). Writes book/data/alignment_rules.json for the digits, about four CPU-minutes, and
book/data/alignment_rules_<set>.json for the others, about thirteen, four of them at width 2048.
"""

from functools import lru_cache, partial

import numpy as np
import torch
from experiment import arguments, runs, save

from gdln.alignment.experiments import image_task, train_rule
from gdln.alignment.perceptrons import Perceptrons
from gdln.alignment.rules import RULES
from gdln.data import images

LRS = (0.1, 0.3, 1.0)
DIGITS = (
    [{"n_train": 1000, "width": width, "depth": 3, "n_epochs": 30, "lrs": LRS} for width in (16, 64, 256)]
    + [{"n_train": 1000, "width": 512, "depth": 3, "n_epochs": 15, "lrs": (1.0,)}]
    + [{"n_train": 50, "width": 256, "depth": 3, "n_epochs": 100, "lrs": LRS}]
    + [{"n_train": 1000, "width": 256, "depth": depth, "n_epochs": 15, "lrs": LRS} for depth in (1, 6)]
)
# three passes through ten thousand images are as many steps as thirty through a thousand digits
LARGER = [
    {
        "n_train": 10_000,
        "width": width,
        "depth": 3,
        "n_epochs": 3,
        "lrs": (0.25, 0.5, 1.0, 2.0, 4.0, 8.0),
    }
    for width in (16, 64, 256)
]
#: Settings of a set, its images for validation and for test.
SETS = {"digits": (DIGITS, 297, 500)} | dict.fromkeys(("mnist", "fashion", "kmnist"), (LARGER, 1000, 2000))
#: Widths above those of the settings: their seeds, and at which shares of the rate carried from the width before.
WIDE = {1024: (2, (0.5, 1.0)), 2048: (1, (1.0,))}


def sources(seed):
    """One generator for weights and the order of the data, one for the feedback."""
    return torch.Generator().manual_seed(seed), torch.Generator().manual_seed(1000 + seed)


@lru_cache(1)
def image_set(name, n_images):
    """The images that a task is drawn from: all digits, or the first of the training file."""
    return images.digits() if name == "digits" else images.load(name, "train").subset(slice(n_images))


def trained(setting, rule, name, seeds, **changed):
    """One rule in one setting, all learning rates at once."""
    torch.set_num_threads(1)
    settings, *parts = SETS[name]
    setting = settings[setting] | changed
    options = {key: setting[key] for key in ("n_epochs", "lrs")}
    n_train, width, depth = (setting[key] for key in ("n_train", "width", "depth"))
    full = image_set(name, n_train + sum(parts))
    tasks = [
        image_task(full, n_train, np.random.default_rng(seed), *parts, dtype=torch.float32) for seed in seeds
    ]
    draw = partial(Perceptrons.draw, [full.X.shape[1], *[width] * depth, 10], 1, dtype=torch.float32)
    result = train_rule(rule, tasks, draw, generators=map(sources, seeds), **options)
    return {
        **setting,
        "rule": rule,
        "accuracy": (100 * result.accuracy).round(3).tolist(),
        "lr": result.lr.tolist(),
        "table": (100 * result.table).round(3).tolist(),
        "diverged": result.diverged.tolist(),
    }


def wide(rule, lr, seed, shares, setting, width, name):
    """One seed of one rule, at shares of a learning rate, in a setting but for its width."""
    return trained(setting, rule, name, (seed,), width=width, lrs=tuple(share * lr for share in shares))


def carried(rows):
    """Rules and rates for wider networks: of each rule its seeds' middle one, of backprop Align-ada's as well."""
    middle = {}
    for row in rows:  # of two in the middle the smaller, which is the safer one
        middle.setdefault(row["rule"], sorted(row["lr"])[(len(row["lr"]) - 1) // 2])
    return list(dict.fromkeys([*middle.items(), ("backprop", middle["align_ada"])]))


def together(rows):
    """One row from those of single seeds."""
    lists = {key: sum((row[key] for row in rows), []) for key in ("accuracy", "lr")}
    tables = {key: np.hstack([row[key] for row in rows]).tolist() for key in ("table", "diverged")}
    return rows[0] | lists | tables


def main(argv=None):
    chosen = arguments(
        __doc__,
        argv,
        counts={"seeds": 3, "widest": max(WIDE)},
        reduced={"seeds": 1, "widest": 64},
        choices={"set": tuple(SETS)},
    )
    settings, n_validation, n_test = SETS[chosen.set]
    name = "alignment_rules" if chosen.set == "digits" else f"alignment_rules_{chosen.set}"
    wanted = [k for k, setting in enumerate(settings) if setting["width"] <= chosen.widest]
    if not wanted:
        raise SystemExit(f"--widest needs at least {min(s['width'] for s in settings)}, got {chosen.widest}")
    seeds, grid = list(range(chosen.seeds)), {"setting": wanted, "rule": list(RULES)}
    rows = runs(name, trained, grid, chosen.jobs, name=chosen.set, seeds=seeds)
    before = rows[-len(RULES) :]
    for width, (n_seeds, shares) in WIDE.items():
        if chosen.set == "digits" or width > chosen.widest:
            break
        pairs = carried(before)
        points = [{"rule": rule, "lr": lr, "seed": seed} for seed in seeds[:n_seeds] for rule, lr in pairs]
        fixed = {"shares": shares, "setting": wanted[-1], "width": width, "name": chosen.set}
        found = runs(f"{name}_{width}", wide, points, chosen.jobs, **fixed)
        before = [together(found[k :: len(pairs)]) for k in range(len(pairs))]
        rows += before
    save(
        name,
        chosen,
        {
            "data": f"{chosen.set}, {n_validation} for validation, {n_test} for test",
            "batch_size": 50,
            "seeds": seeds,
            "accuracy": "per cent, one a seed",
        },
        rows,
        packages=("numpy", "scikit-learn", "torch"),
    )


if __name__ == "__main__":
    main()

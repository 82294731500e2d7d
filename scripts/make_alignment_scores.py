"""Alignment of weight changes with their prediction on the digits: against width, depth and time.

Writes book/data/alignment_scores.json. About five CPU-minutes.
"""

import numpy as np
import torch
from experiment import arguments, runs, save

from gdln.alignment.experiments import digits_task, measure_alignment

WIDTHS, DEPTHS = [32, 64, 128, 256, 512, 1024], [1, 2, 4, 6]
CHECKPOINTS = [1, 3, 10, 30, 100, 300, 1000]
SCORES = ("gram", "cosine", "hebbian", "ratio", "blind", "shuffled", "moved")


def table(scores):
    return {name: getattr(scores, name).round(6).tolist() for name in SCORES}


def measured(width, depth, seed, n_train, device, checkpoints=None):
    """Scores of one network: after training, or along it at checkpoints, with the loss."""
    torch.set_num_threads(1)
    task = digits_task(n_train, np.random.default_rng(seed))
    options = {} if checkpoints is None else {"checkpoints": checkpoints}
    scores = measure_alignment(
        task.x,
        task.y,
        width,
        depth,
        generator=torch.Generator().manual_seed(seed),
        rng=np.random.default_rng(seed),
        device=device,
        **options,
    )
    return table(scores) | ({} if checkpoints is None else {"loss": np.round(scores.loss, 6).tolist()})


def main(argv=None):
    chosen = arguments(
        __doc__,
        argv,
        counts={"seeds": 3, "n_train": 200},
        reduced={"seeds": 1, "n_train": 50},
        device=True,
    )
    seeds, n_train = list(range(chosen.seeds)), chosen.n_train
    fixed = {"n_train": n_train, "device": chosen.device}

    def over_seeds(part, key, points):
        grid = [point | {"seed": seed} for point in points for seed in seeds]
        found = iter(runs(f"alignment_scores_{part}", measured, grid, chosen.jobs, **fixed))
        groups = [(str(point[key]), [next(found) for _ in seeds]) for point in points]
        return {label: {name: [run[name][0] for run in group] for name in SCORES} for label, group in groups}

    by_width = over_seeds("width", "width", [{"width": width, "depth": 3} for width in WIDTHS])
    by_depth = over_seeds("depth", "depth", [{"width": 256, "depth": depth} for depth in DEPTHS])
    point = [{"width": 512, "depth": 3, "seed": 0}]
    (long,) = runs("alignment_scores_time", measured, point, chosen.jobs, checkpoints=CHECKPOINTS, **fixed)
    save(
        "alignment_scores",
        chosen,
        {
            "data": "digits",
            "n_train": n_train,
            "lr": 0.3,
            "steps": 300,
            "widths": WIDTHS,
            "depth": 3,
            "depths": DEPTHS,
            "depth_width": 256,
            "time_width": 512,
            "checkpoints": CHECKPOINTS,
            "seeds": seeds,
        },
        {"width": by_width, "depth": by_depth, "time": long},
        packages=("numpy", "scipy", "scikit-learn", "torch"),
    )


if __name__ == "__main__":
    main()

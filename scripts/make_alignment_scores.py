"""Alignment of weight changes with their prediction on the digits: against width, depth and time.

Writes book/data/alignment_scores.json. About five CPU-minutes.
"""

import argparse

import numpy as np
import torch
from tqdm import tqdm

from gdln import results
from gdln.alignment.experiments import digits_task, measure_alignment

WIDTHS, DEPTHS = [32, 64, 128, 256, 512, 1024], [1, 2, 4, 6]
CHECKPOINTS = [1, 3, 10, 30, 100, 300, 1000]
SCORES = ("gram", "cosine", "hebbian", "ratio", "blind", "shuffled", "moved")


def table(scores):
    return {name: getattr(scores, name).round(6).tolist() for name in SCORES}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--n-train", type=int, default=200)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    seeds = list(range(arguments.seeds))
    tasks = [digits_task(arguments.n_train, s) for s in seeds]

    def over_seeds(width, depth):
        runs = [
            table(measure_alignment(t.x, t.y, width, depth, s)) for s, t in zip(seeds, tasks, strict=True)
        ]
        return {name: [run[name][0] for run in runs] for name in SCORES}

    by_width = {str(width): over_seeds(width, 3) for width in tqdm(WIDTHS)}
    by_depth = {str(depth): over_seeds(256, depth) for depth in tqdm(DEPTHS)}
    long = measure_alignment(tasks[0].x, tasks[0].y, 512, 3, 0, checkpoints=CHECKPOINTS)
    results.save(
        "alignment_scores",
        {
            "data": "digits",
            "n_train": arguments.n_train,
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
        {
            "width": by_width,
            "depth": by_depth,
            "time": {**table(long), "loss": np.round(long.loss, 6).tolist()},
        },
        packages=("numpy", "scipy", "scikit-learn", "torch"),
    )


if __name__ == "__main__":
    main()

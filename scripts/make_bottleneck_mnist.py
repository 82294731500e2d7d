"""Parity of MNIST digits: training times and test errors with a bottleneck and without.

Needs the idx files of MNIST's test set (10,000 images, cut here into training and test images) in the folder named
by GDLN_DATA. Writes book/data/bottleneck_mnist.json. About six CPU-minutes.
"""

import argparse

import numpy as np
from make_bottleneck_acceleration import SCALES, baselines, run
from tqdm import tqdm

from gdln import results
from gdln.bottleneck import experiments
from gdln.data import images
from gdln.data.regression import parity

WIDTHS = (2, 5, 20, 100)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--train", type=int, default=300)
    parser.add_argument("--test", type=int, default=3700)
    arguments = parser.parse_args()
    pixels = images.load("mnist", "test")
    out, bar = {"runs": []}, tqdm()
    for seed in range(arguments.seeds):
        rng = np.random.default_rng(seed)
        setting = experiments.prepare(parity(pixels, arguments.train, arguments.test, rng))
        row = {"baselines": baselines(setting, horizon=5000)}
        for scale in (1, 16):
            slow = SCALES[scale]
            for width in WIDTHS:
                row[f"{scale},{width}"] = run(
                    setting, width, seed, label_scale=scale, slow=slow, horizon=800 / slow
                )
                bar.update()
        out["runs"].append(row)
    parameters = {
        "seeds": list(range(arguments.seeds)),
        "n_train": arguments.train,
        "n_test": arguments.test,
        "images": "MNIST t10k, first shuffled with the seed",
        "levels": list(experiments.LEVELS),
        "n_units": 512,
    }
    results.save("bottleneck_mnist", parameters, out)


if __name__ == "__main__":
    main()

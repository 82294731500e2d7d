"""Parity of MNIST digits: training times and test errors with a bottleneck and without.

Needs the idx files of MNIST's test set (10,000 images, cut here into training and test images) in the folder named
by GDLN_DATA. Writes book/data/bottleneck_mnist.json. About six CPU-minutes.
"""

import numpy as np
from experiment import arguments, runs, save
from make_bottleneck_acceleration import SCALES, baselines, run

from gdln.bottleneck import experiments
from gdln.data import images
from gdln.data.regression import parity

WIDTHS = (2, 5, 20, 100)


def trained(seed, n_train, n_test):
    """Baselines and every bottleneck on one split of the images."""
    rng = np.random.default_rng(seed)
    setting = experiments.prepare(parity(images.load("mnist", "test"), n_train, n_test, rng))
    row = {"baselines": baselines(setting, horizon=5000)}
    for scale in (1, 16):
        slow = SCALES[scale]
        for width in WIDTHS:
            row[f"{scale},{width}"] = run(
                setting, width, seed, label_scale=scale, slow=slow, horizon=800 / slow
            )
    return row


def main(argv=None):
    chosen = arguments(
        __doc__,
        argv,
        counts={"seeds": 5, "train": 300, "test": 3700},
        reduced={"seeds": 1, "train": 100, "test": 500},
    )
    seeds = list(range(chosen.seeds))
    fixed = {"n_train": chosen.train, "n_test": chosen.test}
    out = {"runs": runs("bottleneck_mnist", trained, {"seed": seeds}, chosen.jobs, **fixed)}
    parameters = {
        "seeds": seeds,
        **fixed,
        "images": "MNIST t10k, first shuffled with the seed",
        "levels": list(experiments.LEVELS),
        "n_units": 512,
    }
    save("bottleneck_mnist", chosen, parameters, out)


if __name__ == "__main__":
    main()

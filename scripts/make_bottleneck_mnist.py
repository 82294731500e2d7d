"""Parity of image classes: training times and test errors with a bottleneck and without, on sets as large as MNIST.

Writes book/data/bottleneck_<set>.json. Needs the idx files of the set's 10,000 test images, cut here into training and
test images, in the folder named by GDLN_DATA; Fashion-MNIST is also found where Debian's package dataset-fashion-mnist
puts it. About six CPU-minutes for MNIST, the default. The results of Fashion-MNIST and KMNIST also hold three times as
many training images, down to ten per cent of the loss, and scikit-learn's digits at the same size: about nine.
"""

import numpy as np
from experiment import arguments, runs, save
from make_bottleneck_acceleration import SCALES, baselines, run

from gdln.bottleneck import experiments
from gdln.data import images
from gdln.data.regression import parity

WIDTHS = (2, 5, 20, 100)
#: What the stored results call the images.
SETS = {"mnist": "MNIST t10k", "fashion": "Fashion-MNIST t10k", "kmnist": "KMNIST t10k"}
#: Levels of the larger runs, which would spend most of their steps below ten per cent.
EARLY = (0.3, 0.1)


def trained(seed, n_train, n_test, source="mnist", levels=experiments.LEVELS):
    """Baselines and every bottleneck on one split of the images."""
    rng = np.random.default_rng(seed)
    pictures = images.load(source, "test" if source in SETS else "train")
    setting = experiments.prepare(parity(pictures, n_train, n_test, rng))
    row = {"baselines": baselines(setting, horizon=5000, levels=levels)}
    for scale in (1, 16):
        slow = SCALES[scale]
        for width in WIDTHS:
            row[f"{scale},{width}"] = run(
                setting, width, seed, label_scale=scale, slow=slow, horizon=3000 / slow, levels=levels
            )
    return row


def main(argv=None):
    chosen = arguments(
        __doc__,
        argv,
        counts={"seeds": 5, "train": 300, "test": 3700},
        reduced={"seeds": 1, "train": 100, "test": 500},
        choices={"set": tuple(SETS)},
    )
    name, seeds = f"bottleneck_{chosen.set}", list(range(chosen.seeds))
    fixed = {"n_train": chosen.train, "n_test": chosen.test}
    parameters = {
        "seeds": seeds,
        **fixed,
        "images": f"{SETS[chosen.set]}, first shuffled with the seed",
        "levels": list(experiments.LEVELS),
        "n_units": 512,
    }
    out = {"runs": runs(name, trained, {"seed": seeds}, chosen.jobs, source=chosen.set, **fixed)}
    if chosen.set != "mnist":
        out["digits"] = runs(
            f"{name}_digits", trained, {"seed": seeds}, chosen.jobs, source="digits", **fixed
        )
        few, fixed = seeds[:3], fixed | {"n_train": 3 * chosen.train, "levels": EARLY}
        out["large"] = runs(f"{name}_large", trained, {"seed": few}, chosen.jobs, source=chosen.set, **fixed)
        parameters["n_test_digits"] = min(chosen.test, len(images.digits()) - chosen.train)
        parameters |= {"seeds_large": few, "n_train_large": 3 * chosen.train, "levels_large": list(EARLY)}
    save(name, chosen, parameters, out)


if __name__ == "__main__":
    main()

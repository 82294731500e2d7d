"""Learning rules of small convolutional networks on digits, MNIST or KMNIST.

Writes book/data/alignment_convolutional_<set>.json, about five CPU-minutes each. The digits come with scikit-learn;
MNIST and KMNIST are read from the folder named by GDLN_DATA (test files, 10,000 images, averaged to 14 by 14).
"""

import numpy as np
import torch
from experiment import arguments, runs, save

from gdln.alignment.convolutional import RULES, ConvolutionalNets
from gdln.alignment.experiments import image_task, train_rule
from gdln.data import images

N_TRAIN, N_VALIDATION, N_TEST, LRS, CHANNELS = 1000, 297, 500, (2.0, 6.0), [8, 32]


def image_set(name):
    """The set, its strides and its epochs."""
    if name == "digits":
        return images.digits(), (1, 2, 1), 20
    full = images.load(name, "test")
    small = full.X.reshape(-1, 14, 2, 14, 2).mean((2, 4))
    return images.ImageSet(small.reshape(len(full), -1), full.labels, (14, 14)), (1, 2, 2), 10


def trained(channels, rule, name, n_seeds):
    """One rule at one width, all seeds and learning rates at once."""
    torch.set_num_threads(1)
    full, strides, epochs = image_set(name)
    split = N_VALIDATION, N_TEST
    tasks = [
        image_task(full, N_TRAIN, np.random.default_rng(seed), *split, flat=False, dtype=torch.float32)
        for seed in range(n_seeds)
    ]
    sources = [[torch.Generator().manual_seed(k + seed) for k in (0, 1000)] for seed in range(n_seeds)]

    def draw(generator):
        # from a copy: the order of the data starts at the seed, too
        own = torch.Generator().manual_seed(generator.initial_seed())
        return ConvolutionalNets(channels, strides, 10, 1, generator=own)

    result = train_rule(rule, tasks, draw, generators=sources, lrs=LRS, n_epochs=epochs)
    return {
        "channels": channels,
        "rule": rule,
        "accuracy": (100 * result.accuracy).round(3).tolist(),
        "lr": result.lr.tolist(),
        "table": (100 * result.table.T).round(3).tolist(),
    }


def main(argv=None):
    chosen = arguments(
        __doc__,
        argv,
        counts={"seeds": 3},
        reduced={"seeds": 1},
        choices={"set": ("digits", "mnist", "kmnist")},
    )
    full, strides, epochs = image_set(chosen.set)
    name, seeds = f"alignment_convolutional_{chosen.set}", list(range(chosen.seeds))
    grid = {"channels": CHANNELS, "rule": list(RULES)}
    rows = runs(name, trained, grid, chosen.jobs, name=chosen.set, n_seeds=chosen.seeds)
    save(
        name,
        chosen,
        {
            "set": chosen.set,
            "image_shape": list(full.shape),
            "strides": list(strides),
            "n_train": N_TRAIN,
            "n_validation": N_VALIDATION,
            "n_test": N_TEST,
            "lrs": list(LRS),
            "epochs": epochs,
            "batch_size": 50,
            "seeds": seeds,
            "accuracy": "per cent, one a seed",
        },
        rows,
        packages=("numpy", "torch"),
    )


if __name__ == "__main__":
    main()

"""Learning rules of small convolutional networks on digits, MNIST, Fashion-MNIST, KMNIST or CIFAR-10.

Writes book/data/alignment_convolutional_<set>.json, about five CPU-minutes each but for CIFAR-10. The digits come with
scikit-learn; the others are read from the folder named by GDLN_DATA, or for Fashion-MNIST from Debian's package
dataset-fashion-mnist. Of MNIST and KMNIST the 10,000 images of the test file are used, a thousand of them to train; of
Fashion-MNIST and CIFAR-10 the first 13,000 of the training file, ten thousand to train. Images of 28 by 28 pixels are
averaged to 14 by 14. On CIFAR-10 the networks have the paper's seven layers, which takes hours.
"""

from dataclasses import dataclass

import numpy as np
import torch
from experiment import arguments, runs, save

from gdln.alignment.convolutional import RULES, ConvolutionalNets
from gdln.alignment.experiments import image_task, train_rule
from gdln.data import images

LRS, CHANNELS = (2.0, 6.0), [8, 32]


@dataclass(frozen=True)
class Setting:
    """Which images of a set train, choose the rate and test; the network's strides; how it is trained."""

    split: str
    n_train: int
    n_validation: int
    n_test: int
    strides: tuple
    epochs: int


PUBLISHED = 1, 1, 1, 2, 1, 2, 1  # of the published network for CIFAR-10
SETS = {
    "digits": Setting("train", 1000, 297, 500, (1, 2, 1), 20),
    "mnist": Setting("test", 1000, 297, 500, (1, 2, 2), 10),
    "kmnist": Setting("test", 1000, 297, 500, (1, 2, 2), 10),
    "fashion": Setting("train", 10_000, 1000, 2000, (1, 2, 2), 1),
    "cifar10": Setting("train", 10_000, 1000, 2000, PUBLISHED, 1),
}


def image_set(name):
    """The images that a task is drawn from."""
    setting, full = SETS[name], images.load(name, SETS[name].split)
    if setting.split == "train":
        full = full.subset(slice(setting.n_train + setting.n_validation + setting.n_test))
    if full.shape != (28, 28):
        return full
    small = full.X.reshape(-1, 14, 2, 14, 2).mean((2, 4))
    return images.ImageSet(small.reshape(len(full), -1), full.labels, (14, 14))


def trained(channels, rule, name, n_seeds):
    """One rule at one width, all seeds and learning rates at once."""
    torch.set_num_threads(1)
    setting, full = SETS[name], image_set(name)
    split = setting.n_validation, setting.n_test
    tasks = [
        image_task(
            full, setting.n_train, np.random.default_rng(seed), *split, flat=False, dtype=torch.float32
        )
        for seed in range(n_seeds)
    ]
    sources = [[torch.Generator().manual_seed(k + seed) for k in (0, 1000)] for seed in range(n_seeds)]

    def draw(generator):
        # from a copy: the order of the data starts at the seed, too
        own = torch.Generator().manual_seed(generator.initial_seed())
        n_inputs = tasks[0].x.shape[1]
        return ConvolutionalNets(channels, setting.strides, 10, 1, n_inputs=n_inputs, generator=own)

    result = train_rule(rule, tasks, draw, generators=sources, lrs=LRS, n_epochs=setting.epochs)
    return {
        "channels": channels,
        "rule": rule,
        "accuracy": (100 * result.accuracy).round(3).tolist(),
        "lr": result.lr.tolist(),
        "table": (100 * result.table.T).round(3).tolist(),
    }


def main(argv=None):
    chosen = arguments(__doc__, argv, counts={"seeds": 3}, reduced={"seeds": 1}, choices={"set": tuple(SETS)})
    full, setting = image_set(chosen.set), SETS[chosen.set]
    name, seeds = f"alignment_convolutional_{chosen.set}", list(range(chosen.seeds))
    grid = {"channels": CHANNELS, "rule": list(RULES)}
    rows = runs(name, trained, grid, chosen.jobs, name=chosen.set, n_seeds=chosen.seeds)
    save(
        name,
        chosen,
        {
            "set": chosen.set,
            "image_shape": list(full.shape),
            "strides": list(setting.strides),
            "n_train": setting.n_train,
            "n_validation": setting.n_validation,
            "n_test": setting.n_test,
            "lrs": list(LRS),
            "epochs": setting.epochs,
            "batch_size": 50,
            "seeds": seeds,
            "accuracy": "per cent, one a seed",
        },
        rows,
        packages=("numpy", "torch"),
    )


if __name__ == "__main__":
    main()

"""Pathway networks on MNIST: trained and untrained routes against K, gain and activation.

Reads the idx files from the folder GDLN_DATA (or those fetched by gdln.data.images.fetch). Where the 60,000 training
images are there, ``--full`` trains on them and tests on the 10,000; otherwise the 10,000 test images are split
into 8000 and 2000. Writes book/data/race_mnist.json. About eight CPU-minutes without ``--full``.
"""

import argparse

import numpy as np
import torch
from make_race_digits import COMMON, LINEAR, table

from gdln import results
from gdln.data import images

SETTINGS = (
    [{**LINEAR, "n_trained": K} for K in (2, 4, 6, 8, 12, 16)]
    + [{**LINEAR, "n_trained": 4, "gain": gain} for gain in (1.0, 3.0)]
    + [{**LINEAR, "n_trained": K, "activation": "leaky_relu"} for K in (2, 4)]
)
SETTINGS = [{**setting, "lr": 0.1} for setting in SETTINGS]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="train on the 60,000 training images")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=24)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    seeds = list(range(arguments.seeds))
    test = images.load("mnist", "test")
    train = images.load("mnist", "train") if arguments.full else None

    def split(seed):
        return (train, test) if train is not None else test.split(8000, np.random.default_rng(seed))

    rows = table(SETTINGS, split, seeds, arguments.epochs, record_every=4)
    parameters = {**COMMON, "lr": 0.1, "momentum": 0.9, "epochs": arguments.epochs, "seeds": seeds}
    parameters |= {"n_train": len(train or range(8000)), "n_test": 10000 if train is not None else 2000}
    name = "race_mnist_full" if arguments.full else "race_mnist"
    results.save(name, parameters, {"settings": rows}, packages=("numpy", "scikit-learn", "torch"))


if __name__ == "__main__":
    main()

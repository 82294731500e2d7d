"""Pathway networks on MNIST: trained and untrained routes against K, gain and activation.

Reads the idx files from the folder GDLN_DATA (or those fetched by gdln.data.images.fetch). Where the 60,000 training
images are there, ``--full`` trains on them and tests on the 10,000; otherwise the 10,000 test images are split
into 8000 and 2000. Writes book/data/race_mnist.json. About eight CPU-minutes without ``--full``.
"""

import numpy as np
from experiment import arguments, save
from make_race_digits import COMMON, LINEAR, table

from gdln.data import images

SETTINGS = (
    [{**LINEAR, "n_trained": K} for K in (2, 4, 6, 8, 12, 16)]
    + [{**LINEAR, "n_trained": 4, "gain": gain} for gain in (1.0, 3.0)]
    + [{**LINEAR, "n_trained": K, "activation": "leaky_relu"} for K in (2, 4)]
)
SETTINGS = [{**setting, "lr": 0.1} for setting in SETTINGS]


def split_test(seed):
    return images.load("mnist", "test").split(8000, np.random.default_rng(seed))


def both_files(seed):
    return images.load("mnist", "train"), images.load("mnist", "test")


def main(argv=None):
    chosen = arguments(
        __doc__,
        argv,
        counts={"seeds": 3, "epochs": 24},
        reduced={"seeds": 1, "epochs": 4},
        flags={"full": "train on the 60,000 training images"},
    )
    seeds = list(range(chosen.seeds))
    name, split = ("race_mnist_full", both_files) if chosen.full else ("race_mnist", split_test)
    rows = table(name, SETTINGS, split, seeds, chosen.epochs, 4, chosen.jobs)
    parameters = {**COMMON, "lr": 0.1, "momentum": 0.9, "epochs": chosen.epochs, "seeds": seeds}
    n_train, n_test = (len(part) for part in split(0))
    parameters |= {"n_train": n_train, "n_test": n_test}
    save(name, chosen, parameters, {"settings": rows}, ("numpy", "scikit-learn", "torch"))


if __name__ == "__main__":
    main()

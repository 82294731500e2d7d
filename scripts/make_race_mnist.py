"""Pathway networks on MNIST, Fashion-MNIST or KMNIST: trained and untrained routes against K, gain and domains.

Reads the idx files from the folder GDLN_DATA (or those fetched by gdln.data.images.fetch; Fashion-MNIST also where
Debian's package dataset-fashion-mnist puts them). The usual run is small: 16 domains, and the 10,000 test images of
MNIST split into 8000 and 2000; about eight CPU-minutes. With ``--full``, and always for the other two sets, networks
of 16 and of 40 domains train on the first 20,000 training images (``--images 60000`` takes all) and are tested on the
10,000; beside them stand 40 domains of digits, which need no file. Every domain holds its own copy of the images, so
this takes 4 GB a worker, three times that for all images, and about twelve CPU-minutes.
Writes book/data/race_mnist.json, race_mnist_full.json, race_fashion.json or race_kmnist.json.
"""

from functools import partial
from itertools import product

import numpy as np
from experiment import arguments, save
from make_race_digits import COMMON, LINEAR, split_digits, table

from gdln.data import images

SETTINGS = (
    [{**LINEAR, "n_trained": K} for K in (2, 4, 6, 8, 12, 16)]
    + [{**LINEAR, "n_trained": 4, "gain": gain} for gain in (1.0, 3.0)]
    + [{**LINEAR, "n_trained": K, "activation": "leaky_relu"} for K in (2, 4)]
)
SETTINGS = [{**setting, "lr": 0.1} for setting in SETTINGS]
# the loss is an average over domains, so an encoder's gradient falls as one over their number
LRS = {16: 0.1, 40: 0.25}
DIGITS_FASTER = 2  # digits take twice the step of the larger images, as in make_race_digits


def large(n_domains, varied):
    """Settings of one part of the large result: K in either family of domains, or the gain at a quarter."""
    base = {**LINEAR, "n_domains": n_domains, "lr": LRS[n_domains]}
    if varied == "gain":
        return [{**base, "n_trained": n_domains // 4, "gain": 1.0}]
    return [{**base, "inputs": varied, "n_trained": n_domains * eighths // 8} for eighths in (1, 2, 3, 6)]


def digits():
    """The settings of 40 domains of digits, permuted."""
    return [{**setting, "lr": DIGITS_FASTER * setting["lr"]} for setting in large(40, "permuted")]


def split_test(seed):
    return images.load("mnist", "test").split(8000, np.random.default_rng(seed))


def both_files(name, n_train, seed):
    """The first training images and all test images, the same for every seed."""
    return images.load(name, "train").subset(slice(n_train)), images.load(name, "test")


def strengths(base):
    """Singular values of the correlation of centred labels and pixels: what the start of training sees of a set."""
    Y = images.one_hot(base.labels, centred=True)
    return np.linalg.svd(Y.T @ base.X / len(base), compute_uv=False)[:9].round(6).tolist()


def large_result(name, chosen):
    """Parameters, and rows of all parts with the singular values of the set."""
    split, epochs, rows = partial(both_files, chosen.set, chosen.images), chosen.full_epochs, []
    parts = split(0)
    n_train, n_test = map(len, parts)
    seeds = list(range(chosen.full_seeds))
    for varied, n_domains in product(("permuted", "rotated", "gain"), LRS):
        part, settings = f"{name}_{n_domains}_{varied}", large(n_domains, varied)
        rows += table(part, settings, split, seeds, epochs, epochs, chosen)
    # three eighths, where MNIST has all but closed its gap, three times as long
    three = [setting for inputs in ("permuted", "rotated") for setting in large(min(LRS), inputs)[2:3]]
    longer = table(f"{name}_longer", three, split, seeds, 3 * epochs, epochs, chosen)
    again = table(f"{name}_digits", digits(), split_digits, [0], chosen.digits_epochs, 30, chosen)
    parameters = {"set": chosen.set, "n_train": n_train, "n_test": n_test, "epochs": epochs, "seeds": seeds}
    found = {"settings": rows, "longer": longer, "digits": again, "singular_values": strengths(parts[0])}
    return parameters, found


def main(argv=None):
    large_counts = {"full_seeds": 1, "full_epochs": 5, "images": 20_000, "digits_epochs": 100}
    chosen = arguments(
        __doc__,
        argv,
        counts={"seeds": 3, "epochs": 24, **large_counts},
        reduced={"seeds": 1, "epochs": 4, "full_epochs": 1, "images": 1000, "digits_epochs": 2},
        choices={"set": ("mnist", "fashion", "kmnist")},
        flags={"full": "train on the training images for MNIST too"},
        device=True,
    )
    name, packages = f"race_{chosen.set}", ("numpy", "scikit-learn", "torch")
    common = {**COMMON, "lr": 0.1, "momentum": 0.9}
    if chosen.full or chosen.set != "mnist":
        name += "_full" if chosen.set == "mnist" else ""
        parameters, found = large_result(name, chosen)
        parameters = {key: common[key] for key in ("batch_size", "width", "momentum")} | parameters
        save(name, chosen, parameters, found, packages)
        return
    seeds = list(range(chosen.seeds))
    n_train, n_test = (len(part) for part in split_test(0))
    rows = table(name, SETTINGS, split_test, seeds, chosen.epochs, 4, chosen)
    parameters = common | {"epochs": chosen.epochs, "seeds": seeds, "n_train": n_train, "n_test": n_test}
    save(name, chosen, parameters, {"settings": rows}, packages)


if __name__ == "__main__":
    main()

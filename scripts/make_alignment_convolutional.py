"""Learning rules of small convolutional networks on digits, MNIST or KMNIST.

Writes book/data/alignment_convolutional_<set>.json, about five CPU-minutes each. The digits come with scikit-learn;
MNIST and KMNIST are read from the folder named by GDLN_DATA (test files, 10,000 images, averaged to 14 by 14).
"""

import numpy as np
import torch
from experiment import arguments, runs, save

from gdln.alignment.convolutional import RULES, ConvolutionalNets
from gdln.alignment.rules import Learner, accuracy, train
from gdln.data import images

N_TRAIN, N_VALIDATION, N_TEST, LRS, CHANNELS = 1000, 297, 500, (2.0, 6.0), [8, 32]


def image_set(name):
    """The set, its strides and its epochs."""
    if name == "digits":
        return images.digits(), (1, 2, 1), 20
    full = images.load(name, "test")
    small = full.X.reshape(-1, 14, 2, 14, 2).mean((2, 4))
    return images.ImageSet(small.reshape(len(full), -1), full.labels, (14, 14)), (1, 2, 2), 10


def trained(channels, rule, seed, name):
    """Test accuracies of one network for every learning rate, and the rate that the validation images choose."""
    torch.set_num_threads(1)
    full, strides, epochs = image_set(name)
    training, rest = full.split(N_TRAIN, np.random.default_rng(seed))
    parts = (
        training,
        rest.subset(slice(N_VALIDATION)),
        rest.subset(slice(N_VALIDATION, N_VALIDATION + N_TEST)),
    )
    x = [torch.from_numpy(X).float().view(-1, 1, *full.shape) for X in images.centred_rows(*parts)]
    y = torch.from_numpy(images.one_hot(training.labels) - 0.1).float()
    net = ConvolutionalNets(channels, strides, 10, 1, generator=torch.Generator().manual_seed(seed))
    net.weights = [W.repeat(len(LRS), 1, 1) for W in net.weights]
    learner = Learner(net, rule, torch.Generator().manual_seed(1000 + seed))
    train(learner, x[0], y, torch.tensor(LRS), epochs, generator=torch.Generator().manual_seed(seed))
    validation, test = (accuracy(net, x[k], torch.from_numpy(parts[k].labels)).tolist() for k in (1, 2))
    best = int(np.argmax(validation))
    return {
        "accuracy": round(100 * test[best], 3),
        "lr": LRS[best],
        "table": [round(100 * t, 3) for t in test],
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
    grid = {"channels": CHANNELS, "rule": list(RULES), "seed": seeds}
    found = iter(runs(name, trained, grid, chosen.jobs, name=chosen.set))
    rows = []
    for channels in CHANNELS:
        for rule in RULES:
            group = [next(found) for _ in seeds]
            columns = {column: [run[column] for run in group] for column in ("accuracy", "lr", "table")}
            rows.append({"channels": channels, "rule": rule, **columns})
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

"""Learning rules of small convolutional networks on digits, MNIST or KMNIST.

Writes book/data/alignment_convolutional_<set>.json, about five CPU-minutes each. The digits come with scikit-learn;
MNIST and KMNIST are read from the folder named by GDLN_DATA (test files, 10,000 images, averaged to 14 by 14).
"""

import argparse

import numpy as np
import torch
from tqdm import tqdm

from gdln import results
from gdln.alignment.convolutional import RULES, ConvolutionalNets
from gdln.alignment.rules import Learner, accuracy, train
from gdln.data import images

N_TRAIN, N_VALIDATION, N_TEST, LRS = 1000, 297, 500, (2.0, 6.0)


def image_set(name):
    """The set, its strides and its epochs."""
    if name == "digits":
        return images.digits(), (1, 2, 1), 20
    full = images.load(name, "test")
    small = full.X.reshape(-1, 14, 2, 14, 2).mean((2, 4))
    return images.ImageSet(small.reshape(len(full), -1), full.labels, (14, 14)), (1, 2, 2), 10


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--set", default="digits", choices=("digits", "mnist", "kmnist"))
    parser.add_argument("--channels", type=int, nargs="+", default=[8, 32])
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    full, strides, epochs = image_set(arguments.set)
    rows = []
    for channels in arguments.channels:
        for rule in tqdm(RULES):
            scores, chosen, tables = [], [], []
            for seed in range(arguments.seeds):
                training, rest = full.split(N_TRAIN, np.random.default_rng(seed))
                parts = (
                    training,
                    rest.subset(slice(N_VALIDATION)),
                    rest.subset(slice(N_VALIDATION, N_VALIDATION + N_TEST)),
                )
                x = [
                    torch.from_numpy(X).float().view(-1, 1, *full.shape) for X in images.centred_rows(*parts)
                ]
                y = torch.from_numpy(images.one_hot(training.labels) - 0.1).float()
                net = ConvolutionalNets(
                    channels, strides, 10, 1, generator=torch.Generator().manual_seed(seed)
                )
                net.weights = [W.repeat(len(LRS), 1, 1) for W in net.weights]
                learner = Learner(net, rule, torch.Generator().manual_seed(1000 + seed))
                train(
                    learner, x[0], y, torch.tensor(LRS), epochs, generator=torch.Generator().manual_seed(seed)
                )
                validation, test = (
                    accuracy(net, x[k], torch.from_numpy(parts[k].labels)).tolist() for k in (1, 2)
                )
                best = int(np.argmax(validation))
                scores.append(round(100 * test[best], 3))
                chosen.append(LRS[best])
                tables.append([round(100 * t, 3) for t in test])
            rows.append(
                {"channels": channels, "rule": rule, "accuracy": scores, "lr": chosen, "table": tables}
            )
    results.save(
        f"alignment_convolutional_{arguments.set}",
        {
            "set": arguments.set,
            "image_shape": list(full.shape),
            "strides": list(strides),
            "n_train": N_TRAIN,
            "n_validation": N_VALIDATION,
            "n_test": N_TEST,
            "lrs": list(LRS),
            "epochs": epochs,
            "batch_size": 50,
            "seeds": list(range(arguments.seeds)),
            "accuracy": "per cent, one a seed",
        },
        rows,
        packages=("numpy", "torch"),
    )


if __name__ == "__main__":
    main()

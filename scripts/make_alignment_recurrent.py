"""Learning rules of a ReLU recurrent network on the Add task.

Writes book/data/alignment_recurrent.json. About three CPU-minutes.
"""

import numpy as np
import torch
from experiment import arguments, runs, save

from gdln.alignment.recurrent import RULES, RecurrentNets
from gdln.alignment.rules import Learner, train
from gdln.data import tasks

LENGTH, N_TRAIN, N_TEST, EPOCHS, LR = 30, 300, 100, 50, 0.1 / 30


def trained(width, rule, n_networks, device):
    """Lowest test loss of every network along its training."""
    torch.set_num_threads(1)
    u, y = tasks.add_task(N_TRAIN + N_TEST, LENGTH, np.random.default_rng(0))
    x, y = torch.from_numpy(u).float()[..., None], torch.from_numpy(y).float()
    options = {"generator": torch.Generator().manual_seed(0), "dtype": torch.float32, "device": device}
    net = RecurrentNets(1, width, n_networks, **options)
    learner = Learner(net, rule, torch.Generator().manual_seed(1))
    _, tests = train(
        learner,
        x[:N_TRAIN],
        y[:N_TRAIN],
        LR,
        EPOCHS,
        generator=torch.Generator().manual_seed(2),
        evaluate=lambda net: net.loss(x[N_TRAIN:], y[N_TRAIN:]),
    )
    return {"best": [round(float(v), 5) for v in torch.stack(tests).nan_to_num(9e9).min(0)[0]]}


def main(argv=None):
    chosen = arguments(__doc__, argv, counts={"seeds": 10}, reduced={"seeds": 2}, device=True)
    grid = {"width": [16, 128], "rule": list(RULES)}
    fixed = {"n_networks": chosen.seeds, "device": chosen.device}
    found = iter(runs("alignment_recurrent", trained, grid, chosen.jobs, **fixed))
    best = {str(width): {rule: next(found)["best"] for rule in grid["rule"]} for width in grid["width"]}
    save(
        "alignment_recurrent",
        chosen,
        {
            "length": LENGTH,
            "n_train": N_TRAIN,
            "n_test": N_TEST,
            "epochs": EPOCHS,
            "lr": LR,
            "batch_size": 50,
            "data_seed": 0,
            "weight_seed": 0,
            "n_networks": chosen.seeds,
        },
        {"best_test_loss": best},
        packages=("numpy", "torch"),
    )


if __name__ == "__main__":
    main()

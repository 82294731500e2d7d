"""Langevin chains of all weights of gated, ReLU and convolutional networks on parity of digits.

Writes book/data/ggdln_langevin.json: posterior mean at fresh images, its error, variance, order parameter,
effective sample size and R-hat of each network. About eight minutes on one core.
"""

import numpy as np
import torch
from experiment import arguments, runs, save

from gdln.data import images
from gdln.data.regression import even_odd
from gdln.renormalization import gates, langevin, patches

SETTING = {
    "n_samples": 60, "n_new": 200, "width": 30, "sigma2": 0.5, "temperature": 0.1, "data_seed": 0, "gate_seed": 1,
    "chain_seed": 0, "n_chains": 16, "lr": 0.02, "thin": 40, "n_warmup": 3000, "dtype": "float32",
}  # fmt: skip


NAMES = ["gated 2", "gated 10", "relu", "convolutional linear", "convolutional relu"]


def networks(task):
    """Name, network, data at the training and at the fresh points."""
    for n_gates in (2, 10):
        family = gates.random_planes(n_gates, 64, np.random.default_rng(SETTING["gate_seed"]), constant=True)
        net = langevin.GatedNet(64, n_gates, SETTING["width"])
        yield f"gated {n_gates}", net, *(net.data(X, family(X), torch.float32) for X in (task.X, task.X_new))
    net = langevin.PatchNet(64, SETTING["width"])
    yield "relu", net, net.data(task.X, torch.float32), net.data(task.X_new, torch.float32)
    for activation in ("linear", "relu"):
        net = langevin.PatchNet(16, SETTING["width"], 4, activation)
        cut = [net.data(patches.cut(X.reshape(-1, 8, 8), 4), torch.float32) for X in (task.X, task.X_new)]
        yield f"convolutional {activation}", net, *cut


def sampled(name, steps, device):
    """Chains of the network of one name."""
    torch.set_num_threads(1)
    rng = np.random.default_rng(SETTING["data_seed"])
    task = even_odd(images.digits(), SETTING["n_samples"], SETTING["n_new"], rng)
    net, data, new = next(found[1:] for found in networks(task) if found[0] == name)
    run = langevin.sample(
        net, data, task.y, new, n_steps=steps, generator=torch.Generator().manual_seed(SETTING["chain_seed"]),
        dtype=torch.float32, device=device,
        **{key: SETTING[key] for key in ("sigma2", "temperature", "lr", "thin", "n_warmup", "n_chains")},
    )  # fmt: skip
    chains = run.chains
    return {
        "mean": chains.mean.round(5).tolist(),
        "mean_error": chains.mean_error.round(6).tolist(),
        "variance": chains.variance.round(6).tolist(),
        "order_parameter": chains.order_parameter.round(5).tolist(),
        "effective": chains.effective,
        "r_hat": chains.r_hat,
        "seconds": run.seconds,
    }


def main(argv=None):
    chosen = arguments(__doc__, argv, counts={"steps": 48000}, reduced={"steps": 4000}, device=True)
    fixed = {"steps": chosen.steps, "device": chosen.device}
    found = runs("ggdln_langevin", sampled, {"name": NAMES}, chosen.jobs, **fixed)
    save(
        "ggdln_langevin",
        chosen,
        SETTING | {"n_steps": chosen.steps},
        dict(zip(NAMES, found, strict=True)),
        packages=("numpy", "torch", "scikit-learn"),
    )


if __name__ == "__main__":
    main()

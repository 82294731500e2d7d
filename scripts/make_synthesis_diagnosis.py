"""The verdicts of the diagnosis on networks of known regime: calibration, evaluation, widths and posteriors.

Writes book/data/synthesis_diagnosis.json. About three CPU-minutes.
"""

import numpy as np
import torch
from experiment import arguments, runs, save

from gdln.data import images
from gdln.diagnosis import known
from gdln.diagnosis.measure import diagnose
from gdln.diagnosis.verdict import width_exponent
from gdln.kernels.moments import FullyConnected

SCALES = [30.0, 10.0, 3.0, 1.0, 0.3, 0.1, 0.03]
CALIBRATION = {"relu": "64-128-128-1", "tanh": "64-128-1"}
#: Networks at the two scales, with the data they learn.
EVALUATION = [
    {"net": "gelu", "widths": "10-128-128-128-1", "data": "product"},
    {"net": "tanh", "widths": "64-128-10", "data": "ten"},
    {"net": "relu convolutional", "widths": "16-1", "data": "parity"},
    {"net": "linear", "widths": "64-128-1", "data": "parity"},
    {"net": "relu", "widths": "64-128-2", "data": "parity", "loss": "cross_entropy"},
    {"net": "relu", "widths": "10-128-1", "data": "product"},
    {"net": "gelu convolutional", "widths": "16-2", "data": "parity", "loss": "cross_entropy"},
]
LAZY = [
    {"net": "relu", "widths": "64-2048-1", "data": "parity", "n": 20},
    {"net": "tanh", "widths": "64-2048-1", "data": "parity", "n": 20},
    {"net": "relu", "widths": "64-128-1", "data": "parity", "frozen": 1},
]
RICH = [
    {"net": "relu", "widths": "64-128-128-1", "data": "parity", "shrink": 0.2},
    {"net": "tanh", "widths": "64-128-1", "data": "parity", "shrink": 0.2},
    {"net": "gelu", "widths": "64-128-128-1", "data": "parity", "shrink": 0.2},
]
WIDTHS = [32, 128, 512]
POWERS = {"ntk": (1.0, 0.0), "intermediate": (2.0, -0.25), "mean_field": (2.0, -0.5)}
#: Bayesian cases: units, samples, size of the labels, step.
CHAINS = {"renormalised": (8, 40, 2.0, 0.005), "gaussian_process": (200, 10, 1.0, 0.02)}
#: Temperature, and the length of a chain in times that the prior takes to forget.
TEMPERATURE, LENGTH = 0.2, 40
NAMES = ("movement", "alignment", "trained_gap", "weight_gap", "smallest_cosine", "drift", "memory", "stationary",
         "sharpness_start", "sharpness_end", "process", "readout_scale", "nngp_gap")  # fmt: skip


def evaluated():
    """The twenty cases, each with its truth."""
    cases = [case | {"scale": scale, "truth": truth} for scale, truth in ((30.0, "lazy"), (0.1, "rich"))
             for case in EVALUATION]  # fmt: skip
    cases += [case | {"scale": 1.0, "truth": "lazy"} for case in LAZY]
    cases += [case | {"scale": 1.0, "truth": "rich"} for case in RICH]
    return cases


def problem(data, n, loss, rng):
    """Training and test data, the targets for training and for the diagnosis."""
    if data == "product":
        X = rng.standard_normal((n + 100, 10))
        y = np.sign(X[:, :1] * X[:, 1:2])
    else:
        few = images.digits().subset(rng.permutation(1797)[: n + 100])
        X = images.centred_rows(few.subset(slice(0, n)), few.subset(slice(n, None)))
        X, labels = np.concatenate(X), few.labels
        y = images.one_hot(labels) - 0.1 if data == "ten" else (1.0 - 2 * (labels % 2))[:, None]
    X, y = torch.tensor(X), torch.tensor(y)
    if loss == "cross_entropy":
        y = (y[:, 0] < 0).long()
    return X[:n], y[:n], X[n:]


def trained(
    net, widths, data, scale, seed, truth=None, loss="squared", n=80, frozen=0, shrink=1.0, n_steps=2000
):
    """One network, trained and diagnosed."""
    torch.set_num_threads(1)
    generator, rng = torch.Generator().manual_seed(seed), np.random.default_rng(seed)
    X, y, X_test = problem(data, n, loss, rng)
    kind, *convolutional = net.split()
    widths = [int(width) for width in widths.split("-")]
    if convolutional:
        X, X_test = (x.view(-1, 1, 8, 8) for x in (X, X_test))
        model = known.convolutional(*widths, kind, generator=generator)
    else:
        model = known.perceptron(widths, kind, generator=generator)
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(shrink)
    for layer in model[:frozen]:
        layer.requires_grad_(False)
    model = known.Centred(model, scale)
    squared = loss == "squared"
    run = known.descend(
        model,
        X,
        y,
        loss=loss,
        n_steps=n_steps,
        stop=0.01 if squared else 0.3,
        share=0.5 if scale > 0.5 else 0.15,
    )
    found = diagnose(model, run.checkpoints, (X, y), rng=rng, test=X_test, loss=loss, lr=run.lr)
    controls = [layer.shuffled for layer in found.layers if layer.shuffled is not None]
    blind = [layer.blind for layer in found.layers if layer.blind is not None]
    return {
        "truth": truth,
        "verdict": found.verdict.kind,
        "measures": {name: round(found.measures[name], 6) for name in NAMES if name in found.measures},
        "shuffled": max(map(abs, controls)),
        "blind": max(blind, default=None),
        "features": max(value for name, value in found.features.items() if name.startswith("net.")),
        "loss": float(found.losses[-1] / found.losses[0]),
        "steps": run.n_steps,
        "lr": run.lr,
    }


def sampled(net, kind, seed, n_records):
    """One chain, diagnosed with its limit of infinite width."""
    torch.set_num_threads(1)
    width, n, scale, lr = CHAINS[kind]
    X, y, X_test, _ = known.parity_digits(n, 100, np.random.default_rng(seed), scale=scale)
    gain = known.ACTIVATIONS[net][1]
    model = known.perceptron([64, width, 1], net, generator=torch.Generator().manual_seed(seed), gain=gain)
    chain = known.langevin(
        model, X, y, TEMPERATURE, lr=lr, n_steps=round(LENGTH / (lr * TEMPERATURE)), n_records=n_records,
        generator=torch.Generator().manual_seed(1000 + seed),
    )  # fmt: skip
    found = diagnose(
        model, chain, (X, y), rng=np.random.default_rng(seed), test=X_test, n_probe=20,
        infinite=FullyConnected(1, net, gain, 0.0), temperature=TEMPERATURE, sigma2=1.0,
    )  # fmt: skip
    return {
        "truth": kind,
        "verdict": found.verdict.kind,
        "measures": {name: round(found.measures[name], 6) for name in NAMES if name in found.measures},
    }


def main(argv=None):
    chosen = arguments(
        __doc__, argv, counts={"seeds": 3, "records": 200}, reduced={"seeds": 1, "records": 100}
    )
    part = "synthesis_diagnosis"
    grid = [{"net": net, "scale": scale} for net in CALIBRATION for scale in SCALES]
    points = [point | {"widths": CALIBRATION[point["net"]], "data": "parity", "seed": 1} for point in grid]
    calibration = runs(f"{part}_calibration", trained, points, chosen.jobs)
    cases = [case | {"seed": 11 + k} for k, case in enumerate(evaluated())]
    evaluation = runs(f"{part}_evaluation", trained, cases, chosen.jobs)
    wide = [
        {"net": net, "widths": f"64-{width}-1", "data": "parity", "n": 30, "seed": 100 + seed,
         "scale": factor * width**power}
        for net in CALIBRATION for factor, power in POWERS.values() for width in WIDTHS
        for seed in range(chosen.seeds)
    ]  # fmt: skip
    found = runs(f"{part}_widths", trained, wide, chosen.jobs)
    shape = (len(CALIBRATION), len(POWERS), len(WIDTHS), chosen.seeds)
    moved = np.reshape([run["measures"]["movement"] for run in found], shape)
    widths = {
        net: {
            name: {"movement": moved[i, j].tolist(), "exponent": width_exponent(WIDTHS, moved[i, j].mean(1))}
            for j, name in enumerate(POWERS)
        }
        for i, net in enumerate(CALIBRATION)
    }
    draws = [
        {"kind": kind, "net": net, "seed": seed}
        for kind in CHAINS
        for net, seed in (("relu", 1), ("relu", 2), ("erf", 1), ("erf", 2), ("linear", 1))
    ]
    chains = runs(f"{part}_chains", sampled, draws, chosen.jobs, n_records=chosen.records)
    save(
        part,
        chosen,
        {
            "data": "digits even or odd, ten digits, or the sign of a product of two Gaussians; 100 test samples",
            "scales": SCALES,
            "widths": WIDTHS,
            "seeds": {
                "calibration": 1,
                "evaluation": [11, 30],
                "widths": list(range(100, 100 + chosen.seeds)),
            },
            "temperature": TEMPERATURE,
            "chains": {kind: list(setting) for kind, setting in CHAINS.items()},
            "records": chosen.records,
        },
        {
            "calibration": [point | row for point, row in zip(grid, calibration, strict=True)],
            "evaluation": [case | row for case, row in zip(cases, evaluation, strict=True)],
            "widths": widths,
            "chains": [point | row for point, row in zip(draws, chains, strict=True)],
        },
        packages=("numpy", "scikit-learn", "torch"),
    )


if __name__ == "__main__":
    main()

"""Training times and test errors of networks with a bottleneck against infinite networks, on digits and a toy task.

Writes book/data/bottleneck_acceleration.json. About eight CPU-minutes.
"""

import argparse
import warnings

import numpy as np
from tqdm import tqdm

from gdln import results
from gdln.bottleneck import experiments
from gdln.data import images, regression
from gdln.kernels.function_space import UnstableStepSize

WIDTHS = (2, 5, 20, 100)
#: label scale: steps to a unit of time, so that the sharper kernel stays stable
SCALES = {1: 1, 4: 1, 16: 4}


def record(outcome):
    """An outcome as numbers a JSON file can hold; a time that was not reached is None."""
    return {
        "times": [float(t) if np.isfinite(t) else None for t in outcome.times],
        "test_error": round(outcome.test_error, 5),
        "trace_ratio": round(outcome.trace_ratio, 4),
        "alignment": [round(a, 4) for a in outcome.alignment],
        "motion": round(outcome.motion, 4),
    }


def run(setting, width, seed, **options):
    try:
        return record(experiments.train(setting, width, np.random.default_rng(seed), **options))
    except UnstableStepSize as error:
        return {"diverged": error.eigenvalue * error.learning_rate}


def baselines(setting, **options):
    found = {}
    for which in "AB":
        outcome = experiments.baseline(setting, which, **options)
        found[which] = {"times": record(outcome)["times"], "test_error": round(outcome.test_error, 5)}
    return found


def grid(setting, seeds, scales, widths=WIDTHS, horizon=600, bar=None, loss="squared", **options):
    out = {
        "baselines": baselines(
            setting, loss=loss, horizon=20 * horizon, levels=options.get("levels", experiments.LEVELS)
        )
    }
    for scale, slow in scales.items():
        for width in widths:
            runs = []
            for seed in seeds:
                runs.append(
                    run(
                        setting,
                        width,
                        seed,
                        label_scale=scale,
                        slow=slow,
                        horizon=horizon / slow**0.5,
                        loss=loss,
                        **options,
                    )
                )
                bar.update()
            out[f"{scale},{width}"] = runs
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=7)
    parser.add_argument("--splits", type=int, default=10)
    arguments = parser.parse_args()
    warnings.simplefilter("error")
    seeds, few = range(arguments.seeds), range(min(5, arguments.seeds))
    digits = images.digits()
    parity = experiments.prepare(regression.parity(digits, 100, 1697, np.random.default_rng(0)))
    fast = experiments.prepare(parity.task, fraction=1.2)  # the curvature of the logistic loss is at most 1/4
    toy = experiments.prepare(regression.subspace(100, 1000, np.random.default_rng(0)))
    classes = experiments.prepare(regression.classes(digits, 100, 1697, np.random.default_rng(0)))
    out, bar = {}, tqdm()
    out["digits"] = grid(parity, seeds, SCALES, bar=bar)
    out["subspace"] = grid(toy, seeds, SCALES, bar=bar)
    out["cross_entropy"] = grid(fast, few, SCALES, bar=bar, loss="cross-entropy", levels=(0.3, 0.1, 0.03))
    out["unnormalised"] = grid(parity, few, {1: 16}, bar=bar, fan_in=1.0)
    out["ten_classes"] = grid(classes, few, {1: 1, 8: 4}, (5, 20, 100), 250, bar=bar)
    out["splits"] = []
    for split in range(arguments.splits):
        setting = experiments.prepare(
            regression.parity(digits, 100, 1697, np.random.default_rng(1000 + split))
        )
        row = {which: experiments.baseline(setting, which).test_error for which in "AB"}
        for scale, slow in ((1, 1), (16, 4)):
            for width in WIDTHS:
                found = run(setting, width, split, label_scale=scale, slow=slow, horizon=600 / slow)
                row[f"{scale},{width}"] = found.get("test_error")
                bar.update()
        out["splits"].append(row)
    parameters = {
        "seeds": list(seeds),
        "seeds_cross_entropy_unnormalised_classes": list(few),
        "splits": [1000 + split for split in range(arguments.splits)],
        "n_train": 100,
        "part": "one hidden layer of erf units below and above, W_std 1.5, b_std 0.1",
        "n_units": 512,
        "rate": {
            "digits": parity.rate,
            "cross_entropy": fast.rate,
            "subspace": toy.rate,
            "ten_classes": classes.rate,
        },
        "steps_per_unit": {str(scale): slow for scale, slow in SCALES.items()},
        "levels": list(experiments.LEVELS),
    }
    results.save("bottleneck_acceleration", parameters, out)


if __name__ == "__main__":
    main()

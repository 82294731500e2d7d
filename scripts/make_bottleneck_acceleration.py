"""Training times and test errors of networks with a bottleneck against infinite networks, on digits and a toy task.

Writes book/data/bottleneck_acceleration.json. About eight CPU-minutes.
"""

import warnings

import numpy as np
from experiment import arguments, runs, save

from gdln.bottleneck import experiments
from gdln.data import images, regression
from gdln.kernels.function_space import UnstableStepSize

WIDTHS = (2, 5, 20, 100)
#: label scale: steps to a unit of time, so that the sharper kernel stays stable
SCALES = {1: 1, 4: 1, 16: 4}
#: Baselines of the stored table and their linear layer.
BASELINES = {"A": "infinite", "B": "removed"}


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
        return {"diverged": error.eigenvalue * error.lr}


def baselines(setting, **options):
    found = {}
    for name, layer in BASELINES.items():
        outcome = experiments.baseline(setting, layer, **options)
        found[name] = {"times": record(outcome)["times"], "test_error": round(outcome.test_error, 5)}
    return found


def trained(scale, width, seed, setting, scales, horizon, loss, options):
    """One network with a bottleneck; a longer unit of time, ``slow`` steps, is a shorter horizon in units."""
    slow = scales[scale]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return run(
            setting,
            width,
            seed,
            label_scale=scale,
            slow=slow,
            horizon=horizon / slow**0.5,
            loss=loss,
            **options,
        )


def grid(name, setting, seeds, scales, widths=WIDTHS, horizon=600, jobs=1, loss="squared", **options):
    levels = options.get("levels", experiments.LEVELS)
    out = {"baselines": baselines(setting, loss=loss, horizon=20 * horizon, levels=levels)}
    points = {"scale": list(scales), "width": list(widths), "seed": list(seeds)}
    fixed = {"setting": setting, "scales": scales, "horizon": horizon, "loss": loss, "options": options}
    found = iter(runs(f"bottleneck_acceleration_{name}", trained, points, jobs, **fixed))
    for scale in scales:
        for width in widths:
            out[f"{scale},{width}"] = [next(found) for _ in seeds]
    return out


def split_errors(split):
    """Test errors of the baselines and of every bottleneck on one split of the digits."""
    rng = np.random.default_rng(1000 + split)
    setting = experiments.prepare(regression.parity(images.digits(), 100, 1697, rng))
    row = {name: experiments.baseline(setting, layer).test_error for name, layer in BASELINES.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for scale, slow in ((1, 1), (16, 4)):
            for width in WIDTHS:
                found = run(setting, width, split, label_scale=scale, slow=slow, horizon=600 / slow)
                row[f"{scale},{width}"] = found.get("test_error")
    return row


def main(argv=None):
    chosen = arguments(__doc__, argv, counts={"seeds": 7, "splits": 10}, reduced={"seeds": 1, "splits": 1})
    jobs, seeds, few = chosen.jobs, range(chosen.seeds), range(min(5, chosen.seeds))
    digits = images.digits()
    parity = experiments.prepare(regression.parity(digits, 100, 1697, np.random.default_rng(0)))
    fast = experiments.prepare(parity.task, fraction=1.2)  # the curvature of the logistic loss is at most 1/4
    toy = experiments.prepare(regression.subspace(100, 1000, np.random.default_rng(0)))
    classes = experiments.prepare(regression.classes(digits, 100, 1697, np.random.default_rng(0)))
    out = {}
    out["digits"] = grid("digits", parity, seeds, SCALES, jobs=jobs)
    out["subspace"] = grid("subspace", toy, seeds, SCALES, jobs=jobs)
    levels = {"levels": (0.3, 0.1, 0.03)}
    out["cross_entropy"] = grid("cross_entropy", fast, few, SCALES, jobs=jobs, loss="cross_entropy", **levels)
    out["unnormalised"] = grid("unnormalised", parity, few, {1: 16}, jobs=jobs, fan_in=1.0)
    out["ten_classes"] = grid("ten_classes", classes, few, {1: 1, 8: 4}, (5, 20, 100), 250, jobs)
    out["splits"] = runs(
        "bottleneck_acceleration_splits", split_errors, {"split": list(range(chosen.splits))}, jobs
    )
    parameters = {
        "seeds": list(seeds),
        "seeds_cross_entropy_unnormalised_classes": list(few),
        "splits": [1000 + split for split in range(chosen.splits)],
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
    save("bottleneck_acceleration", chosen, parameters, out)


if __name__ == "__main__":
    main()

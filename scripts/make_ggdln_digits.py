"""Error of gated networks on parity of images against width, regularisation, depth, gates, tasks and patches.

Writes book/data/ggdln_<set>.json. With digits (scikit-learn) and mnist: theory and exact posterior against width and
regularisation, for mnist also theory at two thousand images. With fashion and kmnist also theory at up to four thousand
images, with random and learned gates, and three parts more: depth, many tasks, patches. All but depth have a share on
the digits, at the smallest size. The files are read from the folder named by GDLN_DATA, or where
gdln.data.images.load finds them; the ten thousand images of the test file are enough. Fashion took eleven CPU-minutes,
half of them for the points at four thousand images, and 1.2 GB.
"""

from functools import lru_cache
from itertools import product

import numpy as np
from experiment import arguments, runs, save

from gdln.data import images
from gdln.data.regression import even_odd, permuted_even_odd
from gdln.renormalization import gates, generalisation, patches, posterior, saddle

SETS = ("digits", "mnist", "fashion", "kmnist")
LARGER = ("fashion", "kmnist")
N_NEW = {"digits": 400, "mnist": 1000, "fashion": 1000, "kmnist": 1000}

#: Gates and prior variances solved at more than a thousand images, where each takes minutes.
LARGEST = ("random", 0.1), ("random", 1.0), ("k-means", 0.1)


@lru_cache(maxsize=2)
def pictures(name):
    """All images of a set; of the larger ones those of the test file."""
    return images.digits() if name == "digits" else images.load(name, "test")


def sampled(task, family, width, sigma2, setting):
    """Errors of one finite network in its exact posterior: weighted draws, or at narrow widths a Gibbs chain.

    Where there are many more samples than units the proposal of the weighted draws is no longer near the posterior.
    """
    rng, narrow = np.random.default_rng(setting["sample_seed"]), width < setting["gibbs_below"]
    data = task.X, family(task.X), task.y, task.X_new, family(task.X_new)
    prior = {"sigma2": sigma2, "temperature": setting["temperature"], "rng": rng}
    if narrow:
        chains = posterior.gibbs(*data, widths=width, **prior, n_draws=setting["draws"])
    else:
        chains = posterior.importance(*data, width=width, **prior, n_draws=setting["draws"], dof=40.0)
    return {
        "width": width, "sigma2": sigma2, **vars(chains.errors(task.y_new)), "effective": chains.effective,
        "sampler": "gibbs" if narrow else "importance", "draws": setting["draws"],
    }  # fmt: skip


def make(n, setting):
    task = even_odd(
        pictures(setting["set"]), n, setting["n_new"], np.random.default_rng(setting["data_seed"])
    )
    rng = np.random.default_rng(setting["gate_seed"])
    return task, gates.random_planes(setting["n_gates"], task.X.shape[1], rng, allow_silent=True)


def theory(n, sigma2, widths, setting):
    """Rows of the theory at every width; the infinite one is None."""
    rows = generalisation.along_widths(
        *make(n, setting), widths=widths, sigma2=sigma2, temperature=setting["temperature"]
    )
    return {"rows": [row | {"width": row["width"] if np.isfinite(row["width"]) else None} for row in rows]}


def sample(width, sigma2, setting):
    task, family = make(setting["n_samples"], setting)
    return sampled(task, family, width, sigma2, setting)


def family(kind, X, n_gates, rng):
    """Gates made without labels: k-means on the images to learn from, random planes, or the one of a linear network."""
    if kind == "k-means":
        return gates.clusters(X, n_gates, rng)
    return (
        gates.random_planes(n_gates, X.shape[1], rng, allow_silent=True)
        if kind == "random"
        else gates.constant
    )


def widths(name, n, kind, sigma2, draw, setting):
    """Errors along widths, the infinite one last (None), of one draw of images and gates."""
    rng = np.random.default_rng(draw)
    task = even_odd(pictures(name), n, N_NEW[name], rng)
    along = setting["along"] if n <= 1000 else setting["along"][1:]
    options = {"sigma2": sigma2, "temperature": setting["temperature"], "widths": along}
    rows = generalisation.along_widths(task, family(kind, task.X, setting["n_gates"], rng), **options)
    return plain(rows, set=name, n_samples=n, gates=kind, sigma2=sigma2, draw=draw)


def depths(name, n, depth, sigma2, draw, setting):
    """Errors of a few gates, one of them constant, in one to three gated layers."""
    rng = np.random.default_rng(draw)
    task = even_odd(pictures(name), n, N_NEW[name], rng)
    planes = gates.random_planes(setting["deep_gates"], task.X.shape[1], rng, constant=True)
    options = {"sigma2": sigma2, "temperature": setting["temperature"], "widths": setting["deep_widths"]}
    rows = generalisation.along_widths(task, planes, depth=depth, **options)
    return plain(rows, set=name, n_samples=n, depth=depth, sigma2=sigma2, draw=draw)


def tasks(name, n, n_tasks, draw, setting):
    """Errors with gates that see the image, the task or both, and the size of the kernel between tasks."""
    rng = np.random.default_rng(draw)
    task = permuted_even_odd(pictures(name), n_tasks, n, setting["task_new"], rng)
    planes = gates.random_planes(setting["task_gates"], task.X.shape[1], rng, allow_silent=True)
    masks, found = gates.task_masks(n_tasks, setting["task_gates"], rng), []
    points = (task.X, task.group), (task.X_new, task.group_new)
    kinds = {
        "bottom-up": [planes(X) for X, _ in points],
        "both": [gates.by_task(t, masks, planes(X), allow_silent=True) for X, t in points],
        "task": [gates.by_task(t, masks) for _, t in points],
        "linear": [gates.constant(X) for X, _ in points],
    }
    for kind, values in kinds.items():
        for width in (setting["task_width"], np.inf):
            prior = {"width": width, "temperature": setting["task_temperature"]}
            solution, prediction = generalisation.fit(task, values, **prior)
            errors = vars(prediction.errors(task.y_new))
            K = solution.kernel(solution.U[0])
            found.append({"gates": kind, "width": width, **errors, "between": between(K, task.group)})
    return plain(found, set=name, n_samples=n, n_tasks=n_tasks, draw=draw)


def between(K, group):
    """Root mean square of the kernel between tasks relative to within them, mean over pairs of tasks."""
    average = np.eye(group.max() + 1)[group] / np.bincount(group)
    size = average.T @ K**2 @ average
    within = np.diag(size)
    relative = np.sqrt(size / np.sqrt(np.outer(within, within)))
    off = relative[~np.eye(len(size), dtype=bool)]
    return float(off.mean()) if len(off) else None


def channels(name, n, activation, draw, setting):
    """Errors along channels of a layer over patches, and what the order parameter gives each patch."""
    task = even_odd(pictures(name), n, setting["patch_new"], np.random.default_rng(draw))
    shape, found = pictures(name).shape, []
    train, fresh = (patches.cut(X.reshape(-1, *shape), shape[0] // 2) for X in (task.X, task.X_new))
    kernel = patches.PatchKernel(train, sigma2=setting["patch_sigma2"], activation=activation)
    for width in (*setting["channels"], np.inf):
        solution = saddle.solve(kernel, task.y, widths=width, temperature=setting["patch_temperature"])
        errors = vars(solution.predict(fresh).errors(task.y_new))
        weight = (solution.U[0].diagonal() / setting["patch_sigma2"]).tolist()
        found.append({"width": width, **errors, "weight": weight})
    return plain(found, set=name, n_samples=n, activation=activation, draw=draw)


def plain(rows, **labels):
    """Rows with their labels; the infinite width is None."""
    return {
        "rows": [
            labels | row | {"width": float(row["width"]) if np.isfinite(row["width"]) else None}
            for row in rows
        ]
    }


def draws(n, repeats):
    """Draws of images and gates at a size: fewer of the larger ones, whose cost grows with the cube."""
    return range(repeats if n <= 200 else -(-repeats // 2) if n <= 1000 else 1)


def grids(name, sizes, most, repeats):
    """Points of the four parts that only the larger sets have; at the smallest size the digits have a share."""
    both = [("digits", sizes[0]), *((name, n) for n in sizes)]
    deep, many = (sorted({min(n, most) for n in pair}) for pair in ((100, 500), (60, 250)))
    return {
        "widths": [
            {"name": set_, "n": n, "kind": kind, "sigma2": sigma2, "draw": draw}
            for set_, n in both
            for kind, sigma2 in product(("random", "k-means", "linear"), (0.1, 1.0, 4.0))
            if n <= 1000 or (kind, sigma2) in LARGEST
            for draw in draws(n, repeats)
        ],
        "depths": [
            {"name": name, "n": n, "depth": depth, "sigma2": sigma2, "draw": draw}
            for n in deep
            for depth in (1, 2, 3)
            for sigma2 in (0.5, 2.0)
            for draw in draws(n, repeats)
        ],
        "tasks": [
            {"name": set_, "n": n, "n_tasks": n_tasks, "draw": draw}
            for set_, n in [("digits", many[0]), *((name, n) for n in many)]
            for n_tasks in (1, 2, 4, 8)
            for draw in draws(n, repeats)
        ],
        "channels": [
            {"name": set_, "n": n, "activation": activation, "draw": draw}
            for set_, n in both
            if n <= 1000
            for activation in ("linear", "relu")
            for draw in draws(n, repeats)
        ],
    }


def larger(name, chosen, setting, jobs):
    """Settings and rows of the parts that only the larger sets have."""
    sizes = sorted({min(n, chosen.most) for n in (200, 1000, 4000)})
    more = {
        "sizes": sizes, "repeats": chosen.repeats,
        "along": [50, 200, 1000, 5000], "deep_gates": 3, "deep_widths": [50, 200], "task_gates": 16, "task_width": 40,
        "task_temperature": 0.05, "task_new": 100, "channels": [20, 100, 500], "patch_sigma2": 0.5,
        "patch_temperature": 0.1, "patch_new": 400,
    }  # fmt: skip
    found = {}
    for function in (channels, depths, tasks, widths):
        part = function.__name__
        points = grids(chosen.set, sizes, chosen.most, chosen.repeats)[part]
        table = runs(f"{name}_{part}", function, points, jobs, setting=setting | more)
        found[part] = columns([row for run in table for row in run["rows"]])
    return more, found


def columns(rows):
    """A table by columns, its numbers to eight digits: half the size of one by rows."""
    return {key: [shorter(row[key]) for row in rows] for key in rows[0] if key != "evaluations"}


def shorter(value):
    if isinstance(value, list):
        return [shorter(item) for item in value]
    return float(f"{value:.8g}") if isinstance(value, float) else value


def main(argv=None):
    chosen = arguments(
        __doc__,
        argv,
        counts={"draws": 2000, "most": 4000, "repeats": 4},
        reduced={"draws": 200, "most": 100, "repeats": 1},
        choices={"set": SETS},
    )
    digits = chosen.set == "digits"
    setting = {
        "set": chosen.set, "n_samples": min(200, chosen.most), "n_new": N_NEW[chosen.set], "n_gates": 10,
        "temperature": 0.01, "data_seed": 0, "gate_seed": 1, "sample_seed": 2, "draws": chosen.draws,
        "gibbs_below": 50, "sigma2": [0.1, 1.0, 4.0],
        "widths": [int(N) for N in np.unique(np.geomspace(5, 2000, 20).astype(int))],
        "sampled_widths": {"digits": [20, 100, 400], "mnist": [30, 100]}.get(chosen.set, [100]),
        "large_samples": [n for n in (500, 1000, 2000) if chosen.set == "mnist" and n <= chosen.most],
        "large_sigma2": 0.1, "large_widths": [50, 150, 500, 1500, 5000],
    }  # fmt: skip
    name, jobs = f"ggdln_{chosen.set}", chosen.jobs
    common = {
        key: setting[key] for key in ("set", "n_new", "n_gates", "temperature", "data_seed", "gate_seed")
    }

    def rows(part, label, key, points, widths):
        if not points:
            return []
        found = runs(f"{name}_{part}", theory, points, jobs, widths=widths, setting=common)
        pairs = zip(points, found, strict=True)
        return [{label: point[key], **row} for point, run in pairs for row in run["rows"]]

    small = [{"n": setting["n_samples"], "sigma2": sigma2} for sigma2 in setting["sigma2"]]
    large = [{"n": n, "sigma2": setting["large_sigma2"]} for n in setting["large_samples"]]
    sigma2 = setting["sigma2"][: 3 if digits else 2]
    grid = [{"width": N, "sigma2": s} for s in sigma2 for N in setting["sampled_widths"]]
    found = {
        "theory": rows("theory", "sigma2", "sigma2", small, setting["widths"]),
        "samples": runs(f"{name}_samples", sample, grid, jobs, setting=setting),
        "large": rows("large", "n_samples", "n", large, setting["large_widths"]),
    }
    if chosen.set in LARGER:
        more, parts = larger(name, chosen, setting, jobs)
        setting, found = setting | more, found | parts
    save(name, chosen, setting, found, packages=("numpy", "scipy", "scikit-learn"))


if __name__ == "__main__":
    main()

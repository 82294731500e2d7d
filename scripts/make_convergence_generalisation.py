"""Test errors of mean-field, NTK, random-feature and fully trained networks, for the chapter on moving features.

Writes book/data/convergence_generalisation.json (four points and digits, about four minutes on one core), or with
--set the parity of another set's classes, book/data/convergence_<set>.json (about seven). The images come from the
idx files of the set's 10,000 test images in the folder named by GDLN_DATA; Fashion-MNIST is also found where Debian's
package dataset-fashion-mnist puts it.
"""

from functools import partial

import numpy as np
import torch
from experiment import arguments, runs, save

from gdln.convergence import experiments, features, flow
from gdln.convergence.nets import ThreeLayerNetwork
from gdln.data import images, regression, tasks
from gdln.nets.training import gradient_descent


def four_points(seed, n, n_test=1000, d=20):
    rng = np.random.default_rng([seed, n])
    return tasks.four_points(n, d, rng), tasks.four_points(n_test, d, rng)


def class_parity(source, seed, n):
    """Even against odd classes: n images to train on, others to test."""
    split, _, n_test = SETS[source]
    pictures = images.load(source, split)
    task = regression.even_odd(pictures, n, n_test, np.random.default_rng([seed, n]))
    return (task.X, task.y), (task.X_new, task.y_new)


def fully_trained(train, test, seed, size=400, dt=1.0, chunk=100, max_chunks=100):
    """Gradient descent on all three layers with learning rate dt m, stopped at one per cent of the loss."""
    rng = np.random.default_rng([seed, 3])
    first = features.draw_features(size, train[0].shape[1], rng)
    c, W = flow.draw_units(size, size, rng)
    net = ThreeLayerNetwork(c, W, "relu", first)
    X, y = (torch.as_tensor(x) for x in train)
    start = 0.5 * float(y.square().mean())
    chunks, ratio = 0, 1.0
    while ratio > 1e-2 and chunks < max_chunks:
        run = gradient_descent(
            net, "squared", X, y, dt * size, chunk, record_every=chunk, parameters=("u", "W", "c")
        )
        chunks, ratio = chunks + 1, float(run.loss[-1]) / start
    with torch.no_grad():
        wrong = (net(torch.as_tensor(test[0])) * torch.as_tensor(test[1]) <= 0).double().mean()
    return {"error": float(wrong), "time": dt * chunk * chunks, "loss_ratio": ratio}


def compare(task, n, seed):
    torch.set_num_threads(1)
    task, rtol, atol = TASKS[task]
    train, test = task(seed, n)
    out = {}
    for k, model in enumerate(experiments.MODELS):
        for scaling in flow.SCALINGS:
            rng = np.random.default_rng([seed, k])
            options = (
                {} if rtol is None else {"rtol": rtol, "atol": atol if scaling == "mean_field" else atol / 20}
            )
            run = experiments.train_and_test(train, test, rng, model=model, scaling=scaling, **options)
            out[f"{model} {scaling}"] = vars(run)
    error = experiments.random_feature_error(train, test, np.random.default_rng([seed, 2]))
    out["random features"] = {"error": error}
    out["all layers"] = fully_trained(train, test, seed)
    return out


#: File of each set, numbers of images to train on, and of others to test.
SETS = {"digits": ("train", (100, 200), 1000)}
SETS |= {source: ("test", (100, 200, 400), 5000) for source in ("mnist", "fashion", "kmnist")}
#: How a task is drawn, and the tolerances of its flow where they are not the default.
TASKS = {
    "four points": (four_points, None, None),
    "digit parity": (partial(class_parity, "digits"), 1e-3, 1e-4),
}
TASKS |= {
    f"{source} parity": (partial(class_parity, source), 1e-3, 1e-4) for source in SETS if source != "digits"
}


def main(argv=None):
    chosen = arguments(
        __doc__,
        argv,
        counts={"seeds": 10, "digit_seeds": 5},
        reduced={"seeds": 1, "digit_seeds": 1},
        choices={"set": tuple(SETS)},
    )
    sizes, n_test = SETS[chosen.set][1:]
    if chosen.set == "digits":
        name = "convergence_generalisation"
        groups = [("four points", n, chosen.seeds) for n in (50, 100)]
        groups += [("digit parity", n, chosen.digit_seeds) for n in sizes]
        own = {
            "four_point_dimension": 20,
            "n_test": n_test,
            "seeds": chosen.seeds,
            "digit_seeds": chosen.digit_seeds,
            "digit_rtol_atol": [1e-3, 1e-4],
        }
    else:
        name = f"convergence_{chosen.set}"
        groups = [(f"{chosen.set} parity", n, chosen.seeds) for n in sizes]
        own = {"set": chosen.set, "n_test": n_test, "seeds": chosen.seeds, "rtol_atol": [1e-3, 1e-4]}
    grid = [{"task": task, "n": n, "seed": seed} for task, n, n_seeds in groups for seed in range(n_seeds)]
    found = iter(runs(name, compare, grid, chosen.jobs))
    out = {}
    for task, n, n_seeds in groups:
        group = [next(found) for _ in range(n_seeds)]
        out[f"{task} {n}"] = {
            model: {field: [round(run[model][field], 6) for run in group] for field in group[0][model]}
            for model in group[0]
        }
    parameters = {
        "n_units": 400,
        "n_features": 400,
        "c_hat": 1.0,
        "stop_ratio": 1e-2,
        **own,
        "dt_all_layers": 1.0,
    }
    save(name, chosen, parameters, out, ("numpy", "scipy", "torch", "scikit-learn"))


if __name__ == "__main__":
    main()

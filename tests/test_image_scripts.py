"""Scripts with a choice of image sets, on small files in the format of the large ones."""

import importlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from gdln import results
from gdln.bottleneck import experiments
from gdln.convergence import experiments as convergence
from gdln.convergence import flow
from gdln.data import images, regression
from tests.data.test_images import write_idx_set

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def script(monkeypatch, tmp_path):
    """Return a function that imports a script, whose results and whose images stand in folders of their own."""
    monkeypatch.syspath_prepend(ROOT / "scripts")
    monkeypatch.setenv("GDLN_DATA", str(tmp_path / "images"))
    before = set(sys.modules)
    monkeypatch.setattr(importlib.import_module("experiment"), "ELSEWHERE", tmp_path / "elsewhere")
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if name == "experiment" or name.startswith("make_"):
            sys.modules.pop(name)


def written(folder, name):
    record = json.loads((folder / "elsewhere" / f"{name}.json").read_text())
    return record["parameters"], record["results"]


@pytest.mark.parametrize("name", ["mnist", "fashion", "kmnist"])
def test_a_bottleneck_learns_the_set_that_was_asked_for_and_all_but_mnist_at_two_sizes(
    script, monkeypatch, tmp_path, name
):
    module = script("make_bottleneck_mnist")
    monkeypatch.setattr(module, "WIDTHS", (5,))
    write_idx_set(tmp_path / "images" / name, np.random.default_rng(1), n=60)
    module.main(["--set", name, "--seeds", "1", "--train", "8", "--test", "30"])
    parameters, found = written(tmp_path, f"bottleneck_{name}")
    assert set(found) == {"runs"} if name == "mnist" else {"runs", "digits", "large"}
    sizes = {"runs": (name, "test", 8), "digits": ("digits", "train", 8), "large": (name, "test", 24)}
    for part, rows in found.items():
        source, split, n = sizes[part]
        task = regression.parity(images.load(source, split), n, 30, np.random.default_rng(0))
        assert len(task.X_test) == 30
        levels = (0.3, 0.1) if part == "large" else (0.3, 0.1, 0.03, 0.01)
        once = experiments.baseline(experiments.prepare(task), horizon=5000, levels=levels)
        (row,) = rows
        assert row["baselines"]["A"] == {
            "times": once.times.tolist(),
            "test_error": round(once.test_error, 5),
        }
        assert len(row["16,5"]["times"]) == len(levels)
    assert parameters["n_train"] == 8 and parameters.get("n_train_large", 24) == 24


def test_images_that_are_not_there_are_missed_in_words_and_nothing_is_written(script, monkeypatch, tmp_path):
    module = script("make_bottleneck_mnist")
    with (
        pytest.warns(UserWarning, match="no t10k-images-idx3-ubyte.* for 'kmnist'"),
        pytest.raises(SystemExit),
    ):
        module.main(["--set", "kmnist", "--reduced"])
    assert not list(tmp_path.glob("elsewhere/*.json"))


@pytest.mark.parametrize("name", ["mnist", "fashion", "kmnist"])
def test_moving_and_lazy_features_learn_the_set_that_was_asked_for_from_the_same_start(
    script, monkeypatch, tmp_path, name
):
    module = script("make_convergence_generalisation")
    monkeypatch.setitem(module.SETS, name, ("test", (6, 12), 20))
    write_idx_set(tmp_path / "images" / name, np.random.default_rng(1), n=40)
    module.main(["--set", name, "--reduced"])
    parameters, found = written(tmp_path, f"convergence_{name}")
    assert list(found) == [f"{name} parity 6", f"{name} parity 12"]
    assert (parameters["set"], parameters["n_test"], parameters["seeds"]) == (name, 20, 1)
    for task, models in found.items():
        n = int(task.rsplit(" ")[-1])
        drawn = regression.even_odd(images.load(name, "test"), n, 20, np.random.default_rng([0, n]))
        train, test = (drawn.X, drawn.y), (drawn.X_new, drawn.y_new)
        alone = convergence.random_feature_error(train, test, np.random.default_rng([0, 2]))
        assert models["random features"]["error"] == [alone]
        for model in convergence.MODELS:
            (moving,), (lazy,) = (models[f"{model} {scaling}"]["movement"] for scaling in flow.SCALINGS)
            assert moving > 5 * lazy > 0
        assert all(run["loss_ratio"][0] <= 0.0101 for run in models.values() if "loss_ratio" in run)


def test_the_digits_are_still_the_default_and_stand_beside_the_four_points(script, monkeypatch, tmp_path):
    module = script("make_convergence_generalisation")
    monkeypatch.setattr(module, "compare", lambda task, n, seed: {"model": {"error": 0.25}})
    module.main(["--reduced"])
    parameters, found = written(tmp_path, "convergence_generalisation")
    assert list(found) == ["four points 50", "four points 100", "digit parity 100", "digit parity 200"]
    stored = results.load("convergence_generalisation")
    assert parameters == stored["parameters"] | {"seeds": 1, "digit_seeds": 1}
    assert list(found) == list(stored["results"])

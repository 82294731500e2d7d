"""Tasks and clocks of the comparison between networks with a bottleneck and without."""

import numpy as np
import pytest

from gdln.bottleneck import experiments
from gdln.data import images
from gdln.data.regression import Task, classes, parity, subspace
from gdln.kernels import function_space


@pytest.fixture(scope="module")
def setting():
    return experiments.prepare(parity(images.digits(), 60, 200, np.random.default_rng(0)))


def test_inputs_have_one_norm_and_labels_one_size(setting):
    task = setting.task
    np.testing.assert_allclose((task.X**2).mean(axis=1), 1)
    assert set(np.unique(task.Y)) == {-1.0, 1.0} and task.Y_test.shape == (200, 1)
    toy = subspace(50, 30, np.random.default_rng(0))
    assert abs(np.mean(toy.Y**2) - 1) < 1e-12
    ten = classes(images.digits(), 50, 30, np.random.default_rng(0))
    np.testing.assert_allclose(ten.Y.sum(axis=1), 0, atol=1e-12)


@pytest.mark.parametrize("loss", ["squared", "cross_entropy"])
def test_the_label_scale_does_not_change_a_baseline(loss, setting):
    times = [
        experiments.baseline(setting, loss=loss, label_scale=g, levels=(0.3, 0.1)).times for g in (1.0, 16.0)
    ]
    assert np.array_equal(*times)


def test_baseline_a_is_faster_than_baseline_b(setting):
    a, b = (experiments.baseline(setting, layer).times for layer in ("infinite", "removed"))
    assert (a < b).all()


@pytest.mark.parametrize(
    "change", [{"slow": 0}, {"n_units": 0}, {"levels": (0.01, 0.3)}, {"levels": (0.3, 0.0)}]
)
def test_impossible_settings_of_a_run_are_refused(change, setting):
    with pytest.raises(ValueError, match="need"):
        experiments.train(setting, 2, np.random.default_rng(0), **change)


def test_a_wide_bottleneck_keeps_the_time_of_baseline_a(setting):
    run = experiments.train(setting, 400, np.random.default_rng(0), n_units=1024, test=False)
    base = experiments.baseline(setting)
    assert abs(run.times[-1] / base.times[-1] - 1) < 0.15
    assert abs(run.trace_ratio - 1) < 0.1 and abs(run.sharpness[1] - 1) < 0.3


def test_large_labels_are_learned_faster_with_sharper_kernels_and_aligned_features(setting):
    runs = {
        g: experiments.train(setting, 5, np.random.default_rng(0), label_scale=g, slow=4, horizon=400)
        for g in (1, 16)
    }
    assert runs[16].times[-1] < runs[1].times[-1] / 3
    assert runs[16].alignment[1] > runs[1].alignment[1] > 0
    assert runs[16].sharpness[1] > 2 * runs[16].sharpness[0]
    assert runs[16].history[0] == 1 and 0 <= runs[16].test_error <= 0.5


def test_smaller_steps_keep_the_clock(setting):
    a, b = (
        experiments.train(setting, 5, np.random.default_rng(0), slow=s, test=False).times[-1] for s in (1, 4)
    )
    assert abs(a / b - 1) < 0.1


@pytest.mark.parametrize("make", [parity, classes])
def test_the_test_error_is_the_share_of_test_points_whose_label_is_wrong(make):
    # trained to a hundredth of the loss the network knows its training points; test on them, seven relabelled
    data = make(images.digits(), 40, 10, np.random.default_rng(0))
    Y = data.Y.copy()
    Y[:7] = -Y[:7] if make is parity else np.roll(Y[:7], 1, axis=1)
    known = experiments.prepare(Task(data.X, data.Y, data.X, Y))
    assert experiments.baseline(known).test_error == pytest.approx(7 / 40)
    if make is parity:
        run = experiments.train(known, 5, np.random.default_rng(0), label_scale=4.0, slow=2)
        assert run.test_error == pytest.approx(7 / 40)


def test_targets_of_ten_classes_are_one_hot_minus_a_tenth():
    digits = images.digits()
    task = classes(digits, 50, 30, np.random.default_rng(0))
    train, test = digits.split(50, np.random.default_rng(0))
    for part, Y in ((train, task.Y), (test.subset(slice(30)), task.Y_test)):
        np.testing.assert_allclose(Y, (part.labels[:, None] == np.arange(10)) - 0.1, atol=1e-15)


def test_cross_entropy_of_ten_classes_learns_from_probabilities():
    task = classes(images.digits(), 30, 10, np.random.default_rng(0))
    setting = experiments.prepare(task)
    run = experiments.baseline(setting, loss="cross_entropy", levels=(0.5, 0.2), horizon=4000)
    steps = len(run.history) - 1
    one_hot = (task.Y > 0).astype(float)
    assert np.array_equal(one_hot.sum(axis=1), np.ones(30))
    options = {"lr": setting.rate, "n_steps": steps, "loss": "cross_entropy"}
    known = function_space.frozen(setting.limit.ntk[:30], one_hot, **options)
    # equal outputs have the loss ln 10
    np.testing.assert_allclose(run.history * np.log(10), known.history, rtol=1e-10)
    assert np.isfinite(run.times).all() and 10 < run.times[0] < run.times[1] <= steps

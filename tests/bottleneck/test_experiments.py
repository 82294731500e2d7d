"""Tasks and clocks of the comparison between networks with a bottleneck and without."""

import numpy as np
import pytest

from gdln.bottleneck import experiments
from gdln.data import images
from gdln.data.regression import classes, parity, subspace


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


@pytest.mark.parametrize("loss", ["squared", "cross-entropy"])
def test_the_label_scale_does_not_change_a_baseline(loss, setting):
    times = [
        experiments.baseline(setting, loss=loss, label_scale=g, levels=(0.3, 0.1)).times for g in (1.0, 16.0)
    ]
    assert np.array_equal(*times)


def test_baseline_a_is_faster_than_baseline_b(setting):
    a, b = (experiments.baseline(setting, which).times for which in "AB")
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
        experiments.train(setting, 5, np.random.default_rng(0), slow=s, test=False).times[-1] for s in (2, 8)
    )
    assert abs(a / b - 1) < 0.1

"""Predictors of gated networks on teachers and digits: limits, the exact posterior, and who wins where."""

from dataclasses import replace

import numpy as np
import pytest

from gdln import sweep
from gdln.data import images
from gdln.data.regression import Regression, clustered_teacher, even_odd, permuted_even_odd, relu_teacher
from gdln.renormalization import gates, generalisation, posterior


@pytest.fixture
def task():
    return relu_teacher(40, 50, 200, np.random.default_rng(0))


@pytest.fixture
def family():
    return gates.random_planes(3, 50, np.random.default_rng(1), constant=True)


def distance(a, b):
    return np.linalg.norm(a - b) / np.linalg.norm(b)


def test_small_regularisation_gives_the_interpolator_of_least_nuclear_norm(task, family):
    nuclear, frobenius = generalisation.interpolate_nuclear(task, family)
    to_nuclear, to_frobenius, variance = [], [], []
    for sigma2 in (1e-3, 1e-4):
        _, p = generalisation.fit(task, family, width=40, sigma2=sigma2)
        to_nuclear.append(distance(p.mean, nuclear))
        to_frobenius.append(distance(p.mean, frobenius))
        variance.append(p.variance.mean())
    assert to_nuclear[1] < 1e-3 and 6 < to_nuclear[0] / to_nuclear[1] < 14  # proportional to sigma2
    assert min(to_frobenius) > 0.2
    assert 9 < variance[0] / variance[1] < 11


def test_a_wide_network_without_noise_interpolates_with_least_frobenius_norm(task, family):
    _, frobenius = generalisation.interpolate_nuclear(task, family)
    _, p = generalisation.fit(task, family, width=np.inf)
    assert distance(p.mean, frobenius) < 1e-8


def test_two_steps_of_the_reweighting_worked_by_hand():
    a = np.sqrt(1.5)
    G, G_new = np.array([[1.0, 0, 0], [1, 1, 0]]), np.array([[0.0, 1, 0], [0, 1, 1]])
    task = Regression(np.eye(2), np.array([a, 2.0]), np.eye(2), np.zeros(2))
    nuclear, frobenius = generalisation.interpolate_nuclear(
        task, (G, G_new), rate=np.sqrt(0.5), smoothing=0.6
    )
    # beta has the columns (a, 0, 0) and (1, 1, 0), so beta beta^T has the eigenvalues 0, 1/2 and 3, and epsilon^2
    # times the largest is 3/2; the root of [[4, 1], [1, 5/2]] is in proportion to [[7, 1], [1, 11/2]]
    np.testing.assert_allclose(frobenius, [0, 1], atol=1e-12)
    np.testing.assert_allclose(nuclear, [a / 7, 26 / 29], rtol=1e-12)


def test_the_reweighting_ends_once_its_smoothing_is_reached(task, family):
    nuclear, frobenius = generalisation.interpolate_nuclear(task, family, rate=0.5, smoothing=0.5)
    np.testing.assert_array_equal(nuclear, frobenius)  # one step, with the norm of Frobenius
    nuclear, frobenius = generalisation.interpolate_nuclear(task, family, rate=0.5, smoothing=0.499)
    assert np.abs(nuclear - frobenius).max() > 1e-3


@pytest.mark.parametrize("wrong", [{"smoothing": 1.0}, {"smoothing": 0.0}, {"rate": 1.0}, {"rate": 0.0}])
def test_smoothing_and_rate_lie_inside_of_zero_and_one(task, family, wrong):
    with pytest.raises(ValueError, match=f"^{next(iter(wrong))} needs a number above 0 and below 1"):
        generalisation.interpolate_nuclear(task, family, **wrong)


def test_gates_are_a_family_or_a_pair_of_values(task, family):
    G, G_new = family(task.X), family(task.X_new)
    _, p = generalisation.fit(task, [G, G_new], width=40)
    np.testing.assert_array_equal(p.mean, generalisation.fit(task, family, width=40)[1].mean)
    for wrong in ([G], [G, G_new, G], G[:2], np.stack([G, G])):
        with pytest.raises(
            ValueError, match="^gates needs a family of gates, or their values at the training"
        ):
            generalisation.fit(task, wrong, width=40)


def test_a_path_goes_down_to_any_width_above_zero(task, family):
    rows = generalisation.along_widths(task, family, widths=[0.5, 3.0], temperature=0.1)
    assert [row["width"] for row in rows] == [0.5, 3.0, np.inf]
    with pytest.raises(ValueError, match="widths needs numbers above 0"):
        generalisation.along_widths(task, family, widths=[0.0, 3.0], temperature=0.1)


def test_more_points_than_can_be_interpolated_are_refused(family):
    task = relu_teacher(60, 50, 5, np.random.default_rng(0))
    with pytest.raises(ValueError, match="interpolated, got 60"):
        generalisation.interpolate_nuclear(task, gates.constant)


def test_a_path_of_widths_is_the_same_as_single_fits(task, family):
    rows = generalisation.along_widths(task, family, widths=[200, 20, 60], sigma2=0.3, temperature=0.05)
    assert [row["width"] for row in rows] == [20, 60, 200, np.inf]
    named = generalisation.along_widths(task, family, widths=[np.inf, 60], sigma2=0.3, temperature=0.05)
    assert [row["width"] for row in named] == [60, np.inf] and named[1] == rows[
        3
    ]  # the limit, asked for or not
    for row in rows[::3]:
        _, p = generalisation.fit(task, family, width=row["width"], sigma2=0.3, temperature=0.05)
        assert row["error"] == pytest.approx(p.errors(task.y_new).error, rel=1e-6)


def test_a_path_of_widths_is_a_point_of_a_sweep(task, family):
    table = sweep.sweep(
        generalisation.along_widths,
        {"sigma2": [0.1, 1.0]},
        fixed={"task": task, "gates": family, "widths": [20, 100], "temperature": 0.01},
    )
    assert len(table) == 6 and table["failure"].isna().all()


def test_bias_of_a_linear_network_does_not_depend_on_width(task):
    bias = [r["bias"] for r in generalisation.along_widths(task, gates.constant, widths=[10, 40, 400])]
    np.testing.assert_allclose(bias, bias[0], rtol=1e-7)


@pytest.mark.parametrize("sigma2", [0.25, 1.0, 4.0])
@pytest.mark.parametrize("temperature", [0.0, 0.1])
def test_variance_and_error_agree_with_the_exact_posterior(task, family, sigma2, temperature):
    _, p = generalisation.fit(task, family, width=40, sigma2=sigma2, temperature=temperature)
    exact = posterior.importance(
        task.X, family(task.X), task.y, task.X_new, family(task.X_new), width=40, sigma2=sigma2,
        temperature=temperature, rng=np.random.default_rng(2), n_draws=800,
    )  # fmt: skip
    assert 0.95 < p.variance.mean() / exact.variance.mean() < 1.03
    bias = np.mean((exact.mean - task.y_new) ** 2)
    assert p.errors(task.y_new).error == pytest.approx(bias + exact.variance.mean(), rel=0.03)


def test_finite_width_beats_the_gaussian_process_at_small_sigma_and_loses_at_one():
    gain, variance = {0.1: [], 1.0: []}, []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        task = even_odd(images.digits(), 200, 400, rng)
        family = gates.random_planes(10, 64, rng, allow_silent=True)
        for sigma2, values in gain.items():
            finite, wide = generalisation.along_widths(
                task, family, widths=[100], sigma2=sigma2, temperature=0.01
            )
            values.append(finite["error"] / wide["error"])
        rows = generalisation.along_widths(task, family, widths=[20, 100, 400], sigma2=4.0, temperature=0.01)
        variance.append([row["variance"] for row in rows])
    assert np.mean(gain[0.1]) < 0.92
    assert np.mean(gain[1.0]) > 1
    assert (np.diff(variance, axis=1) > 0).all()


def test_learned_gates_beat_random_gates_and_a_linear_network_three_times():
    bias = {"clusters": [], "random": [], "linear": []}
    for seed in range(4):
        rng = np.random.default_rng(seed)
        task = clustered_teacher(120, 40, 1000, rng, spread=0.6)
        families = {
            "clusters": gates.clusters(task.unlabelled, 4, rng),
            "random": gates.random_planes(4, 40, rng, allow_silent=True),
            "linear": gates.constant,
        }
        for name, family in families.items():
            _, p = generalisation.fit(task, family, width=20, temperature=0.01)
            bias[name].append(p.errors(task.y_new).bias)
    bias = {name: np.mean(values) for name, values in bias.items()}
    assert min(bias["random"], bias["linear"]) > 3 * bias["clusters"]


def test_task_gates_overtake_bottom_up_gates_between_one_and_eight_tasks():
    gap = {}
    for n_tasks in (1, 8):
        gap[n_tasks] = []
        for seed in range(3):
            rng = np.random.default_rng(seed)
            task = permuted_even_odd(images.digits(), n_tasks, 60, 50, rng)
            bottom_up = gates.random_planes(16, 64, rng, allow_silent=True)
            masks = gates.task_masks(n_tasks, 16, rng)
            pure = gates.by_task(task.group, masks), gates.by_task(task.group_new, masks)
            bias = [
                generalisation.fit(task, g, width=40, temperature=0.05)[1].errors(task.y_new).bias
                for g in (bottom_up, pure)
            ]
            gap[n_tasks].append(bias[1] - bias[0])
    assert min(gap[1]) > 0 > max(gap[8])


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda t, f: generalisation.fit(t, f, width=-np.inf), "width needs a number above 0"),
        (
            lambda t, f: generalisation.interpolate_nuclear(t, f, rate=1.0),
            "rate needs a number above 0 and below 1",
        ),
        (lambda t, f: generalisation.interpolate_nuclear(t, f, smoothing=0.0), "smoothing"),
        (lambda t, f: generalisation.interpolate_nuclear(replace(t, y=0 * t.y), f), "not all zero"),
    ],
)
def test_bad_input_is_refused_with_the_reason(task, family, call, message):
    with pytest.raises(ValueError, match=message):
        call(task, family)

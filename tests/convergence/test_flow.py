import numpy as np
import pytest

from gdln.activations import ACTIVATIONS
from gdln.convergence import features
from gdln.convergence.flow import (
    SCALINGS,
    draw_functions,
    draw_units,
    flow,
    node_scales,
    output,
    tangent_kernel,
)
from gdln.data import tasks


def problem(n=8, d=12, m=20, seed=0, c_hat=1.0):
    rng = np.random.default_rng(seed)
    phi = features.linear_features(tasks.sphere(n, d, rng))
    c, W = draw_units(m, d, rng, c_hat)
    return phi @ phi.T, W @ phi.T, c, rng.uniform(-1, 1, n)


def test_antisymmetric_pairs_start_at_zero():
    gram, h0, c, _ = problem()
    for scaling in SCALINGS:
        assert np.abs(output(h0, c, ACTIVATIONS["relu"], scaling)).max() < 1e-15


def test_drawn_functions_have_the_kernel_as_covariance():
    rng = np.random.default_rng(0)
    X = tasks.sphere(5, 3, rng)
    kernel = features.feature_kernel(X, X, "fourier")
    _, h0 = draw_functions(kernel, 40000, rng)
    assert np.abs(h0.T @ h0 / len(h0) - kernel).max() < 4 * np.sqrt(2 / 20000)


def test_linear_activation_decays_mode_by_mode():
    # sigma(u) = u: zeta' = -(c^2/n) G zeta, whatever the width
    gram, h0, c, y = problem(c_hat=1.5)
    run = flow(gram, h0, c, y, "linear", [0.0, 1.0, 5.0], method="DOP853", rtol=1e-10, atol=1e-12)
    values, vectors = np.linalg.eigh(gram)
    modes = vectors.T @ y
    expected = [
        np.sum((modes * np.exp(-(1.5**2) * values * t / len(y))) ** 2) / (2 * len(y)) for t in run.times
    ]
    assert np.allclose(run.loss, expected, rtol=1e-8)


@pytest.mark.parametrize("scaling", SCALINGS)
def test_the_rate_is_the_logarithmic_derivative_of_the_loss(scaling):
    gram, h0, c, y = problem()
    step = 1e-2
    run = flow(gram, h0, c, y, "tanh", [3 - step, 3, 3 + step], scaling=scaling, rtol=1e-10, atol=1e-12)
    assert run.rates().mean() == pytest.approx(run.kernel_rate(1), rel=1e-5)


@pytest.mark.parametrize(
    "g, rtol, atol, error", [(0.3, None, None, 3e-3), (0.6, None, None, 3e-3), (0.6, 1e-5, 1e-6, 1e-4)]
)
def test_a_unit_slides_along_a_kink_as_filippov_says(g, rtol, atol, error):
    # by hand: h_1 = 0 stays, zeta_2' = -(1 - g^2) zeta_2 / 2, as long as 0 < -g zeta_2 / zeta_1 < 1
    gram, y, times = np.array([[1, g], [g, 1]]), np.array([-1.5, 2.0]), np.linspace(0, 0.9, 4)
    run = flow(gram, [[0.0, 0.5]], [1.0], y, "relu", times, rtol=rtol, atol=atol)
    moving = 1.5**2 * np.exp(-(1 - g**2) * times)
    assert np.abs(run.loss / ((1.5**2 + moving) / 4) - 1).max() < error
    assert abs(run.features()[0, 0]) < 10 * error
    # the formula takes a one-sided slope, here zero, and is no rate
    assert run.kernel_rate(0) == pytest.approx(moving[0] / (1.5**2 + moving[0]), rel=1e-12)
    assert run.kernel_rate(0) > 1.05 * run.rates()[0]


def test_a_flow_that_runs_out_of_steps_says_so_and_where():
    gram, y = np.array([[1, 0.6], [0.6, 1]]), [-1.5, 2.0]
    with pytest.raises(RuntimeError, match=r"took 50 steps and got to t=.* of 6: loosen rtol"):
        flow(gram, [[0.0, 0.5]], [1.0], y, "relu", [6.0], max_steps=50)
    for bad in ({"max_steps": 0}, {"rtol": np.nan}, {"atol": -1.0}):
        with pytest.raises(ValueError, match=next(iter(bad))):
            flow(gram, [[0.0, 0.5]], [1.0], y, "relu", [6.0], **bad)


def test_the_recorded_times_do_not_change_the_flow():
    gram, h0, c, y = problem()
    few, many = (flow(gram, h0, c, y, "relu", np.linspace(0, 50, k)) for k in (2, 101))
    assert few.evaluations == many.evaluations and few.loss[-1] == many.loss[-1]


def test_rates_need_two_records_and_a_loss():
    gram, h0, c, y = problem()
    with pytest.raises(ValueError, match="got 1 records"):
        flow(gram, h0, c, y, "sine", [1.0]).rates()
    fitted = flow(gram, 0 * h0, c, 0 * y, "sine", [0.0, 1.0])
    with pytest.raises(ValueError, match="not zero"):
        fitted.rates()
    with pytest.raises(ValueError, match="loss is zero"):
        fitted.kernel_rate()


def test_a_flow_that_starts_at_zero_loss_is_stopped_there():
    gram, h0, c, y = problem()
    run = flow(gram, 0 * h0, c, 0 * y, "sine", [0.0, 1.0], stop_ratio=0.1)
    assert run.times.tolist() == [0.0] and run.loss.tolist() == [0.0]


def test_the_change_of_the_kernel_of_one_unit_is_that_of_its_squared_slope():
    run = flow([[4.0]], [[0.3]], [1.5], [1.0], "tanh", [0.0, 0.4])
    start, end = (1 / np.cosh(h) ** 4 for h in (0.3, run.features()[0, 0]))
    assert run.kernel_change(0) == 0 and end < 0.8 * start
    assert run.kernel_change() == pytest.approx((start - end) / start, rel=1e-12)


def test_both_scalings_start_with_the_same_rate():
    gram, h0, c, y = problem()
    rates = [flow(gram, h0, c, y, "sine", [0.0, 1.0], scaling=s).kernel_rate(0) for s in SCALINGS]
    assert rates[0] == pytest.approx(rates[1], rel=1e-12)


def test_the_trajectory_does_not_depend_on_an_orthogonal_change_of_the_samples_order():
    gram, h0, c, y = problem()
    order = np.random.default_rng(3).permutation(len(y))
    a = flow(gram, h0, c, y, "sine", [10.0])
    b = flow(gram[np.ix_(order, order)], h0[:, order], c, y[order], "sine", [10.0])
    assert np.allclose(a.features()[:, order], b.features(), atol=1e-6)


def test_predictions_on_the_training_points_are_the_outputs():
    gram, h0, c, y = problem()
    run = flow(gram, h0, c, y, "softplus", [0.0, 40.0])
    zeta = run.predict(h0, gram) - y
    assert zeta @ zeta / (2 * len(y)) == pytest.approx(run.loss[-1], rel=1e-12)


def test_the_two_integrators_agree():
    gram, h0, c, y = problem()
    runs = [flow(gram, h0, c, y, "sine", np.arange(5.0) * 20, method=m) for m in ("RK45", "DOP853")]
    assert np.allclose(runs[0].loss, runs[1].loss, rtol=1e-4)


def test_a_flow_stops_where_it_is_told_and_records_the_time():
    gram, h0, c, y = problem()
    run = flow(gram, h0, c, y, "sine", [0.0, 1.0, 1e5], stop_ratio=0.1)
    assert run.loss[-1] == pytest.approx(0.1 * run.loss[0], rel=1e-6)
    assert run.times[-1] < 1e5 and len(run.times) == 3


def test_pre_activations_move_by_order_one_only_in_mean_field_scaling():
    moves = {}
    for scaling in SCALINGS:
        for m in (100, 400):
            gram, h0, c, y = problem(m=m)
            moves[scaling, m] = flow(gram, h0, c, y, "sine", [1e4], scaling=scaling, stop_ratio=0.01)
    ratio = {s: moves[s, 400].movement() / moves[s, 100].movement() for s in SCALINGS}
    assert 0.85 < ratio["mean_field"] < 1.15
    assert 0.4 < ratio["ntk"] < 0.6


@pytest.mark.parametrize("scaling", SCALINGS)
@pytest.mark.parametrize("size", [1e3, 1e5, 1e7])
def test_six_digits_of_the_movement_are_right_however_large_the_output_weights(size, scaling):
    rng = np.random.default_rng(0)
    X, half, y = rng.standard_normal((4, 6)), rng.standard_normal((50, 4)), rng.standard_normal(4)
    h0, c = np.vstack([half, half]), size * np.repeat([1.0, -1.0], 50)
    times = [0.0, 3.0 / size**2 * (100 if scaling == "mean_field" else 1)]
    given = X @ X.T / 6, h0, c, y, "tanh", times
    exact = flow(*given, scaling=scaling, rtol=1e-10, atol=1e-15 / size).alpha[-1]
    found = flow(*given, scaling=scaling).alpha[-1]
    np.testing.assert_allclose(found, exact, rtol=0, atol=1e-6 * np.abs(exact).max())


def test_a_run_begins_at_time_zero_wherever_its_records_begin():
    rng = np.random.default_rng(0)
    X, h0, y = rng.standard_normal((4, 6)), rng.standard_normal((6, 4)), rng.standard_normal(4)
    given = X @ X.T / 6, h0, np.repeat([1.0, -1.0], 3), y, "tanh"
    whole = flow(*given, [0.0, 0.5, 3.0])
    for times in ([0.5], [0.5, 3.0], [3.0]):
        some = flow(*given, times)
        assert some.times.tolist() == times
        for t, alpha in zip(times, some.alpha, strict=True):
            np.testing.assert_allclose(alpha, whole.alpha[whole.times.tolist().index(t)], atol=1e-6)


def test_a_run_that_is_over_at_its_start_is_recorded_there():
    h0 = np.array([[0.3, -0.2], [0.3, -0.2]])
    run = flow(np.eye(2), h0, [1.0, -1.0], [0.0, 0.0], "tanh", [1.0, 2.0], stop_ratio=0.1)
    assert run.times.tolist() == [0.0] and run.loss.tolist() == [0.0] and not run.alpha.any()
    np.testing.assert_array_equal(run.features(0), run.features(-1))
    for k in (1, -2):
        with pytest.raises(ValueError, match="^k needs a whole number"):
            run.features(k)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"gram": np.eye(3)}, "shape"),
        ({"times": [1.0, 0.5]}, "increase"),
        ({"times": [0.5, 0.5]}, "increase"),
        ({"method": "Euler"}, "method"),
        ({"scaling": "standard"}, "scaling"),
        ({"activation": "gelu"}, "activation"),
        ({"times": []}, "times"),
        ({"times": [np.nan]}, "times"),
        ({"stop_ratio": -1.0}, "stop_ratio"),
        ({"stop_ratio": 1.0}, "stop_ratio needs a number above 0 and below 1"),
        ({"y": np.full(8, np.nan)}, "finite"),
        ({"c": np.zeros(20)}, "output weights"),
        ({"gram": np.triu(np.ones((8, 8)))}, "symmetric"),
    ],
)
def test_bad_problems_are_refused(change, message):
    gram, h0, c, y = problem()
    arguments = {"gram": gram, "h0": h0, "c": c, "y": y, "activation": "sine", "times": [1.0]} | change
    with pytest.raises(ValueError, match=message):
        flow(**arguments)


def test_functions_are_drawn_in_pairs_and_from_a_covariance():
    with pytest.raises(ValueError, match="even"):
        draw_units(3, 2, np.random.default_rng(0))
    with pytest.raises(ValueError, match="kernel needs eigenvalues of at least zero"):
        draw_functions(-np.eye(3), 4, np.random.default_rng(0))


def test_an_activation_may_be_given_by_its_name():
    gram, h0, c, _ = problem()
    for function, *args in ((output, h0, c), (tangent_kernel, gram, h0, c)):
        np.testing.assert_equal(function(*args, "relu"), function(*args, ACTIVATIONS["relu"]))
        with pytest.raises(ValueError, match="activation needs one of"):
            function(*args, "cube")


@pytest.mark.parametrize("n_units", [1, 2, 1000])
def test_scales_of_nodes_sum_to_one_between_equal_and_a_power(n_units):
    assert np.allclose(node_scales(n_units, 1.0), 1 / n_units, rtol=1e-14)
    power = node_scales(n_units, 0.0, decay=3.0)
    assert np.allclose(power / power[0], np.arange(1, n_units + 1) ** -3.0, rtol=1e-13)
    between = node_scales(n_units, 0.25, decay=3.0)
    assert np.allclose(between, 0.25 / n_units + 0.75 * power, rtol=1e-13)
    assert between.sum() == pytest.approx(1, rel=1e-13)


def test_the_largest_scale_tends_to_a_number_by_hand():
    # the squares' inverses sum to pi^2 / 6
    for share in (-0.01, 1.01):
        with pytest.raises(ValueError, match="share needs a number of at least 0 and of at most 1"):
            node_scales(4, share)
    assert node_scales(10**6, 0.5)[0] == pytest.approx(0.5 * 6 / np.pi**2, rel=1e-5)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_no_unit_moves_further_than_its_scale_allows_and_each_by_its_weights(share):
    """With the loss falling, the sum of step times loss before the step bounds the time integral of the errors."""
    rng = np.random.default_rng(4)
    phi = features.linear_features(tasks.sphere(6, 9, rng))
    gram, scales, y = phi @ phi.T, node_scales(40, share), rng.standard_normal(6)
    c, W = rng.choice([-1.0, 1.0], 40) * np.sqrt(40 * scales), rng.standard_normal((40, 9))
    run = flow(gram, W @ phi.T, c, y, "relu", np.linspace(0, 60, 121), scaling="ntk")
    moved = run.unit_movement()
    assert np.allclose(moved, np.linalg.norm(run.alpha[-1] @ phi, axis=1), atol=1e-12)
    errors = np.sqrt(12 * run.loss[:-1]) @ np.diff(run.times)
    bound = np.sqrt(np.linalg.eigvalsh(gram)[-1]) * errors / 6 * np.sqrt(scales)
    assert (moved <= bound * (1 + 1e-6)).all() and (moved > 0.02 * bound).any()
    assert (run.unit_movement(0) == 0).all()


def test_the_kernel_of_unequal_nodes_is_at_least_its_equal_part():
    rng = np.random.default_rng(5)
    phi = features.linear_features(tasks.sphere(6, 9, rng))
    gram, h = phi @ phi.T, rng.standard_normal((50, 9)) @ phi.T
    whole, equal = (
        tangent_kernel(gram, h, np.sqrt(50 * node_scales(50, share)), "relu") for share in (0.3, 1.0)
    )
    assert np.linalg.eigvalsh(whole - 0.3 * equal)[0] > -1e-12

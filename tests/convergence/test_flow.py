import numpy as np
import pytest

from gdln.activations import ACTIVATIONS
from gdln.convergence import certificates, features
from gdln.convergence.flow import SCALINGS, draw_functions, draw_units, flow, output, tangent_kernel
from gdln.data import tasks


def problem(n=8, d=12, m=20, seed=0, c_hat=1.0):
    rng = np.random.default_rng(seed)
    phi = features.linear_features(tasks.sphere(n, d, rng))
    c, W = draw_units(m, d, rng, c_hat)
    return phi @ phi.T, W @ phi.T, c, rng.uniform(-1, 1, n)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_slopes_are_derivatives_and_obey_the_declared_constants(name):
    activation = ACTIVATIONS[name]
    u = np.linspace(-4, 4, 801) + 1e-3  # off the kinks
    slope = activation.both(u)[1]
    step = 1e-5
    difference = (activation.both(u + step)[0] - activation.both(u - step)[0]) / (2 * step)
    assert np.abs(slope - difference).max() < 1e-8
    low, high = activation.interval
    inside = (u > low) & (u < high)
    assert np.abs(slope[inside]).min() >= activation.kappa - 1e-12
    assert np.abs(slope).max() <= activation.slope_max + 1e-12
    assert np.abs(activation.both(u)[0]).max() <= activation.sup


@pytest.mark.parametrize("name", ["softplus", "tanh"])
def test_smooth_activations_do_not_overflow(name):
    with np.errstate(all="raise", under="ignore"):
        value, slope = ACTIVATIONS[name].both(np.array([-1e4, 1e4]))
    assert np.all(np.isfinite(value)) and np.all(np.isfinite(slope))


@pytest.mark.parametrize("kind", features.KINDS)
def test_the_gram_matrix_of_random_features_tends_to_the_kernel_as_one_over_root_d(kind):
    rng = np.random.default_rng(1)
    X = tasks.sphere(6, 3, rng)
    limit = features.feature_kernel(X, X, kind)
    error = []
    for n_features in (100, 10000):
        draws = [features.draw_features(n_features, 3, rng, kind)(X) for _ in range(20)]
        error.append(np.sqrt(np.mean([(phi @ phi.T - limit) ** 2 for phi in draws])))
    assert 8 < error[0] / error[1] < 12.5  # 100 times more features: 10 times less; 20 draws of 21 entries


def test_the_relu_kernel_is_homogeneous_and_vanishes_for_opposite_inputs():
    X = tasks.sphere(4, 5, np.random.default_rng(0))
    assert np.allclose(features.feature_kernel(3 * X, X), 3 * features.feature_kernel(X, X), rtol=1e-13)
    assert np.abs(np.diag(features.feature_kernel(X, -X))).max() < 1e-12
    assert np.allclose(np.diag(features.feature_kernel(X, X)), 1, rtol=1e-13)


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


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"gram": np.eye(3)}, "shape"),
        ({"times": [1.0, 0.5]}, "increase"),
        ({"method": "Euler"}, "method"),
        ({"scaling": "standard"}, "scaling"),
        ({"activation": "gelu"}, "activation"),
        ({"times": []}, "times"),
        ({"times": [np.nan]}, "times"),
        ({"stop_ratio": -1.0}, "stop_ratio"),
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


def test_bad_layers_are_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="even"):
        draw_units(3, 2, rng)
    with pytest.raises(ValueError, match="kind"):
        features.draw_features(3, 2, rng, "wavelet")
    with pytest.raises(ValueError, match=r"X needs shape \(n, 2\)"):
        features.draw_features(3, 2, rng)(np.ones((4, 5)))
    with pytest.raises(ValueError, match="shape"):
        features.linear_features(np.ones(3))


def test_smallest_eigenvalue_of_dependent_inputs_is_exactly_zero():
    phi = features.linear_features(tasks.sphere(16, 4, np.random.default_rng(0)))
    assert certificates.smallest_eigenvalue(phi @ phi.T) == 0


def test_a_singular_gram_matrix_has_no_certificate_and_says_so():
    rng = np.random.default_rng(0)
    phi = features.linear_features(tasks.sphere(16, 4, rng))
    c, W = draw_units(20, 4, rng)
    certificate = certificates.certify(phi @ phi.T, W @ phi.T, c, np.ones(16), ACTIVATIONS["sine"])
    assert not certificate and "singular" in certificate.reason and certificate.rate == 0


def test_theorem_b_returns_the_largest_fraction():
    gram, h0, c, y = problem(m=200, c_hat=500.0)
    relu = ACTIVATIONS["relu"]
    certificate = certificates.certify(gram, h0, c, y, relu)
    assert certificate.theorem == "B"

    def share(radius):
        return np.mean(h0 >= radius, axis=0).min()

    at_one = certificate.radius * certificate.fraction
    assert share(certificate.radius) >= certificate.fraction
    larger = certificate.fraction + np.arange(1, 40) / 200
    assert all(share(at_one / p) < p for p in larger)


def test_ntk_scaling_divides_the_radius_by_the_root_of_the_width():
    gram, h0, c, y = problem(m=200, c_hat=2000.0)
    a, b = (certificates.certify(gram, h0, c, y, ACTIVATIONS["relu"], s) for s in SCALINGS)
    assert a.radius * a.fraction == pytest.approx(b.radius * b.fraction * np.sqrt(200), rel=1e-9)
    assert b.fraction >= a.fraction


def test_no_certificate_at_small_output_scale_gives_the_reason():
    gram, h0, c, y = problem(c_hat=1.0)
    certificate = certificates.certify(gram, h0, c, y, ACTIVATIONS["tanh"])
    assert not certificate and "too far" in certificate.reason


def test_an_activation_may_be_given_by_its_name():
    gram, h0, c, y = problem(m=200, c_hat=500.0)
    for function, *args in (
        (certificates.certify, gram, h0, c, y),
        (certificates.rate_bound, gram, h0, c),
        (output, h0, c),
        (tangent_kernel, gram, h0, c),
    ):
        np.testing.assert_equal(function(*args, "relu"), function(*args, ACTIVATIONS["relu"]))
        with pytest.raises(ValueError, match="activation needs one of"):
            function(*args, "cube")


def test_certificates_need_output_weights_of_one_size():
    gram, h0, c, y = problem()
    with pytest.raises(ValueError, match="one size"):
        certificates.certify(gram, h0, c * np.linspace(1, 2, len(c)), y, ACTIVATIONS["sine"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"c": np.zeros(20)}, "one size"),
        ({"scaling": "standard"}, "scaling"),
        ({"gram": np.eye(3)}, "shape"),
        ({"gram": -np.eye(8)}, "gram needs eigenvalues of at least zero"),
        ({"gram": np.triu(np.ones((8, 8)))}, "symmetric"),
        ({"y": np.full(8, np.nan)}, "finite"),
    ],
)
def test_certificates_refuse_what_they_cannot_certify(change, message):
    gram, h0, c, y = problem()
    arguments = {"gram": gram, "h0": h0, "c": c, "y": y, "activation": ACTIVATIONS["relu"]} | change
    with pytest.raises(ValueError, match=message):
        certificates.certify(**arguments)


def test_a_kernel_with_a_negative_eigenvalue_is_no_covariance():
    with pytest.raises(ValueError, match="kernel needs eigenvalues of at least zero"):
        draw_functions(-np.eye(3), 4, np.random.default_rng(0))
    with pytest.raises(ValueError, match="finite"):
        features.feature_kernel(np.full((2, 3), np.nan), np.ones((2, 3)))


def test_chernoff_and_the_number_of_features_are_inverse():
    needed = certificates.features_needed(0.1, 16, 2.0, 0.5, 0.01)
    assert certificates.chernoff_failure(needed, 0.1, 16, 2.0, 0.5) <= 0.01
    assert certificates.chernoff_failure(needed - 2, 0.1, 16, 2.0, 0.5) > 0.01
    assert certificates.chernoff_failure(1, 0.1, 16, 2.0, 0.5) == 1
    with pytest.raises(ValueError, match="^lam needs"):
        certificates.features_needed(0.0, 16, 2.0, 0.5, 0.1)


def test_the_number_of_units_is_logarithmic_in_the_samples():
    first, second, third = (certificates.units_needed(n, 0.1, 0.01) for n in (10, 100, 1000))
    assert abs((third - second) - (second - first)) <= 2
    with pytest.raises(ValueError, match="accuracy"):
        certificates.units_needed(10, 0.0, 0.1)


def test_the_rademacher_bound_falls_as_the_root_of_the_samples():
    bounds = [certificates.rademacher_bound(np.eye(n), 2.0, 1.5, 1.0) for n in (100, 400)]
    assert bounds[0] / bounds[1] == pytest.approx(2, rel=1e-12)
    with pytest.raises(ValueError, match="^rate needs"):
        certificates.ball_radius(np.eye(2), 1.0, 1.0, 1.0, 0.0)


def test_four_points_are_balanced_and_not_linearly_separable_in_the_mean():
    X, y = tasks.four_points(20000, 5, np.random.default_rng(0))
    assert abs(y.mean()) < 4 / np.sqrt(20000)
    assert np.abs(X.T @ y / 20000).max() < 4 / np.sqrt(20000)
    assert np.array_equal(y, X[:, 0] ** 2 - X[:, 1] ** 2)
    with pytest.raises(ValueError, match="d needs a whole number of at least 2"):
        tasks.four_points(3, 1, np.random.default_rng(0))

import warnings

import numpy as np
import pytest
from scipy.linalg import cho_factor, cho_solve

from gdln.renormalization import posterior, scalar
from gdln.renormalization.chains import SamplingWarning


def data(rng, n=12, n_inputs=15, n_gates=2):
    x, x_new = rng.standard_normal((n, n_inputs)), rng.standard_normal((5, n_inputs))
    v = rng.standard_normal((n_gates - 1, n_inputs))
    gates = [np.column_stack([np.ones(len(z)), z @ v.T >= 0]) for z in (x, x_new)]
    return x, gates[0], x[:, 0] + rng.standard_normal(n) / 3, x_new, gates[1]


def agree(a, b, factor=4.5):
    """Means of two runs within their standard errors."""
    assert (np.abs(a.mean - b.mean) < factor * np.hypot(a.mean_error, b.mean_error)).all()


def exact(args, width, sigma2, temperature, n_grid=45):
    """Mean and variance of a network with two gates, by quadrature over the eigenvalues and the axes of U."""
    x, g, y, x_new, g_new = args
    F, F_new = g / np.sqrt(2), g_new / np.sqrt(2)
    scale = sigma2 / x.shape[1]
    K0, cross, own = scale * x @ x.T, scale * x_new @ x.T, scale * (x_new**2).sum(axis=1)

    def grid(low, high):
        log_u, angle = np.linspace(low, high, n_grid), np.pi * np.arange(n_grid) / n_grid
        a, b, angle = (z.ravel() for z in np.meshgrid(log_u, log_u, angle, indexing="ij"))
        a, b, angle = (z[a > b] for z in (a, b, angle))
        V = np.stack([np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)], axis=1).reshape(-1, 2, 2)
        U = (V * np.exp(np.stack([a, b], axis=1))[:, None, :]) @ V.transpose(0, 2, 1)
        C = (F @ U @ F.T) * K0 + temperature * np.eye(len(y))
        fit = np.linalg.solve(C, np.broadcast_to(y[:, None], (len(C), len(y), 1)))[..., 0]
        log_p = -0.5 * fit @ y - 0.5 * np.linalg.slogdet(C)[1]
        # dU is (e^a - e^b) e^a e^b da db dangle
        log_p += (width - 3) / 2 * (a + b) - width / (2 * sigma2) * (np.exp(a) + np.exp(b))
        log_p += np.log(np.exp(a) - np.exp(b)) + a + b
        return a, b, U, C, fit, np.exp(log_p - log_p.max())

    a, b, *_, p = grid(np.log(sigma2) - 25, np.log(sigma2) + 4)
    kept = p > 1e-7
    *_, U, C, fit, p = grid(b[kept].min() - 1, a[kept].max() + 1)
    kept = p > 1e-10
    U, C, fit, p = U[kept], C[kept], fit[kept], p[kept] / p[kept].sum()
    k = (F_new @ U @ F.T) * cross
    means = (k @ fit[..., None])[..., 0]
    spreads = ((F_new @ U) * F_new).sum(axis=2) * own
    spreads -= (k * np.linalg.solve(C, k.transpose(0, 2, 1)).transpose(0, 2, 1)).sum(axis=2)
    mean = p @ means
    return mean, p @ (spreads + (means - mean) ** 2)


REGIMES = [(s, N) for s in (0.1, 1.0, 30.0, 1e3) for N in (2, 10, 50)]
QUICK = [(0.1, 10), (30.0, 2), (1e3, 10)]


@pytest.mark.parametrize(
    ("sigma2", "width"), [r if r in QUICK else pytest.param(*r, marks=pytest.mark.slow) for r in REGIMES]
)
def test_importance_is_within_its_errors_of_quadrature_from_narrow_to_wide_priors(sigma2, width):
    args = data(np.random.default_rng(0))
    mean, variance = exact(args, width, sigma2, 0.2)
    z, health = [], []
    for seed in range(4):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SamplingWarning)
            chains = posterior.importance(
                *args,
                width=width,
                sigma2=sigma2,
                temperature=0.2,
                rng=np.random.default_rng(seed),
                n_draws=800,
            )
        errors = chains.errors(np.zeros(5))
        health.append(chains.health)
        z.append(
            [
                *((chains.mean - mean) / chains.mean_error),
                (errors.variance - variance.mean()) / errors.variance_error,
            ]
        )
    trusted = [h.pareto_k <= 0.7 for h in health]
    assert sum(trusted) >= (0 if width == 2 else 4)
    # a run that is trusted errs by its standard error; one of six numbers in four runs seldom by more than four
    assert all(np.abs(row).max() < 4.5 for row, good in zip(z, trusted, strict=True) if good)
    assert np.abs(np.mean(z, axis=0)).max() < 4.5 / 2


def test_a_run_with_too_few_draws_for_its_prior_warns():
    args = data(np.random.default_rng(0))
    with pytest.warns(SamplingWarning, match="effective draws after weighting.*draw more"):
        posterior.importance(
            *args, width=2, sigma2=1e3, temperature=0.2, rng=np.random.default_rng(0), n_draws=60
        )


@pytest.mark.parametrize(
    ("width", "sigma2", "temperature", "labels"), [(2, 30.0, 0.01, 1.0), (10, 1.0, 0.05, 5.0)]
)
def test_slices_mix_where_the_data_move_the_order_parameter_far(width, sigma2, temperature, labels):
    x, g, y, x_new, g_new = data(np.random.default_rng(0))
    args = (x, g, labels * y, x_new, g_new)
    mean, variance = exact(args, width, sigma2, temperature)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SamplingWarning)
        chains = posterior.collapsed(
            *args, widths=width, sigma2=sigma2, temperature=temperature, rng=np.random.default_rng(1)
        )
    # ellipses alone gave 8 to 67 effective draws here, and R-hat to 1.2
    assert chains.effective > 130 and chains.r_hat < 1.03
    assert (np.abs(chains.mean - mean) < 4.5 * chains.mean_error).all()
    errors = chains.errors(np.zeros(5))
    assert abs(errors.variance - variance.mean()) < 4.5 * errors.variance_error


def test_a_posterior_without_a_mode_warns_and_one_with_a_mode_does_not(monkeypatch):
    args = data(np.random.default_rng(1))

    def run():
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            posterior.importance(
                *args, width=30, sigma2=1.0, temperature=0.1, rng=np.random.default_rng(0), n_draws=100
            )
        return any("no mode of the posterior was found" in str(w.message) for w in said)

    assert not run()
    fitted = posterior.fitted
    monkeypatch.setattr(posterior, "fitted", lambda *a, **k: (fitted(*a, **k)[0], 0))
    assert run()


@pytest.mark.filterwarnings("ignore::gdln.renormalization.chains.SamplingWarning")
def test_draws_at_which_the_data_are_impossible_are_not_asked_for_predictions(monkeypatch):
    args, likelihood = data(np.random.default_rng(1)), posterior._Conditional.log_likelihood
    predict = posterior._Conditional.predict

    def impossible(u):
        return np.trace(u) > 2.6

    def asked(self, u):
        assert not impossible(u)
        return predict(self, u)

    monkeypatch.setattr(
        posterior._Conditional,
        "log_likelihood",
        lambda self, u: -np.inf if impossible(u) else likelihood(self, u),
    )
    monkeypatch.setattr(posterior._Conditional, "predict", asked)
    found = posterior.importance(
        *args, width=30, sigma2=1.0, temperature=0.1, rng=np.random.default_rng(0), n_draws=100
    )
    assert np.isfinite(found.mean).all() and np.trace(found.order_parameter) < 2.6
    assert 0 < np.count_nonzero(found.draws["weight"] == 0) < 50


def test_a_step_along_an_ellipse_looks_at_one_turn_that_ends_with_its_first_guess(monkeypatch):
    seen = []
    monkeypatch.setattr(
        posterior, "_slice", lambda value, here, *bracket: (seen.append(bracket[:3]), here)[::-1]
    )
    for seed in range(200):
        posterior._along_ellipse([np.ones((2, 2))], 0, None, 0.0, np.random.default_rng(seed))
    start, low, high = np.transpose(seen)
    np.testing.assert_array_equal(start, high)
    np.testing.assert_allclose(high - low, 2 * np.pi, rtol=1e-12)
    assert 0 <= start.min() < 0.1 and 2 * np.pi - 0.1 < start.max() < 2 * np.pi


def test_without_data_a_step_along_an_ellipse_forgets_where_it_began():
    rng, n = np.random.default_rng(0), 2000
    start = 3 * np.ones((1, 20))
    ends = []
    for _ in range(n):
        Z = [start]
        assert posterior._along_ellipse(Z, 0, lambda Z: 0.0, 0.0, rng) == 0
        ends.append(Z[0].ravel())
    # the angle is uniform, so its cosine averages to zero with variance a half, and its sine's square to a half
    assert abs(np.mean(ends)) < 4.5 * 3 * np.sqrt(0.5 / n)
    assert np.mean(np.square(ends)) == pytest.approx((9 + 1) / 2, abs=4.5 * (9 - 1) / np.sqrt(8 * n))


def test_at_zero_temperature_a_width_too_small_for_the_data_is_refused_and_one_that_fits_ends():
    rng = np.random.default_rng(8)
    numbers = {"sigma2": 1.0, "temperature": 0.0, "rng": rng, "n_draws": 50, "n_warmup": 10}
    args = data(rng, n=12, n_inputs=7)  # the gates' kernel has rank 12 from width 2 on, and 7 at width 1
    with pytest.raises(ValueError, match="full rank 12 at T = 0.*got a kernel of rank 7"):
        posterior.collapsed(*args, widths=1, **numbers)
    for shape in ({"n_inputs": 15, "n": 12}, {"n_inputs": 30, "n": 6}):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SamplingWarning)
            chains = posterior.collapsed(*data(rng, **shape), widths=[1, 1], **numbers)
        assert np.isfinite(chains.mean).all() and (chains.variance > 0).all()


def test_targets_that_are_all_zero_have_no_posterior_at_zero_temperature():
    rng = np.random.default_rng(9)
    x, g, y, x_new, g_new = data(rng)
    for sampler, size in ((posterior.importance, {"width": 5}), (posterior.collapsed, {"widths": 5})):
        with pytest.raises(ValueError, match="y needs targets that are not all zero at T = 0"):
            sampler(x, g, 0 * y, x_new, g_new, sigma2=1.0, temperature=0.0, rng=rng, **size)


def test_all_samplers_have_the_same_mean_variance_and_order_parameter():
    rng = np.random.default_rng(0)
    args, numbers = data(rng), {"sigma2": 0.6, "temperature": 0.2, "rng": rng}
    a = posterior.importance(*args, width=6, n_draws=2000, **numbers)
    b = posterior.collapsed(*args, widths=6, n_draws=800, **numbers)
    c = posterior.gibbs(*args, widths=6, n_draws=2000, **numbers)
    assert b.r_hat < 1.02 and c.r_hat < 1.01 and min(a.effective, b.effective, c.effective) > 100
    for one, two in ((a, b), (a, c)):
        agree(one, two)
        np.testing.assert_allclose(one.variance, two.variance, rtol=0.15)
        np.testing.assert_allclose(one.order_parameter, two.order_parameter, atol=0.08)
        np.testing.assert_allclose(one.training_error, two.training_error, rtol=0.05)


@pytest.mark.parametrize("widths", [(4, 6), (7, 3)])
def test_deep_samplers_agree_also_with_layers_narrower_than_the_order_parameter(widths):
    rng = np.random.default_rng(1)
    args, numbers = data(rng), {"sigma2": 0.8, "temperature": 0.3, "rng": rng, "widths": widths}
    a, b = (f(*args, n_draws=400, **numbers) for f in (posterior.collapsed, posterior.gibbs))
    agree(a, b)
    np.testing.assert_allclose(a.variance, b.variance, rtol=0.2)


def test_gate_sets_of_different_sizes_are_kept_in_order():
    rng = np.random.default_rng(2)
    x, g, y, x_new, g_new = data(rng)
    h, h_new = (np.column_stack([z[:, 0], z[:, 1] ** 2, np.ones(len(z))]) for z in (x, x_new))
    args = (x, [g, h], y, x_new, [g_new, h_new])
    numbers = {"sigma2": 0.8, "temperature": 0.3, "rng": rng, "widths": (5, 8)}
    a, b = (f(*args, n_draws=400, **numbers) for f in (posterior.collapsed, posterior.gibbs))
    assert a.order_parameter.shape == b.order_parameter.shape == (2, 2)
    agree(a, b)


def test_a_wide_network_is_the_gaussian_process():
    rng = np.random.default_rng(3)
    x, g, y, x_new, g_new = data(rng)
    numbers = {"sigma2": 1.0, "temperature": 0.2, "rng": rng}
    wide = posterior.collapsed(x, g, y, x_new, g_new, widths=3000, n_draws=300, **numbers)
    C = (g @ g.T / 2) * (x @ x.T / 15) + 0.2 * np.eye(12)
    k = (g_new @ g.T / 2) * (x_new @ x.T / 15)
    np.testing.assert_allclose(wide.mean, k @ cho_solve(cho_factor(C), y), atol=0.02)


def test_the_variance_of_a_linear_network_at_zero_temperature_is_the_meijer_one():
    rng = np.random.default_rng(4)
    x, _, y, x_new, _ = data(rng)
    one, one_new = np.ones((12, 1)), np.ones((5, 1))
    numbers = {"sigma2": 0.7, "temperature": 0.0, "rng": rng}
    K0, k = 0.7 / 15 * x @ x.T, 0.7 / 15 * x_new @ x.T
    s = 0.5 * y @ np.linalg.solve(K0, y)
    conditional = 0.7 / 15 * (x_new**2).sum(axis=1) - (k * np.linalg.solve(K0, k.T).T).sum(axis=1)
    for widths in ([8], [8, 5]):
        scale = scalar.mean_scale_meijer(s, 12, widths, 0.7)
        chains = posterior.collapsed(x, one, y, x_new, one_new, widths=widths, n_draws=1000, **numbers)
        np.testing.assert_allclose(chains.variance, scale * conditional, rtol=0.06)
        np.testing.assert_allclose(chains.mean, k @ np.linalg.solve(K0, y), atol=1e-9)


@pytest.mark.parametrize("sigma2", [0.25, 1.0, 4.0])
@pytest.mark.parametrize("width", [20, 160])
def test_the_meijer_average_equals_quadrature(width, sigma2):
    for s in (2.0, 20.0, 60.0):
        meijer = scalar.log_average_meijer(s, 40, [width], sigma2)
        assert abs(meijer - scalar.log_average_quadrature(s, 40, width, sigma2)) < 1e-8


def test_standard_errors_of_bias_variance_and_their_sum_are_the_spread_over_repeated_runs():
    rng = np.random.default_rng(7)
    args, numbers = data(rng), {"sigma2": 0.6, "temperature": 0.2}
    target = np.zeros(5)
    for sampler, size in (
        (posterior.importance, {"width": 6}),
        (posterior.collapsed, {"widths": 6, "n_warmup": 20}),
    ):
        runs = [sampler(*args, n_draws=150, rng=rng, **size, **numbers).errors(target) for _ in range(16)]
        np.testing.assert_allclose([e.error for e in runs], [e.bias + e.variance for e in runs], rtol=1e-15)
        for part in ("bias", "variance", "error"):
            spread = np.std([getattr(e, part) for e in runs], ddof=1)
            stated = np.mean([getattr(e, part + "_error") for e in runs])
            assert 0.5 < spread / stated < 2  # 16 runs know their spread to 18%
    with pytest.raises(ValueError, match="target needs shape"):
        posterior.importance(*args, width=6, n_draws=20, rng=rng, **numbers).errors(np.zeros(3))


@pytest.mark.parametrize(
    ("sampler", "change", "message"),
    [
        ("gibbs", {"temperature": 0.0}, "temperature needs a number above 0"),
        ("gibbs", {"widths": 0}, "widths needs a whole number of at least 1"),
        ("collapsed", {"temperature": -1.0}, "temperature needs a number of at least 0"),
        ("collapsed", {"y": np.ones(3)}, "y needs 12 targets"),
        ("collapsed", {"gates": np.ones((3, 2))}, r"gates needs shape \(12, any\)"),
        ("importance", {"width": 1}, "width needs at least the number of gates, 2"),
        ("collapsed", {"X_new": np.ones((5, 3))}, r"X_new needs shape \(n_new, 15\)"),
        ("collapsed", {"gates_new": np.ones((5, 3))}, r"gates_new needs shape \(5, 2\)"),
        ("importance", {"y": np.full(12, np.nan)}, "y needs finite numbers"),
        ("gibbs", {"sigma2": np.nan}, "sigma2 needs a number"),
        ("collapsed", {"gates": np.zeros((12, 2)), "temperature": 0.0}, "full rank 12 at T = 0.*rank 0"),
        ("importance", {"gates": np.zeros((12, 2)), "temperature": 0.0}, "full rank 12 at T = 0.*rank 0"),
    ],
)
def test_bad_input_is_refused(sampler, change, message):
    rng = np.random.default_rng(6)
    names = ("X", "gates", "y", "X_new", "gates_new")
    size = {"width": 5} if sampler == "importance" else {"widths": 5}
    numbers = {"sigma2": 1.0, "temperature": 0.1, "rng": rng, "n_draws": 10}
    with pytest.raises(ValueError, match=message):
        getattr(posterior, sampler)(**(dict(zip(names, data(rng), strict=True)) | size | numbers | change))


@pytest.mark.parametrize("sampler", ["importance", "collapsed", "gibbs"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rng": 0}, r"rng needs a numpy.random.Generator such as .*got int 0"),
        ({"rng": None}, "rng needs a numpy.random.Generator"),
        ({"rng": np.random.RandomState(0)}, "rng needs a numpy.random.Generator"),
        ({"n_draws": 3}, "n_draws needs a whole number of at least 4, got 3"),
        ({"n_draws": 10.0}, "n_draws needs a whole number"),
        ({"width": 4.5, "widths": 4.5}, "needs a whole number of at least 1, got float 4.5"),
    ],
)
def test_wrong_kinds_of_arguments_are_named(sampler, change, message):
    rng = np.random.default_rng(6)
    names, size = ("X", "gates", "y", "X_new", "gates_new"), "width" if sampler == "importance" else "widths"
    given = dict(zip(names, data(rng), strict=True)) | {
        size: 5,
        "sigma2": 1.0,
        "temperature": 0.1,
        "rng": rng,
    }
    given |= {name: value for name, value in change.items() if name in (*given, "n_draws")}
    with pytest.raises((TypeError, ValueError), match=message):
        getattr(posterior, sampler)(**given)

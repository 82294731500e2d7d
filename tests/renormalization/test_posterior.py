import os
import subprocess
import sys

import numpy as np
import pytest
from scipy.linalg import cho_factor, cho_solve

from gdln.renormalization import posterior, scalar


def data(rng, n=12, n_inputs=15, n_gates=2):
    x, x_new = rng.standard_normal((n, n_inputs)), rng.standard_normal((5, n_inputs))
    v = rng.standard_normal((n_gates - 1, n_inputs))
    gates = [np.column_stack([np.ones(len(z)), z @ v.T >= 0]) for z in (x, x_new)]
    return x, gates[0], x[:, 0] + rng.standard_normal(n) / 3, x_new, gates[1]


def agree(a, b, factor=4.5):
    """Means of two runs within their standard errors."""
    assert (np.abs(a.mean - b.mean) < factor * np.hypot(a.mean_error, b.mean_error)).all()


def test_all_samplers_have_the_same_mean_variance_and_order_parameter():
    rng = np.random.default_rng(0)
    args, numbers = data(rng), {"sigma2": 0.6, "temperature": 0.2, "rng": rng}
    a = posterior.importance(*args, width=6, n_draws=4000, **numbers)
    b = posterior.collapsed(*args, widths=6, n_draws=2500, **numbers)
    c = posterior.gibbs(*args, widths=6, n_draws=3000, **numbers)
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
    a, b = (f(*args, n_draws=2000, **numbers) for f in (posterior.collapsed, posterior.gibbs))
    agree(a, b)
    np.testing.assert_allclose(a.variance, b.variance, rtol=0.2)


def test_gate_sets_of_different_sizes_are_kept_in_order():
    rng = np.random.default_rng(2)
    x, g, y, x_new, g_new = data(rng)
    h, h_new = (np.column_stack([z[:, 0], z[:, 1] ** 2, np.ones(len(z))]) for z in (x, x_new))
    args = (x, [g, h], y, x_new, [g_new, h_new])
    numbers = {"sigma2": 0.8, "temperature": 0.3, "rng": rng, "widths": (5, 8)}
    a, b = (f(*args, n_draws=2000, **numbers) for f in (posterior.collapsed, posterior.gibbs))
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
        chains = posterior.collapsed(x, one, y, x_new, one_new, widths=widths, n_draws=4000, **numbers)
        np.testing.assert_allclose(chains.variance, scale * conditional, rtol=0.06)
        np.testing.assert_allclose(chains.mean, k @ np.linalg.solve(K0, y), atol=1e-9)


@pytest.mark.parametrize("sigma2", [0.25, 1.0, 4.0])
@pytest.mark.parametrize("width", [20, 160])
def test_the_meijer_average_equals_quadrature(width, sigma2):
    for s in (2.0, 20.0, 60.0):
        meijer = scalar.log_average_meijer(s, 40, [width], sigma2)
        assert abs(meijer - scalar.log_average_quadrature(s, 40, width, sigma2)) < 1e-8


def test_standard_errors_of_bias_and_variance_are_the_spread_over_repeated_runs():
    rng = np.random.default_rng(7)
    args, numbers = data(rng), {"sigma2": 0.6, "temperature": 0.2}
    target = np.zeros(5)
    for sampler, size in ((posterior.importance, {"width": 6}), (posterior.collapsed, {"widths": 6})):
        runs = [sampler(*args, n_draws=150, rng=rng, **size, **numbers).errors(target) for _ in range(16)]
        for part in ("bias", "variance"):
            spread = np.std([getattr(e, part) for e in runs], ddof=1)
            stated = np.mean([getattr(e, part + "_error") for e in runs])
            assert 0.5 < spread / stated < 2  # 16 runs know their spread to 18%
    with pytest.raises(ValueError, match="targets of shape"):
        posterior.importance(*args, width=6, n_draws=20, rng=rng, **numbers).errors(np.zeros(3))


def test_diagnostics_know_good_chains_from_bad():
    rng = np.random.default_rng(5)
    good = rng.standard_normal((4, 500))
    effective, r_hat = posterior.diagnostics(good)
    assert 1500 < effective < 3000 and r_hat < 1.01
    assert posterior.diagnostics(good + np.arange(4)[:, None])[1] > 1.3


@pytest.mark.parametrize(
    ("sampler", "change", "message"),
    [
        ("gibbs", {"temperature": 0.0}, "temperature > 0"),
        ("gibbs", {"widths": 0}, "widths >= 1"),
        ("collapsed", {"temperature": -1.0}, "temperature >= 0"),
        ("collapsed", {"y": np.ones(3)}, "targets of shape"),
        ("collapsed", {"gates": np.ones((3, 2))}, "gates of shape"),
        ("importance", {"width": 1}, "width >= n_gates"),
        ("collapsed", {"widths": 4.5}, "whole numbers"),
        ("collapsed", {"X_new": np.ones((5, 3))}, "inputs of shapes"),
        ("collapsed", {"gates_new": np.ones((5, 3))}, "gate sets of equal sizes"),
        ("importance", {"y": np.full(12, np.nan)}, "finite inputs and targets"),
        ("gibbs", {"sigma2": np.nan}, "sigma2 > 0"),
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


def test_diagnostics_say_nothing_in_a_home_never_used_before(tmp_path):
    code = "import numpy; from gdln import posterior; posterior.diagnostics(numpy.eye(4))"
    homes = {name: str(tmp_path) for name in ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "MPLCONFIGDIR")}
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **homes}, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")

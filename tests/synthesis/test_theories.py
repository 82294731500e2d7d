import numpy as np
import pytest
from scipy.integrate import quad, solve_ivp
from scipy.optimize import brentq

from gdln.synthesis import measures, theories
from gdln.synthesis.theories import THEORIES

S = np.array([0.98, 0.4])
SCALES = [1e-3, 0.05, 0.3, 2.0, 50.0]


def cases():
    return [(name, gamma) for name in THEORIES for gamma in SCALES if name != "race" or gamma < S.min()]


@pytest.mark.parametrize("theory, gamma", cases())
def test_strengths_solve_the_equation_of_the_integrated_error(theory, gamma):
    start = gamma / 2 if theory == "race" else 0.0
    times = np.linspace(0, 12 * gamma / (gamma + 1), 7)
    for k, s in enumerate(S):
        flow = solve_ivp(
            lambda _, E, s=s: s - theories.response(E, gamma, theory),
            (0, times[-1]), [0.0], t_eval=times, rtol=1e-11, atol=1e-13 * gamma, method="DOP853",
        )  # fmt: skip
        F = theories.strengths(times, S, gamma, theory)[:, k]
        np.testing.assert_allclose(F, theories.response(flow.y[0], gamma, theory), atol=1e-7)
        assert F[0] == pytest.approx(start, abs=1e-12)


@pytest.mark.parametrize("theory, gamma", cases())
def test_at_the_half_time_half_is_learned_and_the_end_is_the_target(theory, gamma):
    t = theories.mode_half_times(S, gamma, theory)
    for k, s in enumerate(S):
        assert theories.strengths(t[k], S, gamma, theory)[k] == pytest.approx(s / 2, rel=1e-9)
    np.testing.assert_allclose(theories.strengths(np.inf, S, gamma, theory), S, rtol=1e-12)
    np.testing.assert_allclose(theories.strengths(1e6, S, gamma, theory), S, rtol=1e-12)


@pytest.mark.parametrize("theory, gamma", cases())
def test_half_times_are_the_quadrature_of_the_integrated_error(theory, gamma):
    for s, t in zip(S, theories.mode_half_times(S, gamma, theory), strict=True):
        most = min(s, 200 * gamma) if theory in ("mean_field", "race") else s
        half = brentq(lambda E, s=s: theories.response(E, gamma, theory) - s / 2, 0, most, xtol=1e-15)
        by_hand = quad(lambda E, s=s: 1 / (s - theories.response(E, gamma, theory)), 0, half, epsrel=1e-11)[0]
        assert t == pytest.approx(by_hand, rel=1e-7)


def test_mean_field_half_time_is_the_formula_of_the_bottleneck():
    for gamma in SCALES:
        s, b, rate = S, S / 2, lambda x, g=gamma: 2 * np.sqrt(1 + (x / g) ** 2)
        inside = (rate(s) * rate(b) + 4 + 4 * s * b / gamma**2) * s / ((2 * rate(s) + 4) * (s - b))
        expected = np.log(inside) / rate(s)
        np.testing.assert_allclose(theories.mode_half_times(S, gamma, "mean_field"), expected, rtol=1e-9)


@pytest.mark.parametrize("theory", ["mean_field", "align_ada"])
def test_the_frozen_kernel_is_the_limit_of_a_large_scale_at_second_order(theory):
    error = [theories.mode_half_times(S, g, theory) - np.log(2) / 2 for g in (100.0, 200.0)]
    np.testing.assert_allclose(error[0] / error[1], 4, rtol=1e-3)
    share = {"mean_field": 1, "align_ada": 3 / 8}[theory]
    slope = -share * S**2 / 4 * (np.log(2) - 5 / 8)
    np.testing.assert_allclose(error[0] * 1e4, slope, rtol=1e-3)


def test_the_race_is_late_by_a_quarter_of_the_square_of_gamma_over_s():
    for gamma in (1e-2, 1e-3):
        late = np.subtract(*(theories.mode_half_times(S, gamma, name) for name in ("race", "mean_field")))
        np.testing.assert_allclose(late * 4 * S**2 / gamma**2, 1, rtol=6 * gamma / S.min())


def test_the_race_says_nothing_where_it_would_start_behind_the_half():
    assert theories.mode_half_times(S, 0.39, "race")[1] > 0
    with pytest.raises(ValueError, match="gamma needs less than the weakest mode"):
        theories.mode_half_times(S, 0.41, "race")


@pytest.mark.parametrize("theory, gamma", cases())
def test_solved_maps_have_the_strengths_and_slopes_of_the_modes(theory, gamma):
    rng = np.random.default_rng(0)
    U, V = np.linalg.qr(rng.standard_normal((3, 2)))[0], np.linalg.qr(rng.standard_normal((5, 2)))[0]
    sigma = U * S @ V.T
    times = np.linspace(0, 2 * theories.mode_half_times(S, gamma, theory).max(), 2001)
    run = theories.solve(sigma, gamma, theory, times)
    found = np.einsum("ik,tij,jk->tk", U, run.maps, V)
    np.testing.assert_allclose(found, theories.strengths(times, S, gamma, theory), atol=1e-12)
    between = np.gradient(run.maps, times, axis=0)[1:-1]
    np.testing.assert_allclose(between, run.slopes[1:-1], atol=2e-4 * np.abs(run.slopes).max())


def test_movement_is_that_of_the_moments_at_the_end():
    """Align-ada: both moments integrated along the integrated error, from the rule."""
    gamma, s = 0.3, 0.9
    E = theories._ada_root(s, gamma)
    p = 2 / gamma**2 * quad(theories.response, 0, E, args=(gamma, "align_ada"))[0]
    q = (E / gamma) ** 2
    expected = np.sqrt(4 * p**2 + q**2 + 2 * p * q) / 4
    assert theories.movement([s], gamma, 4, "align_ada") == pytest.approx(expected, rel=1e-9)
    assert theories.movement([s], gamma, 4, "frozen") == 0
    ratio = theories.movement([s], 1e-4, 4, "race") / theories.movement([s], 1e-4, 4, "mean_field")
    assert ratio == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("gamma", SCALES)
def test_movement_of_the_rules_is_that_of_weights_written_out(gamma):
    M, N0 = 2, 3
    basis = np.eye(
        M + N0
    )  # rows of the read-out and columns of the first layer, orthonormal at infinite width
    A0, W0, target = basis[:M], basis[M:].T, np.eye(M, N0) * S[:, None]
    # both layers by frozen signals: A = A0 + e W0', W = W0 + A0' e with A W = 2 e = target / gamma
    e = target / (2 * gamma)
    zero = A0 + e @ W0.T, W0 + A0.T @ e
    # only the backward signal frozen: W = W0 + A0' e, and A gathers what W sends forward on the way
    e = np.eye(M, N0) * [[brentq(lambda e, x=s / gamma: 2 * e + e**3 / 2 - x, 0, s / gamma)] for s in S]
    ada = A0 + e @ W0.T + e @ e.T @ A0 / 2, W0 + A0.T @ e
    for theory, (A, W) in (("align_zero", zero), ("align_ada", ada)):
        np.testing.assert_allclose(gamma * A @ W, target, rtol=1e-9)
        expected = measures.kernel_movement((np.eye(M), np.eye(N0)), (A @ A.T, W.T @ W))
        assert theories.movement(S, gamma, N0, theory) == pytest.approx(expected, rel=1e-9)


def test_movement_falls_with_the_power_two_when_lazy_and_one_when_rich():
    for gamma, power in ((1e-4, -1), (1e3, -2)):
        pair = [theories.movement(S, g, 16, "mean_field") for g in (gamma, 2 * gamma)]
        assert np.log2(pair[1] / pair[0]) == pytest.approx(power, abs=1e-2)


def test_cosine_of_one_mode_lies_between_one_and_the_half_of_a_right_angle():
    for gamma in SCALES:
        theta = np.arcsinh(0.9 / gamma) / 2
        expected = np.sqrt((1 + 1 / np.cosh(theta)) / 2)
        assert theories.cosine([0.9], gamma) == pytest.approx(expected, rel=1e-12)
        assert 2**-0.5 < theories.cosine([0.9], gamma) < 1


@pytest.mark.parametrize(
    "theory, E, gamma", [("align_ada", 1e120, 1.0), ("frozen", 1e308, 1.0), ("mean_field", 2.5e103, 1e101)]
)
def test_a_response_beyond_float64_is_refused(theory, E, gamma):
    with pytest.raises(ValueError, match="^E needs"):
        theories.response([0.1, E], gamma, theory)

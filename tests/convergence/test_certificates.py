"""Certificates worked by hand on two samples, so that a wrong factor, root or sign shows."""

import numpy as np
import pytest

from gdln.activations import ACTIVATIONS, Activation
from gdln.convergence import certificates, features, flow
from gdln.data import tasks

GRAM = np.array([[5.0, 2.0], [2.0, 2.0]])  # eigenvalues 1 and 6, the longer row of norm root 29
#: Value and slope differ, the interval has two ends, and no constant is one.
PROBE = Activation("probe", lambda u: (u**2, 2 * u), 0.5, (-1.0, 3.0), 2.0)


def hand_made(near, scaling, size=1000.0):
    """Four units in pairs of opposite weights, the last at ``near`` on the first sample; errors (-4, -3) of norm 5."""
    h0 = np.array([[1.0, 0.0], [1.0, 0.0], [2.0, 1.0], [near, 2.0]])
    c = size * np.array([1.0, -1.0, 1.0, -1.0])
    share = 4 if scaling == "mean_field" else 2
    f = size / share * np.array([4 - near**2, 1 - 4])
    return h0, c, f + [4.0, 3.0]


@pytest.mark.parametrize("near", [2.98, -0.98])  # .02 from the upper and from the lower end
@pytest.mark.parametrize("scaling", flow.SCALINGS)
def test_theorem_b_on_two_samples_is_what_one_works_out_by_hand(near, scaling):
    h0, c, y = hand_made(near, scaling)
    certificate = certificates.certify(GRAM, h0, c, y, PROBE, scaling)
    # R_1 = M gamma |zeta| / (lambda kappa^2 c) = 2 root29 5 / (1/4 1000); NTK: over the root of four units.
    # The fourth unit is .02 from an end, the others at least 1: p = 3/4
    at_one = 2 * np.sqrt(29) * 5 / 250 / (1 if scaling == "mean_field" else 2)
    assert certificate.theorem == "B" and certificate.fraction == 0.75
    assert certificate.radius == pytest.approx(at_one / 0.75, rel=1e-12)
    # r = 2/n lambda kappa^2 c^2 p
    assert certificate.rate == pytest.approx(1 * 0.25 * 1e6 * 0.75, rel=1e-12)


@pytest.mark.parametrize("far, fraction", [(1.0001, 1.0), (0.9999, 0.75)])
@pytest.mark.parametrize("unit", [3, None])
def test_theorem_b_lets_a_unit_in_at_exactly_its_distance(far, fraction, unit):
    # the last of four units needs R_1; with it far out, the third needs R_1 / (3/4)
    h0, c, y = hand_made(2.98, "mean_field")
    radius = 2 * np.sqrt(29) * 5 / 250
    if unit is None:
        h0[2, 0], fraction = 3 - far * radius / 0.75, fraction - 0.25
    else:
        h0[3, 0] = 3 - far * radius
    y = flow.output(h0, c, PROBE) + [4.0, 3.0]
    assert certificates.certify(GRAM, h0, c, y, PROBE).fraction == fraction


def test_theorem_b_without_a_fraction_says_by_how_much_units_would_have_to_be_safer():
    h0, c, y = hand_made(2.98, "mean_field", size=1.0)
    certificate = certificates.certify(GRAM, h0, c, y, PROBE)
    # R_1 = 40 root29; with p = 1 the least distance is .02, the gap for p = 3/4 and less is larger
    assert not certificate
    assert (certificate.rate, certificate.fraction, certificate.radius) == (0, 0, np.inf)
    assert f"move {40 * np.sqrt(29):.3g} or more" in certificate.reason
    assert f"at best {40 * np.sqrt(29) - 0.02:.3g} too far" in certificate.reason


@pytest.mark.parametrize("name, kappa", [("sine", 0.5), ("leaky_0.2", 0.2), ("linear", 1.0)])
def test_theorem_a_on_two_samples(name, kappa):
    h0, c = np.array([[1.0, -1.0], [1.0, -1.0]]), np.array([3.0, -3.0])
    certificate = certificates.certify(GRAM, h0, c, np.ones(2), name)
    assert certificate.theorem == "A" and certificate.fraction == 1 and certificate.radius == np.inf
    assert certificate.rate == pytest.approx(2 / 2 * 1 * kappa**2 * 9, rel=1e-12)


def test_the_instantaneous_bound_takes_slopes_of_the_worst_sample_and_squares_of_the_weights():
    h, c = np.array([[1.0, -3.0], [2.0, 5.0]]), np.array([3.0, -2.0])
    # leaky slopes (1, .2) and (1, 1): S_22 = (9 .04 + 4) / 2
    assert certificates.rate_bound(GRAM, h, c, "leaky_0.2") == pytest.approx((0.36 + 4) / 2, rel=1e-12)


def test_schur_bound_is_reached_by_matrices_of_signs():
    v = np.array([1.0, -1.0])
    S = 5 * np.outer(v, v)
    assert certificates.schur_bound(GRAM, S) == pytest.approx(5.0, rel=1e-12)
    assert np.linalg.eigvalsh(GRAM * S)[0] == pytest.approx(5.0, rel=1e-12)
    assert certificates.schur_bound(GRAM, np.diag([4.0, 7.0])) == pytest.approx(4.0, rel=1e-12)


def test_a_linear_unit_on_one_sample_reaches_the_ball():
    gram, c, y = np.array([[0.7]]), np.array([1.5]), np.array([2.0])
    run = flow.flow(gram, [[0.0]], c, y, "linear", [0.0, 20.0], rtol=1e-9)
    rate = certificates.certify(gram, [[0.0]], c, y, "linear").rate
    reached = np.sqrt(run.alpha[-1, 0] @ gram @ run.alpha[-1, 0])
    # |zeta_0| / (c root G)
    assert reached == pytest.approx(2 / (1.5 * np.sqrt(0.7)), rel=1e-6)
    assert certificates.ball_radius(gram, run.loss[0], 1.5, 1.0, rate) == pytest.approx(reached, rel=1e-6)


def test_ball_and_complexity_by_hand():
    gram = np.diag([4.0, 1.0])
    # 2 3 2 / .5 sqrt(2 4 2.25 / 2) = 24 3
    assert certificates.ball_radius(gram, 2.25, 3.0, 2.0, 0.5) == pytest.approx(72.0, rel=1e-12)
    assert certificates.rademacher_bound(gram, 7.0, 3.0, 2.0) == pytest.approx(
        3 * 2 * 7 * np.sqrt(5) / 2, rel=1e-12
    )


def test_the_complexity_is_reached_by_linear_units_on_orthogonal_samples():
    # the supremum over a ball of radius B is B |k_eps| / n, and |k_eps| = root tr G for every choice of signs
    gram, rng = np.diag([4.0, 1.0, 0.25]), np.random.default_rng(0)
    signs = rng.choice([-1.0, 1.0], (50, 3))
    best = 1.5 * 2.0 / 3 * np.sqrt(np.einsum("ea,ab,eb->e", signs, gram, signs))
    np.testing.assert_allclose(best, certificates.rademacher_bound(gram, 2.0, 1.5, 1.0), rtol=1e-12)


def test_numbers_of_units_and_features_by_hand():
    # ln(2 / .02) / (2 .25) = 9.21
    assert certificates.units_needed(2, 0.5, 0.02) == 10
    # exponent eps^2 D lambda / (2 n b) = .25 16 8 / (2 2 4) = 2
    assert certificates.chernoff_failure(16, 8.0, 2, 4.0, 0.5) == pytest.approx(2 * np.exp(-2), rel=1e-12)
    # D = 2 n b ln(n / delta) / (eps^2 lambda) = 16 ln(100) / 2 = 36.8
    assert certificates.features_needed(8.0, 2, 4.0, 0.5, 0.02) == 37
    assert certificates.features_needed(1e6, 2, 4.0, 0.5, 0.02) == 2  # never below the rank


@pytest.mark.parametrize("D", [0, 1, 10, 1000, [1, 10**6]])
@pytest.mark.parametrize("lam", [0.0, 1e-3, 1e3])
def test_the_chernoff_bound_is_a_probability(D, lam):
    p = certificates.chernoff_failure(D, lam, 5, 2.0, 1.0)
    assert np.all((p >= 0) & (p <= 1)) and np.shape(p) == np.shape(D)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"n_features": -1}, "n_features"),
        ({"n_features": np.nan}, "n_features"),
        ({"lam": -1e-3}, "lam"),
        ({"n": -16}, "n"),  # once gave a probability of -16.6
        ({"n": 0}, "n"),
        ({"n": 2.5}, "n"),
        ({"bound": 0.0}, "bound"),
        ({"bound": np.inf}, "bound"),
        ({"shortfall": 0.0}, "shortfall"),
        ({"shortfall": 1.5}, "shortfall"),
    ],
)
def test_the_chernoff_bound_refuses_what_it_does_not_hold_for(change, name):
    arguments = {"n_features": 10, "lam": 0.1, "n": 16, "bound": 2.0, "shortfall": 0.5} | change
    with pytest.raises((ValueError, TypeError), match=f"^{name} needs"):
        certificates.chernoff_failure(**arguments)


def test_chernoff_and_the_number_of_features_are_inverse():
    needed = certificates.features_needed(0.1, 16, 2.0, 0.5, 0.01)
    assert certificates.chernoff_failure(needed, 0.1, 16, 2.0, 0.5) <= 0.01
    assert certificates.chernoff_failure(needed - 2, 0.1, 16, 2.0, 0.5) > 0.01


def test_dependent_inputs_have_an_eigenvalue_of_exactly_zero_and_no_certificate():
    rng = np.random.default_rng(0)
    phi = features.linear_features(tasks.sphere(16, 4, rng))
    c, W = flow.draw_units(20, 4, rng)
    assert certificates.smallest_eigenvalue(phi @ phi.T) == 0
    certificate = certificates.certify(phi @ phi.T, W @ phi.T, c, np.ones(16), "sine")
    assert not certificate and "singular" in certificate.reason
    assert (certificate.rate, certificate.fraction, certificate.radius) == (0, 0, np.inf)


@pytest.mark.parametrize("unit", [1e-12, 1.0, 1e12])
def test_what_is_rounding_in_an_eigenvalue_does_not_depend_on_the_unit(unit):
    low = unit * np.array([[2.0, 1.0], [1.0, 2.0]])
    assert certificates.smallest_eigenvalue(low) == pytest.approx(unit, rel=1e-12)
    phi = np.random.default_rng(0).standard_normal((6, 3)) * np.sqrt(unit)
    assert certificates.smallest_eigenvalue(phi @ phi.T) == 0


def test_theorem_b_returns_the_largest_fraction():
    rng = np.random.default_rng(0)
    phi = features.linear_features(tasks.sphere(8, 12, rng))
    c, W = flow.draw_units(200, 12, rng, 500.0)
    h0 = W @ phi.T
    certificate = certificates.certify(phi @ phi.T, h0, c, rng.uniform(-1, 1, 8), "relu")
    assert certificate.theorem == "B"

    def share(radius):
        return np.mean(h0 >= radius, axis=0).min()

    at_one = certificate.radius * certificate.fraction
    assert share(certificate.radius) >= certificate.fraction
    larger = certificate.fraction + np.arange(1, 40) / 200
    assert all(share(at_one / p) < p for p in larger)


def test_an_activation_may_be_given_by_its_name():
    h0, c, y = hand_made(2.98, "mean_field")
    for function, *args in ((certificates.certify, GRAM, h0, c, y), (certificates.rate_bound, GRAM, h0, c)):
        np.testing.assert_equal(function(*args, "relu"), function(*args, ACTIVATIONS["relu"]))
        with pytest.raises(ValueError, match="activation needs one of"):
            function(*args, "cube")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"c": np.zeros(4)}, "one size"),
        ({"c": np.array([1.0, -1.0, 1.0, -2.0])}, "one size"),
        ({"scaling": "standard"}, "scaling"),
        ({"gram": np.eye(3)}, "shape"),
        ({"gram": -np.eye(2)}, "gram needs eigenvalues of at least zero"),
        ({"gram": np.triu(np.ones((2, 2)))}, "symmetric"),
        ({"y": np.full(2, np.nan)}, "finite"),
    ],
)
def test_certificates_refuse_what_they_cannot_certify(change, message):
    h0, c, y = hand_made(2.98, "mean_field")
    arguments = {"gram": GRAM, "h0": h0, "c": c, "y": y, "activation": PROBE} | change
    with pytest.raises(ValueError, match=message):
        certificates.certify(**arguments)


def test_numbers_of_units_and_features_refuse_what_no_number_gives():
    with pytest.raises(ValueError, match="^lam needs"):
        certificates.features_needed(0.0, 16, 2.0, 0.5, 0.1)
    for name in ("accuracy", "failure"):
        for wrong in (0.0, 1.0):
            with pytest.raises(ValueError, match=f"^{name} needs"):
                certificates.units_needed(**({"n": 10, "accuracy": 0.1, "failure": 0.1} | {name: wrong}))
    for name, wrong in (
        ("shortfall", 0.0),
        ("shortfall", 1.5),
        ("failure", 0.0),
        ("failure", 1.0),
        ("bound", 0.0),
    ):
        good = {"lam": 0.1, "n": 16, "bound": 2.0, "shortfall": 1.0, "failure": 0.1}
        certificates.features_needed(**good)
        with pytest.raises(ValueError, match=f"^{name} needs"):
            certificates.features_needed(**(good | {name: wrong}))
    with pytest.raises(ValueError, match="^rate needs"):
        certificates.ball_radius(np.eye(2), 1.0, 1.0, 1.0, 0.0)

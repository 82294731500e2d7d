import numpy as np
import pytest

from gdln.synthesis import moments, network


def problem(n_out=2, n_in=4, width=12, seed=0):
    rng = np.random.default_rng(seed)
    return network.normal_weights(n_in, n_out, width, rng), rng.standard_normal((n_out, n_in)) / 2


def test_frozen_kernel_is_the_limit_of_a_large_scale_at_second_order():
    (A, W), sigma = problem()
    A = np.hstack([A, -A])
    W = np.vstack([W, W])
    times, error = np.linspace(0, 2, 9), []
    for gamma in (10.0, 20.0):
        start = moments.of_weights(A, W, gamma)
        frozen = moments.solve_frozen(*start, sigma, times)
        error.append(np.abs(moments.solve_moments(*start, sigma, gamma, times).maps - frozen.maps).max())
    assert 3.8 < error[0] / error[1] < 4.2


def test_frozen_flow_obeys_its_equation_and_ends_at_the_target():
    (A, W), sigma = problem()
    F, P, Q = moments.of_weights(A, W, 1.0)
    run = moments.solve_frozen(F, P, Q, sigma, np.linspace(0, 400, 200_001))
    S = sigma - run.maps
    np.testing.assert_allclose(run.slopes, P @ S + S @ Q, atol=1e-12)
    np.testing.assert_allclose(np.gradient(run.maps, 2e-3, axis=0)[1:-1], run.slopes[1:-1], atol=1e-3)
    np.testing.assert_allclose(run.maps[0], F, atol=1e-12)
    np.testing.assert_allclose(run.maps[-1], sigma, atol=1e-6)


def test_moments_stay_positive_and_their_traces_grow_alike():
    """Both layers gain the same: tr P minus tr Q over the same N is conserved."""
    (A, W), sigma = problem()
    run = moments.solve_moments(*moments.of_weights(A, W, 0.2), sigma, 0.2, np.linspace(0, 3, 30))
    traces = np.trace(run.P, axis1=1, axis2=2) - np.trace(run.Q, axis1=1, axis2=2)
    np.testing.assert_allclose(traces, traces[0], rtol=1e-8)
    assert np.linalg.eigvalsh(run.P).min() > -1e-9 and np.linalg.eigvalsh(run.Q).min() > -1e-9


def test_rotations_of_inputs_and_outputs_rotate_the_solution():
    (A, W), sigma = problem()
    F, P, Q = moments.of_weights(A, W, 0.5)
    rng = np.random.default_rng(1)
    R, O = (np.linalg.qr(rng.standard_normal((n, n)))[0] for n in (2, 4))
    times = np.linspace(0, 1, 4)
    run = moments.solve_moments(F, P, Q, sigma, 0.5, times)
    turned = moments.solve_moments(R @ F @ O, R @ P @ R.T, O.T @ Q @ O, R @ sigma @ O, 0.5, times)
    np.testing.assert_allclose(turned.maps, R @ run.maps @ O, atol=1e-9)


@pytest.mark.parametrize("gamma", [0.05, 1.0, 20.0])
def test_the_loss_never_falls_below_what_the_kernel_certifies(gamma):
    """Upwards as well: the certified rate is a lower bound of the measured one at every time."""
    (A, W), sigma = problem(width=40)
    run = moments.solve_moments(*moments.of_weights(A, W, gamma), sigma, gamma, np.linspace(0, 2, 400))
    S = sigma - run.maps
    loss = np.square(S).sum((1, 2))
    rate = 2 * (S * run.slopes).sum((1, 2)) / loss
    certified = moments.certified_rate(run.P, run.Q)
    assert (rate >= certified - 1e-9).all() and certified.min() > 0


def test_the_certificate_of_identities_is_four_and_of_missing_directions_less():
    assert moments.certified_rate(np.eye(2), np.eye(3)) == pytest.approx(4)
    assert moments.certified_rate(np.eye(2), np.diag([1.0, 0.0])) == pytest.approx(2)


def test_the_certificate_is_twice_the_sum_of_the_lowest_eigenvalues_down_to_zero():
    P = np.stack([np.diag([0.1, 3.0]), np.diag([0.0, 1.0]), np.diag([-1e-17, 1.0])])
    Q = np.stack([np.diag([5.0, 0.2]), np.diag([0.0, 2.0]), np.diag([0.0, 1.0])])
    rates = moments.certified_rate(P, Q)
    np.testing.assert_allclose(rates, [0.6, 0, 0], rtol=1e-12)
    assert (rates >= 0).all()


def test_a_network_narrower_than_the_rank_of_its_target_is_refused():
    (A, W), sigma = problem(width=1)
    with pytest.raises(ValueError, match="P needs a rank of at least 2"):
        moments.solve_moments(*moments.of_weights(A, W, 1.0), sigma, 1.0, [0.0, 1.0])


def test_the_certificate_refuses_a_matrix_that_is_not_symmetric_at_any_time():
    skew = np.array([[1.0, 5.0], [0.0, 1.0]])
    with pytest.raises(ValueError, match="^P needs a symmetric matrix"):
        moments.certified_rate([np.eye(2), skew], [np.eye(3), np.eye(3)])
    with pytest.raises(ValueError, match="^Q needs a symmetric matrix"):
        moments.certified_rate(np.eye(3), skew)

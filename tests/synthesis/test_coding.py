"""Codes of a wide network: the linear saddle point, designs, and the statistics that tell codes apart."""

from itertools import combinations

import numpy as np
import pytest

from gdln.synthesis import coding


def task(rng, P=12, R=3):
    X = rng.standard_normal((P, 2 * P))
    labels = rng.permutation(np.arange(P) % R)
    return X @ X.T / (2 * P), np.eye(R)[labels], labels


@pytest.mark.parametrize("name", coding.ACTIVATIONS)
def test_slopes_are_those_of_the_values(name):
    z, step = np.array([-2.0, -0.3, 0.4, 3.0]), 1e-6
    up, down = (coding.ACTIVATIONS[name](z + s)[0] for s in (step, -step))
    np.testing.assert_allclose(coding.ACTIVATIONS[name](z)[1], (up - down) / (2 * step), atol=1e-9)


@pytest.mark.parametrize("temperature", [0.0, 1e-3, 0.02, 1.0, 50.0])
@pytest.mark.parametrize("sigma2", [1 / 12, 1.0, 30.0])
def test_the_linear_code_solves_both_equations(temperature, sigma2):
    K0, Y, _ = task(np.random.default_rng(0))
    code = coding.solve_linear_code(K0, Y, temperature, sigma2)
    u, A = code.fields, code.A
    np.testing.assert_allclose(np.linalg.inv(A), np.eye(3) / sigma2 - u.T @ K0 @ u, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(temperature * u + K0 @ u @ A, Y, atol=1e-10)
    np.testing.assert_allclose(code.outputs, K0 @ u @ A, atol=1e-12)
    np.testing.assert_allclose(code.kernel, K0 + K0 @ u @ A @ u.T @ K0, atol=1e-10)


def test_at_zero_temperature_the_code_has_its_closed_form_and_meets_the_targets():
    K0, Y, _ = task(np.random.default_rng(1))
    code = coding.solve_linear_code(K0, Y, 0.0, 0.1)
    Q = Y.T @ np.linalg.solve(K0, Y)
    np.testing.assert_allclose(code.A @ code.A / 0.1, code.A + Q, rtol=1e-10)
    np.testing.assert_allclose(code.outputs, Y, atol=1e-10)


def test_a_hot_network_keeps_its_prior_and_a_cold_one_comes_continuously():
    K0, Y, _ = task(np.random.default_rng(2))
    np.testing.assert_allclose(coding.solve_linear_code(K0, Y, 1e6, 0.5).A, np.eye(3) / 2, atol=1e-6)
    cold = coding.solve_linear_code(K0, Y, 0.0, 0.5).A
    gap = [np.abs(coding.solve_linear_code(K0, Y, T, 0.5).A - cold).max() for T in (1e-3, 1e-4)]
    assert 8 < gap[0] / gap[1] < 12


def test_one_sample_and_one_class_worked_by_hand():
    code = coding.solve_linear_code([[1.0]], [[1.0]], 0.0, 1.0)
    golden = (1 + np.sqrt(5)) / 2  # A^2 = A + 1
    np.testing.assert_allclose(code.A, golden)
    np.testing.assert_allclose(code.kernel, 1 + 1 / golden)


def test_a_singular_kernel_is_refused():
    with pytest.raises(ValueError, match="K0 needs a positive definite matrix"):
        coding.solve_linear_code(np.ones((3, 3)), np.eye(3), 0.1, 1.0)


@pytest.mark.parametrize("R, k", [(R, k) for R in range(2, 7) for k in range(1, R)])
def test_the_cost_of_mixed_codes_is_that_of_the_design(R, k):
    codes = np.array([[i in chosen for i in range(R)] for chosen in combinations(range(R), k)], dtype=int)
    found = coding.design(codes, np.full(len(codes), 1 / len(codes)))
    np.testing.assert_allclose(found.cost, coding.mixed_code_cost(R, k))
    np.testing.assert_allclose(found.codes.T * found.probabilities @ found.readouts, np.eye(R), atol=1e-12)


def test_no_readouts_that_meet_the_targets_are_cheaper():
    rng = np.random.default_rng(0)
    codes, p = np.array([[1, 1, 0], [0, 1, 1], [1, 0, 0], [1, 1, 1], [0, 0, 1]]), np.full(5, 0.2)
    found = coding.design(codes, p)
    # directions that change no output: sum of p a m^T is zero
    free = rng.standard_normal((5, 3))
    free -= codes @ np.linalg.solve(codes.T * p @ codes, codes.T * p @ free)
    other = found.readouts + 0.1 * free
    np.testing.assert_allclose(codes.T * p @ other, np.eye(3), atol=1e-12)
    assert p @ np.square(other).sum(axis=1) > found.cost


@pytest.mark.parametrize("R, k, cost", [(3, 2, 6.75), (4, 2, 10.0), (5, 3, 125 / 9)])
def test_the_best_design_mixes_codes_of_one_size(R, k, cost):
    found = coding.optimal_design(R)
    np.testing.assert_allclose(found.cost, cost, rtol=1e-8)
    assert set(found.codes.sum(axis=1)) == {k} and len({tuple(code) for code in found.codes}) == len(
        found.codes
    )
    assert coding.mixed_code_cost(R, k) == pytest.approx(
        min(coding.mixed_code_cost(R, j) for j in range(1, R))
    )


def test_two_classes_want_a_third_kind_of_neuron():
    # shares p, p and 1 - 2p of 10, 01 and 11 cost 1/p + 1/(2 - 3p), least at p = 2 / (3 + sqrt 3)
    found = coding.optimal_design(2)
    p = 2 / (3 + np.sqrt(3))
    np.testing.assert_allclose(found.cost, 2 + np.sqrt(3), rtol=1e-8)
    np.testing.assert_allclose(found.probabilities, [p, p, 1 - 2 * p], rtol=1e-4)
    assert found.codes[-1].tolist() == [1, 1]


def test_the_design_of_three_classes_worked_by_hand():
    found = coding.optimal_design(3)
    np.testing.assert_array_equal(found.codes.sum(axis=1), 2)
    np.testing.assert_allclose(found.probabilities, 1 / 3, atol=1e-6)
    np.testing.assert_allclose(found.readouts, 3 * found.codes - 1.5, atol=1e-5)
    others = coding.design(
        np.array([[1, 1, 0], [1, 0, 1], [0, 1, 1], [1, 0, 0], [1, 1, 1]]), [1 / 3] * 3 + [0, 0]
    )
    np.testing.assert_allclose(others.sensitivities[3:], [6.1875, 1.6875])


def test_codes_that_confuse_classes_are_refused():
    with pytest.raises(ValueError, match="codes needs likely codes that tell all classes apart"):
        coding.design([[1, 1, 0], [0, 0, 1]], [0.5, 0.5])


def test_neurons_drawn_from_the_unit_law_are_found_to_follow_it():
    rng = np.random.default_rng(0)
    phi, u, sigma2 = rng.random((20_000, 6)), rng.standard_normal((6, 3)), 0.3
    a = sigma2 * phi @ u + np.sqrt(sigma2) * rng.standard_normal((20_000, 3))
    law = coding.unit_law(a, phi, u, sigma2)
    # standard errors: 0.008 of the variance's 60000 squares, 0.02 of the kurtosis
    assert abs(law.variance - 1) < 0.03 and abs(law.kurtosis) < 0.08 and abs(law.slope - 1) < 0.05
    other = coding.unit_law(2 * a, phi, u, sigma2)
    np.testing.assert_allclose(other.slope, 2 * law.slope)


def test_statistics_of_codes_worked_by_hand():
    labels = np.array([0, 0, 1, 1])
    a = np.zeros((10, 2))
    a[0, 0], a[1, 1] = 4.0, 4.0
    phi = np.tile([1.0, 1.0, 0.0, 0.0], (10, 1))
    sparse = coding.code_statistics(a, phi, labels)
    assert sparse.participation == pytest.approx(0.2) and sparse.half == 0.1
    assert sparse.top_share == pytest.approx(0.5) and sparse.class_share == pytest.approx(1)
    # one of ten: fourth moment .09 (.9^3 + .1^3) over the square of the second, .09^2
    assert sparse.kurtosis == pytest.approx(0.73 / 0.09 - 3)
    a = np.array([[2.0, 1.0], [1.0, 2.0]] * 10)
    even = coding.code_statistics(a, np.tile(phi + 1, (2, 1)), labels)
    assert even.half == 0.45  # of outputs 2.5 and 2 in turn, 45 in all: nine of the first
    assert even.kurtosis == pytest.approx(-2)
    alike = coding.code_statistics(a, 1 + np.tile(phi, (2, 1)) / 8, labels)
    assert alike.participation == pytest.approx(1) and alike.top_share == pytest.approx(0.1)
    mixed = coding.code_statistics(a, np.tile([1.0, 0.0, 1.0, 0.0], (20, 1)), labels)
    assert mixed.class_share == pytest.approx(0, abs=1e-12)


def test_the_share_of_a_neuron_is_its_readout_times_its_activity():
    # sizes 3 * 4 = 12, 5 * 2 = 10 and 1 * 8 = 8 of ten neurons, the others silent
    a, phi = np.zeros((10, 1)), np.zeros((10, 2))
    a[:3, 0], phi[:3] = (3.0, 5.0, 1.0), [[4.0, 4.0], [2.0, -2.0], [8.0, 8.0]]
    found = coding.code_statistics(a, phi, [0, 0])
    assert found.top_share == pytest.approx(12 / 30, rel=1e-12)
    assert found.participation == pytest.approx(30**2 / (10 * (12**2 + 10**2 + 8**2)), rel=1e-12)


def test_half_of_the_outputs_counts_what_neurons_take_away():
    # the outputs are 1 + 1 + 1 - 1.5 = 1.5, of which the first neuron makes more than half
    a, phi = np.array([[1.0], [1.0], [1.0], [-1.5]]), np.tile([0.5, 1.5], (4, 1))
    assert coding.code_statistics(a, phi, [0, 0]).half == 0.25


def test_a_label_without_readout_is_refused():
    a, phi = np.ones((3, 2)), np.ones((3, 4))
    np.testing.assert_allclose(coding.own_outputs(a, phi, [0, 1, 1, 0]), 1)
    with pytest.raises(ValueError, match="labels needs numbers of at least 0 and of at most 1, got 2"):
        coding.own_outputs(a, phi, [0, 1, 2, 0])


def test_own_outputs_add_up_to_those_of_the_network():
    rng = np.random.default_rng(6)
    _, Y, labels = task(rng)
    a, phi = rng.standard_normal((7, 3)), rng.random((7, 12))
    outputs = phi.T @ a / 7
    np.testing.assert_allclose(coding.own_outputs(a, phi, labels).mean(), (outputs * Y).sum(axis=1).mean())


def test_the_class_share_of_a_kernel_is_that_of_its_neurons():
    rng = np.random.default_rng(3)
    labels = rng.permutation(np.arange(12) % 3)
    phi = rng.standard_normal((7, 12))
    means = np.stack([phi[:, labels == c].mean(axis=1) for c in range(3)], axis=1)[:, labels]
    expected = means.var(axis=1).sum() / phi.var(axis=1).sum()
    np.testing.assert_allclose(coding.class_share(5 * phi.T @ phi, labels), expected)


def test_codes_are_read_off_class_means():
    labels = np.array([0, 1, 2, 0])
    shares, means = coding.class_codes([[1.0, 0.9, 0.1, 0.2], [0.0, 0.0, 1.0, 0.4]], labels)
    assert shares == {"001": 0.5, "110": 0.5}
    np.testing.assert_allclose(means, [[0.6, 0.9, 0.1], [0.2, 0.0, 1.0]])
    with pytest.raises(ValueError, match="labels needs a sample of every class"):
        coding.class_codes(np.ones((2, 3)), [0, 0, 2])


def test_alignment_is_one_for_the_targets_and_blind_to_means_and_scale():
    rng = np.random.default_rng(4)
    _, Y, _ = task(rng)
    assert coding.class_alignment(3 * Y @ Y.T + 7, Y) == pytest.approx(1)
    phi = rng.standard_normal((4, 12))
    assert -1 <= coding.class_alignment(phi.T @ phi, Y) < 0.9
    with pytest.raises(ValueError, match="K needs samples that differ"):
        coding.class_alignment(np.ones((12, 12)), Y)


def test_persistence_is_the_correlation_over_neurons():
    rng = np.random.default_rng(5)
    a, b = rng.standard_normal((2, 50_000, 2))
    assert coding.persistence(a, 2 * a + 1) == pytest.approx(1)
    assert abs(coding.persistence(a, b)) < 0.02
    assert coding.persistence(a, a + b) == pytest.approx(np.sqrt(0.5), abs=0.02)


def test_statistics_name_the_argument_in_which_nothing_differs():
    rng = np.random.default_rng(0)
    a, labels = rng.standard_normal((5, 2)), [0, 1, 0, 1]
    for phi in (np.zeros((5, 4)), np.ones((5, 4)), rng.standard_normal((5, 1)) * np.ones(4)):
        with pytest.raises(ValueError, match="^phi needs activities that differ between samples"):
            coding.code_statistics(a, phi, labels)
    phi = rng.standard_normal((5, 4))
    for same in (np.ones((5, 2)), a * [1, 0], a[:1]):
        with pytest.raises(ValueError, match="^a needs readouts that differ between neurons"):
            coding.code_statistics(same, phi[: len(same)], labels)


def test_readouts_that_are_their_means_have_no_law():
    phi, fields = np.random.default_rng(0).standard_normal((3, 6)), np.ones((6, 2))
    for a in (phi @ fields, phi @ fields + 1):
        with pytest.raises(ValueError, match="^a needs readouts that differ from their means"):
            coding.unit_law(a, phi, fields, 1.0)


@pytest.mark.parametrize("temperature", [0.0, 0.1])
def test_targets_whose_squares_overflow_are_refused(temperature):
    with pytest.raises(ValueError, match="^Y needs targets whose squares"):
        coding.solve_linear_code(np.eye(3), 1e200 * np.eye(3), temperature, 1.0)

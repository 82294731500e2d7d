"""Largest margins: cases worked by hand, certificates, invariances, and labels that nothing separates."""

import numpy as np
import pytest
from scipy.optimize import linprog

from gdln.synthesis import margins


def problem(seed, n=10, d=4, n_units=3, n_planes=1):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d))
    gates = margins.private_gates(X, n_units, rng, n_planes)
    return X, gates, rng.choice([-1.0, 1.0], n)


def two_ways(c):
    """Unit 0 sees every one of two samples by itself, unit 1 sees c at both."""
    return np.array([[[1.0, 0.0], [0.0, 1.0]], [[c, 0.0], [c, 0.0]]])


def test_a_point_on_all_planes_is_on_their_upper_sides_and_rows_of_zeros_have_no_margin():
    gates = margins.private_gates(np.zeros((1, 2)), 3, np.random.default_rng(0), 2)
    np.testing.assert_array_equal(gates, np.tile([0.0, 0, 0, 1], (3, 1, 1)))
    assert margins._machine(np.array([[1.0, 2.0], [0.0, 0.0]]), np.array([1.0, -1.0])) == (None, None)


def test_a_unit_has_at_most_ten_planes():
    assert margins.private_gates(np.eye(2), 1, np.random.default_rng(0), 10).shape == (1, 2, 1024)
    with pytest.raises(ValueError, match="n_planes needs a whole number"):
        margins.private_gates(np.eye(2), 1, np.random.default_rng(0), 11)


@pytest.mark.parametrize("c", [0.1, 0.7, 0.715, 3.0])
def test_of_two_ways_to_fit_the_group_norm_takes_the_cheaper_and_the_l2_norm_both(c):
    """By hand: unit 0 alone costs the root of two, unit 1 alone 1/c; and l2 has the kernel I + c^2 everywhere."""
    group = margins.group_margin(two_ways(c), [1, 1], tolerance=1e-8, max_steps=20000)
    assert group.norm == pytest.approx(min(np.sqrt(2), 1 / c), rel=1e-7)
    lengths = np.linalg.norm(group.beta, axis=1)
    assert lengths[0 if c > np.sqrt(0.5) else 1] < 1e-6 * lengths.max()
    l2 = margins.l2_margin(two_ways(c), [1, 1])
    assert l2.norm == pytest.approx(np.sqrt(2 / (1 + 2 * c**2)), rel=1e-12)
    assert l2.beta[1, 0] / l2.beta[0, 0] == pytest.approx(2 * c, rel=1e-12)


def test_two_samples_with_gates_and_inputs_of_their_own_have_nuclear_norm_two():
    """By hand: the trace is at most the nuclear norm, and both diagonal entries must be one."""
    found = margins.nuclear_margin(np.eye(2), np.eye(2), [1, 1], tolerance=1e-10)
    assert found.norm == pytest.approx(2, rel=1e-9) and found.bound == pytest.approx(2, rel=1e-9)
    same = margins.nuclear_margin(np.eye(2), np.ones((2, 1)), [1, -1], tolerance=1e-10)
    assert same.norm == pytest.approx(np.sqrt(2), rel=1e-9)
    assert np.allclose(same.beta, [[1], [-1]])


@pytest.mark.parametrize("seed", range(4))
def test_the_certificate_holds_norm_and_bound_against_each_other(seed):
    X, gates, y = problem(seed)
    features = margins.gated_features(gates, X)
    shared = gates.transpose(1, 0, 2).reshape(len(X), -1)
    for found, kind, F in (
        (margins.group_margin(features, y), "group", features),
        (margins.nuclear_margin(shared, X, y), "nuclear", np.einsum("pm,pd->mpd", shared, X)),
        (margins.l2_margin(features, y), "l2", features),
    ):
        f = np.einsum("hj,hpj->p", found.beta, F)
        assert (y * f).min() == pytest.approx(1, rel=1e-9)
        assert margins.norm(found.beta, kind) == pytest.approx(found.norm, rel=1e-9)
        assert (found.alpha >= 0).all() and found.alpha.sum() == pytest.approx(found.bound, rel=1e-9)
        S = np.einsum("p,hpj->hj", found.alpha * y, F)
        assert np.allclose(S, found.S, atol=1e-9)
        dual = {
            "group": np.linalg.norm(S, axis=1).max(),
            "nuclear": np.linalg.norm(S, 2),
            "l2": np.linalg.norm(S),
        }
        assert dual[kind] <= 1 + 1e-9
        assert -1e-12 < found.gap < {"group": 1e-5, "nuclear": 1e-3, "l2": 1e-9}[kind]
        assert (np.diff(found.norms) <= 0).all() and (np.diff(found.bounds) >= 0).all()


def test_units_of_one_feature_make_the_group_norm_the_l1_norm_of_a_linear_program():
    for seed in range(3):
        rng = np.random.default_rng(seed)
        features, y = rng.standard_normal((12, 7, 1)), rng.choice([-1.0, 1.0], 7)
        A = y[:, None] * features[:, :, 0].T
        exact = linprog(np.ones(24), A_ub=np.hstack([-A, A]), b_ub=-np.ones(7)).fun
        found = margins.group_margin(features, y, tolerance=1e-6, max_steps=20000)
        assert found.bound <= exact * (1 + 1e-9) and exact * (1 - 1e-9) <= found.norm < exact * (1 + 1e-6)


def test_one_unit_or_one_gate_is_the_l2_margin():
    X, gates, y = problem(5)
    one = margins.gated_features(gates[:1], X)
    y = np.sign(X @ [1.0, -1.0, 0.5, 0.2])
    l2 = margins.l2_margin(one, y)
    assert margins.group_margin(one, y).norm == pytest.approx(l2.norm, rel=1e-9)
    line = margins.nuclear_margin(np.ones((len(X), 1)), X, y)
    assert line.norm == pytest.approx(margins.l2_margin(X[None], y).norm, rel=1e-9)
    assert len(line.norms) == 1


@pytest.mark.parametrize("size", [1e-200, 1e-6, 1e6, 1e150])
def test_margins_scale_with_the_inputs(size):
    X, gates, y = problem(1)
    one, many = (margins.group_margin(margins.gated_features(gates, s * X), y) for s in (1, size))
    assert many.margin == pytest.approx(size * one.margin, rel=1e-9)
    shared = gates[0]
    line = np.sign(X[:, 0])
    one, many = (margins.nuclear_margin(shared, s * X, line) for s in (1, size))
    assert many.margin == pytest.approx(size * one.margin, rel=1e-9)


def test_the_order_of_samples_and_units_and_the_sign_of_all_labels_do_not_matter():
    X, gates, y = problem(2)
    features = margins.gated_features(gates, X)
    there = margins.group_margin(features, y)
    back = margins.group_margin(features[::-1, ::-1], -y[::-1])
    assert np.allclose(back.beta[::-1], -there.beta, atol=1e-6)


def test_a_sample_far_smaller_than_the_others_sets_the_margin_exactly():
    found = margins.l2_margin([[[1.0, 0.0], [0.0, 1e-6]]], [1, 1])
    assert found.norm == pytest.approx(np.hypot(1, 1e6), rel=1e-12)


def test_more_units_never_lower_the_margin():
    X, gates, y = problem(3, n_units=5)
    features = margins.gated_features(gates, X)
    found = [margins.group_margin(features[:k], y).margin for k in (3, 4, 5)]
    assert (np.diff(found) > -1e-4 * found[0]).all()


def test_smoothing_certifies_what_the_plain_iteration_leaves_above_the_optimum():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((30, 8)), rng.choice([-1.0, 1.0], 30)
    gates = np.column_stack([np.ones(30), X @ rng.standard_normal((8, 5)) >= 0])
    smooth = margins.nuclear_margin(gates, X, y)
    plain = margins.nuclear_margin(gates, X, y, smoothing=False)
    assert smooth.gap < 1e-3 and plain.norm > smooth.norm
    assert plain.gap > 3e-3 and plain.norms[1000] / plain.norms[-1] - 1 < 1e-6  # at rest


def test_labels_are_refused_exactly_where_a_linear_program_finds_no_separation():
    """Twenty draws near the number of samples at which half of all labels can be separated."""
    refused = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        features, y = rng.standard_normal((2, 12, 3)), rng.choice([-1.0, 1.0], 12)
        A = -y[:, None] * features.transpose(1, 0, 2).reshape(12, -1)
        possible = linprog(np.zeros(6), A_ub=A, b_ub=-np.ones(12), bounds=(None, None)).status == 0
        try:
            found = margins.group_margin(features, y, max_steps=5)
        except ValueError as error:
            assert not possible and "labels separate" in str(error)
            refused += 1
        else:
            f = np.einsum("hj,hpj->p", found.beta, features)
            assert possible and (y * f).min() == pytest.approx(1, rel=1e-7)
    assert 3 < refused < 17


def test_labels_that_nothing_separates_give_one_error():
    X, gates, _ = problem(0)
    twice = np.vstack([X, X])
    clash = np.repeat([1.0, -1.0], len(X))
    features = margins.gated_features(np.concatenate([gates, gates], axis=1), twice)
    for call in (margins.l2_margin, margins.group_margin):
        with pytest.raises(ValueError, match="labels separate"):
            call(features, clash)
    with pytest.raises(ValueError, match="labels separate"):
        margins.nuclear_margin(np.ones((3, 1)), [[1.0], [2.0], [-1.0]], [1, -1, 1])


def test_silent_samples_and_other_labels_are_refused():
    features = np.ones((2, 3, 2))
    silent = features.copy()
    silent[:, 1] = 0
    with pytest.raises(ValueError, match=r"features needs a value that is not zero at every sample"):
        margins.group_margin(silent, [1, 1, 1])
    with pytest.raises(ValueError, match="products of gates and X"):
        margins.nuclear_margin([[1.0], [0.0]], [[1.0], [1.0]], [1, 1])
    with pytest.raises(ValueError, match="y needs labels of plus or minus one"):
        margins.group_margin(features, [1, 0, 1])


def test_every_point_is_in_one_context_of_every_unit_and_neighbours_share_it():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((40, 3))
    gates = margins.private_gates(np.vstack([X, 2 * X]), 6, rng, 3)
    assert gates.shape == (6, 80, 8) and (gates.sum(axis=2) == 1).all()
    assert np.array_equal(gates[:, :40], gates[:, 40:])  # planes through the origin
    twins = margins.private_gates(np.vstack([X, -X]), 6, rng, 3)
    assert np.array_equal(twins[:, 40:], twins[:, :40, ::-1])  # the opposite point has the opposite signs


def test_norms_of_one_row_agree_and_nuclear_lies_between_l2_and_its_bound():
    rng = np.random.default_rng(0)
    beta = rng.standard_normal((5, 1, 7))
    assert np.allclose(margins.norm(beta, "l2"), margins.norm(beta, "group"))
    assert np.allclose(margins.norm(beta, "l2"), margins.norm(beta, "nuclear"))
    beta = rng.standard_normal((9, 3, 7))
    l2, nuclear, group = (margins.norm(beta, kind) for kind in ("l2", "nuclear", "group"))
    assert (
        (l2 < nuclear).all() and (nuclear <= group).all() and (group <= np.sqrt(3) * l2 * (1 + 1e-12)).all()
    )


@pytest.mark.parametrize("size", [1e200, 1e-200])
def test_gates_and_inputs_whose_products_no_number_holds_are_refused(size):
    with pytest.raises(ValueError, match="^gates needs products with X of a size"):
        margins.nuclear_margin([[size], [size]], [[size], [-size]], [1, -1])
    found = margins.nuclear_margin([[size], [size]], [[1 / size], [-1 / size]], [1, -1])
    assert found.norm == pytest.approx(1)

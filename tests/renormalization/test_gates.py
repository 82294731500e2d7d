import numpy as np
import pytest

from gdln.renormalization import gates


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_step_gates_see_only_the_side_of_their_planes(rng):
    family = gates.random_planes(7, 5, rng, allow_silent=True)
    X = rng.standard_normal((30, 5))
    G = family(X)
    assert set(np.unique(G)) == {0.0, 1.0}
    np.testing.assert_array_equal(G, X @ family.directions.T >= 0)
    np.testing.assert_array_equal(G, family(3 * X))  # threshold zero: the length of x does not matter


def test_steep_sigmoids_become_steps(rng):
    X = rng.standard_normal((50, 4))
    step = gates.random_planes(6, 4, np.random.default_rng(1), allow_silent=True)
    steep = gates.random_planes(6, 4, np.random.default_rng(1), slope=1e6)
    np.testing.assert_allclose(steep(X), step(X), atol=1e-6)
    gentle = gates.random_planes(6, 4, np.random.default_rng(1), slope=1e-9)
    np.testing.assert_allclose(gentle(X), 0.5, atol=1e-8)


def test_sigmoids_do_not_overflow_far_from_their_planes():
    family = gates.PlaneGates(np.ones((1, 1)), np.zeros(1), slope=1e3)
    np.testing.assert_array_equal(family([[1e6]]), [[1.0]])


@pytest.mark.parametrize("slope", [np.inf, 2.0])
def test_the_constant_gate_is_on_everywhere(rng, slope):
    family = gates.random_planes(4, 6, rng, slope=slope, threshold=0.3, constant=True)
    assert family.n_gates == 4
    np.testing.assert_array_equal(family(rng.standard_normal((20, 6)))[:, 0], 1)


@pytest.mark.parametrize("constant", [False, True])
@pytest.mark.parametrize("slope", [np.inf, 1.7])
def test_complementary_gates_sum_to_one(rng, constant, slope):
    family = gates.random_planes(
        6 + constant, 5, rng, slope=slope, threshold=0.4, constant=constant, complementary=True
    )
    G = family(rng.standard_normal((40, 5)))[:, int(constant) :]
    np.testing.assert_allclose(G[:, ::2] + G[:, 1::2], 1)


def test_step_gates_turn_off_together_once_in_two_to_the_number_of_gates(rng):
    G = gates.random_planes(3, 200, rng, allow_silent=True)(rng.standard_normal((20000, 200)))
    assert abs((~G.any(axis=1)).mean() - 1 / 8) < 0.03  # planes of finite dimension are not quite orthogonal


def test_a_silent_point_is_refused_with_what_to_do(rng):
    family = gates.random_planes(1, 2, rng)
    with pytest.raises(
        ValueError, match=r"all gates are off at 1 of 2 points.*constant=True.*complementary.*T > 0"
    ):
        family(np.vstack((family.directions, -family.directions)))


def test_cluster_gates_are_one_hot_for_narrow_widths_and_flat_for_wide(rng):
    centres = 10 * np.eye(3)
    X = centres.repeat(4, axis=0) + 0.1 * rng.standard_normal((12, 3))
    hard, flat = gates.ClusterGates(centres, 0.5)(X), gates.ClusterGates(centres, 1e4)(X)
    np.testing.assert_allclose(hard, np.sqrt(3) * np.eye(3).repeat(4, axis=0), atol=1e-12)
    np.testing.assert_allclose(flat, np.sqrt(3) / 3, rtol=1e-6)
    assert gates.ClusterGates(centres, 1e-3)(1e5 * X).any(axis=1).all()  # no underflow far away


def test_cluster_gates_do_not_move_with_the_origin(rng):
    X = rng.standard_normal((30, 4))
    here, there = (gates.ClusterGates(X[:5] + shift, 0.8)(X + shift) for shift in (0.0, 3.0))
    np.testing.assert_allclose(here, there, atol=1e-12)


def test_kmeans_gates_find_separated_clusters_and_their_spread(rng):
    centres = 4 * rng.standard_normal((4, 20))
    labels = rng.integers(4, size=800)
    X = centres[labels] + 0.7 * rng.standard_normal((800, 20))
    family = gates.clusters(X, 4, rng)
    distance = np.linalg.norm(family.centres[:, None] - centres[None], axis=2).min(axis=0)
    assert distance.max() < 5 * 0.7 * np.sqrt(20 / 200)  # standard error of a mean of about 200 points
    assert abs(family.bandwidth - 0.7) < 0.02
    owner = family(X).argmax(axis=1)
    assert len({(a, b) for a, b in zip(owner, labels, strict=True)}) == 4


@pytest.mark.parametrize("slope", [np.inf, 2.0])
def test_a_gate_without_direction_is_on_or_off_by_its_threshold_whatever_the_slope(slope):
    family = gates.PlaneGates(np.zeros((4, 2)), np.array([-0.5, -3.0, 0.0, 0.1]), slope=slope)
    np.testing.assert_array_equal(family([[7.0, -7.0]]), [[1, 1, 1, 0]])


def test_the_linear_network_has_one_gate():
    np.testing.assert_array_equal(gates.constant(np.zeros((3, 2))), np.ones((3, 1)))


def test_a_whole_fraction_of_masks_leaves_every_gate_on(rng):
    assert gates.task_masks(5, 3, rng, fraction=1).all()


def test_masks_are_random_and_never_empty(rng):
    masks = gates.task_masks(4000, 3, rng, fraction=0.3)
    assert masks.any(axis=1).all()
    expected = 0.3 / (1 - 0.7**3)  # conditioned on a mask that is not empty
    assert abs(masks.mean() - expected) < 4 * np.sqrt(expected * (1 - expected) / masks.size)


def test_top_down_gates_multiply_bottom_up_gates(rng):
    bottom_up, masks, tasks = rng.random((5, 4)), gates.task_masks(3, 4, rng), np.array([0, 1, 2, 2, 0])
    np.testing.assert_array_equal(gates.by_task(tasks, masks, bottom_up), bottom_up * masks[tasks])
    np.testing.assert_array_equal(gates.by_task(tasks, masks), masks[tasks])


def test_task_gates_refuse_a_silenced_point():
    with pytest.raises(ValueError, match="all gates are off"):
        gates.by_task([0], [[1, 0]], [[0, 1]])
    assert not gates.by_task([0], [[1, 0]], [[0, 1]], allow_silent=True).any()


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda r: gates.random_planes(0, 3, r), "n_gates needs a whole number of at least 1"),
        (lambda r: gates.random_planes(3, 3, r, complementary=True), "even number"),
        (lambda r: gates.random_planes(3, 3, r, slope=0), "slope needs a number above 0"),
        (
            lambda r: gates.random_planes(3, 3, r, constant=True)(np.zeros((2, 4))),
            r"X needs shape \(n_samples, 3\), got an array of shape \(2, 4\)",
        ),
        (lambda r: gates.random_planes(3, 3, r, constant=True)(np.full((2, 3), np.nan)), "X needs finite"),
        (lambda r: gates.random_planes(3, 3, r, threshold=np.nan), "threshold needs finite"),
        (lambda r: gates.random_planes(3, 3, r, threshold=[0.0, 1.0]), "threshold needs one number or 3"),
        (lambda r: gates.PlaneGates(np.ones((2, 3)), np.zeros(3)), r"thresholds needs shape \(2,\)"),
        (lambda r: gates.ClusterGates(np.eye(3), 0.0), "bandwidth"),
        (
            lambda r: gates.clusters(np.zeros((2, 3)), 5, r),
            "n_gates needs a whole number of at least 1 and of at most 2",
        ),
        (lambda r: gates.clusters(np.eye(3), 3, r), "bandwidth needs"),
        (lambda r: gates.task_masks(2, 3, r, fraction=0), "fraction"),
        (lambda r: gates.task_masks(2, 3, r, fraction=1.01), "fraction"),
        (lambda r: gates.by_task([3], np.ones((2, 3))), "tasks needs numbers of at least 0 and of at most 1"),
        (lambda r: gates.by_task([0], np.ones((2, 3)), np.ones((2, 3))), r"shape \(1, 3\)"),
        (lambda r: gates.check_active([1.0]), "n_samples, n_gates"),
        (lambda r: gates.check_active([[np.inf]]), "G needs finite"),
    ],
)
def test_bad_input_is_refused_with_the_reason(rng, call, message):
    with pytest.raises(ValueError, match=message):
        call(rng)


def test_planes_see_the_projection_over_the_root_of_the_dimension():
    # u = 4 / root4 - 1.5 = .5 and 0 / root4 - 1.5; times 4 instead of over 2 would be 6.5
    X = np.array([[4.0, 0.0, 0.0, 0.0], [0.0, 9.0, 0.0, 0.0]])
    soft = gates.PlaneGates(np.array([[1.0, 0.0, 0.0, 0.0]]), np.array([1.5]), slope=2.0)
    np.testing.assert_allclose(soft(X)[:, 0], 1 / (1 + np.exp([-1.0, 3.0])), rtol=1e-12)
    for threshold, open_ in ((1.9, 1.0), (2.1, 0.0)):
        step = gates.PlaneGates(np.array([[1.0, 0, 0, 0]]), np.array([threshold]), allow_silent=True)
        assert step(X)[0, 0] == open_


def test_cluster_gates_by_hand():
    # squared distances 1 and 9 at width 2: weights e^(-1/8) and e^(-9/8), times root2
    family = gates.ClusterGates(np.array([[0.0], [4.0]]), 2.0)
    share = 1 / (1 + np.exp(-1.0))
    np.testing.assert_allclose(family([[1.0]]), np.sqrt(2) * np.array([[share, 1 - share]]), rtol=1e-12)


def test_the_default_bandwidth_of_clusters_is_the_spread_of_a_point_per_input():
    # two pairs, each point at distance 1 from its centre, two inputs: s^2 = 1/2
    X = np.array([[0.0, 0.0], [2.0, 0.0], [40.0, 0.0], [42.0, 0.0]])
    family = gates.clusters(X, 2, np.random.default_rng(0))
    assert family.bandwidth == pytest.approx(np.sqrt(0.5), rel=1e-12)

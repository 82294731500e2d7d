import numpy as np
import pytest

from gdln.data import tasks


def test_xor_correlations_have_the_values_of_the_closed_form():
    task = tasks.xor()
    sigma_yx, sigma_x = task.correlations()
    np.testing.assert_allclose(np.linalg.norm(sigma_yx, axis=(1, 2)), np.sqrt(2) / 4)
    for p in range(4):
        v = task.X[p] / np.sqrt(2)
        assert v @ sigma_x[p, p] @ v == pytest.approx(1 / 2)
        assert not sigma_x[p, [j for j in range(4) if j != p]].any()


def test_no_linear_map_reduces_the_xor_loss_without_gates():
    task = tasks.xor()
    assert not (task.Y.T @ task.X).any()


def test_contextual_targets_are_the_input_the_context_names():
    task = tasks.contextual(50, np.random.default_rng(0), n_contexts=3)
    np.testing.assert_array_equal(task.Y[:, 0], (task.gates * task.X).sum(axis=1))
    np.testing.assert_array_equal(task.gates.sum(axis=1), 1)


@pytest.mark.parametrize("n_contexts", [1, 2, 3])
def test_sampled_contextual_correlations_approach_the_closed_form(n_contexts):
    n = 40_000
    sampled = tasks.contextual(n, np.random.default_rng(1), n_contexts).correlations()
    exact = tasks.contextual_correlations(n_contexts)
    for a, b in zip(sampled, exact, strict=True):
        assert a.shape == b.shape
        assert np.abs(a - b).max() < 5 / np.sqrt(n)  # entries bounded by one: five standard errors


def test_default_hierarchy_is_the_four_item_seven_feature_matrix():
    X, Y = tasks.hierarchical()
    expected = np.array([[6, 6, 6, 6], [4, 4, 0, 0], [0, 0, 4, 4], *np.eye(4) * 3])
    np.testing.assert_array_equal(Y.T, expected)
    np.testing.assert_array_equal(X, np.eye(4))


@pytest.mark.parametrize("heights", [(2.0,), (1.0, 0.5), (6, 4, 3), (1, 0.9, 0.8, 0.7, 0.6)])
def test_hierarchy_has_the_ultrametric_spectrum(heights):
    _, Y = tasks.hierarchical(heights)
    depth = len(heights) - 1
    level = [sum(heights[m] ** 2 * 2.0 ** (depth - m) for m in range(l, depth + 1)) for l in range(depth + 1)]
    expected = level[:1] + [value for l, value in enumerate(level[1:]) for _ in range(2**l)]
    np.testing.assert_allclose(np.linalg.svd(Y, compute_uv=False) ** 2, expected)


def test_circulant_mask_of_the_paper_is_centred():
    mask = tasks.circulant_mask(7, 4)
    assert set(np.flatnonzero(mask[3])) == {2, 3, 4, 5}
    assert set(np.flatnonzero(mask[0])) == {6, 0, 1, 2}


@pytest.mark.parametrize("K", [1, 2, 5, 8])
@pytest.mark.parametrize("kind", ["circulant", "consecutive", "random"])
def test_every_mask_is_regular(kind, K):
    if kind == "random":
        mask = tasks.random_mask(8, K, np.random.default_rng(K))
    else:
        mask = getattr(tasks, f"{kind}_mask")(8, K)
    np.testing.assert_array_equal(mask.sum(axis=0), K)
    np.testing.assert_array_equal(mask.sum(axis=1), K)


def test_random_masks_of_different_seeds_differ():
    one, two = (tasks.random_mask(8, 3, np.random.default_rng(seed)) for seed in (0, 1))
    assert (one != two).any()


def test_connectivity_tells_blocks_from_a_circulant_with_as_many_routes():
    blocks, circulant = tasks.block_mask(10, 2), tasks.circulant_mask(10, 5)
    assert blocks.sum() == circulant.sum()
    count, inputs, outputs = tasks.mask_components(blocks)
    assert count == 2 and len(set(inputs[:5])) == 1 and inputs[0] != inputs[9]
    np.testing.assert_array_equal(inputs, outputs)
    assert tasks.mask_components(circulant)[0] == 1
    assert tasks.mask_components(tasks.circulant_mask(10, 1))[0] == 10


def test_one_bridging_route_joins_two_blocks():
    mask = tasks.block_mask(10, 2)
    mask[0, 9] = True
    assert tasks.mask_components(mask)[0] == 1


def test_a_domain_without_a_route_is_its_own_component():
    assert tasks.mask_components([[True, False], [False, False]])[0] == 3


def test_routing_task_lists_its_routes_and_averages_over_items():
    task = tasks.routing(tasks.circulant_mask(7, 4))
    assert task.routes.shape == (28, 2)
    np.testing.assert_allclose(task.sigma_x, np.eye(4) / 4)
    np.testing.assert_allclose(np.linalg.svd(task.sigma_yx, compute_uv=False) ** 2 * 16, [185, 41, 9, 9])


@pytest.mark.parametrize(
    "call",
    [
        lambda: tasks.circulant_mask(3, 4),
        lambda: tasks.consecutive_mask(3, 0),
        lambda: tasks.random_mask(3, 4, np.random.default_rng(0)),
        lambda: tasks.block_mask(10, 3),
        lambda: tasks.hierarchical(()),
        lambda: tasks.contextual(0, np.random.default_rng(0)),
        lambda: tasks.contextual_correlations(0),
        lambda: tasks.routing(np.zeros((2, 2), bool)),
        lambda: tasks.routing(np.eye(2), X=np.eye(2)),
        lambda: tasks.routing(np.eye(2), np.eye(2), np.eye(3)),
        lambda: tasks.routing(np.eye(2), np.full((2, 2), np.nan), np.eye(2)),
        lambda: tasks.routing(np.eye(2), np.empty((0, 2)), np.empty((0, 2))),
        lambda: tasks.hierarchical((1.0, np.nan)),
        lambda: tasks.mask_components([True, False]),
        lambda: tasks.circulant_mask(4.5, 2),
        lambda: tasks.block_mask(4, 1.5),
    ],
)
def test_impossible_requests_are_refused(call):
    with pytest.raises((ValueError, TypeError), match="needs? "):
        call()


def test_four_points_are_balanced_and_not_linearly_separable_in_the_mean():
    X, y = tasks.four_points(20000, 5, np.random.default_rng(0))
    assert abs(y.mean()) < 4 / np.sqrt(20000)
    assert np.abs(X.T @ y / 20000).max() < 4 / np.sqrt(20000)
    assert np.array_equal(y, X[:, 0] ** 2 - X[:, 1] ** 2)
    with pytest.raises(ValueError, match="d needs a whole number of at least 2"):
        tasks.four_points(3, 1, np.random.default_rng(0))

"""When an untrained route must be right: the theorem of the chapter on zero-shot routes, and its converse cases."""

import numpy as np
import pytest

from gdln.data import tasks
from gdln.race import routing_simulation


def aligned(task, rng, components):
    """Weights of shared rank four that solve every route inside a component; each has its own inner matrix."""
    U, s, Vt = np.linalg.svd(task.Y.T @ np.linalg.pinv(task.X.T), full_matrices=False)
    P, Q = rng.standard_normal((9, 4)), rng.standard_normal((4, 9))
    inner = rng.standard_normal((components.max() + 1, 4, 4))
    _, inputs, outputs = tasks.mask_components(task.mask)
    encoders = np.stack([np.linalg.pinv(Q) @ inner[c] @ np.diag(s) @ Vt for c in components[inputs]])
    decoders = np.stack([U @ np.linalg.inv(inner[c]) @ np.linalg.pinv(P) for c in components[outputs]])
    return routing_simulation.Weights(encoders[None], (P @ Q)[None], decoders[None])


def test_one_inner_matrix_a_component_solves_its_routes_and_no_other():
    rng = np.random.default_rng(0)
    task = tasks.routing(tasks.block_mask(6, 2))
    errors = routing_simulation.route_errors(aligned(task, rng, np.arange(2)), task)[0]
    assert errors[task.mask].max() < 1e-18
    assert errors[~task.mask].min() > 10


@pytest.mark.parametrize("n_trained", [3, 5])
def test_narrow_networks_that_solve_their_trained_routes_solve_all(n_trained):
    task = tasks.routing(tasks.circulant_mask(10, n_trained))
    start = routing_simulation.orthogonal_weights(task, 4, 0.2, 10, np.random.default_rng(1))
    run = routing_simulation.simulate(start, task, 0.25, 6000, record_every=6000)
    solved = run.trained[:, -1] < 1e-8
    assert 0 < solved.sum()
    assert run.untrained[solved, -1].max() < 1e-6
    assert (run.untrained[~solved, -1] > 1).all()


def test_trained_error_from_a_decoupled_start_does_not_depend_on_how_many_outputs_are_trained():
    curves = []
    for n_trained in (1, 2, 5):
        task = tasks.routing(tasks.circulant_mask(5, n_trained))
        rng = np.random.default_rng(3)
        U, _, Vt = np.linalg.svd(task.sigma_yx, full_matrices=False)
        R = np.linalg.qr(rng.standard_normal((10, 4)))[0]
        start = routing_simulation.Weights(
            np.tile(0.1 * R @ Vt, (1, 5, 1, 1)), 0.1 * (R @ R.T)[None], np.tile(0.1 * U @ R.T, (1, 5, 1, 1))
        )
        curves.append(routing_simulation.simulate(start, task, 0.1, 400, record_every=20).trained[0])
    assert curves[0][-1] < 0.5 * curves[0][0]
    np.testing.assert_allclose(curves[1:], [curves[0]] * 2, rtol=1e-11)


def test_a_lazy_start_keeps_the_codes_of_the_domains_apart():
    task = tasks.routing(tasks.circulant_mask(5, 3))
    cosine, error = [], []
    for gain in (0.3, 2.5):
        start = routing_simulation.orthogonal_weights(task, 64, gain, 3, np.random.default_rng(2))
        run = routing_simulation.simulate(start, task, 0.05 if gain < 1 else 0.02, 3000, record_every=3000)
        assert run.trained[:, -1].max() < 0.05
        cosine.append(routing_simulation.code_similarity(run.weights, task).mean())
        error.append(run.untrained[:, -1].mean())
    assert cosine[0] > 0.8 > 0.3 > cosine[1]
    assert error[1] > 20 * error[0]

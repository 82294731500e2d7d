"""The gap to the linearisation: zero where a network is linear in what is trained, and the flow of its kernel."""

import copy

import numpy as np
import pytest
import torch

from gdln.diagnosis import kernels, known, linearisation
from gdln.kernels import function_space
from tests.diagnosis.test_networks import normal, small


def trained(model, X, Y, **options):
    return known.descend(model, X, Y, **options).checkpoints[-1][1]


def test_a_trained_readout_leaves_no_gap_and_does_not_move_its_kernel():
    net, X, Y = small(widths=(3, 8, 2)), normal(7, 3), normal(7, 2, seed=1)
    net[0].requires_grad_(False)
    last = trained(net, X, Y, n_steps=50)
    assert linearisation.weight_gap(net, last, normal(9, 3, seed=2)) < 1e-10
    before, after = (kernels.tangent_kernel(m, X).numpy() for m in (net, last))
    assert kernels.movement(before, after) == 0


def test_the_gap_shrinks_like_the_change_of_the_weights():
    net, X = small(), normal(6, 3)
    gaps = []
    for size in (1e-2, 1e-3):
        last = copy.deepcopy(net)
        with torch.no_grad():
            for k, p in enumerate(last.parameters()):
                p.add_(normal(*p.shape, seed=k), alpha=size)
        gaps.append(linearisation.weight_gap(net, last, X))
    assert 9 < gaps[0] / gaps[1] < 11


def problem(n=6, m=4, k=2):
    net, X, X_test = small(widths=(3, 9, k)), normal(n, 3), normal(m, 3, seed=4)
    K, K_test = (kernels.tangent_kernel(net, *sets).numpy() for sets in ((X,), (X_test, X)))
    F0, F0_test = (net(x).detach().numpy() for x in (X, X_test))
    return K, K_test, F0, F0_test


def test_the_closed_form_is_the_limit_of_descent_at_first_order():
    K, K_test, F0, F0_test = problem()
    Y = normal(6, 2, seed=9).numpy()
    exact = linearisation.train_linearised(K, K_test, F0, F0_test, Y, time=3.0)
    errors = []
    for lr in (0.02, 0.01):
        run = function_space.frozen(
            K, Y, lr=lr, n_steps=round(3 / lr), F0=F0, F0_test=F0_test, test_kernel=K_test, record_every=10**6
        )
        errors.append(np.abs(run.test_outputs[-1] - exact.test_outputs).max())
    assert 1.8 < errors[0] / errors[1] < 2.2


def test_at_infinite_time_it_interpolates_and_at_none_it_stands_still():
    K, K_test, F0, F0_test = problem()
    Y = normal(6, 2, seed=9).numpy()
    end = linearisation.train_linearised(K, K_test, F0, F0_test, Y, time=np.inf)
    assert np.abs(end.outputs - Y).max() < 1e-8
    start = linearisation.train_linearised(K, K_test, F0, F0_test, Y, time=0.0)
    assert np.array_equal(start.test_outputs, F0_test)


@pytest.mark.parametrize("loss", ["squared", "cross_entropy"])
def test_a_loss_in_place_of_a_time_is_reached(loss):
    K, K_test, F0, F0_test = problem()
    Y = np.eye(2)[[0, 1, 1, 0, 1, 0]]
    first = function_space.loss_and_gradient(F0, Y, loss)[0]
    run = linearisation.train_linearised(K, K_test, F0, F0_test, Y, loss=loss, until=0.5 * first)
    reached = function_space.loss_and_gradient(run.outputs, Y, loss)[0]
    assert reached <= 0.5 * first * (1 + 1e-6) and reached > 0.4 * first
    again = linearisation.train_linearised(K, K_test, F0, F0_test, Y, loss=loss, time=run.time)
    assert np.abs(again.test_outputs - run.test_outputs).max() < 1e-6
    idle = linearisation.train_linearised(K, K_test, F0, F0_test, Y, loss=loss, until=2 * first)
    assert idle.time == 0 and np.array_equal(idle.outputs, F0)


def test_a_loss_is_reached_however_far_down_it_lies():
    # four samples that learn at rate one: the loss 1/8 times the squares falls as exp(-2 t / 4)
    K, F0 = np.eye(4).reshape(4, 1, 4, 1), np.zeros((4, 1))
    Y = np.array([[1.0], [0.0], [0.0], [0.0]])
    for until in (0.1, 1e-60, 1e-250):
        run = linearisation.train_linearised(K, K[:1], F0, F0[:1], Y, until=until)
        assert run.time == pytest.approx(2 * np.log(1 / 8 / until), rel=1e-9)


def test_a_direction_that_the_kernel_does_not_see_stays_where_it_began():
    K = np.ones((2, 1, 2, 1))  # the sum is learnt, the difference is not
    F0, Y = np.array([[0.3], [0.1]]), np.array([[2.0], [1.0]])
    for time in (1e9, np.inf):
        run = linearisation.train_linearised(K, K[:1], F0, F0[:1], Y, time=time)
        np.testing.assert_allclose(run.outputs, [[1.6], [1.4]], rtol=1e-9)
        np.testing.assert_allclose(run.test_outputs, [[1.6]], rtol=1e-9)


def test_a_loss_or_a_time_that_cannot_be_reached_is_refused():
    K, K_test, F0, F0_test = problem()
    Y = normal(6, 2, seed=9).numpy()
    with pytest.raises(ValueError, match="time, until needs one of the two"):
        linearisation.train_linearised(K, K_test, F0, F0_test, Y, time=1.0, until=0.1)
    with pytest.raises(ValueError, match="until needs a loss that the linearised network can reach"):
        linearisation.train_linearised(0 * K, K_test, F0, F0_test, Y, until=1e-6)
    with pytest.raises(ValueError, match="time needs at most"):
        linearisation.train_linearised(
            K, K_test, F0, F0_test, np.eye(2)[[0] * 6], loss="cross_entropy", time=1e9
        )


def test_the_cross_entropy_takes_as_many_steps_as_are_allowed_and_none_at_time_zero(monkeypatch):
    K, K_test, F0, F0_test = problem()
    Y = np.eye(2)[[0, 1, 0, 1, 1, 0]]
    monkeypatch.setattr(linearisation, "MOST_STEPS", 10)
    step = 2 / function_space.largest_eigenvalue(K)

    def run(steps):
        return linearisation.train_linearised(
            K, K_test, F0, F0_test, Y, loss="cross_entropy", time=steps * step
        )

    assert run(9.99).time == pytest.approx(9.99 * step, rel=1e-12)
    with pytest.raises(ValueError, match="time needs at most 10 steps"):
        run(10.01)
    still = run(0)
    assert still.time == 0
    np.testing.assert_array_equal(still.outputs, F0)
    np.testing.assert_array_equal(still.test_outputs, F0_test)


def test_the_gap_is_relative_to_the_change_of_the_network():
    start, end = np.zeros((3, 1)), np.ones((3, 1))
    assert linearisation.linearised_gap(end, end, start) == 0
    assert abs(linearisation.linearised_gap(end, 0.75 * end, start) - 0.25) < 1e-12
    with pytest.raises(ValueError, match="a change of zero"):
        linearisation.linearised_gap(start, end, start)


def test_a_network_that_did_not_change_has_no_gap():
    with pytest.raises(ValueError, match="outputs other than those of initial"):
        linearisation.weight_gap(small(), small(), normal(3, 3))

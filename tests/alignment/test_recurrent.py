"""Recurrent networks: back-propagation through time is the gradient, and what the other rules leave of it."""

import numpy as np
import pytest
import torch

from gdln.alignment.recurrent import RecurrentNets
from gdln.alignment.rules import Learner, train
from gdln.data import tasks


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def data(n=6, length=9, seed=0):
    u, y = tasks.add_task(n, length, np.random.default_rng(seed))
    return torch.from_numpy(u)[..., None], torch.from_numpy(y)


def nets(width=10, n_seeds=2, seed=0):
    return RecurrentNets(1, width, n_seeds, generator=generator(seed))


def moved(rule="backprop", steps=3):
    learner = Learner(nets(), rule, generator(5))
    x, y = data()
    for _ in range(steps):
        learner.step(x, y, 0.003)
    return learner, x, y


def test_backprop_through_time_is_the_gradient():
    learner, x, y = moved()
    for s in range(2):
        weights = [w[s].clone().requires_grad_() for w in learner.network.weights]
        w_in, W, b, v, b_o = weights
        state, loss = torch.zeros(len(x), 10, dtype=torch.float64), 0.0
        for t in range(x.shape[1]):
            state = torch.relu(x[:, t] @ w_in.T + state @ W.T / 10**0.5 + b)
            loss = loss + ((state @ v.T / 10**0.5 + b_o)[:, 0] - y[:, t]).square().mean()
        changes, losses = learner.changes(x, y)
        assert losses[s] == pytest.approx(float(loss.detach()), rel=1e-12)
        for change, g in zip(changes, torch.autograd.grad(loss, weights), strict=True):
            assert (change[s] + g).abs().max() < 1e-11


def test_first_step_is_the_same_for_all_align_rules_with_same_step_credit():
    x, y = data()
    exact = Learner(nets(), "backprop").changes(x, y)[0]
    for rule in ("align_ada", "align_zero", "align_prop"):
        for a, b in zip(exact, Learner(nets(), rule).changes(x, y)[0], strict=True):
            assert torch.equal(a, b)


def test_the_published_credit_differs_already_at_the_first_step():
    x, y = data()
    exact = Learner(nets(), "backprop").changes(x, y)[0]
    other = Learner(nets(), "align_ada_published").changes(x, y)[0]
    assert (exact[1] - other[1]).abs().max() > 0.01
    assert torch.equal(exact[3], other[3])


def test_the_published_credit_sees_nothing_of_the_last_output():
    x, y = data()
    changed = y.clone()
    changed[:, -1] += 1
    a, b = (Learner(nets(), "align_ada_published").changes(x, target)[0] for target in (y, changed))
    # The last output reaches the states before it, but not the last state: drop the last input and nothing moves.
    one = torch.zeros_like(x[:, :1])
    c, d = (Learner(nets(), "align_ada_published").changes(one, t[:, -1:])[0] for t in (y, changed))
    assert (a[1] - b[1]).abs().max() > 0 and all(torch.equal(p, q) for p, q in zip(c[:3], d[:3], strict=True))


def test_read_out_is_exact_in_align_ada_and_not_in_align_zero():
    learner, x, y = moved()
    exact = learner.changes(x, y)[0]
    for rule, same in (("align_ada", True), ("align_prop", True), ("align_zero", False)):
        other = Learner(learner.network, rule)
        other.initial = learner.initial
        assert torch.equal(other.changes(x, y)[0][3], exact[3]) is same


def test_readout_and_feedback_learn_what_they_should():
    learner, _, _ = moved("readout")
    assert all(
        torch.equal(a, b) for a, b in zip(learner.network.weights[:3], learner.initial[:3], strict=True)
    )
    learner, _, _ = moved("feedback")
    assert not torch.equal(learner.network.weights[1], learner.initial[1])


def test_feedback_by_the_first_weights_is_what_align_prop_does():
    learner, x, y = moved("feedback")
    learner.feedback = [learner.initial[k] for k in (1, 3)]
    other = Learner(learner.network, "align_prop")
    other.initial = learner.initial
    for a, b in zip(learner.changes(x, y)[0], other.changes(x, y)[0], strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("rule", ["backprop", "align_ada", "align_zero", "align_prop", "align_ada_published"])
def test_a_neuron_that_is_silent_throughout_learns_nothing(rule):
    net = nets(width=2, n_seeds=1)
    net.weights[0][0, :, 0] = torch.tensor([-1.0, 1.0])
    net.weights[1][0] = torch.tensor([[0.0, 0.0], [1.0, 0.5]])  # the silent one is heard by the other
    x, y = torch.ones(3, 5, 1).double(), torch.ones(3, 5).double() * 9
    change = Learner(net, rule).changes(x, y)[0]
    assert not change[0][0, 0].any() and not change[1][0, 0].any() and not change[2][0, 0, 0].any()
    assert change[0][0, 1].all() and change[1][0, 1, 1] != 0 and change[2][0, 0, 1] != 0


def test_biases_start_at_zero_and_the_other_weights_do_not():
    assert [bool(W.any()) for W in nets().weights] == [True, True, False, True, False]


def test_training_beats_the_best_constant():
    x, y = data(60, 12)
    net = nets(64)
    train(Learner(net, "align_ada"), x, y, 0.005, 80, generator=generator(), batch_size=20)
    assert (net.loss(x, y) < 0.6 * (y - y.mean()).square().sum(-1).mean()).all()


def test_add_task_has_the_loss_of_a_constant_guess():
    _, y = tasks.add_task(20_000, 30, np.random.default_rng(0))
    expected = 25 * 0.09375 + 3 * 0.125  # times 5..29 see both bits, 2..4 one, 0 and 1 none
    assert ((y - 0.5) ** 2).sum(1).mean() == pytest.approx(expected, rel=0.01)


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="^width needs a whole number of at least 1"):
        RecurrentNets(1, 0, 1, generator=generator())
    for x in (torch.ones(3, 4), torch.ones(3, 4, 2)):
        with pytest.raises(ValueError, match="^x needs shape .batch, times, 1"):
            nets().outputs(x)
    with pytest.raises(ValueError, match="rule needs one of"):
        Learner(nets(), "direct_feedback", generator())
    with pytest.raises(ValueError, match="length"):
        tasks.add_task(3, 0, np.random.default_rng(0))
    u = torch.ones(3, 4, 1)
    with pytest.raises(ValueError, match="^y needs shape"):
        Learner(nets(), "backprop").changes(u, torch.ones(4))
    with pytest.raises(ValueError, match="^y needs shape"):
        nets().loss(u, torch.ones(3, 4, 1))

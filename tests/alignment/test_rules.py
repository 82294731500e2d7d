"""Learning rules: agreements that hold to rounding, limits, and networks they refuse."""

import math

import numpy as np
import pytest
import torch

from gdln.alignment.perceptrons import Perceptrons
from gdln.alignment.rules import RULES, Learner, accuracy, fill_gradients, train
from gdln.nets.mlp import MLP


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def data(n=7, d=5, c=3, seed=1):
    g = generator(seed)
    return torch.randn(n, d, generator=g).double(), torch.randn(n, c, generator=g).double()


def nets(activation="relu", n_seeds=2, widths=(5, 11, 8, 3)):
    return Perceptrons.draw(widths, n_seeds, generator=generator(), activation=activation)


def trained(rule, n_steps, activation="relu", lr=0.2):
    net = nets(activation)
    learner = Learner(net, rule, generator(5))
    x, y = data()
    for _ in range(n_steps):
        learner.step(x, y, lr)
    return learner, x, y


def autograd_changes(weights, multipliers, x, y, phi=torch.relu):
    """Gradient of the loss of one network, by autograd."""
    weights = [W.clone().requires_grad_() for W in weights]
    a = x
    for l, (W, c) in enumerate(zip(weights, multipliers, strict=True)):
        a = c * a @ W.T
        a = phi(a) if l < len(weights) - 1 else a
    loss = (a - y).square().sum() / (2 * len(x))
    return [-g for g in torch.autograd.grad(loss, weights)]


@pytest.mark.parametrize("activation", ["relu", "tanh", "linear"])
def test_backprop_is_the_gradient(activation):
    phi = {"relu": torch.relu, "tanh": torch.tanh, "linear": lambda z: z}[activation]
    learner, x, y = trained("backprop", 3, activation)
    for s in range(2):
        expected = autograd_changes(
            [W[s] for W in learner.network.weights], learner.network.multipliers, x, y, phi
        )
        for change, e in zip(learner.changes(x, y)[0], expected, strict=True):
            assert (change[s] - e).abs().max() < 1e-14


def test_the_first_step_is_the_same_for_backprop_and_all_align_rules():
    x, y = data()
    reference = Learner(nets(), "backprop").changes(x, y)[0]
    for rule in ("align_zero", "align_ada", "align_prop"):
        for a, b in zip(reference, Learner(nets(), rule).changes(x, y)[0], strict=True):
            assert torch.equal(a, b)


def test_the_second_step_is_not():
    for rule in RULES[1:]:
        learner, x, y = trained("backprop", 1)
        other = Learner(learner.network, rule, generator(5))
        other.initial = learner.initial
        a, b = learner.changes(x, y)[0], other.changes(x, y)[0]
        assert max((p - q).abs().max() for p, q in zip(a, b, strict=True)) > 1e-4


def test_align_zero_is_the_frozen_gradient_contracted_with_the_current_error():
    learner, x, y = trained("align_zero", 4)
    for s in range(2):
        frozen = [W[s].clone().requires_grad_() for W in learner.initial]
        f0 = x
        for l, (W, c) in enumerate(zip(frozen, learner.network.multipliers, strict=True)):
            f0 = c * f0 @ W.T
            f0 = torch.relu(f0) if l < 2 else f0
        error = (learner.network.outputs(x)[s] - y) / len(x)
        expected = torch.autograd.grad((f0 * error).sum(), frozen)
        for change, e in zip(learner.changes(x, y)[0], expected, strict=True):
            assert (change[s] + e).abs().max() < 1e-12


def test_align_ada_is_the_two_stream_stop_gradient_formulation():
    learner, x, y = trained("align_ada", 4)
    c = learner.network.multipliers
    for s in range(2):
        frozen = [W[s] for W in learner.initial]
        current = [W[s].clone().requires_grad_() for W in learner.network.weights]
        q = u = x
        for l in range(3):
            inner = q + u - u.detach() if l else x
            previous = u.detach() if l else x
            phi = torch.relu if l else (lambda z: z)
            q, u = c[l] * phi(inner) @ frozen[l].T, c[l] * phi(previous) @ current[l].T
        output = u + q - q.detach()
        expected = torch.autograd.grad((output - y).square().sum() / (2 * len(x)), current)
        for change, e in zip(learner.changes(x, y)[0], expected, strict=True):
            assert (change[s] + e).abs().max() < 1e-12


def test_the_readout_is_exact_in_every_rule_but_align_zero():
    for rule in RULES:
        learner, x, y = trained(rule, 3)
        exact = Learner(learner.network, "backprop").changes(x, y)[0][-1]
        difference = (learner.changes(x, y)[0][-1] - exact).abs().max()
        assert difference > 1e-3 if rule == "align_zero" else difference == 0


def test_all_rules_coincide_for_one_layer_at_all_times():
    x, y = data()
    ends = []
    for rule in RULES:
        net = nets(widths=(5, 3))
        learner = Learner(net, rule, generator(5))
        for _ in range(10):
            learner.step(x, y, 0.3)
        ends.append(net.weights[0])
    assert all(torch.equal(ends[0], W) for W in ends[1:])


def test_readout_leaves_hidden_layers_alone():
    learner, _, _ = trained("readout", 5)
    for W, W0 in zip(learner.network.weights[:-1], learner.initial[:-1], strict=True):
        assert torch.equal(W, W0)


def test_direct_feedback_and_feedback_use_the_same_output_error():
    learner, x, y = trained("feedback", 2)
    other = Learner(learner.network, "direct_feedback", generator(5))
    assert torch.equal(learner.changes(x, y)[0][-1], other.changes(x, y)[0][-1])


def test_align_rules_approach_backprop_with_width():
    # Hidden weights move by N^-1/2 of their size, so the difference of the functions falls like N^-1/2.
    gaps, (x, y) = [], data(n=12)
    for width in (64, 512):
        ends = {}
        for rule in ("backprop", "align_zero", "align_ada"):
            net = Perceptrons.draw([5, width, width, 3], 6, generator=generator(2))
            learner = Learner(net, rule)
            for _ in range(10):
                learner.step(x, y, 0.3)
            ends[rule] = net.outputs(x)
        gaps.append(
            [(ends[r] - ends["backprop"]).square().mean().sqrt() for r in ("align_zero", "align_ada")]
        )
    for narrow, wide in zip(*gaps, strict=True):
        rate = math.log(narrow / wide) / math.log(8)
        assert 0.3 < rate < 0.75


def test_a_stack_learns_like_its_members_alone():
    models = [MLP([5, 6, 3], "relu", "ntk", generator=generator(s)) for s in range(3)]
    x, y = data()
    together = Perceptrons.from_models(models)
    learner = Learner(together, "align_ada")
    for _ in range(5):
        learner.step(x, y, torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64))
    for s, lr in enumerate((0.1, 0.2, 0.3)):
        alone = Perceptrons.from_models([models[s]])
        learner = Learner(alone, "align_ada")
        for _ in range(5):
            learner.step(x, y, lr)
        for a, b in zip(alone.weights, together.weights, strict=True):
            assert (a[0] - b[s]).abs().max() < 1e-14


def test_a_diverged_member_does_not_touch_the_others():
    x, y = data()
    runs = []
    for lr in (torch.tensor([1e8, 0.1]), torch.tensor([0.1, 0.1])):
        net = nets()
        losses, _ = train(Learner(net, "align_zero"), x, y, lr, 30, generator=generator(3), batch_size=7)
        runs.append((net, losses))
    assert not runs[0][1][-1, 0].isfinite()
    assert torch.equal(runs[0][0].weights[0][1], runs[1][0].weights[0][1])


def test_torch_optimiser_with_filled_gradients_takes_the_step_of_the_learner():
    model = MLP([5, 6, 3], "relu", "ntk", generator=generator(4))
    x, y = data()
    plain = Perceptrons.from_models([model])
    learner, follower = Learner(plain, "align_zero"), Learner(Perceptrons.from_models([model]), "align_zero")
    optimiser = torch.optim.SGD(model.parameters(), lr=0.2)
    for _ in range(5):
        learner.step(x, y, 0.2)
        fill_gradients(model, follower, x, y)
        optimiser.step()
    for a, W in zip(plain.weights, model.weights, strict=True):
        assert (a[0] - W).abs().max() < 1e-14


def test_training_is_reproducible_and_reduces_the_loss():
    x, y = data(n=20)
    losses = [
        train(
            Learner(nets(widths=(5, 64, 64, 3)), "align_ada"),
            x,
            y,
            0.5,
            40,
            generator=generator(3),
            batch_size=5,
        )[0]
        for _ in range(2)
    ]
    assert torch.equal(*losses)
    assert (losses[0][-1] < 0.5 * losses[0][0]).all()


def test_accuracy_counts_right_answers_and_not_diverged_ones():
    net = Perceptrons([torch.eye(3).double().repeat(2, 1, 1)], [1.0], ["linear"])
    net.weights[0][1] = float("nan")
    assert accuracy(net, torch.eye(3).double(), torch.tensor([0, 1, 0])).tolist() == [2 / 3, 0.0]


def test_one_sample_is_enough():
    net = Perceptrons([torch.tensor([[[2.0], [1.0]]]).double()], [1.0], ["linear"])
    x = torch.ones(1, 1).double()
    assert accuracy(net, x, torch.tensor([0])).tolist() == [1.0]
    losses, _ = train(
        Learner(net, "backprop"), x, x.expand(1, 2), 0.0, 1, generator=generator(), batch_size=1
    )
    assert losses.tolist() == [[0.5]]  # errors 1 and 0


def test_what_no_learner_can_train_is_refused():
    x, y = data()
    with pytest.raises(ValueError, match="rule needs one of"):
        Learner(nets(), "hebb")
    with pytest.raises(TypeError, match="generator"):
        Learner(nets(), "feedback")
    x, y = data()
    with pytest.raises(ValueError, match="batch_size"):
        train(Learner(nets(), "backprop"), x, y, 0.1, 1, generator=generator(), batch_size=99)
    with pytest.raises(ValueError, match="one network"):
        fill_gradients(MLP([5, 6, 3], "relu", generator=generator()), Learner(nets(), "backprop"), x, y)


def test_targets_rates_and_labels_of_another_shape_are_refused():
    x, y = data()
    learner = Learner(nets(), "backprop")
    for wrong in (y[:, :1], y[:1], y[0]):
        with pytest.raises(ValueError, match="^y needs shape"):
            learner.changes(x, wrong)
    with pytest.raises(ValueError, match="at least one sample"):
        learner.changes(x[:0], y[:0])
    with pytest.raises(ValueError, match="^labels needs one entry for each"):
        accuracy(nets(), x, torch.zeros(len(x) - 1))
    for labels in (torch.zeros(len(x)), torch.zeros(len(x), 1, dtype=torch.int64)):
        with pytest.raises(ValueError, match="^labels needs one class a sample"):
            accuracy(nets(), x, labels)
    with pytest.raises(ValueError, match="^x needs at least one sample"):
        accuracy(nets(), torch.tensor(1.0), torch.tensor(0))


RATES = [0, 2, 0.25, np.float64(0.25), torch.tensor(0.25), torch.tensor([0.25]), torch.tensor([0.25, 3.0])]


@pytest.mark.parametrize("lr", RATES)
def test_a_step_adds_the_rate_times_the_change_for_one_rate_or_one_a_network(lr):
    x, y = data()
    learner = Learner(nets(), "align_ada")
    before = [W.clone() for W in learner.network.weights]
    changes, loss = learner.changes(x, y)
    assert torch.equal(learner.step(x, y, lr), loss)
    rates = torch.as_tensor(lr, dtype=torch.float64).reshape(-1).expand(2)
    for W, W0, change in zip(learner.network.weights, before, changes, strict=True):
        for s in range(2):
            assert (W[s] - W0[s] - rates[s] * change[s]).abs().max() < 1e-15


@pytest.mark.parametrize(
    "lr",
    [math.nan, math.inf, -0.1, True, "0.1", None, *(torch.tensor(v) for v in (math.nan, math.inf, -0.1))],
)
def test_rates_that_are_no_rates_are_refused_and_nothing_moves(lr):
    x, y = data()
    learner = Learner(nets(), "backprop")
    wrong = [lr, lr.expand(2), torch.stack([torch.tensor(0.1), lr])] if torch.is_tensor(lr) else [lr]
    for rate in (*wrong, torch.ones(3), torch.ones(0)):
        with pytest.raises(
            ValueError, match="^lr needs finite rates of at least 0, one for all or one for each of 2"
        ):
            learner.step(x, y, rate)
    assert all(torch.equal(W, W0) for W, W0 in zip(learner.network.weights, learner.initial, strict=True))


def test_a_source_of_randomness_is_a_generator_even_where_none_is_drawn_from():
    for rule in ("backprop", "feedback"):
        with pytest.raises(TypeError, match="^generator needs a torch.Generator"):
            Learner(nets(), rule, 3)


def test_filled_gradients_and_losses_of_one_linear_layer_worked_by_hand():
    # f = 2 and -1 for targets 1 and 1: errors 1 and -2, loss (1 + 4) / 4, gradient (1 (1, 0) - 2 (0, 1)) / 2
    model = MLP([2, 1], "linear", "standard", generator=generator())
    model.weights[0].data = torch.tensor([[2.0, -1.0]]).double()
    learner = Learner(Perceptrons.from_models([model]), "backprop")
    x, y = torch.eye(2).double(), torch.ones(2, 1).double()
    assert fill_gradients(model, learner, x, y) == 1.25
    assert model.weights[0].grad.tolist() == [[0.5, -1.0]]
    # the weights move by (-1/2, 1), and then by half as much: the error halves in every step
    losses, seen = train(
        learner,
        x,
        y,
        1.0,
        3,
        generator=generator(),
        batch_size=2,
        evaluate=lambda net: net.outputs(x).tolist(),
    )
    assert losses.tolist() == [[1.25], [0.3125], [0.078125]]
    assert seen[0] == [[[1.5], [0.0]]]


def test_the_loss_of_an_epoch_is_the_mean_over_its_minibatches():
    x, y = data(n=6)
    learner = Learner(nets(), "backprop")
    losses, _ = train(learner, x, y, 0.0, 2, generator=generator(), batch_size=2)
    for loss in losses:  # nothing moves, so the order of the samples does not matter
        torch.testing.assert_close(loss, learner.changes(x, y)[1], rtol=1e-14, atol=0)

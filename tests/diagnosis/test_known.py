"""Networks of known regime: their start, their training, and the posterior that the chain samples."""

import numpy as np
import pytest
import torch
from torch import nn

from gdln.checks import Diverged
from gdln.diagnosis import known
from gdln.nets.mlp import MLP
from tests.diagnosis.test_networks import filled, normal, small


def test_a_perceptron_is_the_librarys_network_out_of_other_layers():
    net = known.perceptron([3, 5, 4, 2], "relu", generator=torch.Generator().manual_seed(0))
    other = MLP([3, 5, 4, 2], "relu", "ntk", [1, 2**0.5, 2**0.5], generator=torch.Generator().manual_seed(0))
    X = normal(6, 3)
    assert (net(X) - other(X)).abs().max() < 1e-12


def test_a_wide_convolutional_network_starts_with_outputs_of_order_one():
    X = normal(4, 1, 8, 8)
    outputs = [
        known.convolutional(64, 1, generator=torch.Generator().manual_seed(s))(X).detach() for s in range(20)
    ]
    assert 0.05 < torch.stack(outputs).square().mean() < 2


def test_the_second_convolution_sees_every_second_place():
    net, seen = known.convolutional(3, 2, generator=torch.Generator().manual_seed(0)), []
    for part in net:
        part.register_forward_hook(lambda part, given, made: seen.append(tuple(made.shape)))
    net(torch.zeros(1, 1, 8, 6, dtype=torch.float64))
    assert seen[0] == (1, 3, 8, 6) and seen[2] == (1, 3, 4, 3) and seen[-1] == (1, 2)


def test_a_centred_network_starts_at_zero_and_keeps_its_start():
    net = known.Centred(small(), 3.0)
    X, Y = normal(6, 3), normal(6, 2, seed=1)
    assert float(net(X).abs().max().detach()) == 0
    last = known.descend(net, X, Y, n_steps=20).checkpoints[-1][1]
    assert all(
        torch.equal(a, b) for a, b in zip(net.start.parameters(), last.start.parameters(), strict=True)
    )
    assert (last(X) - 3 * (last.net(X) - net.net(X))).abs().max() < 1e-12


def test_descent_stops_at_its_part_of_the_loss_and_records_ever_sparser():
    net, X, Y = small(widths=(3, 30, 2)), normal(6, 3), normal(6, 2, seed=1)
    run = known.descend(net, X, Y, stop=0.01, n_steps=5000)
    first = float(0.5 * (net(X) - Y).detach().square().sum() / 6)
    assert run.losses[-1] <= 0.01 * first < run.losses[-2] or run.losses[-2] > run.losses[-1]
    steps = np.array([t for t, _ in run.checkpoints]) / run.lr
    assert np.allclose(steps[:7], range(1, 8)) and steps[-1] == pytest.approx(run.n_steps)
    assert len(steps) < 70
    assert all(p.grad is None for p in net.parameters())


def test_a_step_that_diverges_is_taken_again_smaller():
    net, X, Y = small(), normal(6, 3), normal(6, 2, seed=1)
    run = known.descend(net, X, Y, lr=20.0, n_steps=200, stop=0.5)
    assert run.lr < 20 and run.losses[-1] < 5
    with pytest.raises(Diverged):
        known.descend(net, X, Y, lr=1e9, n_steps=50)


def test_a_share_of_the_limit_of_stability_lies_between_nothing_and_all_of_it():
    net, X, Y = small(), normal(6, 3), normal(6, 2, seed=1)
    assert known.descend(net, X, Y, share=1.9, n_steps=1).lr > 0
    for share in (0.0, 2.0):
        for lr in (None, 0.1):
            with pytest.raises(ValueError, match="share needs a number above 0 and below 2"):
                known.descend(net, X, Y, share=share, lr=lr)


def test_a_step_of_the_chain_is_the_formula_and_records_are_equal_times_apart():
    net, X, Y, T, lr = filled(nn.Linear(2, 1, bias=False)), normal(5, 2), normal(5, 1, seed=1), 0.4, 0.03
    options = dict(lr=lr, generator=torch.Generator().manual_seed(2))
    ((time, last),) = known.langevin(net, X, Y, T, n_steps=1, n_records=1, **options)
    W = net.weight.detach()
    noise = torch.randn(1, 2, generator=torch.Generator().manual_seed(2), dtype=W.dtype)
    expected = W - lr * ((X @ W.mT - Y).mT @ X + T * W) + (2 * T * lr) ** 0.5 * noise
    assert time == lr and (last.weight - expected).abs().max() < 1e-14
    times = [t for t, _ in known.langevin(net, X, Y, T, n_steps=10, n_records=4, **options)]
    np.testing.assert_allclose(times, np.array([2, 5, 8, 10]) * lr)  # of 2.5, 5, 7.5 and 10 steps
    times = [t for t, _ in known.langevin(net, X, Y, T, n_steps=3, n_records=3, **options)]
    np.testing.assert_allclose(times, np.array([1, 2, 3]) * lr)


def test_the_chain_samples_the_posterior_of_a_linear_map():
    net = filled(nn.Linear(2, 1, bias=False))
    X, Y = normal(5, 2), normal(5, 1, seed=1)
    drawn = known.langevin(
        net, X, Y, 0.5, lr=0.05, n_steps=6000, n_records=600, generator=torch.Generator().manual_seed(2)
    )
    weights = np.array([m.weight.detach().numpy().ravel() for _, m in drawn[60:]])
    precision = (X.mT @ X / 0.5 + torch.eye(2)).numpy()
    mean = np.linalg.solve(precision, (X.mT @ Y / 0.5).numpy().ravel())
    # about a hundred independent draws; the step shifts variances by a few per cent
    spread = np.sqrt(np.diag(np.linalg.inv(precision)))
    assert (np.abs(weights.mean(0) - mean) < 0.4 * spread).all()
    assert np.allclose(weights.var(0), spread**2, rtol=0.4)


def test_digits_have_both_parities_and_the_norm_of_their_pixels():
    X, y, X_test, y_test = known.parity_digits(60, 20, np.random.default_rng(0), scale=2.0)
    assert X.shape == (60, 64) and y_test.shape == (20, 1)
    assert set(y.unique().tolist()) == {-2.0, 2.0}
    assert np.allclose(X.norm(dim=1), 8) and np.allclose(X_test.norm(dim=1), 8)
    with pytest.raises(ValueError, match="at most 1797 images"):
        known.parity_digits(1797, 1, np.random.default_rng(0))

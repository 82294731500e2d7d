"""Convolutional networks: patches are convolutions, first steps agree, operators are what they say."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from gdln.alignment import scores
from gdln.alignment.convolutional import EPS, ConvolutionalNets, convolution_gram
from gdln.alignment.rules import Learner


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def nets(strides=(1, 2), seed=0):
    return ConvolutionalNets(4, strides, 3, 2, generator=generator(seed), dtype=torch.float64)


def data(n=6):
    return torch.randn(n, 1, 5, 6, generator=generator(1)).double(), torch.randn(
        n, 3, generator=generator(2)
    ).double()


def plain(weights, multipliers, strides, x):
    """One network with torch's own convolution."""
    a = x
    for W, c, stride in zip(weights, multipliers, strides, strict=False):
        z = c * functional.conv2d(a, W.view(len(W), -1, 3, 3), stride=stride, padding=1)
        a = torch.relu((z - z.mean(0)) / (z.var(0, unbiased=False) + EPS).sqrt())
    return multipliers[-1] * a.mean((2, 3)) @ weights[-1].T


def moved(rule, steps=3):
    net, (x, y) = nets(), data()
    learner = Learner(net, rule, generator(5))
    for _ in range(steps):
        learner.step(x, y, 0.3)
    return learner, x, y


@pytest.mark.parametrize("rule", ["backprop", "align_zero"])
def test_backprop_and_align_zero_are_gradients_through_ordinary_convolutions(rule):
    learner, x, y = moved(rule)
    net = learner.network
    assert net.passes(x)[0][1].detach().numpy() == pytest.approx(
        plain([W[1] for W in net.weights], net.multipliers, net.strides, x).numpy(), abs=1e-12
    )
    for s in range(2):
        source = net.weights if rule == "backprop" else learner.initial
        weights = [W[s].clone().requires_grad_() for W in source]
        f = plain(weights, net.multipliers, net.strides, x)
        error = (net.outputs(x)[s] - y) / len(x)
        for change, g in zip(
            learner.changes(x, y)[0], torch.autograd.grad((f * error).sum(), weights), strict=True
        ):
            assert (change[s] + g).abs().max() < 1e-12


def test_first_step_is_the_same_for_backprop_and_all_align_rules():
    x, y = data()
    exact = Learner(nets(), "backprop").changes(x, y)[0]
    for rule in ("align_ada", "align_zero", "align_prop"):
        for a, b in zip(exact, Learner(nets(), rule).changes(x, y)[0], strict=True):
            assert (a - b).abs().max() < 1e-14


def test_later_steps_differ_and_the_readout_is_shared():
    learner, x, y = moved("backprop")
    exact = learner.changes(x, y)[0]
    for rule in ("align_ada", "align_prop", "feedback", "readout"):
        other = Learner(learner.network, rule, generator(5))
        other.initial = learner.initial
        changes = other.changes(x, y)[0]
        assert (changes[-1] - exact[-1]).abs().max() < 1e-14
        assert (changes[0] - exact[0]).abs().max() > 1e-6


def test_convolution_gram_is_the_square_of_a_linear_operator():
    change = torch.randn(4, 18, generator=generator(3)).double()
    rng = np.random.default_rng(0)
    for stride, size in ((1, (5, 6)), (2, (5, 6)), (2, (7, 8))):
        basis = np.eye(2 * size[0] * size[1]).reshape(-1, 2, *size)
        J = (
            functional.conv2d(torch.from_numpy(basis), change.view(4, 2, 3, 3), stride=stride, padding=1)
            .flatten(1)
            .numpy()
        )
        A = convolution_gram(change, stride, basis).reshape(len(basis), -1)
        assert np.abs(A - J @ J.T).max() < 1e-10
        same = scores.probe_score(
            lambda p, stride=stride: convolution_gram(change, stride, p),
            lambda p, stride=stride: convolution_gram(3 * change, stride, p),
            (2, *size), 20, rng,
        )  # fmt: skip
        assert same == pytest.approx(1)


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="^channels needs a whole number of at least 1"):
        ConvolutionalNets(0, (1,), 2, 1, generator=generator())
    with pytest.raises(ValueError, match="height, width"):
        nets().outputs(torch.ones(3, 25))
    with pytest.raises(ValueError, match="rule needs one of"):
        Learner(nets(), "direct_feedback", generator())
    with pytest.raises(ValueError, match=r"^probes needs shape \(batch, 2,"):
        convolution_gram(torch.ones(4, 18), 1, np.ones((1, 3, 5, 5)))
    with pytest.raises(ValueError, match=r"^change needs shape \(n_out, 9 \* n_in\)"):
        convolution_gram(torch.ones(4, 10), 1, np.ones((1, 1, 5, 5)))
    with pytest.raises(ValueError, match="^strides needs at least one element"):
        ConvolutionalNets(4, (), 2, 1, generator=generator())

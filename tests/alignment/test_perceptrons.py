"""Stacks of fully connected networks: their slopes, their signals, their types, and what makes no stack."""

import numpy as np
import pytest
import torch

from gdln.alignment.experiments import digits_task
from gdln.alignment.perceptrons import SLOPES, VALUES, Perceptrons
from gdln.alignment.rules import Learner
from gdln.nets.mlp import ACTIVATIONS, MLP


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def tensor(*shape, seed=1):
    return torch.randn(*shape, generator=generator(seed), dtype=torch.float64)


def test_single_precision_weights_learn_from_double_precision_data():
    net = Perceptrons.draw([4, 6, 3], 2, generator=generator(), dtype=torch.float32)
    changes, loss = Learner(net, "backprop").changes(tensor(5, 4), tensor(5, 3))
    assert {d.dtype for d in changes} == {loss.dtype} == {torch.float32}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_slopes_and_values_are_exact_in_the_type_of_the_activity(dtype):
    a = torch.tensor([-3.0, 2.0], dtype=dtype)
    small = torch.tensor(0.01, dtype=dtype)  # the number of this type that is nearest to a hundredth
    slope, value = SLOPES["leaky_relu"](a), VALUES["leaky_relu"](a.clone())
    assert slope.dtype == value.dtype == dtype
    assert slope.tolist() == [small.item(), 1.0]
    assert value.tolist() == [(a[0] * small).item(), 2.0]
    assert ACTIVATIONS["leaky_relu"](a).tolist() == value.tolist()


@pytest.mark.parametrize("activation", SLOPES)
def test_backpropagation_in_double_precision_is_exact_for_every_activation(activation):
    net = Perceptrons.draw([4, 6, 5, 3], 2, generator=generator(), activation=activation)
    x, y = tensor(7, 4), tensor(7, 3)
    weights = [W.clone().requires_grad_() for W in net.weights]
    a = x
    for l, (W, c) in enumerate(zip(weights, net.multipliers, strict=True)):
        a = c * a @ W.mT
        a = ACTIVATIONS[activation](a) if l < 2 else a
    gradient = torch.autograd.grad((a - y).square().sum() / (2 * len(x)), weights)
    for change, g in zip(Learner(net, "backprop").changes(x, y)[0], gradient, strict=True):
        assert (change + g).abs().max() < 1e-14  # a slope in single precision is wrong by 2e-8 of itself


def test_feedback_signals_lose_their_overlap_with_the_gradient_as_the_width_grows():
    x = digits_task(60, np.random.default_rng(0)).x
    overlaps = []
    for width in (64, 4096):
        net = Perceptrons.draw([64, width, width, 1], 1, generator=torch.Generator().manual_seed(0))
        a = net.activities(x)
        one = torch.ones(1, len(x), 1).double()
        feedback = net.draw_feedback("feedback", torch.Generator().manual_seed(7))
        true = net.signals("backprop", a, a, net.weights, None, one)[0][0]
        random = net.signals("feedback", a, a, net.weights, feedback, one)[0][0]
        overlaps.append(float(torch.linalg.norm(random @ true.T) / torch.linalg.norm(true @ true.T)))
    assert overlaps[1] < 0.08 < overlaps[0]


def test_networks_that_make_no_stack_are_refused():
    with pytest.raises(ValueError, match="without biases"):
        Perceptrons.from_models([MLP([2, 3, 1], "relu", bias_gain=0.1, generator=generator())])
    with pytest.raises(ValueError, match="without biases"):
        Perceptrons.from_models([torch.nn.Linear(2, 1)])
    with pytest.raises(ValueError, match="^activations needs one of"):
        Perceptrons.from_models([MLP([2, 3, 1], "erf", generator=generator())])
    with pytest.raises(ValueError, match="one shape"):
        Perceptrons.from_models([MLP([2, n, 1], "relu", generator=generator()) for n in (3, 4)])
    with pytest.raises(ValueError, match="at least one model"):
        Perceptrons.from_models([])
    with pytest.raises(ValueError, match="^weights needs layers that chain"):
        Perceptrons([torch.ones(1, 3, 2), torch.ones(1, 1, 4)], [1, 1], ["relu", "linear"])
    with pytest.raises(ValueError, match="^widths needs numbers of at least 1"):
        Perceptrons.draw([3, 0, 2], 1, generator=generator())
    with pytest.raises(ValueError, match="^x needs 5 columns"):
        Perceptrons.draw([5, 3], 1, generator=generator()).outputs(tensor(7, 3))


def test_integer_weights_are_refused_since_inputs_would_be_rounded_to_them():
    with pytest.raises(TypeError, match="^weights needs floating-point"):
        Perceptrons([torch.ones(1, 2, 2, dtype=torch.int64)], [1.0], ["linear"])

"""What all stacks of networks have in common: the rules they refuse, where randomness and precision come from."""

import math

import numpy as np
import pytest
import torch

from gdln.alignment.convolutional import ConvolutionalNets, convolution_gram
from gdln.alignment.perceptrons import Perceptrons
from gdln.alignment.recurrent import RecurrentNets
from gdln.alignment.routing import RoutingNets
from gdln.alignment.rules import Learner, accuracy, train
from gdln.convergence.nets import ThreeLayerNetwork
from gdln.nets.mlp import MLP


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def tensor(*shape, seed=1):
    return torch.randn(*shape, generator=generator(seed), dtype=torch.float64)


#: How a stack of two networks is drawn, and a batch for it.
STACKS = {
    "perceptrons": (lambda g: Perceptrons.draw([4, 6, 3], 2, generator=g), tensor(5, 4), tensor(5, 3)),
    "convolutional": (
        lambda g: ConvolutionalNets(2, (1, 2), 3, 2, generator=g, dtype=torch.float64),
        tensor(5, 1, 4, 4),
        tensor(5, 3),
    ),
    "recurrent": (lambda g: RecurrentNets(2, 4, 2, generator=g), tensor(5, 6, 2), tensor(5, 6)),
    "routing": (lambda g: RoutingNets(np.eye(2), 4, 3, 4, 0.5, 2, generator=g), tensor(5, 4), tensor(5, 3)),
}


@pytest.fixture(params=STACKS)
def stack(request):
    draw, x, y = STACKS[request.param]
    return draw(generator()), x, y


def test_a_rule_that_is_unknown_or_not_covered_runs_as_no_other(stack):
    network, x, y = stack
    initial = [W.clone() for W in network.weights]
    uncovered = {"hebb", "algin_zero", "Align-zero", "", None} | ({"direct_feedback"} - set(network.rules))
    for rule in uncovered:
        for call in (
            lambda r: Learner(network, r, generator()),
            lambda r: network.changes(r, initial, None, x, y),
            lambda r: network.draw_feedback(r, generator()),
        ):
            with pytest.raises(ValueError, match="^rule needs one of 'backprop', 'align_ada', 'align_zero'"):
                call(rule)
    with pytest.raises(ValueError, match="did you mean 'align_zero'"):
        network.changes("algin_zero", initial, None, x, y)


@pytest.mark.parametrize("source", [None, 0, np.random.default_rng(0)])
def test_randomness_comes_from_a_torch_generator_and_from_nowhere_else(stack, source):
    network, x, y = stack
    state = torch.random.get_rng_state()
    draw = next(d for d, inputs, _ in STACKS.values() if inputs is x)
    calls = [lambda: draw(source), lambda: network.draw_feedback("feedback", source)]
    calls += [lambda: Learner(network, "feedback", source)]
    calls += [lambda: train(Learner(network, "backprop"), x, y, 0.1, 1, generator=source, batch_size=2)]
    calls += [lambda: MLP([2, 3, 1], bias_gain=1.0, generator=source)]
    for call in calls:
        with pytest.raises(TypeError, match="^generator needs a torch.Generator"):
            call()
    assert torch.equal(torch.random.get_rng_state(), state)


def test_rules_without_random_feedback_need_no_generator(stack):
    network, x, y = stack
    for rule in set(network.rules) - {"feedback", "direct_feedback"}:
        assert all(d.isfinite().all() for d in Learner(network, rule).changes(x, y)[0])


def test_batches_of_another_shape_are_refused_by_the_name_of_what_is_wrong(stack):
    network, x, y = stack
    learner = Learner(network, "backprop")
    for wrong in (x.repeat(1, 2, 1, 1) if x.ndim == 4 else x[..., :-1], x.flatten(), x.sum()):
        with pytest.raises(ValueError, match=r"^x needs shape \(.*\), got a Tensor of shape \("):
            learner.changes(wrong, y)
    for wrong in (y[:, :-1], y[:-1], y[0], y.sum(), y[None, None, None]):
        with pytest.raises(ValueError, match="^y needs "):
            learner.changes(x, wrong)
    with pytest.raises(ValueError, match="^x needs at least one sample, got a Tensor of shape"):
        learner.changes(x[:0], y[:0])


def test_perceptrons_take_one_batch_for_all_or_one_each_and_no_other_number():
    network, x, y = STACKS["perceptrons"][0](generator()), tensor(2, 5, 4), tensor(2, 5, 3)
    learner = Learner(network, "align_ada")
    changes, loss = learner.changes(x, y)
    for s in range(2):
        alone, alone_loss = learner.changes(x[s], y[s])
        assert torch.equal(alone_loss[s], loss[s])
        assert all(torch.equal(a[s], b[s]) for a, b in zip(alone, changes, strict=True))
    shared = learner.changes(x[0], y)[0]
    for same in (learner.changes(x[:1], y)[0], learner.changes(x[:1].expand(2, 5, 4), y)[0]):
        assert all(torch.equal(a, b) for a, b in zip(same, shared, strict=True))
    for a, b in ((x.repeat(2, 1, 1), y), (x, y.repeat(2, 1, 1)), (x[None], y)):
        with pytest.raises(ValueError, match="^[xy] needs one batch for all networks, or one for each of 2"):
            learner.changes(a, b)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("which", ["x", "y"])
def test_data_that_are_not_finite_are_named_and_no_network_learns_from_them(stack, which, bad):
    network, x, y = stack
    data = {"x": x.clone(), "y": y.clone()}
    data[which].view(-1)[3] = bad
    learner, before = Learner(network, "backprop"), [W.clone() for W in network.weights]
    for call in (
        lambda: learner.changes(**data),
        lambda: learner.step(**data, lr=0.1),
        lambda: train(learner, **data, lr=0.1, n_epochs=1, generator=generator(), batch_size=2),
    ):
        with pytest.raises(ValueError, match=f"^{which} needs finite numbers"):
            call()
    assert all(torch.equal(W, W0) for W, W0 in zip(network.weights, before, strict=True))


def test_a_network_that_diverged_is_no_reason_to_refuse_the_data(stack):
    network, x, y = stack
    network.weights[0][0] = math.nan
    changes, loss = Learner(network, "backprop").changes(x, y)
    assert loss[0].isnan() and loss[1].isfinite()
    assert all(d[1].isfinite().all() for d in changes)


@pytest.mark.parametrize("dtype", [torch.int64, torch.float32])
def test_data_of_another_type_are_converted_to_the_type_of_the_weights(stack, dtype):
    network, x, y = stack
    x, y = (2 * x).round(), (2 * y).round()
    exact, _ = Learner(network, "align_ada").changes(x, y)
    converted, _ = Learner(network, "align_ada").changes(x.to(dtype), y.to(dtype))
    for a, b in zip(exact, converted, strict=True):
        assert a.dtype == b.dtype == torch.float64 and torch.equal(a, b)


def test_networks_of_the_convergence_part_compute_in_double_precision_whatever_comes_in():
    net = ThreeLayerNetwork([1.0, -1.0], [[0.5, -0.25], [1.0, 2.0]], "leaky_0.2")
    X = torch.tensor([[1, -3], [-2, 4]])
    outputs = [net(X.to(dtype)) for dtype in (torch.float64, torch.float32, torch.int64)]
    assert all(torch.equal(outputs[0], f) and f.dtype == torch.float64 for f in outputs)


def test_changes_without_fractions_are_refused_and_whole_probes_are_not():
    probes = np.random.default_rng(0).standard_normal((3, 1, 4, 4))
    with pytest.raises(TypeError, match="^change needs floating-point"):
        convolution_gram(torch.ones(2, 9, dtype=torch.int64), 1, probes)
    with pytest.raises(ValueError, match="^probes needs finite"):
        convolution_gram(torch.ones(2, 9), 1, probes * np.nan)
    whole = np.arange(48).reshape(3, 1, 4, 4)  # integer probes are numbers like others
    np.testing.assert_array_equal(
        convolution_gram(torch.ones(2, 9).double(), 1, whole),
        convolution_gram(torch.ones(2, 9).double(), 1, whole.astype(float)),
    )


def test_accuracy_of_inputs_that_are_not_finite_is_refused():
    net = Perceptrons.draw([4, 6, 3], 2, generator=generator())
    x = tensor(5, 4)
    x[0, 0] = math.nan
    with pytest.raises(ValueError, match="^x needs finite"):
        accuracy(net, x, torch.zeros(5, dtype=torch.int64))

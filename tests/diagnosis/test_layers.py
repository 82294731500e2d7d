"""Where weights went: the first step of a descent, formula (2) of the alignment theory, and the controls."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from gdln.alignment import scores, theory
from gdln.diagnosis import known, layers
from tests.diagnosis.test_networks import filled, normal, small


def stepped(net, X, Y, lr=0.1):
    ((_, last),) = known.descend(net, X, Y, lr=lr, n_steps=1, stop=0).checkpoints
    return last


def test_one_step_of_descent_goes_where_the_prediction_says():
    net, X, Y = small(widths=(3, 8, 2)), normal(7, 3), normal(7, 2, seed=1)
    last = stepped(net, X, Y)
    errors = np.stack([(m(X) - Y).detach().numpy() for m in (net, last)])
    E = layers.integrated_error(errors, [0.0, 0.1], lr=0.1)
    found = layers.layer_changes(net, last, X, E, rng=np.random.default_rng(0))
    assert all(abs(layer.cosine - 1) < 1e-12 for layer in found)
    told = layers.predicted_changes(net, X, E)
    for name, a, b in zip(told, net.parameters(), last.parameters(), strict=True):
        assert (told[name] - (b - a)).abs().max() < 1e-12
    assert all(abs(layer.shuffled) < 0.99 for layer in found)


def test_the_prediction_is_that_of_the_alignment_theory():
    net, X, E = small(widths=(4, 6, 5, 3), activation="relu"), normal(9, 4), normal(9, 3, seed=2)
    weights = [p.detach().numpy() for p in net.parameters()]
    told = theory.predicted_changes(weights, [1.0, 2**0.5, 2**0.5], X.numpy(), 9 * E.numpy())
    found = layers.predicted_changes(net, X, E.numpy())
    for a, b in zip(found.values(), told, strict=True):
        assert np.abs(a.numpy() - b).max() < 1e-12


def test_the_error_blind_control_is_the_score_of_plain_correlations():
    net, X, Y = small(widths=(3, 8, 2), activation="relu"), normal(7, 3), normal(7, 2, seed=1)
    last = stepped(net, X, Y)
    found = layers.layer_changes(net, last, X, Y.numpy(), rng=np.random.default_rng(0))
    inputs = [X, net[:2](X).detach()]
    for layer, a, b, phi in zip(found, net.parameters(), last.parameters(), inputs, strict=True):
        change = (b - a).detach().numpy()
        told = scores.gram_score(scores.gram(change), scores.error_blind_gram(phi.numpy()))
        assert abs(layer.blind - told) < 1e-10
        assert abs(layer.moved - np.linalg.norm(change) / float(a.detach().norm())) < 1e-12


@pytest.mark.parametrize("padding", [0, 2, "same", "valid"])
@pytest.mark.parametrize("mode", ["zeros", "circular", "reflect"])
@pytest.mark.parametrize("n_axes", [1, 2, 3])
def test_the_weight_of_a_convolution_times_its_patches_is_the_convolution(n_axes, mode, padding):
    kind = getattr(nn, f"Conv{n_axes}d")
    sizes, kernel, dilation = (7, 6, 5)[:n_axes], (2, 3, 1)[:n_axes], (2, 1, 3)[:n_axes]
    stride = 1 if padding == "same" else (3, 1, 2)[:n_axes]
    layer = kind(2, 4, kernel, stride, padding, dilation, bias=False, padding_mode=mode, dtype=torch.float64)
    x = normal(3, 2, *sizes)
    told = layers._patches(layer, x) @ layer.weight.detach().flatten(1).mT
    assert (told - layer(x).detach().movedim(1, -1).reshape(-1, 4)).abs().max() < 1e-12


def test_the_error_blind_control_of_a_convolution_is_that_of_the_linear_layer_on_its_patches(monkeypatch):
    net = known.convolutional(3, 2, generator=torch.Generator().manual_seed(0))
    X, Y = normal(9, 1, 6, 5), normal(9, 2, seed=1)
    last = stepped(net, X, Y)
    inside = {0: X, 2: net[:2](X).detach(), 6: net[:6](X).detach()}

    def found():
        return layers.layer_changes(net, last, X, Y.numpy(), rng=np.random.default_rng(0))

    for layer, (k, x), a, b in zip(found(), inside.items(), net.parameters(), last.parameters(), strict=True):
        convolution, rows = net[k].layer, x
        if k < 6:
            x = nn.functional.unfold(x, 3, padding=1, stride=convolution.stride)
            rows = x.mT.reshape(-1, a[0].numel())
        change = (b - a).detach().flatten(1).numpy()
        told = scores.gram_score(scores.gram(change), scores.error_blind_gram(rows.numpy()))
        assert abs(layer.blind - told) < 1e-10
    whole = [layer.blind for layer in found()]
    monkeypatch.setattr(layers, "PATCHES", 1)  # a sample at a time
    assert [layer.blind for layer in found()] == pytest.approx(whole, rel=1e-12)


def test_a_convolution_over_the_whole_image_has_the_control_of_a_linear_layer():
    flat = filled(nn.Sequential(nn.Flatten(), nn.Linear(12, 5)))
    whole = nn.Sequential(nn.Conv2d(1, 5, (3, 4)), nn.Flatten()).double()
    whole[0].load_state_dict({"weight": flat[1].weight.view(5, 1, 3, 4), "bias": flat[1].bias})
    X, Y = normal(6, 1, 3, 4), normal(6, 5, seed=1)
    one, other = (
        layers.layer_changes(net, stepped(net, X, Y), X, Y.numpy(), rng=np.random.default_rng(0))[0].blind
        for net in (flat, whole)
    )
    assert 0 < one < 1 and other == pytest.approx(one, rel=1e-12)


def test_weights_whose_inputs_differ_from_filter_to_filter_have_no_error_blind_control():
    net = filled(nn.Sequential(nn.Conv2d(2, 4, 2, groups=2), nn.ConvTranspose2d(4, 1, 2), nn.Flatten()))
    X, Y = normal(6, 2, 3, 3), normal(6, 9, seed=1)
    found = layers.layer_changes(net, stepped(net, X, Y), X, Y.numpy(), rng=np.random.default_rng(0))
    assert [layer.blind for layer in found] == [None, None]
    assert all(layer.cosine is not None for layer in found)


def test_the_integral_over_time_is_a_sum_over_steps_and_an_integral_of_a_flow():
    rng = np.random.default_rng(0)
    errors = rng.standard_normal((6, 4, 2))
    E = layers.integrated_error(errors, 0.5 * np.arange(6), lr=0.5)
    assert np.abs(E - 0.5 * errors[:-1].sum(0) / 4).max() < 1e-12
    t = np.linspace(0, 3, 2001)
    flow = np.exp(-t)[:, None, None] * np.ones((1, 4, 1))
    assert np.abs(layers.integrated_error(flow, t) - (1 - np.exp(-3)) / 4).max() < 1e-6


def test_only_matrices_are_layers_unless_there_are_none():
    net = filled(nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1)))
    X, Y = normal(5, 3), normal(5, 1, seed=1)
    found = layers.layer_changes(net, stepped(net, X, Y), X, Y.numpy(), rng=np.random.default_rng(0))
    assert [layer.name for layer in found] == ["0.weight", "2.weight"]
    net[0].requires_grad_(False)
    net[2].weight.requires_grad_(False)
    (bias,) = layers.layer_changes(net, stepped(net, X, Y), X, Y.numpy(), rng=np.random.default_rng(0))
    assert (bias.name, bias.rank, abs(round(bias.cosine, 9))) == ("2.bias", 1.0, 1.0)


def test_a_weight_that_stood_still_has_no_cosine():
    net, X, Y = small(), normal(5, 3), normal(5, 2, seed=1)
    last = copy.deepcopy(net)
    with torch.no_grad():
        last[2].layer.weight.add_(1.0)
    still, moved = layers.layer_changes(net, last, X, Y.numpy(), rng=np.random.default_rng(0))
    assert (still.moved, still.cosine, still.blind, still.rank) == (0.0, None, None, 0.0)
    assert moved.cosine is not None and abs(moved.rank - 1) < 1e-9


def test_a_weight_that_began_at_zero_moved_for_ever_or_not_at_all():
    net = filled(nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)))
    with torch.no_grad():
        net[2].weight.zero_()
    last = copy.deepcopy(net)
    with torch.no_grad():
        last[0].weight.add_(3 * net[0].weight)
    options = normal(5, 3), normal(5, 2).numpy()
    moved, still = layers.layer_changes(net, last, *options, rng=np.random.default_rng(0))
    assert moved.moved == pytest.approx(3, rel=1e-12) and still.moved == 0
    last[2].weight.data.fill_(1.0)
    assert layers.layer_changes(net, last, *options, rng=np.random.default_rng(0))[1].moved == np.inf


def test_effective_rank_counts_equal_directions_and_forgets_the_scale():
    assert layers.effective_rank(np.outer([1.0, 2.0], [3.0, 4.0, 5.0])) == pytest.approx(1)
    for k in (1, 2, 5):
        W = np.zeros((7, 9))
        W[range(k), range(k)] = 3.0
        for scale in (1e-180, 1.0, 1e150):
            assert layers.effective_rank(scale * W) == pytest.approx(k)


def test_balanced_neighbours_have_no_imbalance_and_descent_keeps_it_in_linear_networks():
    net = known.perceptron([3, 4, 2], "linear", generator=torch.Generator().manual_seed(0), gain=1.0)
    start = layers.imbalance(net)
    assert list(start) == ["0.layer.weight -> 2.layer.weight"] and 0.2 < start.popitem()[1] <= 1
    W = normal(4, 3)
    with torch.no_grad():
        net[0].layer.weight.copy_(W)
        U, s, _ = torch.linalg.svd(W @ W.mT)
        # rank three of four: two outputs cannot balance it, four can
    square = nn.Sequential(nn.Linear(3, 4, bias=False), nn.Linear(4, 4, bias=False)).double()
    with torch.no_grad():
        square[0].weight.copy_(W)
        square[1].weight.copy_(torch.diag(s.sqrt()) @ U.mT)
    assert layers.imbalance(square)["0.weight -> 1.weight"] < 1e-12


def test_layers_of_zeros_have_no_imbalance_and_inputs_of_zeros_no_score():
    net = nn.Sequential(
        nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False)
    ).double()
    with torch.no_grad():
        net[0].weight.zero_(), net[1].weight.zero_()
    assert list(layers.imbalance(net)) == ["1.weight -> 2.weight"]
    last = copy.deepcopy(net)
    with torch.no_grad():
        last[0].weight.add_(1.0)
    found = layers.layer_changes(net, last, torch.zeros(4, 3), np.ones((4, 3)), rng=np.random.default_rng(0))
    assert found[0].blind == 0 and found[0].cosine == 0


def test_a_convolution_may_have_one_filter():
    layer = nn.Conv1d(2, 1, 3, bias=False, dtype=torch.float64)
    x = normal(3, 2, 7)
    told = layers._patches(layer, x) @ layer.weight.detach().flatten(1).mT
    assert (told - layer(x).detach().movedim(1, -1).reshape(-1, 1)).abs().max() < 1e-12
    patches = layers._patches(layer, x[:1])  # of one sample
    assert (layers._patch_gram(layer, x[:1]) - patches.mT @ patches).abs().max() < 1e-12


def test_matrices_that_do_not_follow_each_other_are_no_neighbours():
    assert layers.imbalance(known.convolutional(2, 1, generator=torch.Generator().manual_seed(0))) == {}

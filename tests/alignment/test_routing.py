"""Learning rules on routing networks: gradients, first steps, untrained routes."""

import numpy as np
import pytest
import torch

from gdln.alignment.routing import RoutingNets
from gdln.alignment.rules import Learner
from gdln.data import tasks


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def nets(width=7, gain=0.8, mask=None):
    mask = tasks.circulant_mask(4, 2) if mask is None else mask
    return RoutingNets(mask, 4, 7, width, gain, 2, generator=generator())


def data():
    X, Y = tasks.hierarchical()
    return torch.from_numpy(X), torch.from_numpy(Y) / 10


def test_backprop_is_the_gradient_on_the_trained_routes():
    net, (x, y) = nets(), data()
    for s in range(2):
        E, S, D = (W[s].clone().requires_grad_() for W in net.weights)
        loss = 0.0
        for i, j in np.argwhere(net.mask.numpy()):
            loss = loss + (x @ (D[j] @ S @ E[i]).T - y).square().sum() / (2 * 8 * 4)
        changes, losses = Learner(net, "backprop").changes(x, y)
        assert float(losses[s]) == pytest.approx(float(loss.detach()))
        for change, g in zip(changes, torch.autograd.grad(loss, (E, S, D)), strict=True):
            assert (change[s] + g).abs().max() < 1e-14


def test_first_steps_agree_and_second_ones_do_not():
    x, y = data()
    exact = Learner(nets(), "backprop").changes(x, y)[0]
    for rule in ("align_ada", "align_zero"):
        net = nets()
        learner = Learner(net, rule)
        assert all(torch.equal(a, b) for a, b in zip(exact, learner.changes(x, y)[0], strict=True))
        learner.step(x, y, 0.5)
        current = Learner(net, "backprop").changes(x, y)[0]
        assert not torch.equal(current[0], learner.changes(x, y)[0][0])


def test_readout_and_feedback_change_the_decoders_like_backprop():
    x, y = data()
    exact = Learner(nets(), "backprop").changes(x, y)[0][2]
    for rule in ("readout", "feedback"):
        changes = Learner(nets(), rule, generator(3)).changes(x, y)[0]
        assert torch.equal(changes[2], exact)
    assert not Learner(nets(), "readout").changes(x, y)[0][0].any()


def test_maps_are_the_outputs_and_route_losses_follow():
    net, (x, y) = nets(), data()
    f = torch.einsum("sijoc,nc->sijno", net.maps(), x)
    assert (f - net.outputs(x)).abs().max() < 1e-13
    by_hand = (f - y).square().sum(-1).mean(-1) / 2
    assert (net.route_losses(x, y) - by_hand).abs().max() < 1e-13


def test_the_gain_sets_the_singular_values_at_any_width():
    for width in (100, 400):
        top = torch.linalg.svdvals(nets(width, 0.5).weights[1][0])[0]
        assert float(top) == pytest.approx(1.0, rel=0.1)  # twice the gain, Marchenko-Pastur edge


def test_feedback_is_drawn_at_the_size_of_the_weights():
    net = nets(width=200, gain=0.3)
    learner = Learner(net, "feedback", generator(3))
    for B, W in zip(learner.feedback, net.weights, strict=True):
        assert B.shape == W.shape and not torch.equal(B, W)
        assert float(B.std() / W.std()) == pytest.approx(1, abs=0.05)  # 1600 entries or more


def test_align_zero_reads_the_first_activities_and_the_error_of_now():
    net, (x, y) = nets(), data()
    learner = Learner(net, "align_zero")
    for _ in range(3):
        learner.step(x, y, 0.5)
    error = (net.outputs(x) - y) * net.mask[..., None, None] / (8 * len(x))  # eight trained routes
    E, S, _ = learner.initial
    second = x @ E.mT @ S.mT[:, None]
    expected = -torch.einsum("sijnc,sinh->sjch", error, second)
    assert (learner.changes(x, y)[0][2] - expected).abs().max() < 1e-14


def test_untrained_pathways_without_shared_domains_stay_put_under_readout():
    mask = np.eye(4, dtype=bool)
    mask[3] = False
    net, (x, y) = nets(mask=mask), data()
    before = net.maps()[:, :, 3]
    Learner(net, "readout").step(x, y, 0.5)
    assert torch.equal(before, net.maps()[:, :, 3])


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="^mask needs at least one trained route"):
        nets(mask=np.zeros((2, 2)))
    with pytest.raises(ValueError, match="gain"):
        nets(gain=0.0)
    with pytest.raises(ValueError, match="^x needs shape"):
        nets().outputs(torch.ones(2, 3).double())
    with pytest.raises(ValueError, match="rule needs one of"):
        Learner(nets(), "direct_feedback", generator())
    with pytest.raises(ValueError, match="gain"):
        nets(gain=float("inf"))
    net = nets()
    x = torch.eye(net.weights[0].shape[3]).double()
    with pytest.raises(ValueError, match="^y needs shape"):
        net.route_losses(x, x[0, :1])

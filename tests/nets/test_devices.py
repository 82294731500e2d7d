import numpy as np
import pytest
import torch

from gdln.nets import devices, training
from gdln.nets.mlp import MLP
from tests.pretend import CARD, pretended


def seeded(device="cpu"):
    return torch.Generator(device).manual_seed(3)


def make(device="cpu"):
    return MLP([3, 8, 2], "tanh", generator=seeded(), device=device)


def test_a_seed_draws_the_same_numbers_for_every_device():
    shape = (2, 3)
    here = devices.normal(shape, seeded(), torch.float64, torch.device("cpu"))
    with pretended() as card:
        there = devices.normal(shape, seeded(), torch.float64, card)
    assert there.device == CARD and torch.equal(there.cpu(), here)
    assert torch.equal(here, torch.randn(2, 3, generator=seeded(), dtype=torch.float64))


def test_a_network_moves_where_it_is_told_and_else_stays():
    with pretended() as card:
        net = make()
        assert devices.settled(net, None).type == "cpu"
        assert devices.settled(net, card) == CARD == devices.settled(net, None)
        assert {p.device for p in net.parameters()} == {CARD}
    assert devices.settled(torch.nn.Identity(), None).type == "cpu"


def test_data_keep_their_structure_and_are_copied_only_to_another_device():
    x = torch.ones(2)
    data = {"a": x, "b": (x, [x])}
    same = devices.moved(data, torch.device("cpu"))
    assert same["a"] is x and type(same["b"]) is tuple and type(same["b"][1]) is list
    with pretended() as card:
        apart = devices.moved(data, card)
    assert apart["a"].device == apart["b"][1][0].device == CARD and x.device.type == "cpu"


def test_training_goes_where_the_network_lies_and_takes_it_along_where_a_device_is_given():
    X, Y = (torch.randn(5, n, generator=seeded(), dtype=torch.float64) for n in (3, 2))
    expected = training.gradient_descent(make(), "squared", X, Y, lr=0.1, n_steps=3).loss
    with pretended() as card:
        there, here = make(card), make()
        runs = [training.gradient_descent(there, "squared", X, Y, lr=0.1, n_steps=3)]
        runs += [training.gradient_descent(here, "squared", X, Y, lr=0.1, n_steps=3, device=card)]
        assert {p.device for net in (there, here) for p in net.parameters()} == {CARD}
        members = [make(card), make()]  # the first says where
        runs += [training.ensemble(members, "squared", X, Y, lr=0.1, n_steps=3)]
        assert {p.device for net in members for p in net.parameters()} == {CARD}
    for run in runs:
        np.testing.assert_allclose(np.atleast_2d(run.loss)[-1], expected, rtol=1e-12)


def test_the_pretended_card_refuses_what_a_card_refuses():
    with pretended() as card:
        x, y = torch.ones(3, device=card), torch.ones(3)
        with pytest.raises(RuntimeError, match="two devices"):
            x + y
        with pytest.raises(RuntimeError, match="two devices"):
            torch.stack([y, x])
        with pytest.raises((RuntimeError, TypeError)):
            x.numpy()
        with pytest.raises(RuntimeError, match="generator lies on cpu"):
            torch.randn(3, generator=seeded(), device=card)
        assert (x + 1.0).cpu().tolist() == [2.0] * 3 and y.to(card).device == CARD


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a card")
def test_a_generator_on_the_card_draws_there():
    card = torch.device("cuda")
    drawn = devices.normal((1000,), seeded("cuda"), torch.float32, card)
    assert drawn.device.type == "cuda" and abs(float(drawn.mean())) < 0.2
    assert MLP([3, 8, 2], generator=seeded("cuda")).weights[0].device.type == "cpu"

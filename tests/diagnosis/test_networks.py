"""A module as a function of its trained parameters: what is taken, what is refused, and with which words."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call, jacrev

from gdln.diagnosis import known
from gdln.diagnosis.networks import Network, flat, pair


def normal(*shape, seed=0, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def small(seed=0, widths=(3, 5, 2), activation="tanh"):
    return known.perceptron(list(widths), activation, generator=torch.Generator().manual_seed(seed))


def filled(module, seed=0, dtype=torch.float64):
    """A module with its parameters drawn anew, since torch's own start comes from a global state."""
    generator = torch.Generator().manual_seed(seed)
    module = module.to(dtype)
    with torch.no_grad():
        for p in module.parameters():
            p.copy_(0.5 * torch.randn(p.shape, generator=generator, dtype=dtype))
    return module


class Recurrent(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.cell, self.out = getattr(nn, kind)(3, 4, batch_first=True), nn.Linear(4, 2)

    def forward(self, x):
        return self.out(self.cell(x)[0][:, -1])


class Tied(nn.Module):
    """One matrix, used twice and transposed."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False)
        self.second.weight = self.first.weight

    def forward(self, x):
        return self.second(torch.tanh(self.first(x)))


def full_jacobian(model, X):
    """The whole Jacobian in one call of torch.func, as the reference."""
    values = {n: p.detach() for n, p in model.named_parameters() if p.requires_grad}
    rows = jacrev(lambda v: functional_call(model, v, (X,)).reshape(len(X), -1))(values)
    return torch.cat([rows[n].flatten(2) for n in values], dim=2)


MODELS = {
    "perceptron": (lambda: small(), (6, 3)),
    "biases": (lambda: filled(nn.Sequential(nn.Linear(3, 4), nn.GELU(), nn.Linear(4, 2))), (6, 3)),
    "tied": (lambda: filled(Tied()), (6, 3)),
    "convolutional": (
        lambda: known.convolutional(3, 2, generator=torch.Generator().manual_seed(0)),
        (5, 1, 6, 6),
    ),
    "batch norm": (
        lambda: filled(
            nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Linear(48, 2))
        ).eval(),
        (5, 1, 6, 6),
    ),
    "scripted": (
        lambda: torch.jit.script(filled(nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)))),
        (6, 3),
    ),
    "LSTM": (lambda: filled(Recurrent("LSTM")), (4, 5, 3)),
    "GRU": (lambda: filled(Recurrent("GRU")), (4, 5, 3)),
    "attention": (
        lambda: filled(
            nn.Sequential(
                nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0, batch_first=True),
                nn.Flatten(),
                nn.Linear(12, 2),
            )
        ).eval(),
        (4, 3, 4),
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_rows_of_the_jacobian_are_those_of_torch_at_once(name):
    make, shape = MODELS[name]
    model, X = make(), normal(*shape, seed=1)
    rows = torch.cat(Network(model).jacobian(X), dim=2)
    if name == "scripted":  # torch.func refuses it: the same weights in a module that it takes
        plain = filled(nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)))
        assert (rows - full_jacobian(plain, X)).abs().max() < 1e-10
    else:
        assert (rows - full_jacobian(model, X)).abs().max() < 1e-10
    summed = torch.cat(Network(model).jacobian(X, summed=True), dim=2)
    assert (summed[:, 0] - rows.sum(1)).abs().max() < 1e-10


@pytest.mark.parametrize("name", MODELS)
def test_the_backward_and_the_directional_derivative_are_products_with_the_jacobian(name):
    make, shape = MODELS[name]
    network, X = Network(make()), normal(*shape, seed=1)
    rows = torch.cat(network.jacobian(X), dim=2)
    w = normal(len(X), rows.shape[1], seed=2)
    pulled = torch.cat([g.flatten() for g in network.pull(X, w)])
    assert (pulled - torch.einsum("nc,ncp->p", w, rows)).abs().max() < 1e-10
    changes = [normal(*p.shape, seed=3) for p in network.parameters]
    pushed = network.push(X, changes)
    assert (pushed - rows @ torch.cat([c.flatten() for c in changes])).abs().max() < 1e-10


def test_a_parameter_that_is_used_twice_counts_once_and_a_frozen_one_not_at_all():
    tied = Network(filled(Tied()))
    assert (tied.names, tied.n_parameters) == (("first.weight",), 9)
    net = small()
    net[0].requires_grad_(False)
    network = Network(net)
    assert (network.n_parameters, network.n_frozen) == (10, 15)
    assert [r.shape[2] for r in network.jacobian(normal(4, 3))] == [10]


def test_nothing_is_changed_by_any_measurement():
    model = filled(nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Linear(4, 1))).eval()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    network, X = Network(model), normal(5, 3)
    network.steady(X), network.outputs(X), network.jacobian(X), network.pull(X, normal(5, 1))
    network.push(X, [torch.ones_like(p) for p in network.parameters])
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters()) and not model.training


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: nn.Sequential(nn.ReLU()), "nothing is trained"),
        (lambda: small().requires_grad_(False), "nothing is trained"),
        (
            lambda: nn.Sequential(nn.Linear(3, 2), nn.Dropout(0.5)).train(),
            "Dropout in training mode, which draws anew",
        ),
        (lambda: nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)).train(), "mixes the samples of a batch"),
        (lambda: nn.Linear(3, 2).half(), "float32 or float64"),
        (lambda: nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 2).double()), "of one type"),
    ],
)
def test_what_cannot_be_diagnosed_is_refused_in_words(make, words):
    with pytest.raises((TypeError, ValueError), match=words):
        Network(make())


def test_weights_that_are_not_finite_are_named():
    net = small()
    with torch.no_grad():
        net[2].layer.weight[0, 0] = np.nan
    with pytest.raises(ValueError, match=r"NaN or infinity in 2\.layer\.weight"):
        Network(net)


def test_dropout_of_probability_zero_and_in_evaluation_mode_is_no_chance():
    Network(nn.Sequential(nn.Linear(3, 2), nn.Dropout(0.0)).train())
    Network(nn.Sequential(nn.Linear(3, 2), nn.Dropout(0.5)).eval()).steady(normal(4, 3))


class Noisy(nn.Linear):
    def forward(self, x):
        return super().forward(x) + torch.rand(())


class Contrast(nn.Linear):
    def forward(self, x):
        return super().forward(x - x.mean(0))


class Pair(nn.Linear):
    def forward(self, x):
        return super().forward(x), x


class Summed(nn.Linear):
    def forward(self, x):
        return super().forward(x).sum()


@pytest.mark.parametrize(
    "kind, words",
    [
        (Noisy, "the same outputs at every call"),
        (Contrast, "other samples"),
        (Pair, "one tensor"),
        (Summed, "one row"),
    ],
)
def test_outputs_that_are_no_function_of_a_sample_are_refused(kind, words):
    with pytest.raises((TypeError, ValueError), match=words):
        Network(kind(3, 2)).steady(normal(4, 3))


def test_inputs_take_the_type_of_the_weights_and_stay_whole_for_embeddings():
    single = Network(nn.Linear(3, 2))
    assert single.inputs("X", np.ones((2, 3))).dtype == torch.float32
    tokens = Network(nn.Sequential(nn.Embedding(7, 3), nn.Flatten(), nn.Linear(6, 1)))
    X = tokens.inputs("X", [[1, 2], [3, 4]])
    assert X.dtype == torch.int64 and tokens.outputs(X).shape == (2, 1)
    assert [r.shape for r in tokens.jacobian(X)] == [(2, 1, 21), (2, 1, 6), (2, 1, 1)]


def test_inputs_that_the_model_does_not_take_end_in_one_sentence():
    with pytest.raises(ValueError, match=r"X needs a batch that the model takes, got shape \(4, 5\)"):
        Network(small()).outputs(normal(4, 5))


def test_two_checkpoints_need_the_same_trained_parameters():
    first, last = pair(small(), small(seed=1))
    assert first.names == last.names
    with pytest.raises(ValueError, match=r"trained needs .*\(6, 3\).* where .*\(5, 3\)"):
        pair(small(), small(widths=(3, 6, 2)))
    frozen = small()
    frozen[0].requires_grad_(False)
    with pytest.raises(ValueError, match="got none where"):
        pair(small(), frozen)


def test_all_parameters_in_one_vector_are_in_the_order_of_their_names():
    net = small()
    assert np.array_equal(flat(net), np.concatenate([p.detach().numpy().ravel() for p in net.parameters()]))

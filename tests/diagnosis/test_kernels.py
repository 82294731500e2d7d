"""Kernels in blocks against the whole Jacobian, against the library's own tangent kernel, and how they move."""

import numpy as np
import pytest
import torch
from torch import nn

from gdln.diagnosis import kernels, known
from gdln.diagnosis.networks import Network
from gdln.kernels.tangent import empirical_ntk
from tests.diagnosis.test_networks import MODELS, filled, full_jacobian, normal, small


@pytest.mark.parametrize("name", [name for name in MODELS if name != "scripted"])
@pytest.mark.parametrize("memory", [1e9, 1.0, 4e4])
def test_the_kernel_in_blocks_is_that_of_the_whole_jacobian(name, memory):
    make, shape = MODELS[name]
    model, X = make(), normal(*shape, seed=1)
    J = full_jacobian(model, X)
    K = torch.einsum("icp,jdp->icjd", J, J)
    size = K.abs().max()
    found = kernels.tangent_kernel(model, X, memory=memory)
    assert (found - K).abs().max() < 1e-10 * size
    assert torch.equal(found, found.permute(2, 3, 0, 1))
    trace = kernels.tangent_kernel(model, X, outputs="trace", memory=memory)
    assert (trace - torch.einsum("icjc->ij", K)).abs().max() < 1e-10 * size
    summed = kernels.tangent_kernel(model, X, outputs="sum", memory=memory)
    assert (summed - K.sum((1, 3))).abs().max() < 1e-10 * size


@pytest.mark.parametrize(("rows", "held", "chunk"), [(1e6, 20, 20), (30, 18, 3), (14, 8, 1), (0.1, 1, 1)])
def test_the_jacobian_is_made_in_pieces_that_its_memory_holds(monkeypatch, rows, held, chunk):
    # six tenths hold rows that stay, and the rest a piece of them with three copies
    model, X = nn.Sequential(nn.Conv1d(1, 2, 3, dtype=torch.float64), nn.Flatten()), normal(20, 1, 3)
    made, jacobian = [], Network.jacobian

    def counted(self, X, *options):
        made.append(len(X))
        return jacobian(self, X, *options)

    monkeypatch.setattr(Network, "jacobian", counted)
    row = 2 * (2 * 3 + 2) * 8  # bytes of a sample: outputs, parameters, eight bytes a number
    kernels.tangent_kernel(model, X, memory=rows * row)
    assert max(made) == chunk
    # pieces of every block of held rows, and for each block all samples before it again
    blocks = [(i, min(i + held, 20)) for i in range(0, 20, held)]
    assert len(made) == sum(-(-(stop - i) // chunk) + -(-i // chunk) for i, stop in blocks)


def test_between_two_sets_the_kernel_is_a_part_of_that_of_their_union():
    net, X = small(), normal(9, 3)
    whole = kernels.tangent_kernel(net, X)
    for memory in (1e9, 1.0):
        part = kernels.tangent_kernel(net, X[:4], X[4:], memory=memory)
        assert (part - whole[:4, :, 4:]).abs().max() < 1e-12


@pytest.mark.parametrize("activation, gain", [("relu", 2**0.5), ("erf", 1.3), ("linear", 1.0)])
def test_the_kernel_is_the_tangent_kernel_of_the_library(activation, gain):
    net = known.perceptron([3, 7, 5, 2], activation, generator=torch.Generator().manual_seed(3), gain=gain)
    weights = [p.detach().numpy() for p in net.parameters()]
    X = normal(6, 3).numpy()
    told = empirical_ntk(
        weights, [np.zeros(len(W)) for W in weights], X, activation=activation, W_std=gain, b_std=0.0
    )
    assert np.abs(kernels.tangent_kernel(net, X).numpy() - told).max() < 1e-10


def test_single_precision_agrees_with_double_to_its_own_rounding():
    double = small(widths=(3, 40, 2))
    single = small(widths=(3, 40, 2)).float()
    X = normal(8, 3)
    K, L = kernels.tangent_kernel(double, X), kernels.tangent_kernel(single, X)
    assert L.dtype == torch.float32
    assert (K - L).abs().max() < 1e-5 * K.abs().max()


def test_one_linear_layer_has_the_gram_matrix_of_its_inputs():
    X = normal(5, 3)
    line = nn.Linear(3, 1, bias=False, dtype=torch.float64)
    assert torch.allclose(kernels.tangent_kernel(line, X)[:, 0, :, 0], X @ X.mT, atol=1e-12, rtol=0)
    assert kernels.tangent_kernel(line, X[:1]).shape == (1, 1, 1, 1)


def test_frozen_layers_do_not_enter():
    net, X = small(activation="relu"), normal(5, 3)
    net[0].requires_grad_(False)
    phi = net[:2](X) / 5**0.5
    K = kernels.tangent_kernel(net, X)[:, 0, :, 0]
    assert (K - 2 * (phi @ phi.mT).detach()).abs().max() < 1e-12  # the read-out's gain squared is 2


def test_movement_is_relative_and_alignment_forgets_the_scale():
    K = kernels.tangent_kernel(small(), normal(6, 3)).numpy()
    assert kernels.movement(K, K) == 0
    assert abs(kernels.movement(K, 4 * K) - 3) < 1e-12
    assert abs(kernels.centred_alignment(K, 7 * K + 2) - 1) < 1e-12
    other = kernels.tangent_kernel(small(seed=5), normal(6, 3)).numpy()
    assert kernels.centred_alignment(K, other) == pytest.approx(
        kernels.centred_alignment(other, K), rel=1e-12
    )
    assert kernels.centred_alignment(K, other) < 0.9999
    for tiny in (1e-200, 1e200):
        assert abs(kernels.centred_alignment(K, tiny * other) - kernels.centred_alignment(K, other)) < 1e-9


def test_a_kernel_without_size_or_variation_is_refused():
    with pytest.raises(ValueError, match="not zero"):
        kernels.movement(np.zeros((2, 2)), np.eye(2))
    with pytest.raises(ValueError, match="after needs a kernel that is not constant"):
        kernels.centred_alignment(np.eye(3), np.ones((3, 3)))


def test_features_are_the_inputs_of_the_layers():
    net, X = small(widths=(3, 5, 4, 1)), normal(300, 3)  # more than one batch
    phi = kernels.features(net, X)
    assert list(phi) == ["0.layer", "2.layer", "4.layer"]
    assert torch.equal(phi["0.layer"], X) and (phi["4.layer"] - net[:4](X)).abs().max() < 1e-12
    gram = kernels.feature_kernels(net, X)["2.layer"]
    assert (gram - net[:2](X) @ net[:2](X).mT).abs().max() < 1e-10


def test_a_layer_that_is_used_twice_has_its_inputs_side_by_side_and_leaves_no_hook():
    net, X = filled(Twice()), normal(4, 3)
    assert kernels.features(net, X)["layer"].shape == (4, 6)
    assert not net.layer._forward_pre_hooks
    assert kernels.features(torch.jit.script(net), X) == {}


class Twice(nn.Module):
    """One layer, called twice."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 3)

    def forward(self, x):
        return self.layer(torch.tanh(self.layer(x)))


class Named(nn.Module):
    """Layers that are called without a tensor in the first place: by name, and with a list."""

    def __init__(self):
        super().__init__()
        self.inner, self.layer, self.out = Listed(), nn.Linear(3, 3), nn.Linear(3, 2)

    def forward(self, x):
        return self.out(self.layer(input=self.inner([x, x])))


class Listed(nn.Module):
    """A sum of a list times a number."""

    def __init__(self):
        super().__init__()
        self.size = nn.Parameter(torch.ones(()))

    def forward(self, parts):
        return self.size * sum(parts)


def test_layers_called_by_name_or_with_a_list_are_not_heard_and_no_trouble():
    assert list(kernels.features(filled(Named()), normal(4, 3))) == ["out"]


class Besides(nn.Module):
    """A layer that is called once, and whose weight does something else as well."""

    def __init__(self):
        super().__init__()
        self.layer, self.out = nn.Linear(3, 3), nn.Linear(3, 2)

    def forward(self, x):
        return self.out(torch.tanh(self.layer(x))) + (x @ self.layer.weight)[:, :2]


class Sequence(nn.Module):
    """A layer that sees several vectors of a sample."""

    def __init__(self):
        super().__init__()
        self.layer, self.out = nn.Linear(3, 4), nn.Linear(8, 2)

    def forward(self, x):
        return self.out(torch.relu(self.layer(torch.stack([x, x.flip(1)], 1))).flatten(1))


@pytest.mark.parametrize(
    "kind, dense", [(Twice, ()), (Besides, ("out",)), (Sequence, ("out",)), (lambda: nn.Linear(3, 2), ("",))]
)
@pytest.mark.parametrize("outputs", ["all", "trace", "sum"])
def test_only_layers_whose_rows_are_outer_products_are_multiplied_as_such(kind, dense, outputs):
    model, X = filled(kind()), normal(7, 3)
    assert Network(model).dense(X) == dense
    J = full_jacobian(model, X)
    J = J.sum(1, keepdim=True) if outputs == "sum" else J
    told = torch.einsum("icp,jdp->icjd", J, J)
    told = told if outputs == "all" else torch.einsum("icjc->ij", told)
    for memory in (1e9, 1.0):
        assert (kernels.tangent_kernel(model, X, outputs=outputs, memory=memory) - told).abs().max() < 1e-10


def test_a_frozen_bias_or_weight_of_a_linear_layer_is_left_out():
    for frozen in ("weight", "bias"):
        model, X = filled(nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))), normal(5, 3)
        getattr(model[0], frozen).requires_grad_(False)
        J = full_jacobian(model, X)
        told = torch.einsum("icp,jdp->icjd", J, J)
        assert (kernels.tangent_kernel(model, X) - told).abs().max() < 1e-10


@pytest.mark.parametrize("scale", [1e-200, 1e300])
def test_movement_does_not_depend_on_the_unit_of_the_kernel(scale):
    before, after = np.random.default_rng(0).standard_normal((2, 5, 5))
    wanted = np.linalg.norm(after - before) / np.linalg.norm(before)
    assert kernels.movement(scale * before, scale * after) == pytest.approx(wanted, rel=1e-12)


def test_a_movement_beyond_float64_is_refused():
    with pytest.raises(ValueError, match="before, after"):
        kernels.movement(1e-200 * np.eye(2), 1e200 * np.eye(2))

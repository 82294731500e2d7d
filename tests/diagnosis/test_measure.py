"""All of it on networks of known regime and on odd ones; checkpoints in every form say the same."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from gdln.diagnosis import bayes, kernels, known, layers, linearisation, modes
from gdln.diagnosis.measure import diagnose
from gdln.diagnosis.networks import flat
from gdln.kernels.moments import FullyConnected
from tests.diagnosis.test_networks import Recurrent, filled, normal, small


@pytest.fixture(scope="module")
def digits():
    return known.parity_digits(40, 30, np.random.default_rng(5))


def diagnosed(model, run, X, Y, X_test, **options):
    return diagnose(
        model, run.checkpoints, (X, Y), rng=np.random.default_rng(0), test=X_test, lr=run.lr, **options
    )


@pytest.mark.parametrize("scale, kind", [(30.0, "lazy"), (0.1, "rich")])
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_networks_of_known_regime_are_told(digits, scale, kind, activation):
    X, y, X_test, _ = digits
    net = known.perceptron([64, 128, 1], activation, generator=torch.Generator().manual_seed(7))
    model = known.Centred(net, scale)
    found = diagnosed(model, known.descend(model, X, y), X, y, X_test)
    m = found.measures
    if kind == "lazy":
        assert found.verdict.kind == "lazy" and m["smallest_cosine"] > 0.95
    else:
        assert found.verdict.kind != "lazy" and m["movement"] > 0.5 and m["smallest_cosine"] < 0.9
    assert abs(m["sharpness_start"] - 0.5) < 1e-6


def test_numbers_are_those_of_the_functions(digits):
    X, y, X_test, _ = digits
    model = known.perceptron([64, 20, 1], generator=torch.Generator().manual_seed(0))
    run = known.descend(model, X, y, stop=0.1)
    found, last = diagnosed(model, run, X, y, X_test), run.checkpoints[-1][1]
    m = found.measures
    assert m["weight_gap"] == linearisation.weight_gap(model, last, X_test)
    before, after = (kernels.tangent_kernel(k, X).numpy() for k in (model, last))
    assert m["movement"] == pytest.approx(kernels.movement(before, after), rel=1e-12)
    cross = kernels.tangent_kernel(model, X_test, X).numpy()
    lin = linearisation.train_linearised(
        before, cross, model(X).detach().numpy(), model(X_test).detach().numpy(), y.numpy(),
        time=run.checkpoints[-1][0],
    )  # fmt: skip
    gap = linearisation.linearised_gap(
        last(X_test).detach().numpy(), lin.test_outputs, model(X_test).detach().numpy()
    )
    assert m["trained_gap"] == pytest.approx(gap, rel=1e-9)
    assert m["samples_per_unit"] == 2.0


def test_checkpoints_may_be_modules_states_or_a_function_that_yields():
    X, Y, X_test = normal(8, 3), normal(8, 1, seed=1), normal(5, 3, seed=2)
    model = small(widths=(3, 12, 1))

    def train(net):
        optimiser = torch.optim.SGD(net.parameters(), lr=0.05)
        for step in range(1, 13):
            optimiser.zero_grad()
            (0.5 * (net(X) - Y).square().sum() / 8).backward()
            optimiser.step()
            yield 0.05 * step

    def options():
        return dict(rng=np.random.default_rng(0), test=X_test, lr=0.05)

    learner, states, modules = copy.deepcopy(model), [], []
    for time in train(learner):
        states.append((time, copy.deepcopy(learner.state_dict())))
        modules.append((time, copy.deepcopy(learner)))
    told = [diagnose(model, way, (X, Y), **options()).measures for way in (train, states, modules)]
    assert told[0] == told[1] == told[2]
    assert told[0]["smallest_cosine"] > 0.9
    started = diagnose(model, [(0.0, model.state_dict()), *states], (X, Y), **options()).measures
    assert started == told[0]


def test_a_function_that_only_trains_is_compared_at_the_same_loss_and_says_what_is_missing():
    X, Y, X_test = normal(8, 3), normal(8, 1, seed=1), normal(5, 3, seed=2)
    model = small(widths=(3, 12, 1))

    def train(net):
        optimiser = torch.optim.Adam(net.parameters(), lr=0.01)
        for _ in range(30):
            optimiser.zero_grad()
            (net(X) - Y).square().mean().backward()
            optimiser.step()

    before = copy.deepcopy(model.state_dict())
    found = diagnose(model, train, (X, Y), rng=np.random.default_rng(0), test=X_test)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert {"smallest_cosine", "drift", "sharpness_end"} <= set(found.missing)
    assert "trained_gap" in found.measures and any("same loss" in note for note in found.notes)
    blind = diagnose(model, train, (X, Y), rng=np.random.default_rng(0))
    assert "test inputs" in blind.missing["trained_gap"] and "weight_gap" in blind.measures


def test_a_recurrent_network_with_classes_in_single_precision():
    model = filled(Recurrent("LSTM"), dtype=torch.float32)
    X, labels = normal(10, 5, 3, dtype=torch.float32), torch.tensor([0, 1] * 5)
    run = known.descend(model, X, labels, loss="cross_entropy", lr=0.5, n_steps=30, stop=0.3)
    found = diagnosed(
        model, run, X, labels, normal(6, 5, 3, seed=3, dtype=torch.float32), loss="cross_entropy"
    )
    assert found.facts["dtype"] == "float32" and {"movement", "trained_gap"} <= set(found.measures)
    assert [layer.name for layer in found.layers][-1] == "out.weight"


def test_batch_normalisation_in_evaluation_mode_and_many_outputs():
    net = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Linear(48, 5))
    model = filled(net).eval()
    X, Y = normal(9, 1, 6, 6), normal(9, 5, seed=1)
    run = known.descend(model, X, Y, n_steps=40, stop=0.2)
    found = diagnosed(model, run, X, Y, normal(4, 1, 6, 6, seed=2))
    assert found.facts["n_outputs"] == 5 and "made for at most 3" in found.missing["sharpness_start"]
    assert list(found.features) == ["0", "1", "4"] and found.features["0"] == 0


def descended(model, rate, *, loss="squared", dtype=torch.float64, n_steps=60, unit=1.0):
    """The diagnosis of gradient descent at a rate in units of one over the largest eigenvalue at the start."""
    X = normal(8, 3, dtype=dtype)
    Y = unit * normal(8, model[-1].out_features, seed=1, dtype=dtype)
    Y, miss = (
        (Y.argmax(1), nn.functional.cross_entropy)
        if loss == "cross_entropy"
        else (Y, lambda F, Y: (F - Y).square().sum() / 16)
    )
    lr = rate * known.descend(model, X, Y, loss=loss, share=1.0, n_steps=1).lr

    def train(net):
        optimiser = torch.optim.SGD(net.parameters(), lr=lr)
        for step in range(1, n_steps + 1):
            optimiser.zero_grad()
            miss(net(X), Y).backward()
            optimiser.step()
            if step % (n_steps // 20) == 0:
                yield lr * step

    return diagnose(model, train, (X, Y), rng=np.random.default_rng(0), loss=loss, lr=lr)


@pytest.mark.parametrize("loss, rate", [("squared", 3.5), ("cross_entropy", 30.0)])
@pytest.mark.parametrize("n_outputs", [2, 3, 4, 10])
def test_a_loss_that_rises_between_checkpoints_is_warned_of_with_any_number_of_outputs(n_outputs, loss, rate):
    model = filled(nn.Sequential(nn.Linear(3, 9), nn.Tanh(), nn.Linear(9, n_outputs)))
    calm, wild = (descended(model, rate, loss=loss) for rate in (0.2, rate))
    assert (np.diff(calm.losses) <= 0).all() and not any("loss rises" in note for note in calm.notes)
    rises = np.diff(wild.losses)
    (note,) = (note for note in wild.notes if "loss rises" in note)
    k = rises.argmax()
    assert f"at most from {wild.losses[k]:.3g} to {wild.losses[k + 1]:.3g}" in note
    assert f"{(rises > 0).sum()} of 20 neighbouring" in note and note in " ".join(str(wild).split())


@pytest.mark.parametrize("unit", [1e-4, 1.0, 1e4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("n_outputs", [1, 5])
def test_rounding_at_the_end_of_a_descent_is_no_rise(n_outputs, dtype, unit):
    found = descended(
        nn.Sequential(filled(nn.Linear(3, n_outputs), dtype=dtype)), 1.0, dtype=dtype, n_steps=600, unit=unit
    )
    assert np.ptp(found.losses[-3:]) < 1e-5 * found.losses[-1]
    assert not any("loss rises" in note for note in found.notes)


def test_a_rise_by_half_is_not_called_a_fall():
    model, X, Y = small(widths=(3, 6, 4)), normal(6, 3), normal(6, 4, seed=1)
    ahead = known.descend(model, X, Y, n_steps=60, stop=0)
    back = [(float(k), net) for k, (_, net) in enumerate(reversed(ahead.checkpoints), 1)]
    notes = diagnose(ahead.checkpoints[-1][1], back[-8:], (X, Y), rng=np.random.default_rng(0)).notes
    assert not any("falls by half" in note for note in notes)
    assert any("loss rises between 8 of 8" in note for note in notes)


def test_one_layer_and_a_scalar_without_an_axis_are_exactly_linear():
    class Line(nn.Linear):
        def forward(self, x):
            return super().forward(x)[:, 0]

    model = filled(Line(3, 1))
    X, y = normal(6, 3), normal(6, seed=1)

    def train(net):
        for step in range(10):
            grads = torch.autograd.grad(0.5 * (net(X) - y).square().mean(), list(net.parameters()))
            with torch.no_grad():
                for p, g in zip(net.parameters(), grads, strict=True):
                    p.sub_(g, alpha=0.1)
            yield 0.1 * (step + 1)

    found = diagnose(model, train, (X, y), rng=np.random.default_rng(0), lr=0.1)
    m = found.measures
    assert m["movement"] == 0 and m["weight_gap"] < 1e-12 and m["smallest_cosine"] > 1 - 1e-12
    assert found.verdict.kind == "lazy" and not found.imbalance


@pytest.mark.parametrize(
    "n_outputs, every, summed", [(3, True, False), (4, False, False), (100, False, False), (101, False, True)]
)
def test_few_outputs_enter_one_by_one_more_with_themselves_and_many_by_their_sum(n_outputs, every, summed):
    pair = [small(widths=(3, 4, n_outputs), seed=k) for k in (0, 1)]
    data = normal(6, 3), normal(6, n_outputs, seed=1)
    found = diagnose(pair[0], pair[1:], data, rng=np.random.default_rng(0), lr=0.1)
    assert ("sharpness_start" in found.measures) == every
    assert any("is that of their sum" in note for note in found.notes) == summed


def test_a_run_needs_eight_records_for_its_layers_and_no_rate_means_a_flow():
    models, X, Y = [small(widths=(3, 4, 1), seed=k) for k in range(9)], normal(6, 3), normal(6, 1, seed=1)
    run = [(float(k), net) for k, net in enumerate(models)][1:]
    short = diagnose(models[0], run[:6], (X, Y), rng=np.random.default_rng(0))
    assert "needs at least 8 checkpoints" in short.missing["smallest_cosine"] and not short.layers
    found = diagnose(models[0], run[:7], (X, Y), rng=np.random.default_rng(0))
    errors = np.stack([(net(X) - Y).detach().numpy() for net in models[:8]])
    E = layers.integrated_error(errors, np.arange(8.0))
    told = layers.layer_changes(models[0], models[7], X, E, rng=np.random.default_rng(0))
    assert [layer.cosine for layer in found.layers] == pytest.approx(
        [layer.cosine for layer in told], rel=1e-12
    )
    kernels_of = [kernels.feature_kernels(net, X) for net in (models[0], models[7])]
    assert found.features == {
        name: kernels.movement(*(k[name].detach().numpy() for k in kernels_of)) for name in found.features
    }


@pytest.mark.parametrize("size", [1.0, 1e3])
def test_modes_of_classes_are_those_of_probabilities_however_large_the_outputs(size):
    pair, X, labels = [small(widths=(3, 4, 2), seed=k) for k in (0, 1)], normal(8, 3), np.array([0, 1] * 4)
    for net in pair:
        net[-1].layer.weight.data *= size
    found = diagnose(pair[0], pair[1:], (X, labels), rng=np.random.default_rng(0), loss="cross_entropy")
    outputs = torch.stack([torch.softmax(net(X), dim=1) for net in pair]).detach().numpy()
    told = modes.mode_course(X.numpy(), np.eye(2)[labels], outputs, [0.0, 1.0])
    np.testing.assert_allclose(found.course.strength, told.strength, rtol=1e-9)


def test_the_gaps_to_the_limit_of_infinite_width_are_relative_to_it():
    X, Y, X_test = normal(4, 3), normal(4, 1, seed=1), normal(5, 3, seed=2)
    pair, limit = [small(widths=(3, 9, 1), seed=k) for k in (0, 1)], FullyConnected(1, "relu")
    found = diagnose(
        pair[0], pair[1:], (X, Y), rng=np.random.default_rng(0), test=X_test, infinite=limit, temperature=0.3
    )
    told = bayes.infinite_width(limit, X.numpy(), Y.numpy(), X_test.numpy(), temperature=0.3)
    for name in ("nngp", "ntk"):
        away = np.linalg.norm(pair[1](X_test).detach().numpy() - told[name])
        assert found.measures[f"{name}_gap"] == pytest.approx(away / np.linalg.norm(told[name]), rel=1e-9)


def test_the_distance_from_the_process_is_that_of_two_halves_of_the_second_half_of_a_chain():
    models, X, Y = [small(widths=(3, 9, 1), seed=k) for k in range(13)], normal(4, 3), normal(4, 1, seed=1)
    limit = FullyConnected(1, "relu")
    found = diagnose(
        models[0], models[1:], (X, Y), rng=np.random.default_rng(0), infinite=limit, temperature=0.3
    )
    told = bayes.infinite_width(limit, X.numpy(), Y.numpy(), X.numpy(), temperature=0.3)["nngp"]
    outputs = np.stack([net(X).detach().numpy() for net in models[6:]])
    expected = bayes.process_distance(outputs[:3].mean(axis=0), outputs[3:].mean(axis=0), told)
    assert found.measures["process"] == pytest.approx(expected, rel=1e-9)


def test_the_middle_of_a_run_is_where_half_of_its_time_is_over():
    models, X, Y = [small(widths=(3, 4, 1), seed=k) for k in range(10)], normal(6, 3), normal(6, 1, seed=1)
    times = [1.0, 2, 3, 4, 5, 6, 14, 19, 40]  # from the first model at zero: half is at 20, and at record 8
    runs = {8: list(zip(times, models[1:], strict=True)), 4: models[1:]}
    for middle, run in runs.items():
        found = diagnose(models[0], run, (X, Y), rng=np.random.default_rng(0)).measures
        assert found["drift"] == bayes.drift(flat(models[-1]), flat(models[middle]))
        assert found["memory"] == bayes.memory(flat(models[-1]), flat(models[0]))
    few = diagnose(models[0], models[1:7], (X, Y), rng=np.random.default_rng(0))
    assert "needs 8 checkpoints" in few.missing["drift"]


def test_two_probes_have_no_alignment_and_parameters_without_layers_no_features():
    class Bare(nn.Module):
        def __init__(self, size):
            super().__init__()
            self.weight = nn.Parameter(size * torch.ones(3, 1, dtype=torch.float64))

        def forward(self, x):
            return torch.tanh(x @ self.weight)

    X, Y, unheard = normal(6, 3), normal(6, 1, seed=1), "No layer could be listened to"
    bare = diagnose(Bare(1.0), [Bare(2.0)], (X, Y), rng=np.random.default_rng(0))
    assert not bare.features and any(unheard in note for note in bare.notes)
    for n_probe, told in ((2, False), (3, True)):
        pair = [small(widths=(3, 4, 1), seed=k) for k in (0, 1)]
        found = diagnose(pair[0], pair[1:], (X, Y), rng=np.random.default_rng(0), n_probe=n_probe)
        assert ("alignment" in found.measures) == told
        assert found.features and not any(unheard in note for note in found.notes)


def test_a_chain_of_samples_is_a_posterior_and_its_limit_is_named():
    X, Y = normal(4, 3), normal(4, 1, seed=1)
    model = known.perceptron([3, 60, 1], "linear", generator=torch.Generator().manual_seed(0), gain=1.0)
    drawn = known.langevin(
        model, X, Y, 0.5, lr=0.02, n_steps=4000, n_records=100, generator=torch.Generator().manual_seed(1)
    )
    limit = FullyConnected(1, "linear", 1.0, 0.0)
    found = diagnose(
        model, drawn, (X, Y), rng=np.random.default_rng(0), infinite=limit, temperature=0.5, sigma2=1.0
    )
    assert found.measures["drift"] > 0.5 and abs(found.measures["memory"]) < 0.3
    assert found.verdict.kind in ("gaussian_process", "renormalised")
    unsure = diagnose(model, drawn, (X, Y), rng=np.random.default_rng(0))
    assert unsure.verdict.kind == "posterior"
    assert abs(found.measures["readout_scale"] - 1) < 0.3


X, Y = normal(6, 3), normal(6, 2, seed=1)


def nan_checkpoint():
    broken = small()
    with torch.no_grad():
        broken[0].layer.weight.fill_(np.nan)
    return broken


@pytest.mark.parametrize(
    "model, train, data, words",
    [
        (nn.Sequential(nn.ReLU()), [small()], (X, Y), "nothing is trained"),
        (nan_checkpoint(), [small()], (X, Y), "NaN or infinity in 0.layer.weight"),
        (small(), [nan_checkpoint()], (X, Y), "at number 0: trained: .*NaN or infinity in 0.layer.weight"),
        (small(), [small(widths=(3, 6, 2))], (X, Y), "at number 0.*stands in '0.layer.weight'"),
        (
            small(),
            [small(widths=(3, 6, 2)).state_dict()],
            (X, Y),
            r"train\[0\] needs the parameters of the model",
        ),
        (small(), [{"other": torch.zeros(2)}], (X, Y), r"train\[0\] needs the parameters of the model"),
        (small(), [small()], (X, Y), "train needs to change the outputs"),
        (small(), [], (X, Y), "at least one checkpoint"),
        (small(), [small(seed=1)], X, "data needs a pair"),
        (small(), [small(seed=1)], (X * np.nan, Y), r"data\[0\] needs finite numbers"),
        (small(), [small(seed=1)], (X, Y * np.inf), r"data\[1\] needs finite numbers"),
        (small(), [small(seed=1)], (X, Y[:4]), r"data\[1\] needs shape \(6, 2\)"),
        (small(), [(2.0, small(seed=1)), (1.0, small(seed=2))], (X, Y), "times that do not decrease"),
    ],
)
def test_what_cannot_be_diagnosed_is_refused_in_one_sentence(model, train, data, words):
    with pytest.raises((TypeError, ValueError), match=words):
        diagnose(model, train, data, rng=np.random.default_rng(0))


def test_labels_outside_of_the_classes_are_refused():
    with pytest.raises(ValueError, match=r"data\[1\] needs"):
        diagnose(
            small(),
            [small(seed=1)],
            (X, [0, 1, 2, 0, 1, 0]),
            rng=np.random.default_rng(0),
            loss="cross_entropy",
        )
    scalar = small(widths=(3, 4, 1))
    with pytest.raises(ValueError, match="an output a class"):
        diagnose(
            scalar, [scalar], (X, [0, 1, 0, 0, 1, 0]), rng=np.random.default_rng(0), loss="cross_entropy"
        )

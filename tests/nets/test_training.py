import numpy as np
import pytest
import torch

from gdln.nets import training
from gdln.nets.mlp import MLP


def make(seed=0, widths=(3, 8, 2), activation="linear", gains=0.5):
    generator = torch.Generator().manual_seed(seed)
    return MLP(widths, activation, gains=gains, generator=generator)


@pytest.fixture
def data():
    generator = torch.Generator().manual_seed(7)
    X = torch.randn(20, 3, generator=generator, dtype=torch.float64)
    return X, X @ torch.randn(3, 2, generator=generator, dtype=torch.float64)


def test_gradient_descent_takes_the_steps_of_torch_sgd(data):
    X, Y = data
    ours, theirs = make(), make()
    training.gradient_descent(ours, "squared", X, Y, lr=0.05, n_steps=30, momentum=0.9)
    optimizer = torch.optim.SGD(theirs.parameters(), lr=0.05, momentum=0.9)
    for _ in range(30):
        optimizer.zero_grad()
        training.half_squared_error(theirs(X), Y).backward()
        optimizer.step()
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(p, q)


def test_gradient_descent_converges_to_the_flow_at_first_order(data):
    X, Y = data
    flow = training.gradient_flow(make(), "squared", X, Y, np.linspace(0, 2, 11))
    errors = []
    for n_steps in (100, 200):
        run = training.gradient_descent(make(), "squared", X, Y, 2 / n_steps, n_steps, n_steps // 10)
        np.testing.assert_allclose(run.times, flow.times, atol=1e-12)
        errors.append(np.abs(run.loss - flow.loss).max())
    assert 1.8 < errors[0] / errors[1] < 2.2


def test_the_flow_conserves_the_imbalance_of_a_linear_network(data):
    X, Y = data
    run = training.gradient_flow(make(), "squared", X, Y, [0.0, 1.0, 5.0], record=["weights"])
    W1, W2 = run.weights["weights.0"], run.weights["weights.1"]
    imbalance = W1 @ W1.transpose(0, 2, 1) - W2.transpose(0, 2, 1) @ W2
    np.testing.assert_allclose(imbalance, imbalance[:1].repeat(3, 0), atol=1e-8)


def test_an_ensemble_is_its_members_trained_one_by_one(data):
    X, Y = data
    kwargs = {
        "lr": 0.05,
        "n_steps": 25,
        "record_every": 10,
        "record": ["weights", "singular_values", "outputs"],
    }
    models = [make(s, activation="tanh") for s in range(4)]
    together = training.ensemble(models, "squared", X, Y, momentum=0.5, chunk_size=3, **kwargs)
    assert together.steps.tolist() == [0, 10, 20, 25]
    for s in range(4):
        net = make(s, activation="tanh")
        alone = training.gradient_descent(net, "squared", X, Y, momentum=0.5, **kwargs)
        np.testing.assert_allclose(together.loss[s], alone.loss, rtol=1e-10)
        np.testing.assert_allclose(together.outputs[s], alone.outputs, atol=1e-12)
        for name in alone.weights:
            np.testing.assert_allclose(together.weights[name][s], alone.weights[name], atol=1e-12)
            np.testing.assert_allclose(
                together.singular_values[name][s], alone.singular_values[name], atol=1e-12
            )
        torch.testing.assert_close(models[s](X), net(X))


def test_members_may_have_their_own_data(data):
    X, Y = data
    run = training.ensemble(
        [make(0), make(0)], "squared", torch.stack([X, X]), torch.stack([Y, -Y]), 0.05, 5, own_data=True
    )
    assert run.loss[0, -1] != run.loss[1, -1]


def test_only_named_parameters_learn(data):
    X, Y = data
    net, before = make(), make()
    training.gradient_descent(net, "squared", X, Y, 0.05, 3, parameters=["weights.1"])
    assert torch.equal(net.weights[0], before.weights[0]) and not torch.equal(
        net.weights[1], before.weights[1]
    )


def test_a_diverging_run_names_its_step_and_loss(data):
    X, Y = data
    with pytest.raises(FloatingPointError, match=r"diverged at step \d+: loss .* lr=50"):
        training.gradient_descent(make(), "squared", X, Y, lr=50.0, n_steps=200)
    with pytest.raises(FloatingPointError, match=r"member 0 diverged at step"):
        training.ensemble([make(0), make(1)], "squared", X, Y, lr=50.0, n_steps=200)


def test_bad_arguments_are_refused(data):
    X, Y = data
    for bad in (
        {"lr": -1.0},
        {"record": ["gradients"]},
        {"record": "weights"},
        {"loss": "hinge"},
        {"record_every": 0},
        {"Y": Y[:, 0]},  # would be broadcast to a square of samples
    ):
        arguments = {"loss": "squared", "lr": 0.1, "n_steps": 1, "Y": Y, **bad}
        with pytest.raises(ValueError, match="must|need"):
            training.gradient_descent(make(), X=X, **arguments)
    with pytest.raises(ValueError, match="times that increase"):
        training.gradient_flow(make(), "squared", X, Y, [0.0, 0.0])
    with pytest.raises(ValueError, match="times needs finite numbers"):
        training.gradient_flow(make(), "squared", X, Y, [0.0, float("nan")])
    lost = make()
    with torch.no_grad():
        lost.weights[0].fill_(float("nan"))
    with pytest.raises(FloatingPointError, match="diverged at t=0"):  # used to run for ever
        training.gradient_flow(lost, "squared", X, Y, [0.0, 1.0])
    with pytest.raises(ValueError, match="at least one model"):
        training.ensemble([], "squared", X, Y, 0.1, 1)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("which", ["X", "Y"])
def test_data_that_are_not_finite_are_named_and_not_the_step(which, bad):
    nets = [MLP([2, 3, 1], generator=torch.Generator().manual_seed(s)) for s in range(2)]
    data = {"X": torch.ones(4, 2).double(), "Y": torch.ones(4, 1).double()}
    data[which][1, 0] = bad
    for run in (
        lambda: training.gradient_descent(nets[0], "squared", **data, lr=0.1, n_steps=1),
        lambda: training.gradient_flow(nets[0], "squared", **data, times=[0.0, 1.0]),
        lambda: training.ensemble(nets, "squared", **data, lr=0.1, n_steps=1),
    ):
        with pytest.raises(ValueError, match=f"^{which} needs finite numbers, got .* in 1 of"):
            run()


@pytest.mark.parametrize("n, batch_size", [(7, 2), (6, 3), (5, 5), (1, 1)])
def test_minibatches_hold_no_sample_twice_and_differ_between_epochs(n, batch_size):
    source = torch.Generator().manual_seed(0)
    epochs = [training.minibatches(n, batch_size, source) for _ in range(20)]
    for batches in epochs:
        assert batches.shape == (n // batch_size, batch_size)
        assert len(batches.unique()) == batches.numel() and 0 <= batches.min() and batches.max() < n
    assert n == 1 or len({tuple(batches.flatten().tolist()) for batches in epochs}) > 1
    left_out = set(range(n)) - set(epochs[0].flatten().tolist())
    assert len(left_out) == n % batch_size


@pytest.mark.parametrize("n, batch_size, name", [(3, 4, "batch_size"), (3, 0, "batch_size"), (0, 1, "n")])
def test_minibatches_that_cannot_be_filled_are_refused(n, batch_size, name):
    with pytest.raises(ValueError, match=f"^{name} needs"):
        training.minibatches(n, batch_size, torch.Generator())

"""Flow on pre-activations against networks with weights; certificates against measured rates."""

import numpy as np
import pytest
import torch

from gdln.activations import ACTIVATIONS
from gdln.convergence import certificates, features
from gdln.convergence.flow import SCALINGS, draw_functions, draw_units, flow, output, velocity
from gdln.convergence.nets import ThreeLayerNetwork
from gdln.data import tasks
from gdln.nets import training

torch.set_num_threads(1)


def three_layers(n=12, d=3, n_features=40, m=30, seed=0, kind="fourier"):
    rng = np.random.default_rng(seed)
    X = tasks.sphere(n, d, rng)
    first = features.draw_features(n_features, d, rng, kind)
    c, W = draw_units(m, n_features, rng)
    return X, first, c, W, rng.uniform(-1, 1, n)


@pytest.mark.parametrize("scaling", SCALINGS)
@pytest.mark.parametrize("kind", [*features.KINDS, None])
def test_euler_steps_on_features_are_gradient_descent_on_weights(scaling, kind):
    X, first, c, W, y = three_layers(kind=kind or "relu")
    if kind is None:
        first, W = None, W[:, : X.shape[1]]
    phi = features.linear_features(X) if first is None else first(X)
    gram, h = phi @ phi.T, W @ phi.T
    h0, alpha, dt, activation = h.copy(), np.zeros_like(h), 0.5, ACTIVATIONS["sine"]
    losses = []
    for _ in range(101):
        zeta = output(h, c, activation, scaling) - y
        losses.append(zeta @ zeta / (2 * len(y)))
        step = dt * velocity(h, c, y, activation, scaling)
        last, h, alpha = h, h + step @ gram, alpha + step
    net = ThreeLayerNetwork(c, W, "sine", first, scaling)
    inputs, targets = torch.as_tensor(X), torch.as_tensor(y)
    run = training.gradient_descent(
        net, "squared", inputs, targets, dt * net.time_scale, 100, parameters=("W",)
    )
    assert np.abs(np.asarray(run.loss) - losses).max() < 1e-12
    assert np.abs(net.features(inputs).detach().numpy().T - last).max() < 1e-12
    assert np.abs(h0 + alpha @ gram - h).max() < 1e-12


def test_gradient_descent_tends_to_the_flow_at_first_order():
    X, first, c, W, y = three_layers()
    phi = first(X)
    exact = flow(phi @ phi.T, W @ phi.T, c, y, "sine", [40.0], method="DOP853", rtol=1e-10, atol=1e-12)
    error = []
    for dt in (0.5, 0.25):
        net = ThreeLayerNetwork(c, W, "sine", first)
        args = torch.as_tensor(X), torch.as_tensor(y), dt * net.time_scale, round(40 / dt)
        run = training.gradient_descent(net, "squared", *args, parameters=("W",))
        error.append(abs(float(run.loss[-1]) - exact.loss[-1]))
    assert 1.8 < error[0] / error[1] < 2.2


def test_infinitely_many_features_are_the_limit_of_many():
    rng = np.random.default_rng(2)
    X, y = tasks.sphere(10, 3, rng), rng.uniform(-1, 1, 10)
    kernel = features.feature_kernel(X, X, "fourier")
    finals = []
    for _ in range(6):  # large width, so that only the number of features matters
        phi = features.draw_features(20000, 3, rng, "fourier")(X)
        gram = phi @ phi.T
        c, h0 = draw_functions(gram, 2000, np.random.default_rng(7))
        finals.append(np.log(flow(gram, h0, c, y, "sine", [60.0]).loss[-1]))
    c, h0 = draw_functions(kernel, 2000, np.random.default_rng(7))
    limit = np.log(flow(kernel, h0, c, y, "sine", [60.0]).loss[-1])
    assert abs(np.mean(finals) - limit) < 0.1


def test_schur_bound_holds_for_random_pairs():
    rng = np.random.default_rng(0)
    for _ in range(200):
        n = rng.integers(2, 30)
        A, B = (rng.standard_normal((n, rng.integers(1, 2 * n))) for _ in range(2))
        G, S = A @ A.T, B @ B.T
        slack = 1e-12 * np.linalg.norm(G * S)
        assert np.linalg.eigvalsh(G * S)[0] >= certificates.schur_bound(G, S) - slack


@pytest.mark.parametrize("name", ["sine", "leaky_0.2", "relu", "softplus", "tanh"])
def test_no_trajectory_loses_less_than_the_bound_between_any_two_records(name):
    X, first, c, W, y = three_layers(n_features=60)
    phi = first(X)
    gram = phi @ phi.T
    run = flow(gram, W @ phi.T, c, y, name, np.linspace(0, 200, 21))
    bound = np.array(
        [certificates.rate_bound(gram, run.features(k), c, ACTIVATIONS[name]) for k in range(21)]
    )
    assert np.all(run.rates() >= (bound[1:] + bound[:-1]) / 2)


def test_the_bound_is_the_rate_for_one_mode_of_a_linear_network():
    # sigma(u) = u: S = c^2, and an error along the slowest mode decays at the bound: equality, both scalings
    gram, h0 = np.array([[1.0, 0.5], [0.5, 1.0]]), np.array([[0.0, 0.0], [0.0, 0.0]])
    c, y = np.array([3.0, -3.0]), np.array([1.0, -1.0])
    for scaling in SCALINGS:
        run = flow(gram, h0, c, y, "linear", [0.0, 0.3], scaling=scaling)
        assert run.rates()[0] == pytest.approx(2 / 2 * 0.5 * 9, rel=1e-6)
        assert certificates.rate_bound(gram, h0, c, "linear") == pytest.approx(4.5, rel=1e-12)


@pytest.mark.parametrize("m", [2, 20])
@pytest.mark.parametrize("name", ["sine", "leaky_0.2"])
@pytest.mark.parametrize("scaling", SCALINGS)
def test_theorem_a_holds_at_every_width_and_time(name, m, scaling):
    X, first, c, W, y = three_layers(m=m)
    phi = first(X)
    gram, h0 = phi @ phi.T, W @ phi.T
    certificate = certificates.certify(gram, h0, c, y, ACTIVATIONS[name], scaling)
    assert certificate.theorem == "A" and certificate.rate > 0
    run = flow(gram, h0, c, y, name, np.linspace(0, 200, 41), scaling=scaling)
    assert np.all(run.loss <= run.loss[0] * np.exp(-certificate.rate * run.times) * (1 + 1e-9))


def test_under_theorem_b_nothing_moves_beyond_the_radius():
    rng = np.random.default_rng(1)
    phi = features.linear_features(tasks.sphere(10, 40, rng))
    c, W = draw_units(400, 40, rng, 300.0)
    gram, h0, y = phi @ phi.T, W @ phi.T, rng.uniform(-1, 1, 10)
    certificate = certificates.certify(gram, h0, c, y, ACTIVATIONS["relu"])
    assert certificate.theorem == "B"
    run = flow(gram, h0, c, y, "relu", np.linspace(0, 200 / 300**2, 11))
    assert np.abs(run.alpha @ gram).max() <= certificate.radius
    assert np.all(run.loss <= run.loss[0] * np.exp(-certificate.rate * run.times) * (1 + 1e-9))


def test_units_stay_in_the_ball_the_rate_allows():
    X, first, c, W, y = three_layers(n_features=200)
    phi = first(X)
    gram, h0 = phi @ phi.T, W @ phi.T
    certificate = certificates.certify(gram, h0, c, y, ACTIVATIONS["sine"])
    run = flow(gram, h0, c, y, "sine", [0.0, 1000.0])
    norms = np.sqrt(np.einsum("ia,ab,ib->i", run.alpha[-1], gram, run.alpha[-1]))
    assert norms.max() <= certificates.ball_radius(gram, run.loss[0], 1.0, 1.5, certificate.rate)


def test_networks_refuse_what_does_not_fit():
    X, first, c, W, _ = three_layers()
    with pytest.raises(ValueError, match="activation"):
        ThreeLayerNetwork(c, W, "step", first)
    with pytest.raises(ValueError, match="scaling"):
        ThreeLayerNetwork(c, W, "relu", first, "standard")
    with pytest.raises(ValueError, match="features"):
        ThreeLayerNetwork(c, W[:, :5], "relu", first)
    with pytest.raises(ValueError, match="row"):
        ThreeLayerNetwork(c[:4], W, "relu", first)

"""Descent of gated networks: what its steps keep, what their gradients are, and what it refuses."""

import numpy as np
import pytest

from gdln import checks
from gdln.synthesis import margin_descent as descent


def task(seed=0, n=10):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((3, n, 4)), rng.choice([-1.0, 1.0], n), rng


def direct(weights, features):
    """Output of a private network, one sample and one unit after the other."""
    W, *above = weights
    out = []
    for p in range(features.shape[1]):
        z = np.array([W[h] @ features[h, p] for h in range(len(W))])
        for A in above:
            z = A @ z
        out.append(z[0])
    return np.array(out)


@pytest.mark.parametrize("widths", [(), (2,), (5, 3)])
def test_coefficients_are_those_of_the_network(widths):
    features, y, rng = task()
    run = descent.simulate_private(features, y, 30, rng, widths=widths)
    f = direct(run.weights, features)
    assert np.allclose(np.einsum("hj,hpj->p", run.beta[-1], features), f, rtol=1e-12)
    assert run.margins[-1] == pytest.approx((y * f).min(), rel=1e-12)
    assert sum((w**2).sum() for w in run.weights) == pytest.approx(1, rel=1e-12)


def test_coefficients_of_shared_units_are_those_of_the_network():
    _, y, rng = task()
    X, gates = rng.standard_normal((10, 4)), rng.standard_normal((10, 3))
    run = descent.simulate_shared(gates, X, y, 30, rng, width=5)
    W, A = run.weights
    f = [sum((A[i] @ gates[p]) * (W[i] @ X[p]) for i in range(5)) for p in range(10)]
    assert np.allclose(np.einsum("pm,md,pd->p", gates, run.beta[-1], X), f, rtol=1e-12)
    assert run.margins[-1] == pytest.approx((y * f).min(), rel=1e-12)


def test_a_run_begins_at_weights_of_the_gain_asked_for():
    features, y, rng = task()
    X, gates, gain = rng.standard_normal((10, 4)), rng.standard_normal((10, 3)), 0.3
    runs = [
        (descent.simulate_linear, (features, y), {}, [(3, 4)]),
        (descent.simulate_private, (features, y), {"widths": (5, 2)}, [(3, 4), (5, 3), (2, 5), (1, 2)]),
        (descent.simulate_shared, (gates, X, y), {"width": 6}, [(6, 4), (6, 3)]),
    ]
    for simulate, data, options, shapes in runs:
        run = simulate(*data, 1, np.random.default_rng(2), lr=1e-300, gain=gain, **options)
        rng = np.random.default_rng(2)
        for weights, shape in zip(run.weights, shapes, strict=True):
            drawn = gain * rng.standard_normal(shape)
            np.testing.assert_allclose(weights * np.exp(run.log_norm[0]), drawn, rtol=1e-12)


@pytest.mark.parametrize("widths", [(), (5, 3)])
def test_a_step_goes_along_the_gradient_of_the_loss(widths):
    """One step from the same start, against central differences of the logarithm of the loss."""
    features, y, _ = task()
    lr = 1e-5

    def end(n_steps, lr):
        rng = np.random.default_rng(7)
        run = descent.simulate_private(features, y, n_steps, rng, widths=widths, lr=lr, gain=0.5)
        return [w * np.exp(run.log_norm[-1]) for w in run.weights]

    start, after = end(1, 1e-300), end(1, lr)

    def loss(weights):
        return np.log(np.exp(-y * direct(weights, features)).sum())

    def slope(layer, place):
        ends = []
        for move in (1e-6, -1e-6):
            moved = [w.copy() for w in start]
            moved[layer][place] += move
            ends.append(loss(moved))
        return (ends[1] - ends[0]) / 2e-6

    places = [(layer, place) for layer, W in enumerate(start) for place in np.ndindex(W.shape)]
    slopes = np.array([slope(*where) for where in places])
    steps = np.array([(after[layer] - start[layer])[place] for layer, place in places])
    ratio = steps @ slopes / (slopes @ slopes)
    assert ratio > 0 and np.abs(steps - ratio * slopes).max() < 1e-4 * np.abs(steps).max()


def test_the_difference_of_squared_norms_of_neighbouring_layers_is_kept_by_small_steps():
    features, y, _ = task()
    found = []
    for lr, n_steps in ((4e-3, 100), (2e-3, 200)):
        ends = []
        for steps in (1, n_steps):
            rng = np.random.default_rng(3)
            run = descent.simulate_private(features, y, steps, rng, lr=lr)
            W, a = (w * np.exp(run.log_norm[-1]) for w in run.weights)
            ends.append(a[0] ** 2 - (W**2).sum(axis=1))
        found.append(np.abs(ends[1] - ends[0]).max())
    assert found[1] < 0.7 * found[0]  # the flow keeps it; the error is of first order, of second a step


def test_separable_labels_are_learned_and_the_weights_grow():
    features, y, rng = task()
    for run in (
        descent.simulate_linear(features, y, 500, rng),
        descent.simulate_private(features, y, 500, rng),
        descent.simulate_private(features, y, 500, rng, widths=(4, 4, 4)),
    ):
        assert run.margins[-1] > 0 and run.log_norm[-1] > run.log_norm[0]
        assert list(run.steps) == [0, 100, 200, 300, 400, 500]


def test_no_step_overflows_however_long_the_weights_become():
    features, y, rng = task()
    run = descent.simulate_private(features, y, 3000, rng, widths=(3, 3), lr=0.5, record_every=1000)
    assert run.log_norm[-1] > 150 and np.isfinite(run.margins).all()  # e^600 in the outputs and beyond


def test_labels_that_nothing_separates_never_get_a_margin():
    X = np.array([[[1.0], [1.0]]])
    run = descent.simulate_private(X, [1, -1], 200, np.random.default_rng(0))
    assert run.margins.max() <= 0


def test_other_labels_are_refused():
    features, y, rng = task()
    with pytest.raises(ValueError, match="y needs labels of plus or minus one"):
        descent.simulate_linear(features, 2 * y, 5, rng)
    with pytest.raises(ValueError, match="widths"):
        descent.simulate_private(features, y, 5, rng, widths=(0,))


@pytest.mark.parametrize("scale", [0.0, 1e-300])
def test_a_gradient_that_vanishes_ends_the_run_at_its_step(scale):
    features, y, rng = task()
    gates, X = features[0], features[1]
    for run in (
        lambda: descent.simulate_linear(scale * features, y, 5, rng),
        lambda: descent.simulate_private(scale * features, y, 5, rng, widths=(2,)),
        lambda: descent.simulate_shared(scale * gates, X, y, 5, rng, width=2),
    ):
        with (
            np.errstate(divide="raise", invalid="raise"),
            pytest.raises(checks.Diverged, match="gradient") as report,
        ):
            run()
        assert report.value.step == 0

"""Descent in function space: the rules any training run must obey, whichever way it is computed."""

import numpy as np
import pytest

from gdln.bottleneck import dynamics
from gdln.bottleneck.architecture import Bottleneck, composite_kernel, draw, draw_features
from gdln.kernels import function_space
from gdln.kernels.gram import gram
from gdln.kernels.moments import FullyConnected
from tests.bottleneck.small import architecture, problem


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_features_and_memory_agree_at_the_rate_of_the_number_of_units(rng):
    X, Y = problem(rng)
    net, errors = architecture(), []
    for units in (250, 4000):
        some = []
        for _ in range(5):
            z0, f0 = draw(net, X, rng), draw_features(net, 1, units, rng)
            options = dict(lr=0.05, n_steps=40)
            exact = dynamics.memory(net, X, Y, z0, f0, **options)
            quick = dynamics.tangent(net, X, Y, z0, f0, **options)
            some.append(np.abs(exact.outputs - quick.outputs).max())
        errors.append(np.median(some))
    assert 2 < errors[0] / errors[1] < 8  # sixteen times the units: a quarter of the error
    assert errors[1] < 0.05


@pytest.mark.parametrize("method", ["memory", "tangent"])
@pytest.mark.parametrize(("activation", "b_std"), [("erf", 0.1), ("erf", 2.0), ("relu", 0.1)])
def test_the_first_step_is_that_of_the_composite_kernel(method, activation, b_std, rng):
    X, Y = problem(rng, n_outputs=2)
    upper, rate = FullyConnected(1, activation, b_std=b_std), 1e-6
    net = Bottleneck(FullyConnected(1, activation), upper, 3)
    z0, f0 = draw(net, X, rng), draw_features(net, 2, 3000, rng)
    run = getattr(dynamics, method)(net, X, Y, z0, f0, lr=rate, n_steps=1, keep_jacobian=True)
    H = composite_kernel(net, gram(net.lower, X).ntk, z0, run.jacobian[0])
    chi = (run.outputs[0] - Y) / len(X)
    expected = -rate * (H.reshape(24, 24) @ chi.ravel()).reshape(12, 2)
    moved = run.outputs[1] - run.outputs[0]
    tolerance = 1e-4 if method == "memory" else 0.1  # second order in the step; a finite draw
    assert np.linalg.norm(moved - expected) < tolerance * np.linalg.norm(expected)


@pytest.mark.parametrize("n_outputs", [1, 3])
@pytest.mark.parametrize("activation", ["erf", "relu", "linear"])
def test_the_jacobian_of_a_trained_linearisation_is_the_derivative_of_its_outputs(activation, n_outputs, rng):
    net = Bottleneck(FullyConnected(1, activation), FullyConnected(1, activation, b_std=0.3), 3)
    upper = dynamics._Tangent(net, draw_features(net, n_outputs, 60, rng))
    for _ in range(3):  # weights that have moved
        _, _, cache = upper.evaluate(rng.standard_normal((4, 3)))
        upper.update(cache, 0.5 * rng.standard_normal((4, n_outputs)))
    z = rng.standard_normal((5, 3))
    _, J, _ = upper.evaluate(z)
    for axis, step in enumerate(1e-5 * np.eye(3)):
        slope = (upper.evaluate(z + step)[0] - upper.evaluate(z - step)[0]) / 2e-5
        np.testing.assert_allclose(J[:, :, axis], slope, atol=1e-7)


@pytest.mark.parametrize("came", [np.ones((2, 12, 1)), [np.ones((12, 1)), np.ones((12, 1, 3))], (1, 2, 3)])
def test_the_start_of_the_upper_part_is_a_pair_of_values_and_jacobian(came, rng):
    X, Y = problem(rng)
    net = architecture()
    with pytest.raises(ValueError, match="f0 needs to return a value and a Jacobian"):
        dynamics.memory(net, X, Y, draw(net, X, rng), lambda z: came, lr=0.1, n_steps=1)


def test_no_scale_of_the_step_changes_the_flow_at_small_steps(rng):
    X, Y = problem(rng)
    net = architecture()
    z0, f0 = draw(net, X, rng), draw_features(net, 1, 400, rng)
    ends = [
        dynamics.tangent(net, X, Y, z0, f0, lr=0.4 / n, n_steps=n, record_every=n).outputs[-1]
        for n in (20, 40, 80)
    ]
    ratio = np.linalg.norm(ends[0] - ends[1]) / np.linalg.norm(ends[1] - ends[2])
    assert 1.8 < ratio < 2.2  # Euler: the error halves with the step


@pytest.mark.parametrize("centred", [False, True])
@pytest.mark.parametrize("method", ["memory", "tangent"])
def test_test_points_equal_to_training_points_follow_them(method, centred, rng):
    X, Y = problem(rng)
    net = architecture()
    z0, f0 = draw(net, X, rng), draw_features(net, 1, 100, rng)
    run = getattr(dynamics, method)(
        net,
        X,
        Y,
        z0,
        f0,
        lr=0.1,
        n_steps=10,
        X_test=X[:3],
        z0_test=z0[:3],
        record_every=4,
        centred=centred,
    )
    assert run.steps.tolist() == [0, 4, 8, 10] and len(run.history) == 11
    # at coinciding points the diagonal of the kernel is exact, off it there is rounding only
    np.testing.assert_allclose(run.test_outputs, run.outputs[:, :3], atol=1e-10)
    np.testing.assert_allclose(run.test_bottleneck, run.bottleneck[:, :3], atol=1e-10)
    start = 0 if centred else f0(z0)[0]
    np.testing.assert_allclose(run.outputs[0], start, atol=1e-13)


@pytest.mark.parametrize("centred", [False, True])
@pytest.mark.parametrize("method", ["memory", "tangent"])
def test_batches_holding_all_samples_in_any_order_are_full_batch_descent(method, centred, rng):
    X, Y = problem(rng)
    net = architecture()
    z0, f0 = draw(net, X, rng), draw_features(net, 1, 100, rng)
    run = getattr(dynamics, method)
    options = dict(lr=0.1, n_steps=6, centred=centred)
    full = run(net, X, Y, z0, f0, **options)
    batched = run(net, X, Y, z0, f0, batches=[rng.permutation(12) for _ in range(6)], **options)
    np.testing.assert_allclose(batched.outputs, full.outputs, atol=1e-9)
    small = run(net, X, Y, z0, f0, batches=[rng.permutation(12)[:3] for _ in range(6)], **options)
    assert np.abs(small.outputs[-1] - full.outputs[-1]).max() > 1e-3


@pytest.mark.parametrize("method", ["memory", "tangent"])
def test_a_run_ends_at_the_first_loss_strictly_below_its_level_and_records_it(method, rng):
    X, Y = problem(rng)
    net = architecture()
    z0, f0 = draw(net, X, rng), draw_features(net, 1, 100, rng)
    run = getattr(dynamics, method)
    whole = run(net, X, Y, z0, f0, lr=0.1, n_steps=8)
    assert (np.diff(whole.history) < 0).all()
    for level, last in ((whole.history[3], 4), (np.nextafter(whole.history[3], np.inf), 3), (1e-9, 8)):
        found = run(net, X, Y, z0, f0, lr=0.1, n_steps=8, record_every=100, stop_below=level)
        assert found.steps.tolist() == [0, last]
        np.testing.assert_allclose(found.loss, whole.loss[[0, last]], rtol=1e-12)


def test_a_memory_holds_as_many_points_as_it_is_taught(rng):
    net = architecture()
    upper = dynamics._Memory(net, lambda z: (np.zeros((len(z), 1)), np.zeros((len(z), 1, 3))), 1)
    for part in (1024, 1, 1023, 5000):
        upper.update(rng.standard_normal((part, 3)), rng.standard_normal((part, 1)))
    assert upper.size == 7048 and len(upper.Z) == len(upper.chi) >= 7048
    assert np.isfinite(upper.evaluate(rng.standard_normal((2, 3)))[0]).all()


def test_label_scale_is_the_same_as_larger_labels_for_the_squared_loss(rng):
    X, Y = problem(rng)
    net = architecture()
    z0, f0 = draw(net, X, rng), draw_features(net, 1, 100, rng)
    options = dict(lr=0.05, n_steps=8)
    scaled = dynamics.tangent(net, X, Y, z0, f0, label_scale=3.0, **options)
    larger = dynamics.tangent(net, X, 3 * Y, z0, f0, **options)
    np.testing.assert_allclose(scaled.outputs, larger.outputs, atol=1e-12)


@pytest.mark.parametrize("method", ["memory", "tangent"])
def test_a_step_above_the_limit_is_reported_with_the_eigenvalue_of_the_initial_kernel(method, rng):
    X, Y = problem(rng)
    net = architecture()
    z0, f0 = draw(net, X, rng), draw_features(net, 1, 2000, rng)
    H = composite_kernel(net, gram(net.lower, X).ntk, z0, f0(z0)[1])
    top = function_space.largest_eigenvalue(H)
    with pytest.raises(function_space.UnstableStepSize) as caught:
        getattr(dynamics, method)(net, X, 1e-6 * Y, z0, f0, lr=3 / top, n_steps=60, centred=True)
    # with small labels the kernel has hardly moved when the loss, after a first step down, starts to grow
    assert abs(caught.value.eigenvalue / top - 1) < 1e-5 and caught.value.step <= 2
    with pytest.raises(function_space.UnstableStepSize):
        function_space.frozen(H, Y, lr=2.1 / top, n_steps=5)
    stable = getattr(dynamics, method)(net, X, Y, z0, f0, lr=0.5 / top, n_steps=60)
    assert stable.loss[-1] < 0.2 * stable.loss[0]


def test_bad_arguments_are_refused(rng):
    X, Y = problem(rng)
    net = architecture()
    z0, f0 = draw(net, X, rng), draw_features(net, 1, 20, rng)
    with pytest.raises(ValueError, match=r"z0 needs shape \(12, 3\)"):
        dynamics.memory(net, X, Y, z0[:, :2], f0, lr=0.1, n_steps=1)
    with pytest.raises(ValueError, match="f0 needs one output a column of Y, 2"):
        dynamics.tangent(net, X, np.hstack([Y, Y]), z0, f0, lr=0.1, n_steps=1)
    with pytest.raises(ValueError, match="lr"):
        dynamics.tangent(net, X, Y, z0, f0, lr=0.0, n_steps=1)
    with pytest.raises(ValueError, match="one batch a step"):
        dynamics.tangent(net, X, Y, z0, f0, lr=0.1, n_steps=3, batches=[[0]])
    with pytest.raises(ValueError, match="loss needs one of"):
        dynamics.tangent(net, X, Y, z0, f0, lr=0.1, n_steps=3, loss="hinge")
    with pytest.raises(ValueError, match="f0 needs a draw of the same net"):
        dynamics.tangent(architecture(upper=2), X, Y, z0, f0, lr=0.1, n_steps=1)
    with pytest.raises(ValueError, match="z0_test"):
        dynamics.tangent(net, X, Y, z0, f0, lr=0.1, n_steps=1, X_test=X)
    with pytest.raises(ValueError, match="finite"):
        dynamics.memory(net, X, np.nan * Y, z0, f0, lr=0.1, n_steps=1)

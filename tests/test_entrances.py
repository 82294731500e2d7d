"""Every public function of the kernels and of the bottleneck refuses bad input by the argument's name, and at once."""

import inspect
import re
import time

import numpy as np
import pytest
import torch

from gdln.bottleneck import architecture, dynamics, experiments, linear
from gdln.bottleneck.architecture import Bottleneck
from gdln.data import images, regression
from gdln.data.regression import Task
from gdln.kernels import function_space, gram, moments, tangent
from gdln.kernels.moments import FullyConnected

MODULES = (moments, gram, tangent, function_space, architecture, dynamics, linear, experiments)


def calls():
    """A good call of every public function: arguments by name."""
    rng = np.random.default_rng(0)
    network = FullyConnected(1, "relu")
    net = Bottleneck(network, network, 3)
    X, X2, Y = rng.standard_normal((6, 4)), rng.standard_normal((2, 4)), rng.standard_normal((6, 1))
    z, J = rng.standard_normal((6, 3)), rng.standard_normal((6, 1, 3))
    both, cross = gram.gram(network, X), gram.gram(network, X2, X)
    f0 = architecture.draw_features(net, 1, 8, rng)
    moment = dict(network=network, q11=np.array([1.0]), q12=np.array([0.3]), q22=np.array([2.0]))
    training = dict(
        net=net, X=X, Y=Y, z0=z, f0=f0, lr=0.1, n_steps=2, label_scale=1.0, loss="squared", record_every=1,
        batches=[np.arange(3), np.arange(3)], X_test=X2, z0_test=z[:2], stop_below=1e-9, centred=True,
    )  # fmt: skip
    halves = dict(A=rng.standard_normal((2, 3)), B=rng.standard_normal((3, 4)), c_g=1.0, c_f=2.0)
    task = dict(sigma_yx=rng.standard_normal((2, 4)), sigma=np.eye(4), times=np.array([0.0, 0.5]))
    mode = dict(S=np.array([3.0]), d=np.array([4.0]), c_g=1.0, c_f=1.0)
    target = rng.standard_normal((2, 4))
    observed = dict(train=both, test_train=cross, Y=Y, noise=0.1, test_nngp=moments.diagonal(network, (X2**2).mean(1)).nngp)  # fmt: skip  # noqa: E501
    data = Task(X, Y, X2, Y[:2])
    setting = experiments.prepare(data)
    shared = dict(setting=setting, label_scale=1.0, loss="squared", levels=(0.9, 0.5))
    return {
        moments.FullyConnected: dict(depth=1, activation="erf", W_std=1.0, b_std=0.1),
        moments.diagonal: dict(network=network, q=np.array([1.0])),
        moments.hidden_variances: dict(network=network, q=np.array([1.0])),
        moments.dual: dict(activation="relu", q11=np.array([1.0]), q12=np.array([0.3]), q22=np.array([1.0])),
        moments.diagonal_slope: dict(network=network, q=np.array([1.0])),
        moments.from_moments: moment,
        moments.moment_derivatives: moment,
        moments.mixed_derivatives: moment,
        moments.pair_moments: dict(X=X, X2=X2, fan_in=4),
        moments.own_moments: dict(X=X, fan_in=4),
        moments.two_sets: dict(X=X, X2=X2),
        gram.gram: dict(network=network, X=X, X2=X2, tile=2),
        gram.input_gradients: dict(network=network, X=X, X2=X2, fan_in=4.0),
        gram.gradient_covariance: dict(network=network, X=X, X2=X2, fan_in=4.0),
        tangent.empirical_ntk: dict(
            weights=[np.ones((3, 4)), np.ones((1, 3))], biases=[np.ones(3), np.ones(1)], X=X, X2=X2,
            activation="erf", W_std=1.0, b_std=0.1,
        ),
        function_space.loss_and_gradient: dict(F=Y, Y=Y + 1, loss="squared", label_scale=1.0),
        function_space.largest_eigenvalue: dict(H=both.ntk),
        function_space.gradient_flow: dict(**observed, times=np.array([1.0, 2.0]), lr=0.01),
        function_space.posterior: observed,
        function_space.frozen: dict(
            kernel=both.ntk, Y=Y, lr=0.1, n_steps=2, F0=Y, loss="squared", label_scale=1.0,
            test_kernel=cross.ntk, F0_test=Y[:2], record_every=1, stop_below=1e-9,
        ),
        function_space.first_below: dict(steps=np.arange(3), loss=np.array([3.0, 2.0, 1.0]), level=1.5),
        architecture.Bottleneck: dict(lower=network, upper=network, width=3, fan_in=3.0),
        architecture.Features: dict(net=net, W=f0.W, b=f0.b, V=f0.V, c=f0.c),
        architecture.ConditionalDraw: dict(net=net, n_outputs=1, rng=rng, tolerance=1e-8),
        architecture.limit_kernels: dict(net=net, X=X, X2=X2),
        architecture.composite_kernel: dict(net=net, theta_g=cross.ntk.T, z=z, J=J, z2=z[:2], J2=J[:2]),
        architecture.draw: dict(net=net, X=X, rng=rng),
        architecture.draw_features: dict(net=net, n_outputs=1, n_features=8, rng=rng),
        architecture.activity: dict(name="relu", h=z),
        architecture.alignment: dict(Z=z, Y=Y),
        dynamics.memory: training,
        dynamics.tangent: training,
        linear.layer_rates: dict(layers_g=1, layers_f=2, sigma_w=1.0),
        linear.flow: dict(**halves, **task, rtol=1e-8, atol=1e-8),
        linear.moment_flow: dict(
            W=np.zeros((2, 4)), P=np.eye(2), Q=np.eye(4), **task, c_g=1.0, c_f=1.0, d=5.0, rtol=1e-8, atol=1e-8
        ),
        linear.mode_rate: dict(b=np.array([2.0]), **mode, b0=np.array([0.5])),
        linear.mode_time: dict(b=np.array([2.0]), **mode, b0=np.array([0.5]), variance=1.0),
        linear.mode_strength: dict(t=np.array([2.0]), **mode, b0=np.array([0.5]), variance=1.0),
        linear.acceleration: mode,
        linear.speed_up: dict(**mode, residual=0.1, asymptotic=False),
        linear.time_to_level: dict(**halves, target=target, level=0.5, variance=1.0, longest=10.0),
        linear.descent_steps: dict(
            **halves, target=target, sigma=np.eye(4), lrs=np.array([0.1, 0.2]), level=0.5, longest=5
        ),
        linear.overparametrised_slope: dict(W=target, S=target + 1, depth=2, rate=1.0),
        regression.parity: dict(image_set=images.digits(), n_train=5, n_test=3, rng=rng),
        regression.classes: dict(image_set=images.digits(), n_train=5, n_test=3, rng=rng),
        regression.subspace: dict(n_train=5, n_test=3, rng=rng, n_inputs=4),
        experiments.prepare: dict(task=data, part=network, fraction=0.3),
        experiments.baseline: dict(**shared, horizon=3, layer="infinite"),
        experiments.train: dict(**shared, horizon=3.0, width=2, rng=rng, fan_in=2.0, slow=1, n_units=8, test=True),
    }  # fmt: skip


GOOD = calls()
#: The inner loop, which takes what the checked functions hand it; results; the exception.
APART = {
    "recursion", "Kernels", "MomentDerivatives", "MixedDerivatives", "UnstableStepSize", "FlowPrediction",
    "FunctionTrajectory", "Posterior", "LinearFlow", "BottleneckOutcome", "Setting",
}  # fmt: skip
#: Where None is an answer of its own.
OPTIONAL = {"X2", "fan_in", "z2", "F0", "F0_test", "test_kernel", "stop_below", "test_nngp", "lr",
            "batches", "part", "b0"}  # fmt: skip
INFINITE = {"d", "t", "times"}
SIGNED = {"stop_below", "rate", "level"}
#: Taken element by element, in any shape.
ELEMENTWISE = {"q", "q11", "q12", "q22", "h", "b", "S", "d", "b0", "t"}


def bad_values(name, good):
    yield object()
    if name not in OPTIONAL:
        yield None
    if isinstance(good, np.ndarray):
        for value in (np.nan, np.inf, -np.inf):
            if value == np.inf and name in INFINITE:
                continue
            broken = np.array(good, dtype=float)
            broken.flat[-1] = value
            yield broken
        yield from ("text", np.full(good.shape, "a"), np.empty((0,) * good.ndim), good + 1j)
        if name not in ELEMENTWISE:
            yield good[..., None, None, None]
        if good.ndim > 1 and name not in ELEMENTWISE:
            yield good[0, 0]
            yield [[1.0], [1.0, 2.0]]
    elif isinstance(good, bool):
        yield from ("no", 2, np.ones(2))
    elif isinstance(good, int | float):
        yield from (np.nan, -np.inf, "3", [1.0, 2.0], np.ones(2), 1j)
        if name not in INFINITE:
            yield np.inf
        if name not in SIGNED:
            yield -1
        if isinstance(good, int) and name not in ("fan_in",):
            yield from (2.5, 2.0, True, -(10**30))
    elif isinstance(good, str):
        yield from ("nonsense", 3, np.ones(2))
    elif isinstance(good, list | tuple):
        yield from (
            [np.nan] * len(good),
            ["a"] * len(good),
            [],
            3 * good[:1] if name != "batches" else good[:1],
        )
    elif isinstance(good, np.random.Generator):
        yield from (0, np.random, torch.Generator())
    else:
        yield from (3, "text", np.ones(2))


def public(modules):
    """Functions and classes that modules define for others, as pairs of module and name."""
    return {
        (module.__name__, name)
        for module in modules
        for name, thing in inspect.getmembers(module)
        if not name.startswith("_")
        and (inspect.isfunction(thing) or inspect.isclass(thing))
        and thing.__module__ == module.__name__
    }


def faults(function, good):
    """What goes wrong where one argument of a good call is bad: one line a fault."""
    function(**good)
    wrong = []
    for name in good:
        for bad in bad_values(name, good[name]):
            start = time.perf_counter()
            try:
                function(**{**good, name: bad})
            except (TypeError, ValueError, FloatingPointError) as error:
                if not re.search(rf"(?<!\w){name}(?!\w)", str(error)):
                    wrong.append(f"{name} = {bad!r}: said {error}")
            except Exception as error:
                wrong.append(f"{name} = {bad!r}: {type(error).__name__} {error}")
            else:
                wrong.append(f"{name} = {bad!r} passed")
            if time.perf_counter() - start > 1:
                wrong.append(f"{name} = {bad!r} took over a second")
    return wrong


def test_every_public_function_has_its_good_call_here():
    assert {p for p in public(MODULES) if p[1] not in APART} <= {(f.__module__, f.__name__) for f in GOOD}


@pytest.mark.parametrize("function", GOOD, ids=lambda f: f"{f.__module__.split('.')[-1]}.{f.__name__}")
def test_bad_values_are_refused_by_name_within_a_second(function):
    assert not (wrong := faults(function, GOOD[function])), "\n".join(wrong)


def same(a, b):
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
    if isinstance(a, list | tuple):
        return all(same(x, y) for x, y in zip(a, b, strict=True))
    if hasattr(a, "__dataclass_fields__"):
        return all(same(getattr(a, k), getattr(b, k)) for k in a.__dataclass_fields__)
    return True


def in_another_form(value, form):
    if isinstance(value, np.ndarray):
        return form(value)
    if isinstance(value, list):
        return [in_another_form(v, form) for v in value]
    return value


def strided(a):
    wide = np.repeat(a, 2, axis=-1)
    return wide[..., ::2]


def read_only(a):
    a = np.array(a)
    a.flags.writeable = False
    return a


@pytest.mark.parametrize(
    "form", [strided, read_only, np.ndarray.tolist, torch.as_tensor], ids=lambda f: f.__name__
)
@pytest.mark.parametrize(
    "function",
    [f for f in GOOD if f is not architecture.Features],  # a record, which keeps the arrays that it is given
    ids=lambda f: f"{f.__module__.split('.')[-1]}.{f.__name__}",
)
def test_the_same_numbers_in_another_form_give_the_same_result_and_are_left_alone(function, form):
    start, again = calls()[function], calls()[function]
    other = {name: in_another_form(value, form) for name, value in again.items()}
    expected, got = function(**start), function(**other)
    assert all(same(start[name], GOOD[function][name]) for name in start if name != "rng")
    for name, value in other.items():
        if isinstance(value, np.ndarray):
            assert np.array_equal(value, start[name])
    for a, b in zip(numbers(expected), numbers(got), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


def numbers(result):
    if isinstance(result, np.ndarray | float | np.floating):
        return [result]
    if isinstance(result, tuple):
        return [x for part in result for x in numbers(part)]
    if hasattr(result, "__dataclass_fields__"):
        return [x for k in result.__dataclass_fields__ for x in numbers(getattr(result, k))]
    return []

"""Every public function of the kernels and of the bottleneck refuses bad input by the argument's name, and at once."""

import numpy as np

from gdln.bottleneck import architecture, dynamics, experiments, linear
from gdln.bottleneck.architecture import Bottleneck
from gdln.data.regression import Task
from gdln.kernels import function_space, gram, iterative, moments, tangent
from gdln.kernels.moments import FullyConnected
from tests import test_entrances as walk

MODULES = (moments, gram, tangent, iterative, function_space, architecture, dynamics, linear, experiments)
#: The inner loop and its choice of a module, which take what the checked functions hand them; results; the exception.
APART = {
    "recursion", "array_module", "Kernels", "MomentDerivatives", "MixedDerivatives", "UnstableStepSize",
    "FlowPrediction", "FunctionTrajectory", "Posterior", "LinearFlow", "BottleneckOutcome", "Setting",
    "IterativeSolution",
}  # fmt: skip


def linear_kernel(A, B):
    return A @ B.T


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
    # three layers, so that two factors are not one a layer
    finite = dict(
        weights=[np.ones((3, 4)), np.ones((2, 3)), np.ones((1, 2))],
        biases=[np.ones(3), np.ones(2), np.ones(1)],
    )
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
        gram.gram: dict(network=network, X=X, X2=X2, tile=2, device="cpu"),
        gram.input_gradients: dict(network=network, X=X, X2=X2, fan_in=4.0),
        gram.gradient_covariance: dict(network=network, X=X, X2=X2, fan_in=4.0),
        tangent.empirical_ntk: dict(**finite, X=X, X2=X2, activation="erf", W_std=1.0, b_std=0.1),
        tangent.layer_kernels: dict(**finite, X=X, X2=X2, activation="erf", W_std=1.0, b_std=0.1),
        iterative.solve_iteratively: dict(
            kernel=linear_kernel, X=X, y=Y, ridge=0.1, rng=rng, rank=2, store=True, tolerance=1e-6, tile=4,
            max_products=100,
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
        experiments.prepare: dict(task=data, part=network, fraction=0.3),
        experiments.baseline: dict(**shared, horizon=3, layer="infinite"),
        experiments.train: dict(**shared, horizon=3.0, width=2, rng=rng, fan_in=2.0, slow=1, n_units=8, test=True),
    }  # fmt: skip


#: What comes of a value that is bad elsewhere and right here: beginnings of lines of :func:`walk.faults`.
RIGHT = {"gram.gram": ("tile = None passed", "device = None passed")}

test_bad_values_are_refused_by_name, test_other_forms_change_nothing = walk.over(MODULES, calls, APART, RIGHT)

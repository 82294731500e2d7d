"""Every public function of kernel shape renormalization refuses bad input by the argument's name, and at once."""

import numpy as np
import pytest
import torch

from gdln.data import regression
from gdln.renormalization import (
    chains,
    estimator,
    features,
    gates,
    generalisation,
    kernels,
    langevin,
    mixing,
    patches,
    paths,
    posterior,
    saddle,
    scalar,
    scale,
)
from tests import test_entrances as walk

MODULES = (
    gates, paths, kernels, features, patches, scalar, scale, saddle, posterior, generalisation, langevin, mixing,
    chains, estimator,
)  # fmt: skip
#: Records, which keep what they are given; the estimator, which looks at what it is given when it is fitted; what
#: kernels, which are walked, are made with.
APART = {
    "LinearSolution", "Errors", "Prediction", "SaddleSolution", "LangevinRun", "SamplingWarning", "Diagnostics",
    "Health", "Chains", "SampledErrors", "GatedNetworkRegressor", "Gated", "check_memory",
}  # fmt: skip


def calls():
    """A good call of every public function: arguments by name."""
    rng = np.random.default_rng(0)
    X, X_new, y = rng.standard_normal((6, 3)), rng.standard_normal((2, 3)), rng.standard_normal(6)
    G, G_new = np.ones((6, 2)), np.ones((2, 2))
    G[:3, 1] = 0
    K0 = X @ X.T / 3 + np.eye(6)
    kernel = kernels.GatedKernel(K0, [G])
    U = [np.eye(2)]
    problem = dict(y=y, sigma2=1.0, temperature=0.1)
    data = dict(X=X, gates=[G], y=y, X_new=X_new, gates_new=[G_new], sigma2=1.0, temperature=0.1, rng=rng)
    chain = dict(n_draws=4, n_warmup=1, n_chains=2)
    task = regression.relu_teacher(n_samples=5, n_inputs=6, n_new=2, rng=rng)
    planes = gates.random_planes(2, 6, np.random.default_rng(1), constant=True)
    law = dict(s=2.0, n_samples=4, sigma2=1.0)
    images = rng.standard_normal((5, 4, 4))
    cut = patches.cut(images, 2)
    generator, net = torch.Generator().manual_seed(0), langevin.GatedNet(3, 2, [4])
    draws = rng.standard_normal((2, 8))
    return {
        features.FeatureKernel: dict(
            X=np.random.default_rng(2).standard_normal((9, 3)),
            gates=[np.array([[1.0, 0]] * 4 + [[1, 1]] * 5)],
            sigma2=1.0,
            depth=1,
            outputs=1,
            tile=4,
        ),
        gates.ClusterGates: dict(centres=X[:2], bandwidth=1.0),
        gates.PlaneGates: dict(directions=X[:2], thresholds=np.zeros(2), slope=2.0, allow_silent=True),
        gates.by_task: dict(
            tasks=np.array([0, 1]), masks=np.eye(2, dtype=bool), bottom_up=np.ones((2, 2)), allow_silent=False
        ),
        gates.check_active: dict(G=G, allow_silent=False),
        gates.clusters: dict(X=X, n_gates=2, rng=rng, bandwidth=1.0, n_starts=2),
        gates.constant: dict(X=X),
        gates.random_planes: dict(
            n_gates=3,
            n_inputs=3,
            rng=rng,
            slope=2.0,
            threshold=0.1,
            constant=True,
            complementary=True,
            allow_silent=True,
        ),
        gates.task_masks: dict(n_tasks=2, n_gates=4, rng=rng, fraction=0.5),
        kernels.GatedKernel: dict(K0=K0, gates=[G], depth=1, outputs=1),
        kernels.KernelStack: dict(D=np.stack([np.stack([K0, 0 * K0]), np.stack([0 * K0, K0])]), dims=[2]),
        kernels.capacity: dict(n_inputs=3, n_gates=2, depth=1, binary=False),
        kernels.input_kernel: dict(X=X, X_new=X_new, sigma2=1.0),
        paths.path_features: dict(gates=[G]),
        patches.PatchKernel: dict(patches=cut, sigma2=1.0, activation="linear"),
        patches.cut: dict(images=images, size=2, stride=1),
        patches.diagonals: dict(patches=cut, sigma2=1.0, activation="linear"),
        patches.kernels: dict(patches=cut, patches_new=cut[:2], sigma2=1.0, activation="relu"),
        scale.lowest_minimum: dict(
            eigenvalues=np.array([0.0, 1.0, 2.0]),
            squares=np.ones(3),
            widths=np.array([10.0, 5.0]),
            sigma2=1.0,
            temperature=0.1,
        ),
        scale.refuse_collapse: dict(targets=np.ones(3), width=5.0, temperature=0.1),
        chains.diagnostics: dict(draws=draws),
        chains.pareto_k: dict(log_ratio=rng.standard_normal(30)),
        chains.health: dict(each=chains.diagnostics(draws), n_chains=2),
        chains.summary: dict(
            outputs=draws[..., None],
            spreads=draws[..., None] ** 2,
            U_draws=draws[:, :, None, None],
            training=0.5,
            kernels=draws[:, :, None, None] * np.eye(2),
        ),
        mixing.effective_bulk: dict(draws=draws),
        mixing.effective_tail: dict(draws=draws),
        mixing.r_hat: dict(draws=draws),
        mixing.tail_shape: dict(log_ratio=rng.standard_normal(30)),
        langevin.GatedNet: dict(n_inputs=3, n_gates=2, widths=[4]),
        langevin.PatchNet: dict(patch_size=2, width=3, n_patches=2, activation="erf"),
        langevin.Ensemble: dict(
            net=net, n_chains=2, sigma2=1.0, generator=generator, dtype=torch.float64, device="cpu"
        ),
        langevin.sample: dict(
            net=net,
            data=net.data(X, G),
            y=y,
            new=net.data(X_new, G_new),
            sigma2=1.0,
            temperature=0.1,
            lr=1e-3,
            n_steps=8,
            n_warmup=1,
            generator=generator,
            n_chains=2,
            thin=2,
            dtype=torch.float64,
            device="cpu",
        ),
        scalar.depth_limit: dict(alpha=0.5, r0=1.0, sigma2=1.0),
        scalar.layer_scale: dict(alpha=0.5, r0=1.0, sigma2=1.0, depth=1),
        scalar.log_average_meijer: dict(**law, widths=[3], digits=20),
        scalar.log_average_quadrature: dict(**law, width=3.0),
        scalar.mean_scale_meijer: dict(**law, widths=[3], digits=20),
        scalar.solve_linear: dict(K0=K0, **problem, widths=[10.0]),
        saddle.action: dict(kernel=kernel, **problem, U=U, widths=[10.0]),
        saddle.gp_limit: dict(kernel=kernel, **problem),
        saddle.solve: dict(
            kernel=kernel,
            **problem,
            widths=[10.0],
            start=U,
            method="auto",
            tolerance=1e-9,
            max_evaluations=100,
        ),
        saddle.width_path: dict(
            kernel=kernel, **problem, widths=[10.0, 5.0], tolerance=1e-9, max_evaluations=100
        ),
        posterior.collapsed: dict(**data, widths=[4], **chain),
        posterior.gibbs: dict(**data, widths=[4], **chain),
        posterior.importance: dict(**data, width=4, n_draws=20, dof=8.0),
        generalisation.along_widths: dict(
            task=task, gates=planes, widths=[10.0, 5.0], sigma2=1.0, temperature=0.1, depth=1
        ),
        generalisation.fit: dict(task=task, gates=planes, width=10.0, sigma2=1.0, temperature=0.1, depth=1),
        generalisation.interpolate_nuclear: dict(task=task, gates=planes, smoothing=1e-3, rate=0.99),
    }


#: What comes of a value that is bad elsewhere and right here: beginnings of lines of :func:`walk.faults`.
RIGHT = {
    "chains.diagnostics": ("draws = array([[[[[",),  # of any quantities
    "chains.pareto_k": ("log_ratio = array([",),  # minus infinity is the logarithm of zero
    "chains.summary": ("spreads = None", "kernels = None", "outputs = array([[[[[["),
    "langevin.GatedNet": ("widths = [4, 4, 4] passed",),
    "scale.lowest_minimum": ("widths = array([10., inf])",),
    "scale.refuse_collapse": ("width = inf",),
    "features.FeatureKernel": ("gates = [array",),  # more layers
    "gates.PlaneGates": ("slope = inf",),
    "gates.by_task": ("bottom_up = None passed",),
    "gates.clusters": ("bandwidth = None",),
    "gates.random_planes": ("slope = inf", "threshold = -1 "),
    "generalisation.along_widths": ("widths = [10.0, 10.0, 10.0]",),
    "generalisation.fit": ("width = inf",),
    "kernels.GatedKernel": ("gates = [array",),  # more layers
    "kernels.KernelStack": ("dims = None",),
    "kernels.input_kernel": ("X_new = None",),
    "paths.path_features": ("gates = [array",),  # more layers
    "patches.cut": ("stride = None",),
    "patches.kernels": ("patches_new = None",),
    "posterior.collapsed": ("widths = [4, 4, 4]: said gates",),
    "posterior.gibbs": ("widths = [4, 4, 4]: said gates",),
    "saddle.action": ("sigma2 = None",),
    "saddle.gp_limit": ("sigma2 = None",),
    "saddle.solve": ("sigma2 = None", "start = None"),
    "saddle.width_path": ("sigma2 = None", "widths = [10.0, 10.0, 10.0]"),
    "scalar.layer_scale": ("depth = 2.",),
    "scalar.log_average_meijer": ("n_samples = -1", "n_samples = 2.", "widths = [3, 3, 3]"),
    "scalar.log_average_quadrature": ("n_samples = -1 ", "n_samples = 2."),
    "scalar.mean_scale_meijer": ("n_samples = -1", "n_samples = 2.", "widths = [3, 3, 3]"),
    "scalar.solve_linear": ("widths = [10.0, 10.0, 10.0]",),
}

pytestmark = pytest.mark.filterwarnings("ignore::gdln.renormalization.chains.SamplingWarning")
test_bad_values_are_refused_by_name, test_other_forms_change_nothing = walk.over(MODULES, calls, APART, RIGHT)


def fitted(sample_weight, return_std, **parameters):
    """What an estimator predicts; inputs and targets are refused in the words of scikit-learn."""
    X = np.random.default_rng(0).standard_normal((12, 2))
    model = estimator.GatedNetworkRegressor(**parameters).fit(X, X[:, 0], sample_weight)
    return model.predict(X[:3], return_std)


def test_the_estimator_refuses_bad_values_by_name_when_it_is_fitted():
    good = dict(
        sample_weight=np.ones(12), return_std=True, width=10.0, depth=1, n_gates=2, gates=None, sigma2=1.0,
        temperature=0.1, random_state=0, scale_inputs=True,
    )  # fmt: skip
    right = (
        "sample_weight = None", "width = [1.0, 2.0]: said depth", "width = array([1., 1.]): said depth", "width = inf",
        "depth = None", "gates = None",
        "random_state = ",  # refused in the words of scikit-learn, too
    )  # fmt: skip
    assert not [line for line in walk.faults(fitted, good) if not line.startswith(right)]

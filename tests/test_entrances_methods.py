"""Methods that users call refuse bad input by the argument's name, as the functions do."""

import numpy as np
import pytest
import torch

from gdln.alignment import perceptrons, rules
from gdln.convergence import features, flow
from gdln.data import images
from gdln.linear import modes
from gdln.nets import mlp
from gdln.race import graph, nets, pathways, propagation, reduction, trees
from gdln.renormalization import gates, kernels, langevin, patches, posterior, saddle, scalar
from tests import test_entrances as walk


def calls():
    """Methods by name, bound, each with a good call: arguments by name."""
    rng, generator = np.random.default_rng(0), torch.Generator().manual_seed(0)
    ends = dict(rtol=1e-6, atol=1e-6)
    times = np.array([0.0, 0.5])
    chain = graph.GatedGraph({"x": 2, "h": 3, "y": 2}, [("x", "h"), ("h", "y")])
    reduced = reduction.reduce_flow(
        graph.Correlations(chain, {0: np.diag([3.0, 1.0])}, {(0, 0): np.eye(2)}, 10.0)
    )
    tree = trees.PathwayTree([[0, 0]], [[0, 0]], [2.0, 1.0], [1.0, 1.0])
    B = np.full((2, 2), 0.1)
    weights = {"x->h": np.ones((3, 2)), "h->y": np.ones((2, 3))}
    X, Y = rng.standard_normal((6, 3)), rng.standard_normal((6, 2))
    run = propagation.simulate(chain, weights, {"x": X[:, :2]}, {"y": Y}, times)
    gram = features.feature_kernel(X, X)
    c, h = flow.draw_functions(gram, 4, rng)
    course = flow.flow(gram, h, c, Y[:, 0], "sine", times)
    first = features.draw_features(5, 3, rng)
    G, G_new = np.ones((6, 2)), np.ones((2, 2))
    G[:3, 1] = 0
    kernel = kernels.GatedKernel.from_inputs(X, [G])
    point = saddle.solve(kernel, Y[:, 0], widths=[10.0], temperature=0.1)
    new = dict(X_new=X[:2], gates=[G_new])
    linear = scalar.solve_linear(X @ X.T + np.eye(6), Y[:, 0], sigma2=1.0, temperature=0.1, widths=[10.0])
    drawn = posterior.importance(
        X, [G], Y[:, 0], X[:2], [G_new], width=4, sigma2=1.0, temperature=0.1, n_draws=200, rng=rng
    )
    path = pathways.PathwayNetwork(2, 2, (3, 4, 4, 2), generator=generator)
    net = mlp.MLP([3, 4, 2], generator=generator)
    stack = perceptrons.Perceptrons.draw([3, 4, 2], 2, generator=generator)
    x, y = (torch.tensor(a) for a in (X, Y))
    few = images.digits().subset(slice(0, 12))
    basis = modes.modes(np.diag([3.0, 1.0]), np.eye(2))
    cut = patches.cut(rng.standard_normal((5, 4, 4)), 2)
    return {
        "GatedGraph.ends": (chain.ends, dict(p=0)),
        "GatedGraph.shape": (chain.shape, dict(edge="x->h")),
        "Reduction.path_strengths": (reduced.path_strengths, dict(B=B)),
        "Reduction.loss": (reduced.loss, dict(B=B)),
        "Reduction.conserved": (reduced.conserved, dict(B=B)),
        "Reduction.solve": (reduced.solve, dict(B0=B, times=times, tau=1.0, **ends)),
        "PathwayTree.solve": (
            tree.solve,
            dict(B0=np.full((tree.n_edges, 2), 0.1), times=times, tau=1.0, **ends),
        ),
        "GraphTrajectory.at": (run.at, dict(k=0)),
        "GatedNetwork.forward": (
            nets.GatedNetwork(chain, weights=weights).forward,
            dict(inputs={"x": x[:, :2]}, gates={"h": x[:, 0]}),
        ),
        "PathwayNetwork.forward": (path.forward, dict(x=torch.ones(2, 5, 3, dtype=torch.float64))),
        "MLP.forward": (net.forward, dict(x=x, all_layers=False)),
        "Perceptrons.draw": (
            perceptrons.Perceptrons.draw,
            dict(
                widths=(3, 4, 2),
                n_seeds=2,
                generator=generator,
                activation="relu",
                dtype=torch.float64,
                device="cpu",
            ),  # fmt: skip
        ),
        "Perceptrons.from_models": (
            perceptrons.Perceptrons.from_models,
            dict(models=[mlp.MLP([3, 2], generator=generator)]),
        ),
        "Learner.step": (rules.Learner(stack, "backprop").step, dict(x=x, y=y, lr=0.1)),
        "ImageSet.split": (few.split, dict(n_train=5, rng=rng)),
        "Modes.strengths": (basis.strengths, dict(maps=np.eye(2)[None])),
        "Modes.loss": (basis.loss, dict(a=np.array([1.0, 0.5]), power=10.0)),
        "RandomFeatures": (first, dict(X=X)),
        "Flow.predict": (course.predict, dict(h0_new=h[:, :2], cross=gram[:, :2], k=-1)),
        "PlaneGates": (gates.random_planes(2, 3, rng, constant=True), dict(X=X)),
        "ClusterGates": (gates.ClusterGates(X[:2], 1.0), dict(X=X)),
        "GatedKernel.from_inputs": (
            kernels.GatedKernel.from_inputs,
            dict(X=X, gates=[G], sigma2=1.0, depth=1, outputs=1),
        ),
        "GatedKernel.new_points": (kernel.new_points, new),
        "PatchKernel.new_points": (
            patches.PatchKernel(cut).new_points,
            dict(patches_new=cut[:2], gates=None),
        ),
        "LinearSolution.predict_from": (
            linear.predict_from,
            dict(cross=X[:2] @ X.T, diagonal=(X[:2] ** 2).sum(1)),
        ),
        "SaddleSolution.predict": (point.predict, new),
        "Prediction.errors": (point.predict(X[:2], gates=[G_new]).errors, dict(target=Y[:2, 0])),
        "Chains.errors": (drawn.errors, dict(target=Y[:2, 0])),
        "GatedNet.data": (
            langevin.GatedNet(3, 2, [4]).data,
            dict(X=X, G=G, dtype=torch.float64, device="cpu"),
        ),
        "PatchNet.data": (langevin.PatchNet(3, 4).data, dict(X=X, dtype=torch.float64, device="cpu")),
    }


#: What comes of a value that is bad elsewhere and right here: beginnings of lines of :func:`walk.faults`.
RIGHT = {
    "Reduction.solve": ("B0 = np.float64(0.1) passed",),
    "PathwayTree.solve": ("B0 = np.float64(0.1) passed",),
    # from the end
    "GraphTrajectory.at": ("k = -1 passed",),
    "Flow.predict": ("k = -1 passed",),
    # a network says by its outputs that something before it left the finite numbers
    "GatedNetwork.forward": (
        "inputs = {'x': tensor(",
        "gates = {'h': tensor(",
        "gates = None passed",
        "gates = {} passed",
    ),
    "PathwayNetwork.forward": ("x = tensor([[[1., 1., 1.],",),
    "MLP.forward": ("x = tensor([[ 0.1257,",),
    "Perceptrons.draw": ("widths = (3, 3, 3) passed",),
    "Perceptrons.from_models": ("models = [MLP(",),
    # more layers than the kernel has are refused where they meet it
    "GatedKernel.from_inputs": ("gates = [array(",),
    "GatedKernel.new_points": ("gates = [array(",),
    "PatchKernel.new_points": ("gates = None passed",),
}


METHODS = calls()


@pytest.mark.parametrize("name", METHODS)
def test_bad_values_are_refused_by_name(name):
    method, good = METHODS[name]
    lines = [line for line in walk.faults(method, good) if not line.startswith(RIGHT.get(name, ()))]
    assert not lines, "\n".join(lines)

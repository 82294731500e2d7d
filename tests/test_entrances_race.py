"""Every public function of the race refuses bad input by the argument's name, and at once."""

import numpy as np
import torch

from gdln.data import images, tasks
from gdln.race import (
    bases,
    contexts,
    gate_learning,
    graph,
    nets,
    pathways,
    propagation,
    reduction,
    routing,
    routing_simulation,
    trees,
)
from tests import test_entrances as walk

MODULES = (
    bases, contexts, gate_learning, graph, nets, pathways, propagation, reduction, routing, routing_simulation, trees
)  # fmt: skip
#: Results, which keep what they are given; the inner loop of training; what speaks for the solvers that call it.
APART = {
    "Bases", "ContextTask", "GatesTrajectory", "BlockedTrajectory", "PathwayTrajectory", "GraphTrajectory",
    "ReducedSolution", "RoutingSolution", "HiddenSolution", "SharingSolution", "RoutingTrajectory", "Weights",
    "TreeSolution", "loss_and_gradients", "start_strengths",
}  # fmt: skip

FEW = images.digits().subset(slice(0, 20))


def calls():
    """A good call of every public function: arguments by name."""
    rng, generator = np.random.default_rng(0), torch.Generator().manual_seed(0)
    net = graph.GatedGraph({"x": 3, "a": 2, "b": 2, "y": 2}, [("x", "a"), ("x", "b"), ("a", "y"), ("b", "y")])
    X, Y = rng.standard_normal((5, 3)), rng.standard_normal((5, 2))
    data = dict(inputs={"x": X}, targets={"y": Y})
    gates = {"a": np.array([1.0, 1.0, 0.0, 1.0, 0.0]), "x->b": np.array([1.0, 0.0, 1.0, 1.0, 1.0])}
    weights = {e: rng.standard_normal(net.shape(e)) for e in net.edges}
    statistics = graph.correlations(net, {"x": X}, {"y": Y}, gates)
    on_paths = dict(statistics=statistics, weights=weights)
    flow = dict(graph=net, weights=weights, inputs={"x": X}, gates=gates)
    chain = graph.GatedGraph({"x": 2, "h": 3, "y": 2}, [("x", "h"), ("h", "y")])
    diagonal = graph.Correlations(chain, {0: np.diag([3.0, 1.0])}, {(0, 0): np.eye(2)}, 10.0)
    reduced = reduction.reduce_flow(diagonal)
    both = contexts.items_in_contexts(2)
    open_gates = contexts.module_gates(both, [(0,), (1,), (0, 1)])
    layers = dict(W1=rng.standard_normal((2, 3, 6)), W2=rng.standard_normal((2, 21, 3)))
    teachers = gate_learning.orthogonal_teachers(2, 3, 2, rng)
    blocks = dict(
        W=0.1 * rng.standard_normal((2, 2, 3, 3)), c=np.full((2, 2), 0.5), teachers=teachers, tau_c=1.0
    )
    run = gate_learning.simulate_blocks(**blocks, n_blocks=2, block_time=0.1)
    domains = tasks.routing(np.eye(2, dtype=bool), X, Y)
    routes = routing_simulation.orthogonal_weights(domains, 4, 0.5, 2, rng)
    modes = dict(S=np.array([2.0, 1.0]), D=np.array([1.0, 1.5]))
    shared = dict(**modes, n_domains=2, b0=0.1, times=np.array([0.0, 0.5]), tau=1.0)
    ends = dict(rtol=1e-6, atol=1e-6)
    path = pathways.PathwayNetwork(2, 2, (3, 4, 4, 2), generator=generator)
    x = torch.randn(2, 6, 3, generator=generator, dtype=torch.float64)
    targets = torch.tensor([[0, 1, 0, 1, 0, 1], [1, 0, 1, 0, 0, 1]])
    return {
        bases.diagonalise: dict(statistics=diagonal),
        contexts.items_in_contexts: dict(n_contexts=2, heights=(1.0, 2.0, 1.0)),
        contexts.module_gates: dict(task=both, modules=[(0,), (1,), (0, 1)]),
        contexts.module_network: dict(task=both, gates=open_gates, width=2),
        contexts.simulate_gates: dict(**layers, gates=open_gates, task=both, lr=0.1, n_steps=2, record_every=1),
        contexts.relu_gates: dict(W1=layers["W1"], task=both),
        gate_learning.orthogonal_teachers: dict(n_tasks=2, n=3, n_seeds=2, rng=rng),
        gate_learning.regulariser_slope: dict(c=np.array([0.5, 0.7]), strength=1.0),
        gate_learning.simulate_blocks: dict(
            **blocks, strength=1.0, block_time=0.1, n_blocks=2, lr=0.01, record_every=1, tau_w=1.0
        ),
        gate_learning.switch_loss: dict(run=run, window=0.05),
        graph.GatedGraph: dict(widths={"x": 2, "y": 1}, edges={"e": ("x", "y")}),
        graph.Correlations: dict(graph=chain, yx={0: np.diag([3.0, 1.0])}, xx={(0, 0): np.eye(2)}, yy=10.0),
        graph.check_data: dict(graph=net, **data),
        graph.check_gates: dict(graph=net, gates=gates, n_samples=5),
        graph.check_weights: dict(graph=net, weights=weights),
        graph.conserved: dict(graph=net, weights=weights),
        graph.correlations: dict(graph=net, **data, gates=gates),
        graph.gradient: on_paths,
        graph.loss: on_paths,
        graph.path_errors: on_paths,
        graph.path_gates: dict(graph=net, gates=gates, n_samples=5),
        graph.path_product: dict(graph=net, weights=weights, path=("x->a", "a->y")),
        nets.GatedNetwork: dict(
            graph=chain, parametrisation="standard", gain=1.0,
            weights={"x->h": np.ones((3, 2)), "h->y": np.ones((2, 3))}, generator=generator, dtype=torch.float64,
            device="cpu",
        ),
        pathways.PathwayNetwork: dict(
            n_domains_in=2, n_domains_out=2, widths=(3, 4, 4, 2), activation="linear", gain=0.5,
            parametrisation="xavier", generator=generator, dtype=torch.float64, device="cpu",
        ),
        pathways.trained_routes: dict(mask=np.eye(2, dtype=bool), device="cpu"),
        pathways.accuracy: dict(network=path, x=x, targets=targets, chunk=4),
        pathways.train: dict(
            network=path, x=x, targets=targets, mask=np.eye(2, dtype=bool), lr=0.01, n_epochs=1, generator=generator,
            test=(x, targets), momentum=0.5, batch_size=3, record_every=1, progress=False,
            device="cpu",
        ),
        pathways.experiment: dict(
            train_set=FEW, test_set=FEW, n_domains=2, n_trained=1, rng=rng, generator=generator, lr=0.01, n_epochs=1,
            gain=0.1, activation="linear", width=4, inputs="permuted", relabelling="random", batch_size=5,
            record_every=1, device="cpu",
        ),
        propagation.backpropagate: dict(**flow, targets={"y": Y}),
        propagation.forward: flow,
        propagation.random_weights: dict(graph=net, scale=0.1, rng=rng, orthogonal=True),
        propagation.simulate: dict(**flow, targets={"y": Y}, times=np.array([0.0, 0.1]), tau=1.0, **ends),
        reduction.Reduction: dict(
            graph=chain, S=reduced.S, pairs=reduced.pairs, D=reduced.D, yy=10.0, bases=reduced.bases
        ),
        reduction.contextual_loss: dict(t=np.array([0.5]), a0=0.1, n_contexts=2, tau=1.0),
        reduction.xor_loss: dict(t=np.array([0.5]), a0=0.1, tau=1.0),
        reduction.decoupled_weights: dict(reduction=reduced, B0=np.array([0.1, 0.2]), rng=rng),
        reduction.path_modes: dict(reduction=reduced, weights={"x->h": np.ones((3, 2)), "h->y": np.ones((2, 3))}),
        reduction.reduce_flow: dict(statistics=diagonal, tolerance=1e-8),
        reduction.start_strengths: dict(B0=np.array([0.1, 0.2]), shape=(2, 2)),
        routing.escape_strength: dict(
            t=np.array([0.5]), S=np.array([2.0]), n_domains=2.0, C=np.array([0.01]), b2=np.array([0.1]), tau=1.0
        ),
        routing.escape_time: dict(
            S=np.array([2.0]), n_domains=2.0, C=np.array([0.01]), b2=np.array([0.1]), tau=1.0
        ),
        routing.hidden_limit: dict(S=np.array([2.0]), D=np.array([1.0]), n_domains=2.0, C=np.array([0.01])),
        routing.hidden_time: dict(B2=np.array([0.5]), b2=0.1, S=2.0, D=1.0, n_domains=2.0, C=0.01, tau=1.0),
        routing.routing_loss: dict(strength=np.array([0.5, 0.2]), **modes, yy=10.0),
        routing.sharing: dict(n_shared=4, n_domains=6),
        routing.solve_hidden: dict(
            **modes, n_domains=2.0, C=np.array([0.01, 0.02]), b2=np.array([0.1, 0.2]), times=np.array([0.0, 0.5]),
            tau=1.0, **ends,
        ),
        routing.solve_routing: dict(**shared, n_trunk=1, **ends),
        routing.solve_shared_and_dedicated: dict(**shared, **ends),
        routing.solve_sharing: dict(**shared, n_shared=4),
        routing.speed_up: dict(n_shared=np.array([4.0, 9.0])),
        routing.speed_up_limit: dict(n_shared=np.array([4.0, 9.0])),
        routing_simulation.code_similarity: dict(weights=routes, task=domains),
        routing_simulation.decoupled_weights: dict(task=domains, width=4, b0=0.1, rng=rng),
        routing_simulation.epoch_time: dict(task=domains, lr=0.1),
        routing_simulation.mirrored: dict(weights=routes, task=domains),
        routing_simulation.orthogonal_weights: dict(task=domains, width=4, gain=0.5, n_seeds=2, rng=rng),
        routing_simulation.route_errors: dict(weights=routes, task=domains),
        routing_simulation.simulate: dict(
            weights=routes, task=domains, lr=0.1, n_steps=2, record_every=1, singular_values=True
        ),
        trees.PathwayTree: dict(inputs=[[0, 0]], outputs=[[0, 0]], **modes, n_trunk=1),
    }  # fmt: skip


#: What comes of a value that is bad elsewhere and right here: beginnings of lines of :func:`walk.faults`.
RIGHT = {
    "contexts.items_in_contexts": ("heights = (1.0, 1.0, 1.0) passed",),
    "contexts.module_gates": ("modules = [(0,), (0,), (0,)] passed",),
    "gate_learning.regulariser_slope": ("c = array([[[[",),
    "gate_learning.simulate_blocks": ("tau_c = inf passed",),
    "gate_learning.switch_loss": ("window = inf passed",),
    "graph.Correlations": ("yx = {} passed", "xx = {} passed"),
    "graph.check_data": ("targets = None passed",),
    "graph.path_product": ("weights = {'x->a': array(",),  # the edge that is not on the path
    "nets.GatedNetwork": ("gain = -1 passed", "weights = None passed", "generator = None passed"),
    "pathways.PathwayNetwork": ("gain = -1 passed",),
    "pathways.experiment": ("gain = -1 passed", "record_every = None passed"),
    "pathways.train": ("record_every = None passed", "device = None passed"),  # where the weights lie
    "reduction.Reduction": ("bases = None passed", "bases = Bases with "),
    "reduction.contextual_loss": ("a0 = ",),
    "reduction.decoupled_weights": ("rng = None passed",),
    "reduction.xor_loss": ("a0 = ",),
    # any shape
    "routing.escape_strength": ("C = array([[[[", "b2 = array([[[["),
    "routing.escape_time": ("C = array([[[[", "b2 = array([[[["),
    "routing.hidden_limit": ("D = array([[[[", "C = array([[[["),
    "routing.hidden_time": ("B2 = array([[[[",),
    "routing.routing_loss": ("strength = array([[[[",),
    "routing.speed_up": ("n_shared = array([[[[",),
    "routing.speed_up_limit": ("n_shared = array([[[[",),
    "routing.solve_routing": ("n_domains = 2.", "b0 = -1 passed"),
    "routing.solve_shared_and_dedicated": ("b0 = ",),  # of both paths, or one each
    "routing.solve_sharing": ("b0 = -1 passed",),
    # a node or an edge without a gate is open
    **{
        name: tuple(f"gates = {{'{rest}'" for rest in ("x->b", "a")) + ("gates = None passed",) * optional
        for name, optional in {
            "graph.check_gates": False,
            "graph.correlations": True,
            "graph.path_gates": False,
            "propagation.backpropagate": True,
            "propagation.forward": True,
            "propagation.simulate": True,
        }.items()
    },
}

test_bad_values_are_refused_by_name, test_other_forms_change_nothing = walk.over(MODULES, calls, APART, RIGHT)

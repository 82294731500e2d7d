"""What is measured: our way of a job, what a user would write instead, and the limit that no way can pass.

A job's makers take a size and return a call without arguments, so that preparing costs nothing. The two ways of a job
agree to stated precision; the tests beside hold that.
"""

import ctypes
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from scipy.integrate import solve_ivp
from scipy.linalg.lapack import dpotrf, dpotri
from torch.func import functional_call, jacrev, vmap

from gdln import renormalization as rn
from gdln.activations import ACTIVATIONS
from gdln.alignment.perceptrons import Perceptrons
from gdln.alignment.rules import Learner
from gdln.bottleneck import architecture, dynamics
from gdln.bottleneck.architecture import Bottleneck
from gdln.convergence.flow import draw_units, velocity
from gdln.kernels import tangent
from gdln.kernels.gram import gram
from gdln.kernels.moments import FullyConnected
from gdln.linear.modes import mode_strength
from gdln.nets import training
from gdln.nets.mlp import MLP
from gdln.race.trees import PathwayTree
from gdln.renormalization import langevin
from gdln.renormalization.descent import Problem


@dataclass(frozen=True)
class Job:
    """One job of the library.

    Attributes
    ----------
    name, module : str
        What is done, and where.
    size : str
        What grows.
    sizes : tuple of int
        Three sizes, for the growth of the time.
    at : int
        The size at which ways are compared.
    ours : callable
        Of a size; returns the call that is timed.
    instead : str
        What a user would use, by library; empty where nothing does the same.
    peer : callable, optional
        As ``ours``, of that. May raise ImportError where an optional library is missing.
    limit_is : str
        The work that every way has to do; empty where there is no such limit.
    limit : callable, optional
        As ``ours``, of that work alone.
    parts : tuple of pairs, optional
        More of that kind, each by name and as ``ours``; their shares are stored for the text of the page.
    """

    name: str
    module: str
    size: str
    sizes: tuple
    at: int
    ours: Callable
    instead: str = ""
    peer: Callable | None = None
    limit_is: str = ""
    limit: Callable | None = None
    parts: tuple = ()


#: Results that are kept before they are dropped together.
KEPT = 16


def keeping(make):
    """The same call with its results kept, so that every one of them comes in memory that was not touched before."""
    # glibc holds freed memory back for the next results, unless told to return it; other systems need not be told
    give_back = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None

    def kept_call(n):
        call, kept = make(n), []

        def run():
            if len(kept) == KEPT:
                kept.clear()
                if give_back is not None:
                    give_back(0)
            kept.append(call())

        return run

    return kept_call


def closed_form(n):
    s, t = np.linspace(0.5, 2, n), np.linspace(0, 20, 200)
    return lambda: mode_strength(t[:, None], s, 1e-3)


def by_solver(n, rtol=1e-10):
    s, t = np.linspace(0.5, 2, n), np.linspace(0, 20, 200)

    def slope(_, a):
        return 2 * a * (s - a)

    return lambda: solve_ivp(slope, (0, t[-1]), np.full(n, 1e-3), "RK45", t, rtol=rtol, atol=1e-3 * rtol).y.T


def exponentials(n):
    exponent = np.linspace(0, -20, 200)[:, None] * np.linspace(0.5, 2, n)
    return lambda: np.exp(exponent)


def first_touch(n):
    def touch():
        memory = np.empty((200, n))
        memory.fill(1.0)
        return memory

    return touch


def tree(n_domains, n_modes=32):
    rng = np.random.default_rng(0)
    routes = PathwayTree([[0] * n_domains], [[0] * n_domains], np.linspace(1, 2, n_modes), 1.0)
    return routes, 0.1 + 0.1 * rng.random((routes.n_edges, n_modes))


def tree_velocity(n_domains):
    routes, B = tree(n_domains)
    return partial(routes.velocity, B)


def path_tensor(routes, B, n_domains):
    """Velocity with one entry for every pair of domains."""
    a, h, c = B[:n_domains, None], B[n_domains], B[None, n_domains + 1 :]
    error = (routes.S - routes.D * a * h * c) / n_domains**2
    return np.concatenate([(h * c * error).sum(1), (a * c * error).sum((0, 1))[None], (a * h * error).sum(0)])


def tensor_of_pairs(n_domains):
    return partial(path_tensor, *tree(n_domains), n_domains)


def saddle_problem(n, n_gates=10, *, width=None, sigma2=1.0, temperature=0.1, n_inputs=None):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((n, n_inputs or n))
    g = np.column_stack([np.ones(n), rng.standard_normal((n, n_gates - 1)) > 0])
    y = np.sign(x[:, 0]) + 0.3 * rng.standard_normal(n)
    kernel = rn.GatedKernel(rn.input_kernel(x, sigma2=sigma2), g)
    return Problem(kernel, y, width or n, sigma2, temperature)


def saddle_gradient(n, n_gates=10, **options):
    p = saddle_problem(n, n_gates, **options)
    return partial(p.evaluate, p.start())


def saddle_autograd(n):
    p = saddle_problem(n)
    F, K0, y = (torch.as_tensor(a) for a in (p.kernel.F.copy(), p.kernel.K0.copy(), p.y.copy()))
    U = torch.eye(10, dtype=torch.float64, requires_grad=True)

    def action():
        C = (F @ U @ F.T) * K0 + p.T * torch.eye(n, dtype=torch.float64)
        factor = torch.linalg.cholesky(C)
        v = torch.cholesky_solve(y[:, None], factor)[:, 0]
        S = n * (torch.trace(U) - torch.logdet(U)) + y @ v + 2 * torch.log(torch.diagonal(factor)).sum()
        return torch.autograd.grad(S, U)[0]

    return action


def factor_and_inverse(n):
    p = saddle_problem(n)
    C = p.kernel(np.eye(10)) + 0.1 * np.eye(n)

    def factorise():
        factor, _ = dpotrf(np.asfortranarray(C), lower=True, overwrite_a=True)
        dpotri(factor, lower=True, overwrite_c=True)

    return factorise


def gated(size, n_gates=10):
    rng = np.random.default_rng(0)
    X, G, y = rng.standard_normal((size, size)), rng.random((size, n_gates)), rng.standard_normal(size)
    net = langevin.GatedNet(size, n_gates, size)
    return net, langevin.Ensemble(net, 1, 1.0, torch.Generator().manual_seed(0), torch.float64), X, G, y


def gated_gradient(size):
    net, state, X, G, y = gated(size)
    data, y = net.data(X, G, torch.float64), torch.as_tensor(y)

    def step():
        net.gradient(state.blocks, data, y, state.slopes)
        return state.slopes

    return step


def gated_autograd(size):
    _, state, X, G, y = gated(size)
    X, G, y = map(torch.as_tensor, (X, G, y))

    def step():
        W, a = (block[0].detach().requires_grad_() for block in state.blocks)
        f = ((X @ W.T / size**0.5 @ a.T) * G).sum(1) / (G.shape[1] * size) ** 0.5
        return torch.autograd.grad(0.5 * ((f - y) ** 2).sum(), (W, a))

    return step


def chains(width=30, n_gates=10):
    rng = np.random.default_rng(0)
    net = langevin.GatedNet(64, n_gates, width)
    data = net.data(rng.standard_normal((60, 64)), rng.random((60, n_gates)), torch.float32)
    y = torch.as_tensor(rng.standard_normal(60), dtype=torch.float32)

    def ensemble(n, seed=0):
        return langevin.Ensemble(net, n, 1.0, torch.Generator().manual_seed(seed), torch.float32)

    return ensemble, data, y


def chains_together(n, **sizes):
    ensemble, data, y = chains(**sizes)
    batch = ensemble(n)
    return lambda: batch.move(data, y, 1e-3, 0.1)


def chains_in_a_loop(n, **sizes):
    ensemble, data, y = chains(**sizes)
    single = [ensemble(1, seed) for seed in range(n)]
    return lambda: [one.move(data, y, 1e-3, 0.1) for one in single]


def own_noise(n, **sizes):
    ensemble, _, _ = chains(**sizes)
    batch = ensemble(n)
    return lambda: batch.noise.normal_(generator=batch.generator)


def rows(n):
    return np.random.default_rng(0).standard_normal((n, 64))


def wide_kernels(n, activation="relu"):
    return partial(gram, FullyConnected(3, activation), rows(n))


def neural_tangents(n, activation="relu"):
    os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")
    import jax
    from neural_tangents import stax

    jax.config.update("jax_enable_x64", True)
    dense, layer, X = (
        stax.Dense(1, W_std=1.5, b_std=0.1),
        {"relu": stax.Relu, "erf": stax.Erf}[activation](),
        rows(n),
    )
    kernel = jax.jit(stax.serial(*[dense, layer] * 3, dense)[2], static_argnums=2)
    return lambda: jax.block_until_ready(tuple(kernel(X, None, ("nngp", "ntk"))[:2]))


def arc_tangents(n, layers=3):
    """As many as a triangle needs, on numbers that stay in the cache."""
    sine, cosine = np.random.default_rng(0).uniform(-1, 1, (2, 2**13)) ** [[2], [1]]
    out = np.empty_like(sine)

    def all_layers():
        for _ in range(layers * n * (n + 1) // 2 // sine.size + 1):
            np.sqrt(sine, out=out)
            np.arctan2(out, cosine, out=out)

    return all_layers


def inner_products(n, tile=128):
    X = rows(n)
    out = np.empty((tile, tile))

    def triangle():
        for _ in range(n * (n + 1) // 2 // tile**2 + 1):
            np.matmul(X[:tile], X[-tile:].T, out=out)

    return triangle


def other_passes(n, layers=3):
    """What a layer does to a tile besides, a NumPy call a pass: nine with two operands, three with a number."""
    a, b = np.random.default_rng(0).uniform(0.5, 1, (2, 2**13))
    out = np.empty_like(a)

    def all_layers():
        for _ in range(layers * n * (n + 1) // 2 // a.size + 1):
            for _ in range(9):
                np.multiply(a, b, out=out)
            for _ in range(3):
                np.multiply(a, 0.5, out=out)

    return all_layers


def finite_network(width):
    net = MLP([64, width, width, width, 1], "erf", "ntk", 1.5, bias_gain=0.1,
              generator=torch.Generator().manual_seed(0))  # fmt: skip
    return net, torch.randn(100, 64, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def finite_kernel(width):
    net, X = finite_network(width)
    weights, biases = ([p.detach().numpy() for p in ps] for ps in (net.weights, net.biases))
    return partial(tangent.empirical_ntk, weights, biases, X.numpy())


def batched_jacobian(width):
    net, X = finite_network(width)
    parameters = {name: p.detach() for name, p in net.named_parameters()}
    jacobian = vmap(jacrev(lambda p, x: functional_call(net, p, (x[None],))[0]), (None, 0))

    def kernel():
        rows = (j.flatten(2).flatten(0, 1) for j in jacobian(parameters, X).values())
        return sum(j @ j.T for j in rows)

    return kernel


def small_networks(n, width=64):
    g = torch.Generator().manual_seed(0)
    X, Y = (torch.randn(40, k, generator=g, dtype=torch.float64) for k in (20, 5))
    return (
        [MLP([20, width, width, 5], "relu", generator=torch.Generator().manual_seed(k)) for k in range(n)],
        X,
        Y,
    )


def ensemble_together(n, width=64):
    models, X, Y = small_networks(n, width)
    return lambda: training.ensemble(models, "squared", X, Y, 1e-3, 20, record_every=20)


def ensemble_in_a_loop(n, width=64):
    models, X, Y = small_networks(n, width)

    def train():
        for model in models:
            optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
            for _ in range(20):
                optimizer.zero_grad(set_to_none=True)
                training.half_squared_error(model(X), Y).backward()
                optimizer.step()

    return train


def bottleneck_steps(d, n=500, units=512, steps=4, n_outputs=1):
    rng = np.random.default_rng(0)
    X, Y = rng.standard_normal((n, 64)), rng.standard_normal((n, n_outputs))
    net = Bottleneck(FullyConnected(1), FullyConnected(1), d)
    z0, f0 = rng.standard_normal((n, d)), architecture.draw_features(net, n_outputs, units, rng)
    return lambda: dynamics.tangent(net, X, Y, z0, f0, lr=1e-3, n_steps=steps, record_every=steps)


def bottleneck_products(d, n=500, units=512, steps=4):
    """The products of those steps: forward and increments, back, the features' update, the kernel."""
    rng = np.random.default_rng(0)
    z, w, a = rng.standard_normal((n, d)), rng.standard_normal((d, units)), rng.standard_normal((n, units))

    def products():
        for _ in range(steps):
            z @ w, z @ w, a @ w.T, a @ w.T, z.T @ a, z @ z.T

    return products


def hidden_flow(n, name, n_units=None):
    rng = np.random.default_rng(0)
    phi = rng.standard_normal((n, 2 * n)) / np.sqrt(2 * n)
    c, W = draw_units(n_units or n, 2 * n, rng)
    gram_matrix, h0, y = phi @ phi.T, W @ phi.T, rng.uniform(-1, 1, n)
    return np.zeros_like(h0), gram_matrix, h0, c, y, ACTIVATIONS[name]


def flow_slope(n, name="tanh", n_units=None):
    alpha, gram_matrix, h0, c, y, activation = hidden_flow(n, name, n_units)

    def slope():
        h = alpha @ gram_matrix
        h += h0
        velocity(h, c, y, activation)

    return slope


def flow_product(n):
    alpha, gram_matrix, *_ = hidden_flow(n, "tanh")
    return lambda: alpha @ gram_matrix


def rule_step(width, rule="align_ada"):
    nets = [MLP([64, width, width, 10], "relu", "ntk", generator=torch.Generator().manual_seed(0),
                dtype=torch.float32)]  # fmt: skip
    g = torch.Generator().manual_seed(1)
    x, y = torch.randn(200, 64, generator=g), torch.randn(200, 10, generator=g)
    learner = Learner(Perceptrons.from_models(nets), rule)
    return lambda: learner.step(x, y, 1e-4)


def rule_products(width, passes=4):
    """The products of a step: two passes forward, one back, one for the change of weights."""
    a, W = torch.randn(200, width), torch.randn(width, width)

    def products():
        for _ in range(passes):
            a @ W

    return products


JOBS = [
    Job("a mode's strength at 200 times", "gdln.linear.modes", "modes", (300, 1000, 3000), 100, closed_form,
        "SciPy, solve_ivp (RK45) at an error of 3e-10", by_solver, "its exponentials", exponentials),
    Job("a mode's strength, many modes", "gdln.linear.modes", "modes", (300, 1000, 3000), 1000, closed_form,
        "SciPy, solve_ivp (RK45) at an error of 3e-10", by_solver, "its exponentials", exponentials),
    Job("a mode's strength, many modes, every result kept", "gdln.linear.modes", "modes", (300, 1000, 3000), 1000,
        keeping(closed_form), "SciPy, solve_ivp (RK45) at an error of 3e-10", keeping(by_solver),
        "its exponentials, kept", keeping(exponentials), (("first touch", keeping(first_touch)),)),
    Job("right-hand side of a routing tree, 32 modes", "gdln.race.trees", "domains", (10000, 20000, 40000), 30,
        tree_velocity, "NumPy, the tensor of all pairs", tensor_of_pairs),
    Job("action of a gated network and its gradient, 10 gates", "gdln.renormalization.descent", "samples",
        (500, 1000, 2000), 500, saddle_gradient, "PyTorch, autograd of the action", saddle_autograd,
        "LAPACK, one Cholesky factor and inverse", factor_and_inverse),
    Job("gradient of a gated network, 10 gates", "gdln.renormalization.langevin", "samples, inputs and width",
        (250, 500, 1000), 500, gated_gradient, "PyTorch, autograd of the network", gated_autograd),
    Job("a Langevin step of all chains, width 30", "gdln.renormalization.langevin", "chains", (64, 128, 256), 64,
        chains_together, "PyTorch, a loop over the chains", chains_in_a_loop, "its Gaussian noise", own_noise),
    Job("NNGP and tangent kernel, three ReLU layers", "gdln.kernels.gram", "samples", (500, 1000, 2000), 1000,
        wide_kernels, "neural-tangents, compiled", neural_tangents, "its arc tangents and roots", arc_tangents,
        (("inner products", inner_products), ("other passes", other_passes))),
    Job("tangent kernel of a finite network, 100 samples", "gdln.kernels.tangent", "width", (256, 512, 1024), 512,
        finite_kernel, "PyTorch, vmap(jacrev)", batched_jacobian),
    Job("20 steps of an ensemble, width 64", "gdln.nets.training", "networks", (8, 16, 32), 16, ensemble_together,
        "PyTorch, a loop over the modules", ensemble_in_a_loop),
    Job("four steps of a network with a bottleneck", "gdln.bottleneck.dynamics", "width of the bottleneck",
        (250, 500, 1000), 500, bottleneck_steps, limit_is="its matrix products", limit=bottleneck_products),
    Job("right-hand side of the flow of tanh units", "gdln.convergence.flow", "samples and units",
        (250, 500, 1000), 500, flow_slope, limit_is="its matrix product", limit=flow_product),
    Job("right-hand side of the flow of sine units", "gdln.convergence.flow", "samples and units",
        (250, 500, 1000), 500, partial(flow_slope, name="sine"), limit_is="its matrix product", limit=flow_product),
    Job("a step of Align-ada, three layers", "gdln.alignment.rules", "width", (512, 1024, 2048), 1024, rule_step,
        limit_is="its matrix products", limit=rule_products),
]  # fmt: skip

"""Kernels against their peers: neural-tangents (optional, its own environment) and torch's batched Jacobian.

``pytest -s benchmarks/kernels/test_bench_gram.py`` prints the times; every ratio is taken in one process, the two
sides interleaved, one thread, CPU time, best of five. To include neural-tangents, use the interpreter of the
environment that ``scripts/make_kernel_fixtures.py`` describes, with ``PYTHONPATH=.`` and OMP_NUM_THREADS=1.
"""

import os

import numpy as np
import pytest

from benchmarks.timing import best_times
from gdln.kernels import tangent
from gdln.kernels.gram import gram
from gdln.kernels.moments import FullyConnected


def slope(sizes, seconds):
    return np.polyfit(np.log(sizes), np.log(seconds), 1)[0]


@pytest.mark.parametrize("activation", ["relu", "erf"])
def test_gram_matrix(benchmark, activation):
    X = np.random.default_rng(0).standard_normal((1000, 64))
    benchmark(gram, FullyConnected(3, activation), X)


def test_gram_matrix_grows_as_the_square_of_the_samples():
    rng, sizes = np.random.default_rng(0), [1000, 2000, 4000]
    network, seconds = FullyConnected(3, "relu"), []
    for n in sizes:
        X = rng.standard_normal((n, 64))
        seconds += best_times(lambda X=X: gram(network, X))
    print(f"\nrelu, 3 layers: {dict(zip(sizes, seconds, strict=True))}, slope {slope(sizes, seconds):.2f}")
    assert 1.7 < slope(sizes, seconds) < 2.3


@pytest.mark.parametrize("activation", ["relu", "erf"])
@pytest.mark.parametrize("n", [1000, 2000])
def test_gram_matrix_is_twice_as_fast_as_jitted_neural_tangents(activation, n):
    os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")
    jax = pytest.importorskip("jax")
    stax = pytest.importorskip("neural_tangents").stax
    jax.config.update("jax_enable_x64", True)
    X = np.random.default_rng(0).standard_normal((n, 64))
    dense, layer = stax.Dense(1, W_std=1.5, b_std=0.1), {"relu": stax.Relu, "erf": stax.Erf}[activation]()
    peer = jax.jit(stax.serial(*[dense, layer] * 3, dense)[2], static_argnums=2)
    ours, theirs = best_times(
        lambda: gram(FullyConnected(3, activation), X),
        lambda: jax.block_until_ready(tuple(peer(X, None, ("nngp", "ntk"))[:2])),
    )
    print(f"\n{activation}, N={n}: {ours:.3f} s against {theirs:.3f} s, ratio {theirs / ours:.1f}")
    assert theirs > 2 * ours


def test_empirical_kernel_is_twenty_times_as_fast_as_the_batched_jacobian():
    torch = pytest.importorskip("torch")
    from torch.func import functional_call, jacrev, vmap

    from gdln.nets.mlp import MLP

    torch.set_num_threads(1)
    net = MLP(
        [64, 512, 512, 512, 1], "erf", "ntk", 1.5, bias_gain=0.1, generator=torch.Generator().manual_seed(0)
    )
    X = torch.randn(100, 64, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    parameters = {name: p.detach() for name, p in net.named_parameters()}
    weights, biases = ([p.detach().numpy() for p in ps] for ps in (net.weights, net.biases))

    def peer():
        rows = vmap(jacrev(lambda p, x: functional_call(net, p, (x[None],))[0]), (None, 0))(parameters, X)
        return sum(j.flatten(2).flatten(0, 1) @ j.flatten(2).flatten(0, 1).T for j in rows.values())

    def ours():
        return tangent.empirical_ntk(weights, biases, X.numpy())

    np.testing.assert_allclose(ours()[:, 0, :, 0], peer().numpy(), rtol=1e-10, atol=1e-12)
    fast, slow = best_times(ours, peer)
    print(f"\nwidth 512, N=100: {fast:.4f} s against {slow:.3f} s, ratio {slow / fast:.0f}")
    assert slow > 20 * fast

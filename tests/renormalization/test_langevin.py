import numpy as np
import pytest

torch = pytest.importorskip("torch")

from gdln.checks import Diverged  # noqa: E402
from gdln.renormalization import langevin  # noqa: E402
from gdln.renormalization.chains import SamplingWarning  # noqa: E402


def problem(n_samples=12, n_inputs=7, n_gates=3, seed=0):
    rng = np.random.default_rng(seed)
    X, G = rng.standard_normal((n_samples, n_inputs)), rng.random((n_samples, n_gates))
    return X, G, rng.standard_normal(n_samples)


def short_run(y=None, **change):
    X, G, own = problem()
    net = langevin.GatedNet(7, 3, 4)
    numbers = {"sigma2": 1.0, "temperature": 0.5, "lr": 0.01, "n_steps": 40, "n_warmup": 0}
    return langevin.sample(
        net,
        net.data(X, G),
        own if y is None else y,
        net.data(X, G),
        **(numbers | {"generator": generator()} | change),
    )


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def direct_output(X, G, weights):
    """A gated network as it is defined: hidden activities, unit by unit, branch by branch."""
    W1, *gated, a = weights
    h = X @ W1.T / X.shape[1] ** 0.5
    for W in gated:
        branches = W.reshape(W.shape[0], G.shape[1], h.shape[1])
        h = torch.einsum("pm,imj,pj->pi", G, branches, h) / (G.shape[1] * h.shape[1]) ** 0.5
    return torch.einsum("pm,mi,pi->p", G, a, h) / (G.shape[1] * h.shape[1]) ** 0.5


@pytest.mark.parametrize("widths", [5, (4, 6), (3, 5, 4)])
def test_reassociated_gradient_equals_autograd_of_the_network(widths):
    X, G, y = problem()
    net = langevin.GatedNet(X.shape[1], G.shape[1], widths)
    state = langevin.Ensemble(net, 2, 1.3, generator())
    data, y = net.data(X, G), torch.as_tensor(y)
    residual = net.gradient(state.blocks, data, y, state.slopes)
    for chain in range(2):
        weights = [block[chain].clone().requires_grad_() for block in state.blocks]
        f = direct_output(torch.as_tensor(X), torch.as_tensor(G), weights)
        (0.5 * ((f - y) ** 2).sum()).backward()
        torch.testing.assert_close(residual[chain], f - y, rtol=1e-12, atol=1e-12)
        for slope, w in zip(state.slopes, weights, strict=True):
            torch.testing.assert_close(slope[chain], w.grad, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("activation", ["relu", "erf", "linear"])
@pytest.mark.parametrize("n_patches", [1, 4])
def test_gradient_of_a_patch_network_equals_autograd(activation, n_patches):
    rng = np.random.default_rng(1)
    patches, y = rng.standard_normal((9, n_patches, 5)), torch.as_tensor(rng.standard_normal(9))
    net = langevin.PatchNet(5, 6, n_patches, activation)
    state = langevin.Ensemble(net, 2, 1.0, generator())
    residual = net.gradient(state.blocks, net.data(patches), y, state.slopes)
    phi = {"relu": torch.relu, "erf": torch.erf, "linear": lambda u: u}[activation]
    for chain in range(2):
        W, a = (block[chain].clone().requires_grad_() for block in state.blocks)
        h = phi(torch.einsum("cd,pid->pic", W, torch.as_tensor(patches)) / 5**0.5)
        f = torch.einsum("ic,pic->p", a, h) / (6 * n_patches) ** 0.5
        (0.5 * ((f - y) ** 2).sum()).backward()
        torch.testing.assert_close(residual[chain], f - y, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(state.slopes[0][chain], W.grad, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(state.slopes[1][chain], a.grad, rtol=1e-12, atol=1e-12)


def test_without_data_the_chains_stay_in_the_prior():
    net = langevin.GatedNet(4, 2, 6)
    X, G = 1e-9 * np.eye(3, 4), np.ones((3, 2))
    run = langevin.sample(
        net,
        net.data(X, G),
        np.zeros(3),
        net.data(X, G),
        sigma2=0.7,
        temperature=1.0,
        lr=0.02,
        n_steps=4000,
        n_warmup=0,
        generator=generator(),
        n_chains=20,
    )
    # stationary variance of the discrete chain: sigma2 / (1 - step T / 2 sigma2)
    expected = 0.7 / (1 - 0.02 / 1.4) * np.eye(2)
    np.testing.assert_allclose(
        run.chains.order_parameter, expected, atol=5 * 0.7 / np.sqrt(6 * 20 * 4000 * 0.02 / 0.7)
    )


def test_a_generator_fixes_the_chains():
    X, G, y = problem()
    net = langevin.GatedNet(7, 3, 4)
    runs = [
        langevin.sample(
            net, net.data(X, G), y, net.data(X[:2], G[:2]), sigma2=1.0, temperature=0.5, lr=0.01,
            n_steps=60, n_warmup=5, generator=generator(3), n_chains=3,
        )
        for _ in range(2)
    ]  # fmt: skip
    np.testing.assert_array_equal(runs[0].chains.draws["output"], runs[1].chains.draws["output"])
    assert runs[0].chains.draws["output"].shape == (3, 6, 2)
    assert runs[0].chains.order_parameter.shape == (3, 3)


def test_a_step_that_is_too_large_is_refused():
    X, G, y = problem()
    net = langevin.GatedNet(7, 3, 4)
    with pytest.raises(Diverged, match="too large") as caught:
        langevin.sample(
            net, net.data(X, G), 10 * y, net.data(X, G), sigma2=1.0, temperature=0.1, lr=5.0,
            n_steps=400, n_warmup=0, generator=generator(),
        )  # fmt: skip
    assert 0 < caught.value.step <= 400


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: langevin.GatedNet(3, 0, 5), "n_gates needs a whole number of at least 1"),
        (lambda: langevin.GatedNet(3, 2, ()), "widths needs at least one width"),
        (lambda: langevin.PatchNet(3, 5, activation="tanh"), "activation"),
        (lambda: short_run(np.zeros((12, 1))), r"y needs shape \(12,\)"),
        (lambda: short_run(np.zeros(1)), r"y needs shape \(12,\)"),
        (lambda: short_run(np.full(12, np.nan)), "y needs finite numbers"),
        (
            lambda: langevin.GatedNet(3, 2, 5).data(np.zeros((4, 3)), np.zeros((4, 1))),
            r"G needs shape \(4, 2\)",
        ),
        (lambda: langevin.PatchNet(3, 5, 2).data(np.zeros((4, 3, 2))), r"X needs shape \(n_samples, 2, 3\)"),
    ],
)
def test_bad_input_is_refused_with_the_reason(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"generator": None}, "generator needs a torch.Generator"),
        ({"generator": 0}, "generator needs a torch.Generator.*got int 0"),
        ({"generator": np.random.default_rng(0)}, "generator needs a torch.Generator"),
        ({"n_steps": 30}, "n_steps needs a whole number of at least 40, got 30"),
        ({"n_chains": 2.5}, "n_chains needs a whole number"),
        ({"lr": np.nan}, "lr needs a number above 0"),
        ({"temperature": 0}, "temperature needs a number above 0"),
        ({"sigma2": -1.0}, "sigma2 needs a number above 0"),
    ],
)
def test_wrong_kinds_of_arguments_are_named_before_torch_draws(change, message):
    before = torch.get_rng_state()
    with pytest.raises((TypeError, ValueError), match=message):
        short_run(**change)
    assert torch.equal(before, torch.get_rng_state())


def test_inputs_that_are_not_finite_are_refused_as_such():
    X, G, _ = problem()
    with pytest.raises(ValueError, match="X needs finite numbers"):
        langevin.GatedNet(7, 3, 4).data(np.where(X > 2, np.nan, X) * np.inf, G)
    with pytest.raises(ValueError, match="X needs finite numbers"):
        langevin.PatchNet(7, 4).data(np.full((3, 7), np.nan))


def test_chains_too_short_to_agree_warn():
    with pytest.warns(SamplingWarning, match="run them longer"):
        short_run()


@pytest.mark.slow
def test_time_average_of_readout_weights_is_the_order_parameter():
    from gdln.data.regression import relu_teacher
    from gdln.renormalization import gates, generalisation

    rng = np.random.default_rng(0)
    task = relu_teacher(20, 24, 40, rng)
    family = gates.random_planes(2, 24, rng, constant=True)
    net = langevin.GatedNet(24, 2, 30)
    chains = langevin.sample(
        net, net.data(task.X, family(task.X)), task.y, net.data(task.X_new, family(task.X_new)), sigma2=0.5,
        temperature=0.1, lr=0.04, n_steps=8000, n_warmup=1000, generator=generator(), n_chains=32, thin=20,
    ).chains  # fmt: skip
    solution, p = generalisation.fit(task, family, width=30, sigma2=0.5, temperature=0.1)
    U = chains.order_parameter
    assert np.linalg.norm(solution.U[0] - U) < 0.05 * np.linalg.norm(U)
    # the theory is accurate to order M/N, and the chains to their standard error
    assert np.linalg.norm(p.mean - chains.mean) < 0.04 * np.linalg.norm(chains.mean)
    assert chains.r_hat < 1.05

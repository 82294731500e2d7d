r"""Langevin sampling of all weights of finite networks, with the chains as a batch axis.

A network is an object that knows its weight blocks, its output and the gradient of
:math:`\frac12\sum_\mu(f(x_\mu)-y_\mu)^2`, written by hand; :func:`sample` moves all chains at once by

.. math:: \theta \leftarrow \theta - \eta\,\nabla E(\theta) + \sqrt{2\eta T}\,\xi,\qquad
          E = \tfrac12\sum_\mu(f(x_\mu)-y_\mu)^2 + \tfrac{T}{2\sigma^2}\lVert\theta\rVert^2 .

For a gated network the products of weights are contracted before they meet the data, so no hidden activity of
size samples times width is ever formed.
"""

import math
from dataclasses import dataclass
from time import perf_counter

import numpy as np
import torch

from gdln import checks
from gdln.nets import devices
from gdln.renormalization.chains import Chains, summary


@dataclass(frozen=True)
class LangevinRun:
    """Langevin chains with what they cost.

    Attributes
    ----------
    chains : Chains
        Averages, draws, effective sample sizes and R-hat. The order parameter is that of the readout,
        :math:`\\frac1N\\sum_i a_ia_i^\\top`.
    seconds : float
        Wall time of the loop, warm-up included.
    """

    chains: Chains
    seconds: float

    @property
    def effective_per_second(self):
        """Effective samples of the slowest quantity a second."""
        return self.chains.effective / self.seconds


class GatedNet:
    r"""Globally gated deep linear network: :math:`f = \mathcal F(x)^\top\beta x` with a product :math:`\beta`.

    .. math:: b^L = a,\quad b^{l-1} = \textstyle\sum_i b^l_i\otimes W^l_{i\cdot},\quad \beta = b^1W^1,\qquad
              f(x) = \frac{g(x)^{\otimes L}\cdot\beta x}{\sqrt{M^L N_0N_1\cdots N_L}}

    Parameters
    ----------
    n_inputs, n_gates : int
        Numbers of inputs and of gates.
    widths : int or sequence of int
        Widths :math:`N_1,\dots,N_L`, input side first; their number is the depth.
    """

    def __init__(self, n_inputs, n_gates, widths):
        given = widths if np.ndim(widths) else [widths]
        checks.need(len(given) > 0, "widths", "at least one width", widths)
        self.widths = tuple(checks.count("widths", N) for N in given)
        self.n_inputs, self.n_gates = checks.count("n_inputs", n_inputs), checks.count("n_gates", n_gates)
        self.depth = len(self.widths)
        lower = (self.n_inputs, *(self.n_gates * N for N in self.widths[:-1]))
        #: Shapes of the weight blocks: W^1, ..., W^L (gates beside the input unit), readout.
        self.shapes = [*zip(self.widths, lower, strict=True), (self.n_gates, self.widths[-1])]

    def data(self, X, G, dtype=torch.float64, *, device="cpu"):
        """Inputs and scaled path features of points, ready for the other methods, of a type and on a device."""
        checks.torch_dtype("dtype", dtype)
        device = checks.torch_device("device", device)
        X = _tensor("X", X, ("n_samples", self.n_inputs), dtype, device)
        G = _tensor("G", G, (len(X), self.n_gates), dtype, device)
        F = G
        for _ in range(self.depth - 1):
            F = (F[:, :, None] * G[:, None, :]).flatten(1)
        scale = math.sqrt(self.n_gates**self.depth * self.n_inputs * math.prod(self.widths))
        return X, (F / scale).T.contiguous()

    def check_data(self, name, data, dtype):
        """Refuse points, under a name, that are not from :meth:`data`."""
        pair = isinstance(data, tuple | list) and len(data) == 2
        checks.need(pair, name, "the points that net.data(...) returns", data)
        for part in data:
            _need_tensor(name, part, dtype)
        shapes = [tuple(part.shape) for part in data]
        wanted = [(shapes[0][0], self.n_inputs), (self.n_gates**self.depth, shapes[0][0])]
        checks.need(shapes == wanted, name, f"inputs and path features of shapes {wanted}", shapes)

    def products(self, blocks):
        """The chain of products b^L, ..., b^1 and beta, each with the chains first."""
        chain = [blocks[-1]]
        for l in reversed(range(1, self.depth)):
            b = chain[-1] @ blocks[l]
            chain.append(b.reshape(len(b), -1, self.widths[l - 1]))
        return [*chain, chain[-1] @ blocks[0]]

    def output(self, blocks, data):
        """Outputs, shape (n_chains, n_samples)."""
        return self._contract(self.products(blocks)[-1], data)

    def _contract(self, beta, data):
        X, F = data
        C, d, N0 = beta.shape
        return ((beta.reshape(C * d, N0) @ X.T).view(C, d, len(X)) * F).sum(1)

    def gradient(self, blocks, data, y, out):
        r"""Write the gradient of :math:`\frac12\sum(f-y)^2` into the blocks ``out``; returns :math:`f-y`."""
        X, F = data
        chain = self.products(blocks)
        residual = self._contract(chain[-1], data) - y
        spread = (residual[:, None, :] * F).flatten(0, 1)
        g = (spread @ X).view(chain[-1].shape)
        for l, b in zip(range(self.depth), reversed(chain[:-1]), strict=True):
            torch.bmm(b.transpose(1, 2), g, out=out[l])
            g = torch.bmm(g, blocks[l].transpose(1, 2))
            if l + 1 < self.depth:
                g = g.reshape(len(g), -1, self.n_gates * self.widths[l])
        out[-1].copy_(g)
        return residual

    def order_parameter(self, blocks):
        r""":math:`\frac1N\sum_ia_ia_i^\top` of every chain."""
        a = blocks[-1]
        return a @ a.transpose(1, 2) / self.widths[-1]


class PatchNet:
    r"""One hidden layer of nonlinear channels that slide over patches; one patch is a fully connected layer.

    .. math:: f(x) = \frac{1}{\sqrt{N n}}\sum_{i=1}^n\sum_{c=1}^N a_{ic}\,
              \phi\big(\tfrac{1}{\sqrt d}\,w_c\cdot x^{(i)}\big)

    Parameters
    ----------
    patch_size : int
        Entries :math:`d` of a patch :math:`x^{(i)}`.
    width : int
        Number :math:`N` of channels.
    n_patches : int, optional
        Number :math:`n` of patches.
    activation : {"relu", "erf", "linear"}, optional
        Nonlinearity :math:`\phi`.
    """

    def __init__(self, patch_size, width, n_patches=1, activation="relu"):
        self.patch_size, self.width = checks.count("patch_size", patch_size), checks.count("width", width)
        self.n_patches = checks.count("n_patches", n_patches)
        self.activation = checks.choice("activation", activation, ("relu", "erf", "linear"))
        self.shapes = [(self.width, self.patch_size), (self.n_patches, self.width)]

    def data(self, X, dtype=torch.float64, *, device="cpu"):
        """Patches of points, shape (n_samples, n_patches, patch_size), ready for the other methods.

        With one patch, inputs of shape (n_samples, n_inputs) will do.
        """
        checks.torch_dtype("dtype", dtype)
        device = checks.torch_device("device", device)
        X = checks.array("X", X)
        X = X[:, None] if X.ndim == 2 else X
        X = _tensor("X", X, ("n_samples", self.n_patches, self.patch_size), dtype, device)
        return (X.permute(1, 2, 0) / math.sqrt(self.patch_size)).contiguous()  # (n, d, P)

    def check_data(self, name, data, dtype):
        """Refuse points, under a name, that are not from :meth:`data`."""
        _need_tensor(name, data, dtype)
        shape = (self.n_patches, self.patch_size)
        checks.need(
            data.ndim == 3 and data.shape[:2] == shape, name, f"patches of shape {(*shape, 'n')}", data
        )

    def _hidden(self, blocks, X):
        return torch.matmul(blocks[0][:, None], X)  # (C, n, N, P)

    def _apply(self, u):
        if self.activation == "relu":
            return torch.relu(u)
        return torch.erf(u) if self.activation == "erf" else u

    def _slope(self, u):
        if self.activation == "relu":
            return (u > 0).to(u.dtype)
        return 2 / math.sqrt(math.pi) * torch.exp(-(u**2)) if self.activation == "erf" else torch.ones_like(u)

    def output(self, blocks, data):
        """Outputs, shape (n_chains, n_samples)."""
        h = self._apply(self._hidden(blocks, data))
        return (blocks[1][:, :, None] @ h).sum(1).squeeze(1) / math.sqrt(self.width * self.n_patches)

    def gradient(self, blocks, data, y, out):
        r"""Write the gradient of :math:`\frac12\sum(f-y)^2` into the blocks ``out``; returns :math:`f-y`."""
        a, scale = blocks[1], 1 / math.sqrt(self.width * self.n_patches)
        u = self._hidden(blocks, data)
        h = self._apply(u)
        residual = (a[:, :, None] @ h).sum(1).squeeze(1) * scale - y
        torch.mul(torch.matmul(h, residual[:, None, :, None]).squeeze(-1), scale, out=out[1])
        back = self._slope(u).mul_(a[..., None]).mul_(scale * residual[:, None, None, :])
        torch.sum(torch.matmul(back, data.transpose(1, 2)), dim=1, out=out[0])
        return residual

    def order_parameter(self, blocks):
        r""":math:`\frac1N\sum_ca_{\cdot c}a_{\cdot c}^\top` of every chain, shape (n_patches, n_patches)."""
        a = blocks[1]
        return a @ a.transpose(1, 2) / self.width


def sample(
    net,
    data,
    y,
    new,
    *,
    sigma2,
    temperature,
    lr,
    n_steps,
    n_warmup,
    generator,
    n_chains=16,
    thin=10,
    dtype=torch.float64,
    device="cpu",
):
    r"""Langevin chains of all weights, started from the prior.

    Parameters
    ----------
    net : GatedNet or PatchNet
        The network.
    data, new
        Training points and new points, from ``net.data(...)`` with the same ``dtype``; moved to the device.
    y : array_like, shape (n_samples,)
        Targets.
    sigma2 : float
        Prior variance of every weight.
    temperature : float
        :math:`T > 0`, variance of the label noise.
    lr : float
        Step :math:`\eta`; the error of the stationary law is of first order in it.
    n_steps, n_warmup : int
        Steps kept and dropped. The slowest time is about :math:`\sigma^2/(\eta T)` steps.
    generator : torch.Generator
        Source of the start and of the noise, drawn where it lies: on the CPU the same numbers for every device, at the
        price of bringing them over at every step.
    n_chains : int, optional
        Chains, moved together.
    thin : int, optional
        Steps between draws.
    dtype : torch.dtype, optional
        ``torch.float32`` is fast enough to be bound by its own noise.
    device : torch.device or str, optional
        Where the chains lie.

    Returns
    -------
    run : LangevinRun

    Raises
    ------
    ValueError
        If a number is out of range or the device is not there.
    gdln.checks.Diverged
        If the chains diverge because ``lr`` is too large; tells by which step.
    """
    checks.instance("net", net, (GatedNet, PatchNet))
    (
        checks.positive("sigma2", sigma2),
        checks.positive("temperature", temperature),
        checks.positive("lr", lr),
    )
    n_chains, thin = checks.count("n_chains", n_chains), checks.count("thin", thin)
    n_steps, n_warmup = (
        checks.count("n_steps", n_steps, least=4 * thin),
        checks.count("n_warmup", n_warmup, least=0),
    )
    checks.torch_dtype("dtype", dtype)
    device = checks.torch_device("device", device)
    net.check_data("data", data, dtype), net.check_data("new", new, dtype)
    data, new = devices.moved((data, new), device)
    with torch.no_grad():
        zeros = [torch.zeros(1, *s, dtype=dtype, device=device) for s in net.shapes]
        shape = tuple(net.output(zeros, data).shape[1:])
    y = _tensor("y", y, shape, dtype, device)
    state = Ensemble(net, n_chains, sigma2, generator, dtype, device=device)
    outputs, U, loss = [], [], []
    start = perf_counter()
    for t in range(n_warmup + n_steps):
        residual = state.move(data, y, lr, temperature)
        if t >= n_warmup and (t - n_warmup) % thin == thin - 1:
            f = net.output(state.blocks, new)
            if not torch.isfinite(f).all():
                raise checks.Diverged(
                    f"the chains diverged by step {t + 1}; lr={lr} is too large", step=t + 1
                )
            outputs.append(f), U.append(net.order_parameter(state.blocks)), loss.append((residual**2).mean())
    loss = float(torch.stack(loss).mean())  # waits for the device, whose last steps may not be done
    seconds = perf_counter() - start
    outputs, U = (torch.stack(x, dim=1).cpu().double().numpy() for x in (outputs, U))
    chains = summary(outputs, None, U, loss)
    chains.health.warn()
    return LangevinRun(chains, seconds)


class Ensemble:
    """Weights of all chains in one buffer, with views that are its blocks.

    Parameters
    ----------
    net : GatedNet or PatchNet
        The network.
    n_chains : int
        Number of chains.
    sigma2 : float
        Prior variance; the start is a draw from the prior.
    generator : torch.Generator
        Source of the start and of the noise, drawn where it lies.
    dtype : torch.dtype, optional
        Precision.
    device : torch.device or str, optional
        Where the weights lie.
    """

    def __init__(self, net, n_chains, sigma2, generator, dtype=torch.float64, *, device="cpu"):
        self.net, self.sigma2 = (
            checks.instance("net", net, (GatedNet, PatchNet)),
            checks.positive("sigma2", sigma2),
        )
        checks.torch_dtype("dtype", dtype)
        self.generator = checks.torch_generator("generator", generator)
        n_chains = checks.count("n_chains", n_chains)
        size = n_chains * sum(math.prod(shape) for shape in net.shapes)
        device = checks.torch_device("device", device)
        self.theta, self.slope = (torch.zeros(size, dtype=dtype, device=device) for _ in range(2))
        self.noise = torch.empty(size, dtype=dtype, device=generator.device)
        self.theta.copy_(self.noise.normal_(generator=generator)).mul_(math.sqrt(sigma2))
        self.blocks, self.slopes = (_views(x, net.shapes, n_chains) for x in (self.theta, self.slope))

    def move(self, data, y, lr, temperature):
        """One Langevin step of every chain, in place; returns the residuals before it."""
        residual = self.net.gradient(self.blocks, data, y, self.slopes)
        self.noise.normal_(generator=self.generator)
        self.theta.mul_(1 - lr * temperature / self.sigma2).add_(self.slope, alpha=-lr)
        self.theta.add_(self.noise.to(self.theta.device), alpha=math.sqrt(2 * lr * temperature))
        return residual


def _views(buffer, shapes, n_chains):
    sizes = [n_chains * math.prod(shape) for shape in shapes]
    return [x.view(n_chains, *shape) for x, shape in zip(buffer.split(sizes), shapes, strict=True)]


def _need_tensor(name, x, dtype):
    """Refuse anything but a finite tensor of one type."""
    checks.instance(name, x, torch.Tensor)
    if x.dtype != dtype:
        raise TypeError(f"{name} needs elements of type {dtype}, got {x.dtype}")
    checks.need(x.ndim > 0 and x.numel() > 0, name, "at least one point", x)
    checks.finite(name, x)


def _tensor(name, x, shape, dtype, device):
    """Finite numbers of one shape as a tensor of their own."""
    return torch.tensor(checks.array(name, x, shape=shape), dtype=dtype, device=device)

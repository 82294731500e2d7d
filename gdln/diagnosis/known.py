r"""Networks of known regime: lazy, rich or sampled by construction, on which the thresholds are calibrated."""

import copy
import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from gdln import checks
from gdln.data import images
from gdln.diagnosis.kernels import tangent_kernel
from gdln.diagnosis.networks import Network
from gdln.kernels import function_space
from gdln.nets import devices, training

#: Ratio of the steps of two records; the first ten steps are all recorded.
RECORDS = 1.15


class Erf(nn.Module):
    """The error function of every unit."""

    def forward(self, x):
        """Values of the shape of ``x``."""
        return torch.erf(x)


class Gain(nn.Module):
    r"""A layer in NTK parametrisation: standard normal weights, and the factor :math:`g/\sqrt{n_{\rm in}}` behind.

    Parameters
    ----------
    layer : torch.nn.Linear or torch.nn.Conv2d
        Without bias; its weights are drawn anew.
    gain : float
        :math:`g`.
    generator : torch.Generator
        Source of the weights.
    """

    def __init__(self, layer, gain, *, generator):
        super().__init__()
        self.layer = checks.instance("layer", layer, (nn.Linear, nn.Conv2d))
        checks.need(layer.bias is None, "layer", "no bias", "one")
        checks.torch_generator("generator", generator)
        self.factor = checks.number("gain", gain) / math.sqrt(layer.weight[0].numel())
        with torch.no_grad():
            drawn = devices.normal(layer.weight.shape, generator, layer.weight.dtype, layer.weight.device)
            layer.weight.copy_(drawn)

    def forward(self, x):
        """Pre-activations."""
        return self.factor * self.layer(x)


#: Activations by name, with the gain of the layers behind the first.
ACTIVATIONS = {
    "relu": (nn.ReLU, math.sqrt(2)),
    "tanh": (nn.Tanh, 1.0),
    "erf": (Erf, 1.0),
    "gelu": (nn.GELU, math.sqrt(2)),
    "linear": (nn.Identity, 1.0),
}


def perceptron(widths, activation="relu", *, generator, gain=None, dtype=torch.float64, device="cpu"):
    """Fully connected network in NTK parametrisation, out of layers of torch.

    Parameters
    ----------
    widths : sequence of int
        Inputs, hidden widths, outputs.
    activation : str, optional
        One of ``ACTIVATIONS``.
    generator : torch.Generator
        Source of the weights.
    gain : float, optional
        Of every layer; that of the activation behind the first layer unless given, and 1 in it.
    dtype : torch.dtype, optional
        Type of the weights.
    device : torch.device or str, optional
        Where the weights lie.

    Returns
    -------
    net : torch.nn.Sequential
        Layers and activations in turn.
    """
    widths = checks.array("widths", widths, ndim=1, dtype=int, least=1).tolist()
    checks.need(len(widths) > 1, "widths", "at least inputs and outputs", widths)
    kind, own = ACTIVATIONS[checks.choice("activation", activation, ACTIVATIONS)]
    gain = gain if gain is None else checks.number("gain", gain)
    checks.torch_dtype("dtype", dtype)
    options = {"bias": False, "dtype": dtype, "device": checks.torch_device("device", device)}
    parts = []
    for l, (n_in, n_out) in enumerate(zip(widths[:-1], widths[1:], strict=True)):
        layer = nn.Linear(n_in, n_out, **options)
        factor = gain if gain is not None else own if l else 1.0
        parts += [Gain(layer, factor, generator=generator), kind()]
    return nn.Sequential(*parts[:-1])


def convolutional(channels, n_outputs, activation="relu", *, generator, dtype=torch.float64, device="cpu"):
    """Two 3 by 3 convolutions, the second with stride 2, a mean over places and a read-out, in NTK parametrisation.

    Parameters
    ----------
    channels, n_outputs : int
        Maps of each convolution, and outputs; images have one channel.
    activation : str, optional
        One of ``ACTIVATIONS``.
    generator : torch.Generator
        Source of the weights.
    dtype : torch.dtype, optional
        Type of the weights.
    device : torch.device or str, optional
        Where the weights lie.

    Returns
    -------
    net : torch.nn.Sequential
        Takes images of shape (n, 1, height, width).
    """
    channels, n_outputs = checks.count("channels", channels), checks.count("n_outputs", n_outputs)
    kind, gain = ACTIVATIONS[checks.choice("activation", activation, ACTIVATIONS)]
    checks.torch_dtype("dtype", dtype)
    options = {"bias": False, "dtype": dtype, "device": checks.torch_device("device", device)}
    first, second = (
        nn.Conv2d(1, channels, 3, padding=1, **options),
        nn.Conv2d(channels, channels, 3, padding=1, stride=2, **options),
    )
    readout = nn.Linear(channels, n_outputs, **options)
    return nn.Sequential(
        Gain(first, 1.0, generator=generator),
        kind(),
        Gain(second, gain, generator=generator),
        kind(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        Gain(readout, gain, generator=generator),
    )


class Centred(nn.Module):
    r"""A network minus its start, times a scale: :math:`f=\alpha\,(h_\theta-h_{\theta_0})`.

    Large :math:`\alpha` is the lazy regime, small the rich one; it starts from zero, so that no kernel moves because
    an initial function is unlearnt.

    Parameters
    ----------
    net : torch.nn.Module
        :math:`h_\theta`; becomes part of this module.
    scale : float
        :math:`\alpha`.
    """

    def __init__(self, net, scale):
        super().__init__()
        self.net, self.scale = checks.instance("net", net, nn.Module), checks.positive("scale", scale)
        self.start = copy.deepcopy(net).requires_grad_(False)

    def forward(self, x):
        """Outputs, zero before training."""
        return self.scale * (self.net(x) - self.start(x))


def parity_digits(n, n_test, rng, *, scale=1.0, dtype=torch.float64, device="cpu"):
    r"""Digits, even or odd, as a regression task with targets :math:`\pm` ``scale``.

    Parameters
    ----------
    n, n_test : int
        Training and test images.
    rng : numpy.random.Generator
        Source of their order.
    scale : float, optional
        Size of the targets.
    dtype : torch.dtype, optional
        Type of the tensors.
    device : torch.device or str, optional
        Where they lie.

    Returns
    -------
    X, y, X_test, y_test : Tensor, shapes (n, 64), (n, 1), (n_test, 64), (n_test, 1)
        Rows minus the mean of the training images, of norm 8.
    """
    n, n_test = checks.count("n", n), checks.count("n_test", n_test)
    rng, scale = checks.generator("rng", rng), checks.number("scale", scale)
    checks.torch_dtype("dtype", dtype)
    device = checks.torch_device("device", device)
    digits = images.digits()
    checks.need(n + n_test <= len(digits.X), "n, n_test", f"at most {len(digits.X)} images", n + n_test)
    order = rng.permutation(len(digits.X))
    parts = [digits.subset(order[:n]), digits.subset(order[n : n + n_test])]
    found = []
    for part, X in zip(parts, images.centred_rows(*parts), strict=True):
        y = scale * (1.0 - 2.0 * (part.labels % 2))
        found += [torch.tensor(a, dtype=dtype, device=device) for a in (X, y[:, None])]
    return tuple(found)


@dataclass(frozen=True)
class Descent:
    """A training by full-batch gradient descent.

    Attributes
    ----------
    checkpoints : list of (float, Module)
        Times and copies of the network, for :func:`gdln.diagnosis.measure.diagnose`.
    lr : float
        Step that went to the end.
    losses : ndarray, shape (n_records,)
        At the checkpoints.
    n_steps : int
        Steps taken.
    """

    checkpoints: list
    lr: float
    losses: np.ndarray
    n_steps: int


def descend(model, X, Y, *, loss="squared", lr=None, share=0.5, n_steps=3000, stop=0.01):
    r"""Train a copy of a network by full-batch gradient descent until the loss has fallen to a part of its start.

    Parameters
    ----------
    model : torch.nn.Module
        The start; it is not changed.
    X, Y : Tensor
        Data; targets of the outputs' shape, or class numbers for the cross-entropy.
    loss : {"squared", "cross_entropy"}, optional
        As in :func:`gdln.nets.training.gradient_descent`.
    lr : float, optional
        Step; ``share`` times :math:`1/\lambda_{\max}(K_0/n)` unless given. Small weights make kernels grow a
        hundredfold: a run that diverges starts again with a third of the step, five times at most.
    share : float, optional
        Below 2 a kernel that stands still is stable.
    n_steps : int, optional
        Most steps.
    stop : float, optional
        Part of the first loss at which the run ends.

    Returns
    -------
    descent : Descent
        Checkpoints from step 1 on, ever sparser, and the step size.

    Raises
    ------
    gdln.checks.Diverged
        If even the smallest step diverges.
    """
    network = Network(model)
    X = network.inputs("X", X)
    network.outputs(X)
    Y = checks.finite("Y", checks.instance("Y", Y, torch.Tensor)).to(network.device)
    function = training.LOSSES[checks.choice("loss", loss, training.LOSSES)]
    n_steps, stop = checks.count("n_steps", n_steps), checks.number("stop", stop, least=0, below=1)
    if lr is None:
        K = tangent_kernel(model, X).double().cpu().numpy()
        lr = checks.number("share", share, above=0, below=2) / max(
            function_space.largest_eigenvalue(K), np.finfo(float).tiny
        )
    else:
        lr = checks.positive("lr", lr)
        checks.number("share", share, above=0, below=2)
    for attempt in range(6):
        try:
            return _descent(model, X, Y, function, lr / 3**attempt, n_steps, stop)
        except checks.Diverged:
            if attempt == 5:
                raise
    raise AssertionError("unreachable")


def _descent(model, X, Y, function, lr, n_steps, stop):
    learner = copy.deepcopy(model)
    parameters = [p for p in learner.parameters() if p.requires_grad]
    checkpoints, losses, first, following = [], [], None, 1
    for step in range(n_steps + 1):
        value = function(learner(X), Y)
        number = float(value.detach())
        first = number if first is None else first
        # a run may go over a hill of a few times its start; tenfold it does not come back
        if not number < 10 * first + 1e-12:
            raise checks.Diverged(f"descent diverged at step {step}", step=step)
        done = number <= stop * first or step == n_steps
        if step and (step >= following or done):
            checkpoints.append((step * lr, copy.deepcopy(learner)))
            losses.append(number)
            following = max(step + 1, RECORDS * step)
        if done and step:
            return Descent(checkpoints, lr, np.array(losses), step)
        with torch.no_grad():
            for p, g in zip(parameters, torch.autograd.grad(value, parameters), strict=True):
                p.sub_(g, alpha=lr)


def langevin(model, X, Y, temperature, *, lr, n_steps, n_records, generator):
    r"""Sample all weights of a network by Langevin dynamics, with a standard normal prior.

    .. math:: \theta\leftarrow\theta-\eta\Big(\nabla\tfrac12\sum_i\|f(x_i)-y_i\|^2+T\theta\Big)+\sqrt{2T\eta}\,\xi :

    the posterior for noise of variance :math:`T` in the targets, up to :math:`O(\eta)`.

    Parameters
    ----------
    model : torch.nn.Module
        The start; it is not changed.
    X, Y : Tensor
        Data, targets of the outputs' shape.
    temperature : float
        :math:`T`.
    lr : float
        :math:`\eta`.
    n_steps, n_records : int
        Steps, and checkpoints among them, equal times apart.
    generator : torch.Generator
        Source of the noise.

    Returns
    -------
    checkpoints : list of (float, Module)
        Times and copies of the network.

    Raises
    ------
    gdln.checks.Diverged
        If the chain leaves the finite numbers.
    """
    network = Network(model)
    X = network.inputs("X", X)
    Y = checks.finite("Y", checks.floating("Y", Y)).to(network.device)
    checks.need(Y.shape == network.outputs(X).shape, "Y", "the shape of the outputs", Y)
    temperature, lr = checks.positive("temperature", temperature), checks.positive("lr", lr)
    n_steps, n_records = checks.count("n_steps", n_steps), checks.count("n_records", n_records, most=n_steps)
    checks.torch_generator("generator", generator)
    learner = copy.deepcopy(model)
    parameters = [p for p in learner.parameters() if p.requires_grad]
    kept = set(np.linspace(0, n_steps, n_records + 1).round().astype(int)[1:].tolist())
    checkpoints, size = [], math.sqrt(2 * temperature * lr)
    for step in range(1, n_steps + 1):
        energy = 0.5 * (learner(X) - Y).square().sum()
        gradients = torch.autograd.grad(energy, parameters)
        with torch.no_grad():
            for p, g in zip(parameters, gradients, strict=True):
                noise = devices.normal(p.shape, generator, p.dtype, p.device)
                p.mul_(1 - lr * temperature).sub_(g, alpha=lr).add_(noise, alpha=size)
        if step in kept:
            checks.still_finite(energy, "the chain", step=step)
            checkpoints.append((step * lr, copy.deepcopy(learner)))
    return checkpoints

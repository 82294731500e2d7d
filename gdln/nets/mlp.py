"""Torch networks the theories are held against; they share no code with them, only data and gates."""

import math

import torch
from torch import nn

from gdln import checks
from gdln.activations import LEAK
from gdln.nets import devices

ACTIVATIONS = {
    "linear": lambda x: x,
    "relu": torch.relu,
    "leaky_relu": lambda x: torch.nn.functional.leaky_relu(x, LEAK),
    "tanh": torch.tanh,
    "erf": torch.erf,
}

PARAMETRISATIONS = ("standard", "ntk", "mean_field", "plain", "orthogonal", "xavier")


def initial_weights(n_out, n_in, parametrisation, gain, generator, dtype=torch.float64, *, device="cpu"):
    r"""Draw one weight matrix.

    With gain :math:`g`: ``"standard"`` :math:`W_{ij}\sim\mathcal N(0, g^2/n_{\rm in})`; ``"plain"``
    :math:`\mathcal N(0, g^2)`; ``"orthogonal"`` :math:`g` times a matrix with orthonormal rows or columns,
    uniform among them; ``"xavier"`` uniform with variance :math:`2 g^2/(n_{\rm in}+n_{\rm out})`;
    ``"ntk"`` and ``"mean_field"`` :math:`\mathcal N(0, 1)` (their gain stands in the network's formula).

    Parameters
    ----------
    n_out, n_in : int
        Shape of the matrix, target side first.
    parametrisation : str
        One of ``PARAMETRISATIONS``.
    gain : float
        The gain :math:`g`.
    generator : torch.Generator
        Source of randomness.
    dtype : torch.dtype, optional
        Type of the entries.
    device : torch.device or str, optional
        Where the matrix lies; all of it is computed where the generator does, so that the entries depend on the
        seed alone.

    Returns
    -------
    W : Tensor, shape (n_out, n_in)
        The matrix.

    Raises
    ------
    ValueError
        If the parametrisation is unknown, a size is not positive, the gain is not finite, or the device is not there.
    TypeError
        If there is no generator, or the type is no floating one.
    """
    n_out, n_in = checks.count("n_out", n_out), checks.count("n_in", n_in)
    parametrisation, gain = (
        checks.choice("parametrisation", parametrisation, PARAMETRISATIONS),
        checks.number("gain", gain),
    )
    checks.torch_generator("generator", generator)
    checks.torch_dtype("dtype", dtype)
    return _drawn(n_out, n_in, parametrisation, gain, generator, dtype).to(
        checks.torch_device("device", device)
    )


def _drawn(n_out, n_in, parametrisation, gain, generator, dtype):
    """The matrix, where the generator lies."""
    there = {"generator": generator, "dtype": dtype, "device": generator.device}
    if parametrisation == "xavier":
        bound = gain * math.sqrt(6 / (n_in + n_out))
        return bound * (2 * torch.rand(n_out, n_in, **there) - 1)
    W = torch.randn(n_out, n_in, **there)
    if parametrisation == "orthogonal":
        tall = W if n_out >= n_in else W.T
        Q, R = torch.linalg.qr(tall)
        Q = Q * torch.sign(torch.diagonal(R))
        return gain * (Q if n_out >= n_in else Q.T).contiguous()
    if parametrisation == "standard":
        return W * (gain / math.sqrt(n_in))
    return gain * W if parametrisation == "plain" else W


class MLP(nn.Module):
    r"""Fully connected network, without biases unless asked.

    Layer :math:`l = 1..L` computes :math:`h_l=\phi_l(c_l W_l h_{l-1} + b_l)`, the last one with
    :math:`\phi_L` the identity. With gain :math:`g_l` and fan-in :math:`n_{l-1}` the parametrisations are

    - ``"standard"``: :math:`c_l=1`, :math:`W_l\sim\mathcal N(0, g_l^2/n_{l-1})`;
    - ``"ntk"``: :math:`c_l=g_l/\sqrt{n_{l-1}}`, :math:`W_l\sim\mathcal N(0, 1)`;
    - ``"mean_field"``: as ``"ntk"``, but :math:`c_L=g_L/n_{L-1}` in the last layer;
    - ``"plain"``: :math:`c_l=1`, :math:`W_l\sim\mathcal N(0, g_l^2)`;
    - ``"orthogonal"``: :math:`c_l=1`, :math:`W_l` is :math:`g_l` times orthonormal rows or columns;
    - ``"xavier"``: :math:`c_l=1`, :math:`W_l` uniform with variance :math:`2g_l^2/(n_{l-1}+n_l)`.

    Parameters
    ----------
    widths : sequence of int
        Input width, hidden widths, output width.
    activation : str or sequence of str, optional
        One of ``ACTIVATIONS`` for every hidden layer, or one per hidden layer. Leaky ReLU has slope 0.01.
    parametrisation : str, optional
        Row of the table.
    gains : float or sequence of float, optional
        :math:`g_l`, one for all layers or one per layer.
    bias_gain : float, optional
        Standard deviation :math:`g_b` of the biases; none without it. ``"ntk"`` and ``"mean_field"`` use
        :math:`g_b b`, :math:`b\sim\mathcal N(0,1)`; the others :math:`b\sim\mathcal N(0,g_b^2)`. In
        ``"mean_field"`` the output bias is of order one, so a rate that grows with the width must not move it.
    generator : torch.Generator
        Source of randomness.
    dtype : torch.dtype, optional
        Type of the weights.
    device : torch.device or str, optional
        Where the weights lie.

    Raises
    ------
    ValueError
        If fewer than two widths are given, activations or gains do not match the layers, a name
        is unknown, or the device is not there.

    Examples
    --------
    >>> net = MLP([2, 8, 1], activation="relu", generator=torch.Generator().manual_seed(0))
    >>> tuple(net(torch.ones(5, 2, dtype=torch.float64)).shape)
    (5, 1)
    """

    def __init__(
        self,
        widths,
        activation="linear",
        parametrisation="standard",
        gains=1.0,
        *,
        generator,
        bias_gain=None,
        dtype=torch.float64,
        device="cpu",
    ):
        super().__init__()
        self.widths = tuple(checks.array("widths", widths, ndim=1, dtype=int, least=1).tolist())
        n_layers = len(self.widths) - 1
        checks.need(n_layers >= 1, "widths", "at least an input and an output width", list(self.widths))
        if isinstance(activation, str):
            activation = [activation] * (n_layers - 1)
        checks.instance("activation", activation, (str, list, tuple))
        names = [checks.choice("activation", name, ACTIVATIONS) for name in activation]
        hidden = f"one name, or one for each of the {n_layers - 1} hidden layers"
        checks.need(len(names) == n_layers - 1, "activation", hidden, activation)
        gains = checks.array("gains", gains, ndim=(0, 1)).tolist()
        gains = gains if isinstance(gains, list) else [gains] * n_layers
        checks.need(
            len(gains) == n_layers, "gains", f"one gain, or one for each of the {n_layers} layers", gains
        )
        if bias_gain is not None:
            bias_gain = checks.nonnegative("bias_gain", bias_gain)
        checks.torch_generator("generator", generator)
        checks.choice("parametrisation", parametrisation, PARAMETRISATIONS)
        device = checks.torch_device("device", device)
        self.activations = tuple(names) + ("linear",)
        self.parametrisation = parametrisation
        in_formula = parametrisation in ("ntk", "mean_field")
        self.multipliers = [1.0] * n_layers
        if in_formula:
            self.multipliers = [g / math.sqrt(n) for g, n in zip(gains, self.widths[:-1], strict=True)]
            if parametrisation == "mean_field":
                self.multipliers[-1] = gains[-1] / self.widths[-2]
        self.bias_multiplier = 1.0 if bias_gain is None or not in_formula else float(bias_gain)
        self.weights = nn.ParameterList()
        for n_in, n_out, gain in zip(self.widths[:-1], self.widths[1:], gains, strict=True):
            W = initial_weights(n_out, n_in, parametrisation, gain, generator, dtype, device=device)
            self.weights.append(W)
        self.biases = None
        if bias_gain is not None:
            scale = 1.0 if in_formula else float(bias_gain)
            self.biases = nn.ParameterList(
                [scale * devices.normal((n,), generator, dtype, device) for n in self.widths[1:]]
            )

    def forward(self, x, all_layers=False):
        """Outputs, shape (..., n_outputs), for inputs of shape (..., n_inputs) in the type of the weights.

        With ``all_layers`` the list of every layer's activity, the output last.
        """
        checks.instance("x", x, torch.Tensor)
        all_layers = checks.flag("all_layers", all_layers)
        if x.dtype != self.weights[0].dtype:
            raise TypeError(f"x needs the type of the weights, {self.weights[0].dtype}, got {x.dtype}")
        checks.need(x.shape[-1] == self.widths[0], "x", f"{self.widths[0]} columns", x)
        layers = []
        for l, W in enumerate(self.weights):
            x = x @ W.mT
            if self.multipliers[l] != 1.0:
                x = self.multipliers[l] * x
            if self.biases is not None:
                x = x + self.bias_multiplier * self.biases[l]
            x = ACTIVATIONS[self.activations[l]](x)
            layers.append(x)
        return layers if all_layers else x


class Tap(nn.Module):
    """A network that also reports the activity of one of its layers, in the last columns of its output.

    Parameters
    ----------
    net : MLP
        The network; training the tap trains it.
    layer : int
        Index of the reported layer, counted from 0 as in ``net(x, all_layers=True)``.

    Raises
    ------
    TypeError, ValueError
        If it is no MLP or has no such layer.
    """

    def __init__(self, net, layer):
        super().__init__()
        self.net, self.layer = checks.instance("net", net, MLP), _layer(net, layer)

    def forward(self, x):
        """Outputs and activities side by side, shape (..., n_outputs + width of the layer)."""
        layers = self.net(x, all_layers=True)
        return torch.cat([layers[-1], layers[self.layer]], dim=-1)


def upper_part(net, layer):
    """Freeze what follows a layer of an MLP, as a function of that layer's activity.

    Parameters
    ----------
    net : MLP
        The network; later training does not change the copy.
    layer : int
        Index of the layer, counted from 0 as in ``net(x, all_layers=True)``.

    Returns
    -------
    f0 : callable
        Maps an array of shape (n, width) to the pair value (n, n_outputs), Jacobian (n, n_outputs, width); computed
        where the network lay.

    Raises
    ------
    TypeError, ValueError
        If it is no MLP, or no layer follows the one named.
    """
    checks.instance("net", net, MLP)
    start = checks.count("layer", layer, least=0, most=len(net.weights) - 2) + 1
    weights = [m * W.detach().clone() for m, W in zip(net.multipliers, net.weights, strict=True)][start:]
    biases = [None] * len(weights)
    if net.biases is not None:
        biases = [net.bias_multiplier * b.detach().clone() for b in net.biases][start:]
    names = net.activations[start:]

    def f0(z):
        z = torch.as_tensor(z, dtype=weights[0].dtype, device=weights[0].device).detach().requires_grad_(True)
        x = z
        for W, b, name in zip(weights, biases, names, strict=True):
            x = ACTIVATIONS[name](x @ W.mT if b is None else x @ W.mT + b)
        rows = [torch.autograd.grad(x[:, a].sum(), z, retain_graph=True)[0] for a in range(x.shape[1])]
        return x.detach().cpu().numpy(), torch.stack(rows, dim=1).cpu().numpy()

    return f0


def _layer(net, layer):
    """Index of a layer, from the end where it is negative, as in a list."""
    return checks.count("layer", layer, least=-len(net.weights), most=len(net.weights) - 1)

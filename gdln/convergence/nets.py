"""The networks of :mod:`gdln.convergence.flow` with all their weights, for training by gradient descent."""

import math

import torch
from torch import nn
from torch.nn import functional

from gdln import checks

_ACTIVATIONS = {
    "sine": lambda u: u + 0.5 * torch.sin(u),
    "leaky_0.2": lambda u: functional.leaky_relu(u, 0.2),
    "relu": functional.relu,
    "softplus": functional.softplus,
    "tanh": torch.tanh,
    "linear": lambda u: u,
}


class ThreeLayerNetwork(nn.Module):
    r"""Shallow or three-layer network, in mean-field or NTK scaling.

    :math:`f(x) = s\sum_{i=1}^m c_i\,\sigma(h_i)`, :math:`h = W\phi(x)`, with :math:`s = 1/m` or
    :math:`1/\sqrt m`. Without a first layer :math:`\phi = x/\sqrt d`; with one,
    :math:`\phi = \sqrt{2/D}\max(0, ux/\sqrt d)` or :math:`\sqrt{2/D}\cos(ux + b)`.

    Parameters
    ----------
    c : array_like, shape (m,)
        Output weights.
    W : array_like, shape (m, D)
        Middle weights.
    activation : str
        Name of :math:`\sigma`, as in ``gdln.activations.ACTIVATIONS``.
    first : object, optional
        Has fields ``u`` (D, d), ``b`` (D,) and ``kind``, such as
        ``gdln.convergence.features.RandomFeatures``; the network copies them. None for a shallow network.
    scaling : {"mean_field", "ntk"}, optional
        Scale of the output.
    device : torch.device or str, optional
        Where the weights lie; inputs come to them.

    Raises
    ------
    TypeError, ValueError
        If an option is unknown, the shapes do not fit, or the device is not there.

    Notes
    -----
    Gradient descent with learning rate ``dt * net.time_scale`` on ``W`` alone takes the time ``dt`` a step of the
    flow in ``gdln.convergence.flow``: :math:`\dot W = -m\nabla\mathcal L` in mean-field scaling,
    :math:`-\nabla\mathcal L` in NTK scaling.
    """

    def __init__(self, c, W, activation, first=None, scaling="mean_field", *, device="cpu"):
        super().__init__()
        device = checks.torch_device("device", device)
        activation = checks.choice("activation", activation, _ACTIVATIONS)
        scaling = checks.choice("scaling", scaling, ("mean_field", "ntk"))
        self.c, self.W = self._weight("c", c, ("m",), device), self._weight("W", W, ("m", "D"), device)
        units = f"one row for each of the {len(self.c)} units in c"
        checks.need(self.W.shape[0] == len(self.c), "W", units, self.W)
        self.kind = None
        if first is not None:
            fields = all(hasattr(first, name) for name in ("u", "b", "kind"))
            checks.need(fields, "first", "fields u, b and kind", first)
            self.kind = checks.choice("first.kind", first.kind, ("relu", "fourier"))
            self.u = self._weight("first.u", first.u, ("D", "d"), device)
            self.b = self._weight("first.b", first.b, (len(self.u),), device)
            features = f"one column for each of the {len(self.u)} features of first"
            checks.need(self.W.shape[1] == len(self.u), "W", features, self.W)
        self.activation = activation
        self.time_scale = len(self.c) if scaling == "mean_field" else 1
        self.scale = 1 / len(self.c) if scaling == "mean_field" else 1 / math.sqrt(len(self.c))

    @staticmethod
    def _weight(name, value, shape, device):
        return nn.Parameter(torch.from_numpy(checks.array(name, value, shape=shape, copy=True)).to(device))

    def features(self, X):
        """Pre-activations, shape (n, m), of inputs of shape (n, d), in the type and on the device of the weights."""
        X = torch.as_tensor(X, dtype=self.W.dtype, device=self.W.device)
        d = (self.W if self.kind is None else self.u).shape[1]
        checks.shaped("X", X, ("n", d))
        if self.kind is None:
            phi = X / math.sqrt(X.shape[1])
        elif self.kind == "relu":
            phi = math.sqrt(2 / len(self.u)) * functional.relu(X @ self.u.T / math.sqrt(X.shape[1]))
        else:
            phi = math.sqrt(2 / len(self.u)) * torch.cos(X @ self.u.T + self.b)
        return phi @ self.W.T

    def forward(self, X):
        """Outputs, shape (n,), of inputs of shape (n, d)."""
        return self.scale * (_ACTIVATIONS[self.activation](self.features(X)) @ self.c)

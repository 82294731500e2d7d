"""The networks of :mod:`gdln.convergence.flow` with all their weights, for training by gradient descent."""

import math

import torch
from torch import nn
from torch.nn import functional

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

    Raises
    ------
    ValueError
        If an option is unknown or the shapes do not fit.

    Notes
    -----
    Gradient descent with learning rate ``dt * net.time_scale`` on ``W`` alone takes the time ``dt`` a step of the
    flow in ``gdln.convergence.flow``: :math:`\dot W = -m\nabla\mathcal L` in mean-field scaling,
    :math:`-\nabla\mathcal L` in NTK scaling.
    """

    def __init__(self, c, W, activation, first=None, scaling="mean_field"):
        super().__init__()
        if activation not in _ACTIVATIONS:
            raise ValueError(f"activation must be one of {tuple(_ACTIVATIONS)}, got {activation!r}")
        if scaling not in ("mean_field", "ntk"):
            raise ValueError(f"scaling must be 'mean_field' or 'ntk', got {scaling!r}")
        self.c, self.W = self._weight(c), self._weight(W)
        if self.W.shape[0] != self.c.shape[0]:
            raise ValueError(f"need one row of W a unit, got {tuple(self.W.shape)} for {len(self.c)} units")
        self.kind = None if first is None else first.kind
        if first is not None:
            self.u, self.b = self._weight(first.u), self._weight(first.b)
            if self.u.shape[0] != self.W.shape[1]:
                raise ValueError(f"W takes {self.W.shape[1]} features, the first layer has {self.u.shape[0]}")
        self.activation = activation
        self.time_scale = len(self.c) if scaling == "mean_field" else 1
        self.scale = 1 / len(self.c) if scaling == "mean_field" else 1 / math.sqrt(len(self.c))

    @staticmethod
    def _weight(value):
        return nn.Parameter(torch.as_tensor(value, dtype=torch.float64).clone())

    def features(self, X):
        """Pre-activations, shape (n, m), of inputs of shape (n, d), in the type of the weights."""
        X = torch.as_tensor(X).to(self.W.dtype)
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

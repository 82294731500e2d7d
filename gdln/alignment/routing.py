r"""Learning rules in a gated deep linear network: encoders, one shared layer, decoders, trained on chosen routes."""

import math

import torch

from gdln import checks
from gdln.alignment.rules import need_batch
from gdln.nets import devices

RULES = ("backprop", "align_ada", "align_zero", "feedback", "readout")


class RoutingNets:
    r"""Linear pathway networks of one shape, stacked; trained with :class:`gdln.alignment.rules.Learner`.

    Route :math:`(i,j)` computes :math:`f_{ij}(x) = D_j S E_i x`. The loss is
    :math:`\frac{1}{2Rn}\sum_{(i,j)}\sum_\mu\|f_{ij}(x_\mu)-y_\mu\|^2` over the :math:`R` trained routes and :math:`n`
    items. All weights start from :math:`\mathcal N(0, g^2/h)`: singular values of order :math:`g`, the *gain*,
    whatever the width. Weights: encoders (n_seeds, M, h, n_inputs), shared (n_seeds, h, h), decoders
    (n_seeds, M', n_outputs, h).

    Parameters
    ----------
    mask : array_like of bool, shape (M, M')
        Trained routes.
    n_inputs, n_outputs : int
        Size of an input and of an output domain.
    width : int
        :math:`h`, of both hidden layers.
    gain : float
        :math:`g`. Small gains give the rich regime of the neural race, large ones the lazy regime.
    n_seeds : int
        Number of networks.
    generator : torch.Generator
        Source of randomness.
    device : torch.device or str, optional
        Where the weights lie.

    Raises
    ------
    ValueError
        If no route is trained, a size or the gain is not positive, or the device is not there.

    Notes
    -----
    Architecture of Saxe et al. (2022), Section 4; the gates open one encoder and one decoder. There are no
    slopes, so that Align-prop is Align-ada. Direct feedback is not covered.
    """

    rules = RULES

    def __init__(self, mask, n_inputs, n_outputs, width, gain, n_seeds, *, generator, device="cpu"):
        self.mask = torch.tensor(checks.array("mask", mask, ndim=2, dtype=bool), device="cpu")
        checks.need(bool(self.mask.any()), "mask", "at least one trained route", mask)
        n_inputs, n_outputs = checks.count("n_inputs", n_inputs), checks.count("n_outputs", n_outputs)
        width, n_seeds = checks.count("width", width), checks.count("n_seeds", n_seeds)
        gain = checks.positive("gain", gain)
        checks.torch_generator("generator", generator)
        device = checks.torch_device("device", device)
        self.sides = ("batch", n_inputs), ("batch", n_outputs)
        n_in, n_out = self.mask.shape
        shapes = [(n_in, width, n_inputs), (width, width), (n_out, n_outputs, width)]
        scale = gain / math.sqrt(width)
        self.weights = [
            scale * torch.stack([devices.normal(s, generator, torch.float64, device) for _ in range(n_seeds)])
            for s in shapes
        ]

    def activities(self, x, weights=None):
        """Activities after the encoders and after the shared layer, each (n_seeds, M, n, h)."""
        E, S, _ = self.weights if weights is None else weights
        checks.shaped("x", x, ("n", E.shape[3]))
        first = x.to(E) @ E.mT
        return first, first @ S.mT[:, None]

    @torch.no_grad()
    def outputs(self, x):
        """Outputs of every route, shape (n_seeds, M, M', n, n_outputs)."""
        return torch.einsum("sinh,sjch->sijnc", self.activities(x)[1], self.weights[2])

    def route_losses(self, x, y):
        """Half squared error of every route, averaged over items, shape (n_seeds, M, M')."""
        need_batch(x, y, *self.sides)
        return (self.outputs(x) - y.to(self.weights[0].device)).square().sum(-1).mean(-1) / 2

    def maps(self):
        """Linear map of every route, shape (n_seeds, M, M', n_outputs, n_inputs)."""
        E, S, D = self.weights
        return D[:, None] @ (S[:, None] @ E)[:, :, None]

    def draw_feedback(self, rule, generator):
        """Random weights of the initial size in place of the forward ones, for the way back."""
        if checks.choice("rule", rule, self.rules) != "feedback":
            return None
        checks.torch_generator("generator", generator)
        scales = [W.std() for W in self.weights]
        return [
            scale * devices.normal(W.shape, generator, W.dtype, W.device)
            for W, scale in zip(self.weights, scales, strict=True)
        ]

    def changes(self, rule, initial, feedback, x, y):
        """See :meth:`gdln.alignment.rules.Learner.changes`; ``x`` (n, n_inputs), ``y`` (n, n_outputs)."""
        checks.choice("rule", rule, self.rules)
        need_batch(x, y, *self.sides)
        x, y = x.to(self.weights[0]), y.to(self.weights[0].device)
        mask = self.mask.to(x.device)
        first, second = self.activities(x)
        residual = (torch.einsum("sinh,sjch->sijnc", second, self.weights[2]) - y) * mask[..., None, None]
        error = residual / (mask.sum() * len(x))
        loss = (residual * error).sum((1, 2, 3, 4)) / 2
        if rule == "align_zero":
            first, second = self.activities(x, initial)
        decoders = -torch.einsum("sijnc,sinh->sjch", error, second)
        if rule == "readout":
            return [torch.zeros_like(W) for W in self.weights[:2]] + [decoders], loss
        _, S, D = {"backprop": self.weights, "feedback": feedback}.get(rule, initial)
        back = torch.einsum("sijnc,sjch->sinh", error, D)
        shared = -torch.einsum("sinh,sink->shk", back, first)
        encoders = -(back @ S[:, None]).mT @ x
        return [encoders, shared, decoders], loss

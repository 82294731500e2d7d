"""Fully connected networks of one shape, stacked, for the rules of :mod:`gdln.alignment.rules`."""

import math
from collections.abc import Iterable

import torch

from gdln import checks
from gdln.activations import LEAK
from gdln.alignment.rules import DRAWING, RULES, need_batch
from gdln.nets import devices
from gdln.nets.mlp import MLP

#: Slope of each activation as a function of the activity itself.
SLOPES = {
    "linear": lambda a: None,
    "relu": lambda a: a > 0,
    # in the type of a: from two Python numbers torch would choose in single precision
    "leaky_relu": lambda a: torch.where(a > 0, a.new_tensor(1.0), a.new_tensor(LEAK)),
    "tanh": lambda a: 1 - a * a,
}


VALUES = {
    "linear": lambda z: z,
    "relu": torch.relu_,
    "leaky_relu": lambda z: torch.nn.functional.leaky_relu_(z, LEAK),
    "tanh": torch.tanh_,
}


class Perceptrons:
    r"""Fully connected networks of one shape, stacked: weights of shape (n_seeds, n_out, n_in).

    Layer *l* computes :math:`a^l=\phi_l(c_l W^l a^{l-1})`, the last one is linear.

    Parameters
    ----------
    weights : sequence of Tensor, shapes (n_seeds, n_out, n_in)
        Trained in place.
    multipliers : sequence of float
        :math:`c_l`; in the NTK parametrisation :math:`g_l/\sqrt{N_{l-1}}`.
    activations : sequence of str
        One of ``SLOPES`` a layer, the last ``"linear"``.

    Raises
    ------
    ValueError
        If the layers do not chain or an activation's slope is not a function of its value.
    TypeError
        If the weights are integers, to which inputs would be rounded.
    """

    rules = RULES

    def __init__(self, weights, multipliers, activations):
        self.weights = list(checks.instance("weights", weights, (list, tuple)))
        for W in self.weights:
            checks.finite("weights", checks.floating("weights", W))
        shapes = [tuple(W.shape) for W in self.weights]
        chained = all(len(s) == 3 and 0 not in s and s[0] == shapes[0][0] for s in shapes) and all(
            a[1] == b[2] for a, b in zip(shapes[:-1], shapes[1:], strict=True)
        )
        checks.need(chained and shapes, "weights", "layers that chain, (n_seeds, n_out, n_in) each", shapes)
        self.multipliers = checks.array("multipliers", multipliers, shape=(len(shapes),)).tolist()
        checks.instance("activations", activations, (list, tuple))
        self.activations = tuple(checks.choice("activations", name, SLOPES) for name in activations)
        last = len(self.activations) == len(shapes) and self.activations[-1] == "linear"
        checks.need(last, "activations", "one name a layer, the last one linear", self.activations)

    @classmethod
    def from_models(cls, models):
        """Stack copies of the weights of :class:`gdln.nets.mlp.MLP` without biases.

        Parameters
        ----------
        models : sequence of MLP
            Networks of one architecture.

        Returns
        -------
        networks : Perceptrons
            The stack.

        Raises
        ------
        ValueError
            If a model is no MLP, has biases, or differs from the first in shape.
        """
        models = list(checks.instance("models", models, Iterable))
        checks.need(len(models) > 0, "models", "at least one model", models)
        for model in models:
            fits = isinstance(model, MLP) and model.biases is None
            checks.need(fits, "models", "MLPs without biases", model)
            if (model.widths, model.activations, model.multipliers) != (
                models[0].widths,
                models[0].activations,
                models[0].multipliers,
            ):
                raise ValueError(
                    f"models needs networks of one shape, got {models[0].widths} and {model.widths}"
                )
        weights = [
            torch.stack([m.weights[l].detach() for m in models]) for l in range(len(models[0].weights))
        ]
        return cls(weights, models[0].multipliers, models[0].activations)

    @classmethod
    def draw(cls, widths, n_seeds, *, generator, activation="relu", dtype=torch.float64, device="cpu"):
        r"""Draw networks in the NTK parametrisation with gains 1 in the first layer and :math:`\sqrt2` after.

        Parameters
        ----------
        widths : sequence of int
            Input width, hidden widths, output width.
        n_seeds : int
            Number of networks.
        generator : torch.Generator
            Source of randomness.
        activation : str, optional
            Of the hidden layers. With ReLU the gains keep variances of order one in every layer.
        dtype : torch.dtype, optional
            Type of the weights.
        device : torch.device or str, optional
            Where the weights lie.

        Returns
        -------
        networks : Perceptrons
            The stack.
        """
        widths = checks.array("widths", widths, ndim=1, dtype=int, least=1).tolist()
        checks.need(len(widths) > 1, "widths", "at least an input and an output width", widths)
        n_seeds = checks.count("n_seeds", n_seeds)
        gains = [1.0] + [math.sqrt(2.0)] * (len(widths) - 2)
        options = {"generator": generator, "dtype": dtype, "device": device}
        return cls.from_models(MLP(widths, activation, "ntk", gains, **options) for _ in range(n_seeds))

    def activities(self, x, weights=None):
        """Input and activity of every layer, each of shape (n_seeds, batch, width); the output last."""
        weights = self.weights if weights is None else weights
        n_in = weights[0].shape[2]
        checks.need(x.ndim in (2, 3) and x.shape[-1] == n_in, "x", f"{n_in} columns", x)
        a = [x.to(weights[0]).expand(len(weights[0]), *x.shape[-2:])]
        for W, c, name in zip(weights, self.multipliers, self.activations, strict=True):
            z = torch.baddbmm(W.new_zeros(()), a[-1], W.mT, beta=0, alpha=c)
            a.append(VALUES[name](z))
        return a

    @torch.no_grad()
    def outputs(self, x):
        """Outputs, shape (n_seeds, batch, n_outputs)."""
        return self.activities(x)[-1]

    def draw_feedback(self, rule, generator):
        r"""Fixed random feedback: transposed forward shapes, or maps from the output to every hidden layer.

        The direct maps of layer *l* have variance :math:`1/N_l` (size of the layer they feed).
        """
        if rule in DRAWING:
            checks.torch_generator("generator", generator)
        if checks.choice("rule", rule, self.rules) == "feedback":
            return [devices.normal(W.shape, generator, W.dtype, W.device) for W in self.weights[1:]]
        if rule == "direct_feedback":
            S, C, _ = self.weights[-1].shape
            return [
                devices.normal((S, C, W.shape[1]), generator, W.dtype, W.device) / math.sqrt(W.shape[1])
                for W in self.weights[:-1]
            ]
        return None

    def signals(self, rule, activities, initial_activities, initial, feedback, error):
        """Backward signals of the layers, first to last; ``None`` for layers that do not learn."""
        top = [error]
        if checks.choice("rule", rule, self.rules) == "readout":
            return [None] * (len(self.weights) - 1) + top
        slopes_of = initial_activities if rule in ("align_zero", "align_ada") else activities
        backward = {"backprop": self.weights, "feedback": [None, *(feedback or [])]}.get(rule, initial)
        for l in range(len(self.weights) - 1, 0, -1):
            if rule == "direct_feedback":
                back = torch.bmm(error, feedback[l - 1])
            else:
                c = self.multipliers[l]
                back = torch.baddbmm(error.new_zeros(()), top[-1], backward[l], beta=0, alpha=c)
            slope = SLOPES[self.activations[l - 1]](slopes_of[l])
            top.append(back if slope is None else back.mul_(slope))
        return top[::-1]

    def changes(self, rule, initial, feedback, x, y):
        """See :meth:`gdln.alignment.rules.Learner.changes`."""
        n_seeds, _, n_in = self.weights[0].shape
        need_batch(x, y, ("batch", n_in), ("batch", self.weights[-1].shape[1]), n_seeds)
        a = self.activities(x)
        error = a[-1] - y.to(a[-1])
        a0 = self.activities(x, initial) if rule in ("align_zero", "align_ada") else a
        pre = a0 if rule == "align_zero" else a
        back = self.signals(rule, a, a0, initial, feedback, error)
        batch = x.shape[-2]
        changes = [
            torch.zeros_like(W)
            if b is None
            else torch.baddbmm(W.new_zeros(()), b.mT, p, beta=0, alpha=-c / batch)
            for W, c, b, p in zip(self.weights, self.multipliers, back, pre[:-1], strict=True)
        ]
        return changes, error.square().sum((-2, -1)) / (2 * batch)

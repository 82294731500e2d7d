r"""ReLU recurrent networks and the learning rules that run through time, written out and batched over seeds."""

import math

import torch

from gdln import checks
from gdln.alignment.rules import need_batch
from gdln.nets import devices

RULES = (
    "backprop",
    "align_ada",
    "align_zero",
    "align_prop",
    "feedback",
    "readout",
    "align_ada_published",
)


class RecurrentNets:
    r"""ReLU recurrent networks of one shape, stacked; trained with :class:`gdln.alignment.rules.Learner`.

    .. math:: z_t = W_{\rm in}u_t + \tfrac{1}{\sqrt N} W s_{t-1} + b,\quad s_t=\max(0, z_t),\quad
              o_t = \tfrac{1}{\sqrt N}\, v\cdot s_t + b_o,\quad s_{-1}=0 .

    All weights start from :math:`\mathcal N(0,1)`, the biases at zero. The loss is
    :math:`\sum_t\langle(o_t-y_t)^2\rangle`, averaged over sequences. In the lists of weights the order is
    :math:`W_{\rm in}` (n_seeds, N, n_inputs), :math:`W` (n_seeds, N, N), :math:`b` (n_seeds, 1, N),
    :math:`v` (n_seeds, 1, N), :math:`b_o` (n_seeds, 1, 1).

    Parameters
    ----------
    n_inputs, width : int
        Inputs at each time and units.
    n_seeds : int
        Number of networks.
    generator : torch.Generator
        Source of randomness.
    dtype : torch.dtype, optional
        Type of the weights.
    device : torch.device or str, optional
        Where the weights lie.

    Raises
    ------
    ValueError
        If a size is not positive or the device is not there.

    Notes
    -----
    Boopathy and Fiete (2022), published code of the Add task, without its trainable initial state. The rule
    ``"align_ada_published"`` is that code's: the state at time *t* gets credit only through the outputs after
    *t*, and the last slope on the way back is the current one. Direct feedback is not covered.
    """

    rules = RULES

    def __init__(self, n_inputs, width, n_seeds, *, generator, dtype=torch.float64, device="cpu"):
        n_inputs, width = checks.count("n_inputs", n_inputs), checks.count("width", width)
        n_seeds = checks.count("n_seeds", n_seeds)
        checks.torch_dtype("dtype", dtype)
        checks.torch_generator("generator", generator)
        device = checks.torch_device("device", device)

        def draw(*shape):
            return torch.stack([devices.normal(shape, generator, dtype, device) for _ in range(n_seeds)])

        self.weights = [draw(width, n_inputs), draw(width, width), draw(1, width), draw(1, width), draw(1, 1)]
        for bias in (2, 4):
            self.weights[bias].zero_()
        self.scale = 1 / math.sqrt(width)

    def states(self, x, weights=None):
        """States of shape (n_seeds, batch, width), one a time, the zero initial state first."""
        w_in, W, b = (self.weights if weights is None else weights)[:3]
        checks.shaped("x", x, ("batch", "times", w_in.shape[2]))
        drive = torch.einsum("btd,snd->tsbn", x.to(W), w_in) + b
        states = [W.new_zeros(drive.shape[1:])]
        for drive_t in drive:
            states.append(torch.relu_(torch.baddbmm(drive_t, states[-1], W.mT, alpha=self.scale)))
        return states

    def read(self, states, weights=None):
        """Outputs (n_seeds, batch, times) from the states."""
        v, b_o = (self.weights if weights is None else weights)[3:]
        s = torch.stack(states[1:], dim=-2)  # seeds, batch, times, width
        return self.scale * (s * v[:, None]).sum(-1) + b_o

    @torch.no_grad()
    def outputs(self, x):
        """Outputs, shape (n_seeds, batch, times)."""
        return self.read(self.states(x))

    @torch.no_grad()
    def loss(self, x, y):
        """Squared error summed over time, averaged over sequences, one number a network."""
        need_batch(x, y, ("batch", "times", self.weights[0].shape[2]), ("batch", "times"))
        return (self.outputs(x) - y.to(self.weights[0].device)).square().sum(-1).mean(-1)

    def draw_feedback(self, rule, generator):
        """Random weights in place of the recurrent and the read-out ones, for the way back."""
        if checks.choice("rule", rule, self.rules) != "feedback":
            return None
        checks.torch_generator("generator", generator)
        return [
            devices.normal(W.shape, generator, W.dtype, W.device) for W in (self.weights[1], self.weights[3])
        ]

    def changes(self, rule, initial, feedback, x, y):
        """See :meth:`gdln.alignment.rules.Learner.changes`; ``x`` has shape (batch, times, n_inputs)."""
        checks.choice("rule", rule, self.rules)
        need_batch(x, y, ("batch", "times", self.weights[0].shape[2]), ("batch", "times"))
        x = x.to(self.weights[0])
        states = self.states(x)
        residual = self.read(states) - y.to(states[0])
        loss = residual.square().sum(-1).mean(-1)
        error = (2 / len(x)) * residual
        frozen = rule in ("align_zero", "align_ada", "align_ada_published")
        slopes = self.states(x, initial) if frozen else states
        pre = slopes if rule == "align_zero" else states
        change = [torch.zeros_like(w) for w in self.weights]
        past = torch.stack(pre[1:], dim=-2)
        change[3] = -self.scale * torch.einsum("sbt,sbtn->sn", error, past)[:, None]
        change[4] = -error.sum((1, 2))[:, None, None]
        if rule == "readout":
            return change, loss
        W, v = feedback or [(self.weights if rule == "backprop" else initial)[k] for k in (1, 3)]
        back = torch.zeros_like(states[0])
        for t in range(x.shape[1], 0, -1):
            credit = self.scale * torch.bmm(back, W)
            back = (credit + self.scale * error[:, :, t - 1, None] * v) * (slopes[t] > 0)
            learn = credit * (states[t] > 0) if rule == "align_ada_published" else back
            change[0] -= torch.einsum("sbn,bd->snd", learn, x[:, t - 1])
            change[1].baddbmm_(learn.mT, pre[t - 1], alpha=-self.scale)
            change[2] -= learn.sum(1, keepdim=True)
        return change, loss

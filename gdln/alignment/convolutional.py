r"""Small convolutional networks and the learning rules they are covered by, batched over seeds.

A convolution is a linear layer on patches, so that every rule is again a backward signal times the activity of a
patch, summed over positions.
"""

import math

import torch
from torch.nn import functional

from gdln import checks
from gdln.alignment.rules import need_batch
from gdln.nets import devices

RULES = ("backprop", "align_ada", "align_zero", "align_prop", "feedback", "readout")
EPS = 1e-6  # added to the variance of a channel before its root is taken, as in the published code


class ConvolutionalNets:
    r"""3 by 3 convolutions, batch normalisation, ReLU; global average, linear read-out; stacked networks.

    Weights start from :math:`\mathcal N(0,1)` and are multiplied by :math:`1/\sqrt{9C_{\rm in}}`
    (:math:`1/\sqrt C` in the read-out). The normalisation has no parameters and takes its statistics, one a pixel and
    channel, from the batch at hand, in training as in evaluation. Trained with
    :class:`gdln.alignment.rules.Learner` on :math:`\frac1{2B}\sum\|f-y\|^2`.

    Parameters
    ----------
    channels : int
        Channels of every convolution.
    strides : sequence of int
        Stride of each convolution.
    n_outputs : int
        Number of outputs.
    n_seeds : int
        Number of networks.
    n_inputs : int, optional
        Channels of the image.
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
    Boopathy and Fiete (2022), published code: 7 layers for CIFAR-10, strides (1, 2, 2) for KMNIST. Biases in front of
    the normalisation have no effect and are left out. Direct feedback is not covered.
    """

    rules = RULES

    def __init__(
        self,
        channels,
        strides,
        n_outputs,
        n_seeds,
        *,
        generator,
        n_inputs=1,
        dtype=torch.float32,
        device="cpu",
    ):
        channels, n_outputs = checks.count("channels", channels), checks.count("n_outputs", n_outputs)
        n_seeds, n_inputs = checks.count("n_seeds", n_seeds), checks.count("n_inputs", n_inputs)
        strides = checks.array("strides", strides, ndim=1, dtype=int, least=1).tolist()
        checks.torch_dtype("dtype", dtype)
        checks.torch_generator("generator", generator)
        device = checks.torch_device("device", device)
        fan_in = [9 * n_inputs] + [9 * channels] * (len(strides) - 1) + [channels]
        fan_out = [channels] * len(strides) + [n_outputs]
        self.strides = tuple(strides)
        self.multipliers = [1 / math.sqrt(n) for n in fan_in]
        self.weights = [
            torch.stack([devices.normal((o, i), generator, dtype, device) for _ in range(n_seeds)])
            for o, i in zip(fan_out, fan_in, strict=True)
        ]

    def passes(self, x, weights=None, backward=None):
        """Forward pass that keeps what the rules need.

        Parameters
        ----------
        x : Tensor, shape (batch, channels, height, width)
            Images.
        weights : list of Tensor, optional
            Weights in use; the current ones unless given.
        backward : list of Tensor, optional
            Weights that gradients meet on their way back; the same as ``weights`` unless given.

        Returns
        -------
        f : Tensor, shape (n_seeds, batch, n_outputs)
            Outputs.
        pre : list of Tensor, shapes (n_seeds, batch * positions, fan_in)
            Input patches of every layer.
        z : list of Tensor
            What every layer makes of them, before the normalisation.
        """
        weights = self.weights if weights is None else weights
        fan_in = weights[0].shape[2]
        checks.shaped("x", x, ("batch", fan_in // 9, "height", "width"))
        S, B = len(weights[0]), len(x)
        a = x.to(weights[0]).expand(S, *x.shape)
        pre, z = [], []
        for l, W in enumerate(weights):
            if l < len(self.strides):
                stride, size = self.strides[l], [(n - 1) // self.strides[l] + 1 for n in a.shape[3:]]
                p = functional.unfold(a.flatten(0, 1), 3, padding=1, stride=stride)
                p = p.mT.reshape(S, B * size[0] * size[1], -1)
            else:
                p = a.mean((3, 4))
            value = self.multipliers[l] * torch.bmm(p, (W if backward is None else backward[l]).mT)
            if backward is not None:
                value = value + self.multipliers[l] * torch.bmm(p, (W - backward[l]).mT).detach()
            pre.append(p)
            z.append(value.requires_grad_() if not value.requires_grad and torch.is_grad_enabled() else value)
            if l < len(self.strides):
                h = z[-1].view(S, B, *size, -1)
                h = (h - h.mean(1, keepdim=True)) / (h.var(1, unbiased=False, keepdim=True) + EPS).sqrt()
                a = torch.relu(h).permute(0, 1, 4, 2, 3)
        return z[-1], pre, z

    @torch.no_grad()
    def outputs(self, x):
        """Outputs, shape (n_seeds, batch, n_outputs); statistics of the normalisation from these images."""
        return self.passes(x)[0]

    def draw_feedback(self, rule, generator):
        """Random weights in place of the forward ones, for the way back."""
        if checks.choice("rule", rule, self.rules) != "feedback":
            return None
        checks.torch_generator("generator", generator)
        return [devices.normal(W.shape, generator, W.dtype, W.device) for W in self.weights]

    @torch.enable_grad()
    def changes(self, rule, initial, feedback, x, y):
        """See :meth:`gdln.alignment.rules.Learner.changes`; ``x`` has shape (batch, channels, height, width)."""
        checks.choice("rule", rule, self.rules)
        images = ("batch", self.weights[0].shape[2] // 9, "height", "width")
        need_batch(x, y, images, ("batch", self.weights[-1].shape[1]))
        if rule in ("align_zero", "align_ada"):
            f0, pre0, z = self.passes(x, initial)
            with torch.no_grad():
                f, pre, _ = self.passes(x)
            pre = pre0 if rule == "align_zero" else pre
            top = f0
        else:
            backward = {"align_prop": initial, "feedback": feedback}.get(rule)
            f, pre, z = self.passes(x, backward=backward)
            top = f
        error = f.detach() - y.to(f)
        if rule == "readout":
            signals = [None] * (len(z) - 1) + [error]
        else:
            signals = torch.autograd.grad((top * error).sum(), z)
        changes = [
            torch.zeros_like(W) if s is None else torch.bmm(s.mT, p.detach()).mul_(-c / len(x))
            for W, s, p, c in zip(self.weights, signals, pre, self.multipliers, strict=True)
        ]
        return changes, error.square().sum((-2, -1)) / (2 * len(x))


def convolution_gram(change, stride, probes):
    r"""Apply :math:`A=\Delta W^\top\Delta W` of a 3 by 3 convolution to images: convolve, then transpose back.

    Parameters
    ----------
    change : Tensor, shape (n_out, 9 * n_in)
        Change of one network's patch weights, channels slow, the nine positions fast.
    stride : int
        Stride of the layer.
    probes : ndarray, shape (batch, n_in, height, width)
        Images.

    Returns
    -------
    applied : ndarray, shape (batch, n_in, height, width)
        For :func:`gdln.alignment.scores.probe_score`.
    """
    checks.floating("change", change)
    patches = change.ndim == 2 and change.numel() > 0 and change.shape[1] % 9 == 0
    checks.need(patches, "change", "shape (n_out, 9 * n_in)", change)
    checks.finite("change", change)
    stride = checks.count("stride", stride)
    probes = checks.array("probes", probes, shape=("batch", change.shape[1] // 9, "height", "width"))
    kernel = change.view(len(change), -1, 3, 3)
    # a copy: checked arrays are read-only
    images = torch.tensor(probes, dtype=kernel.dtype, device=kernel.device)
    forward = functional.conv2d(images, kernel, stride=stride, padding=1)
    extra = [n - ((m - 1) * stride + 1) for n, m in zip(images.shape[2:], forward.shape[2:], strict=True)]
    back = functional.conv_transpose2d(forward, kernel, stride=stride, padding=1, output_padding=extra)
    return back.cpu().numpy()

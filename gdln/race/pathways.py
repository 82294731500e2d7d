"""Many input domains, one shared layer, many output domains: cross-entropy on a chosen set of routes.

All routes of a batch are computed in batched products; the gradients are written out.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn

from gdln import checks, optional
from gdln.activations import LEAK
from gdln.data import images, tasks
from gdln.nets import devices
from gdln.nets.mlp import initial_weights
from gdln.nets.training import minibatches

CLEARED_EVERY = 100  # steps between two looks for momentum that fades, which costs as much as a step
# Momentum below this is nothing beside a weight, of which float32 knows seven digits. At 0.9 a step, the hundred steps
# to the next look leave 3e-30 of it, far from the denormal numbers below 1e-38, with which arithmetic is slow.
FADED = 1e-25


class PathwayNetwork(nn.Module):
    r"""Encoders, one shared hidden layer and decoders; the route :math:`(i, j)` is their composition.

    :math:`\hat y_{ij}(x) = \Psi_j\,\phi(\Theta\,\phi(\Phi_i x))`, without biases: encoder :math:`\Phi_i` of
    input domain *i*, shared :math:`\Theta`, decoder :math:`\Psi_j` of output domain *j* (Saxe et al. 2022,
    Section 5).

    Parameters
    ----------
    n_domains_in, n_domains_out : int
        Numbers of encoders and decoders.
    widths : sequence of int
        Pixels, width after the encoder, width after the shared layer, classes.
    activation : str, optional
        :math:`\phi`: ``"linear"`` or ``"leaky_relu"`` (slope 0.01).
    gain : float, optional
        Multiplies the initial weights.
    parametrisation : str, optional
        Initial law, see :func:`gdln.nets.mlp.initial_weights`; Xavier uniform unless given.
    generator : torch.Generator
        Source of randomness.
    dtype : torch.dtype, optional
        Type of the weights.
    device : torch.device or str, optional
        Where the weights lie.

    Raises
    ------
    ValueError
        If the widths are not four, the activation is unknown, or the device is not there.
    """

    def __init__(
        self,
        n_domains_in,
        n_domains_out,
        widths,
        activation="linear",
        gain=1.0,
        parametrisation="xavier",
        *,
        generator,
        dtype=torch.float64,
        device="cpu",
    ):
        super().__init__()
        n_domains_in = checks.count("n_domains_in", n_domains_in)
        n_domains_out = checks.count("n_domains_out", n_domains_out)
        widths = checks.array("widths", widths, shape=(4,), dtype=int, least=1)
        n_pixels, n_encoder, n_shared, n_classes = widths.tolist()
        self.activation = checks.choice("activation", activation, ("linear", "leaky_relu"))

        def draw(n_out, n_in):
            return initial_weights(n_out, n_in, parametrisation, gain, generator, dtype, device=device)

        self.encoders = nn.Parameter(torch.stack([draw(n_encoder, n_pixels) for _ in range(n_domains_in)]))
        self.shared = nn.Parameter(draw(n_shared, n_encoder))
        self.decoders = nn.Parameter(torch.stack([draw(n_classes, n_shared) for _ in range(n_domains_out)]))

    def hidden(self, x):
        """Activities after the encoders and after the shared layer, each (n_domains_in, n, width).

        ``x`` has shape (n_domains_in, n, n_pixels) and the type of the weights.
        """
        checks.instance("x", x, torch.Tensor)
        if x.dtype != self.encoders.dtype:
            raise TypeError(f"x needs the type of the weights, {self.encoders.dtype}, got {x.dtype}")
        n_in, _, n_pixels = self.encoders.shape
        checks.shaped("x", x, (n_in, "n", n_pixels))
        first = self._phi(torch.bmm(x, self.encoders.mT))
        return first, self._phi(first @ self.shared.mT)

    def forward(self, x):
        """Logits of every route, shape (n_domains_in, n_domains_out, n, n_classes)."""
        return torch.einsum("inh,jch->ijnc", self.hidden(x)[1], self.decoders)

    def _phi(self, a):
        return a if self.activation == "linear" else torch.nn.functional.leaky_relu(a, LEAK)

    def _backward_phi_(self, gradient, h):
        """Multiply in place by the slope at activity ``h`` (which has the sign of its argument)."""
        # numbers in the type of h: two Python numbers would be chosen from in single precision
        slopes = h.new_tensor([LEAK, 1.0])
        return gradient if self.activation == "linear" else gradient.mul_(torch.where(h > 0, *slopes.flip(0)))


@dataclass(frozen=True)
class PathwayTrajectory:
    """What the training of a pathway network recorded.

    Attributes
    ----------
    epochs : ndarray of int, shape (n_records,)
        Epochs done.
    loss : ndarray, shape (n_records,)
        Cross-entropy averaged over trained routes and over the batches of the epoch before (the first record:
        NaN).
    trained, untrained : ndarray, shape (n_records,)
        Test accuracy, mean over trained and untrained routes (NaN where there are none).
    accuracy : ndarray, shape (n_domains_in, n_domains_out)
        Test accuracy of every route at the end.
    singular_values : ndarray, shape (width,)
        Of the shared map at the end, in decreasing order.
    """

    epochs: np.ndarray
    loss: np.ndarray
    trained: np.ndarray
    untrained: np.ndarray
    accuracy: np.ndarray
    singular_values: np.ndarray


def trained_routes(mask, *, device="cpu"):
    """Output domains trained with each input domain, padded to one length.

    Parameters
    ----------
    mask : array_like of bool, shape (n_domains_in, n_domains_out)
        True where the route is trained; every input has at least one.
    device : torch.device or str, optional
        Where the result lies.

    Returns
    -------
    outputs : Tensor of int, shape (n_domains_in, k)
        Numbers of the output domains, ``k`` the largest count; padded with output 0.
    weights : Tensor, shape (n_domains_in, k)
        One over the number of trained routes, and zero for padding.

    Raises
    ------
    ValueError
        If an input domain has no trained route, or the device is not there.
    """
    mask = checks.array("mask", mask, ndim=2, dtype=bool)
    counts = mask.sum(axis=1)
    checks.need(counts.all(), "mask", "at least one trained route in every row", counts.tolist())
    outputs, weights = np.zeros((2, len(mask), counts.max()))
    for i, row in enumerate(mask):
        outputs[i, : counts[i]] = np.flatnonzero(row)
        weights[i, : counts[i]] = 1 / mask.sum()
    device = checks.torch_device("device", device)
    return torch.from_numpy(outputs).long().to(device), torch.from_numpy(weights).to(device)


@torch.no_grad()
def loss_and_gradients(network, x, targets, outputs, weights):
    r"""Cross-entropy averaged over trained routes and samples, and its gradients.

    Parameters
    ----------
    network : PathwayNetwork
        The network.
    x : Tensor, shape (n_domains_in, n, n_pixels)
        One batch in every input domain.
    targets : Tensor of int, shape (n_domains_out, n)
        Class of each sample in every output domain.
    outputs, weights : Tensor
        From :func:`trained_routes`.

    Returns
    -------
    loss : Tensor
        Scalar.
    gradients : tuple of Tensor
        With respect to ``encoders``, ``shared`` and ``decoders``.

    Notes
    -----
    Seven products a step, none in a loop: two each for the encoders, three each for the shared layer and the
    decoders, the last ones on decoders gathered by input domain, so that an input's routes lie side by side.
    """
    M, n, _ = x.shape
    k, (_, C, H) = outputs.shape[1], network.decoders.shape
    first, h = network.hidden(x)
    D = network.decoders[outputs].reshape(M, k * C, H)
    p = torch.bmm(h, D.mT).view(M, n, k, C)
    p = p.sub_(p.logsumexp(-1, keepdim=True))
    labels = targets[outputs].transpose(1, 2).unsqueeze(-1)
    log_likelihood = p.gather(-1, labels).squeeze(-1)
    weights = weights.to(x.dtype)[:, None, :] / n
    loss = -(log_likelihood * weights).sum()
    p.exp_().scatter_add_(-1, labels, x.new_full((), -1.0).expand(labels.shape))
    error = p.mul_(weights[..., None]).view(M, n, k * C)
    g_decoders = torch.zeros_like(network.decoders)
    g_decoders.index_add_(0, outputs.reshape(-1), torch.bmm(error.mT, h).view(M * k, C, H))
    back = network._backward_phi_(torch.bmm(error, D), h).view(M * n, H)
    g_shared = back.mT @ first.reshape(M * n, -1)
    back = network._backward_phi_((back @ network.shared).view_as(first), first)
    return loss, (torch.bmm(back.mT, x), g_shared, g_decoders)


@torch.no_grad()
def accuracy(network, x, targets, chunk=500):
    """Fraction of samples every route classifies as its output domain names them.

    Parameters
    ----------
    network : PathwayNetwork
        The network.
    x : Tensor, shape (n_domains_in, n, n_pixels)
        Test images in every input domain.
    targets : Tensor of int, shape (n_domains_out, n)
        Class of each image in every output domain.
    chunk : int, optional
        Images at a time, to bound memory.

    Returns
    -------
    accuracy : ndarray, shape (n_domains_in, n_domains_out)
        Between 0 and 1.
    """
    checks.instance("network", network, PathwayNetwork)
    chunk = checks.count("chunk", chunk)
    _check_data(network, x, targets)
    here, right = network.shared.device, 0
    for start in range(0, x.shape[1], chunk):
        part = slice(start, start + chunk)
        named = network(x[:, part].to(here)).argmax(-1)
        right = right + (named == targets[None, :, part].to(here)).sum(-1)
    return right.cpu().numpy() / x.shape[1]


def train(
    network,
    x,
    targets,
    mask,
    lr,
    n_epochs,
    *,
    generator,
    test,
    momentum=0.9,
    batch_size=50,
    record_every=None,
    progress=False,
    device=None,
):
    r"""Minibatch gradient descent with momentum on the trained routes; trains the network in place.

    Every batch of images goes through all trained routes: :math:`v\leftarrow mv+\partial\mathcal L`,
    :math:`W\leftarrow W-\eta v`. A last, incomplete batch is left out of the epoch.

    Parameters
    ----------
    network : PathwayNetwork
        The network.
    x : Tensor, shape (n_domains_in, n, n_pixels)
        Training images in every input domain.
    targets : Tensor of int, shape (n_domains_out, n)
        Class of each image in every output domain.
    mask : array_like of bool, shape (n_domains_in, n_domains_out)
        Trained routes.
    lr : float
        Step :math:`\eta`.
    n_epochs : int
        Passes through the images.
    generator : torch.Generator
        Order of the images.
    test : pair of Tensor
        Test images and targets, like ``x`` and ``targets``.
    momentum : float, optional
        :math:`m`.
    batch_size : int, optional
        Images in a batch.
    record_every : int, optional
        Epochs between two tests; only before and after training unless given.
    progress : bool, optional
        Show a bar on stderr.
    device : torch.device or str, optional
        Where to train: the network is moved there and stays; where its weights lie unless given. The images come to
        it, all at once.

    Returns
    -------
    run : PathwayTrajectory
        Losses and accuracies.

    Raises
    ------
    gdln.checks.Diverged
        If the loss is not finite; names the epoch.
    TypeError, ValueError
        If shapes do not match, a setting is out of range, an image is not finite, the mask holds anything but
        booleans, zeros and ones, or the device is not there.
    """
    checks.instance("network", network, PathwayNetwork)
    domains = (len(network.encoders), len(network.decoders))
    mask = checks.array("mask", mask, shape=domains, dtype=bool)
    _check_data(network, x, targets)
    pair = isinstance(test, tuple | list) and len(test) == 2
    checks.need(pair, "test", "a pair of images and targets", test)
    _check_data(network, *test, names=("test[0]", "test[1]"))
    n = x.shape[1]
    lr, momentum = checks.positive("lr", lr), checks.nonnegative("momentum", momentum)
    n_epochs = checks.count("n_epochs", n_epochs)
    batch_size = checks.count("batch_size", batch_size, most=n)
    if record_every is not None:
        checks.count("record_every", record_every)
    progress = checks.flag("progress", progress)
    here = devices.settled(network, device)
    x, targets, test = devices.moved((x, targets, tuple(test)), here)
    outputs, weights = trained_routes(mask, device=here)
    parameters = (network.encoders, network.shared, network.decoders)
    velocity = [torch.zeros_like(p, requires_grad=False) for p in parameters]
    records = [(0, math.nan, accuracy(network, *test))]
    epochs = range(1, n_epochs + 1)
    if progress:
        epochs = optional.load("tqdm", "progress=True").tqdm(epochs, leave=False)
    for epoch in epochs:
        total, batches = 0.0, minibatches(n, batch_size, generator, device=here)
        for i, batch in enumerate(batches):
            loss, gradients = loss_and_gradients(
                network, x.index_select(1, batch), targets[:, batch], outputs, weights
            )
            total += float(loss)
            with torch.no_grad():
                for p, v, g in zip(parameters, velocity, gradients, strict=True):
                    p.sub_(v.mul_(momentum).add_(g), alpha=lr)
                    if i % CLEARED_EVERY == 0:  # rare pixels: their momentum must not become denormal
                        v[v.abs() < FADED] = 0.0
        if not math.isfinite(total):
            raise checks.Diverged(
                f"training diverged in epoch {epoch}: loss {total / len(batches):.3g} with lr={lr}; try a smaller one",
                step=epoch,
            )
        if epoch == n_epochs or (record_every and epoch % record_every == 0):
            records.append((epoch, total / len(batches), accuracy(network, *test)))
    steps, loss, tables = zip(*records, strict=True)
    trained = [table[mask].mean() for table in tables]
    untrained = [table[~mask].mean() if (~mask).any() else math.nan for table in tables]
    return PathwayTrajectory(
        epochs=np.array(steps),
        loss=np.array(loss),
        trained=np.array(trained),
        untrained=np.array(untrained),
        accuracy=tables[-1],
        singular_values=torch.linalg.svdvals(network.shared.detach()).cpu().numpy(),
    )


def _check_data(network, x, targets, names=("x", "targets")):
    """Refuse images and targets that do not fit a network, under their names."""
    (n_in, _, n_pixels), (n_out, n_classes, _) = network.encoders.shape, network.decoders.shape
    checks.instance(names[0], x, torch.Tensor), checks.instance(names[1], targets, torch.Tensor)
    checks.shaped(names[0], x, (n_in, "n", n_pixels))
    checks.need(x.shape[1] > 0, names[0], "at least one image", x)
    if x.dtype != network.encoders.dtype:
        raise TypeError(f"{names[0]} needs the type of the weights, {network.encoders.dtype}, got {x.dtype}")
    for domain in x:  # one at a time, since to look at a tensor takes another of its size
        checks.finite(names[0], domain)
    if targets.dtype != torch.int64:
        raise TypeError(f"{names[1]} needs int64 class numbers, got {targets.dtype}")
    checks.shaped(names[1], targets, (n_out, x.shape[1]))
    low, high = int(targets.min()), int(targets.max())
    checks.need(0 <= low <= high < n_classes, names[1], f"classes from 0 to {n_classes - 1}", [low, high])


def experiment(
    train_set,
    test_set,
    n_domains,
    n_trained,
    *,
    rng,
    generator,
    lr,
    n_epochs,
    gain=0.1,
    activation="linear",
    width=64,
    inputs="permuted",
    relabelling="random",
    batch_size=50,
    record_every=None,
    device="cpu",
):
    """The experiment of Saxe et al. 2022, Section 5, on any image set: make the domains, train, test all routes.

    Input ``i`` is trained with ``n_trained`` consecutive outputs, whose order is shuffled. Single precision.

    Parameters
    ----------
    train_set, test_set : gdln.data.images.ImageSet
        Images.
    n_domains, n_trained : int
        Domains on either side, and trained outputs for each input domain.
    rng : numpy.random.Generator
        Draws domains and mask.
    generator : torch.Generator
        Draws weights and the order of the images.
    lr, n_epochs, batch_size, record_every
        As in :func:`train`; momentum 0.9.
    gain, activation : float, str
        As in :class:`PathwayNetwork`; Xavier-uniform weights.
    width : int, optional
        Width after the encoders and after the shared layer.
    inputs : str, optional
        ``"permuted"`` (random pixel orders) or ``"rotated"`` (by up to 180 degrees).
    relabelling : str, optional
        ``"random"`` or ``"lexicographic"``.
    device : torch.device or str, optional
        Where to train; the domains are made on the CPU.

    Returns
    -------
    run : PathwayTrajectory
        Losses and accuracies.

    Raises
    ------
    ValueError
        If a name is unknown or the device is not there.
    """
    checks.instance("train_set", train_set, images.ImageSet)
    checks.instance("test_set", test_set, images.ImageSet)
    inputs = checks.choice("inputs", inputs, ("permuted", "rotated"))
    relabelling = checks.choice("relabelling", relabelling, ("random", "lexicographic"))
    width = checks.count("width", width)
    orders = images.pixel_permutations(n_domains, train_set.X.shape[1], rng)
    n_classes = int(max(train_set.labels.max(), test_set.labels.max())) + 1
    if relabelling == "random":
        names = images.random_label_permutations(n_domains, n_classes, rng)
    else:
        names = images.lexicographic_label_permutations(n_domains, n_classes)
    mask = tasks.consecutive_mask(n_domains, n_trained)[:, rng.permutation(n_domains)]

    def tensors(base):
        base = replace(base, X=base.X.astype(np.float32))
        if inputs == "permuted":
            x = images.permuted_inputs(base, orders)
        else:
            x = images.rotated_inputs(base, n_domains)
        return torch.from_numpy(x), torch.from_numpy(names[:, base.labels])

    widths = (train_set.X.shape[1], width, width, n_classes)
    network = PathwayNetwork(
        n_domains,
        n_domains,
        widths,
        activation,
        gain,
        generator=generator,
        dtype=torch.float32,
        device=device,
    )
    x, targets = tensors(train_set)
    return train(
        network,
        x,
        targets,
        mask,
        lr,
        n_epochs,
        generator=generator,
        test=tensors(test_set),
        batch_size=batch_size,
        record_every=record_every,
    )

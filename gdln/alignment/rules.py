r"""Learning rules that differ in what they send backwards: one interface, many networks at a time.

A :class:`Learner` joins a stack of equal networks (a leading axis of seeds) with a rule. The stacks are
:class:`~gdln.alignment.perceptrons.Perceptrons`, :class:`~gdln.alignment.convolutional.ConvolutionalNets`,
:class:`~gdln.alignment.recurrent.RecurrentNets` and :class:`~gdln.alignment.routing.RoutingNets`.
"""

import math
import numbers

import torch

from gdln import checks, optional
from gdln.nets import devices
from gdln.nets.mlp import MLP
from gdln.nets.training import minibatches

#: Rules in the order the book tabulates them.
RULES = (
    "backprop",
    "align_ada",
    "align_zero",
    "align_prop",
    "feedback",
    "direct_feedback",
    "readout",
)
#: Rules with random weights on the way back.
DRAWING = ("feedback", "direct_feedback")


class Learner:
    r"""A stack of networks that learns by one rule, plain steps without momentum.

    Every rule moves layer *l* by

    .. math:: \Delta W^l = -\eta\,c_l\,\frac1B\sum_i \mathrm{back}^l_i\,(\mathrm{pre}^{l-1}_i)^\top,

    the sum over a minibatch of a backward signal times the presynaptic activity, :math:`c_l` the layer's
    multiplier. The error in the backward signal is always the current one. What the rules take from the network
    as it is now and what from a frozen copy of its initial state:

    =================  =======================  ==================  ==========
    rule               backward weights         slopes              pre
    =================  =======================  ==================  ==========
    backprop           current                  current             current
    align_zero         initial                  initial             initial
    align_ada          initial                  initial             current
    align_prop         initial                  current             current
    feedback           random, fixed            current             current
    direct_feedback    random, from the output  current             current
    readout            none, last layer only    none                current
    =================  =======================  ==================  ==========

    Parameters
    ----------
    network : Perceptrons or another stack
        Trained in place.
    rule : str
        One of ``network.rules``.
    generator : torch.Generator, optional
        Draws the feedback weights; needed for ``"feedback"`` and ``"direct_feedback"`` only.
    device : torch.device or str, optional
        Where to train: the stack is moved there and stays; where its weights lie unless given. Inputs and targets come
        to it.

    Raises
    ------
    ValueError
        If the rule is unknown or does not cover the network, or the device is not there.
    TypeError
        If it draws feedback weights and there is no generator.

    Notes
    -----
    Boopathy and Fiete (2022) and their published code. The error of a layer's output is that of
    :math:`\frac1{2B}\sum_i\|f(x_i)-y_i\|^2`; their loss averages over the :math:`C` outputs as well, so that
    their rate is :math:`\eta = 2\eta_{\rm code}/C` here.

    Examples
    --------
    >>> from gdln.alignment.perceptrons import Perceptrons
    >>> nets = Perceptrons.draw([2, 16, 1], n_seeds=3, generator=torch.Generator().manual_seed(0))
    >>> x, y = torch.eye(2).double(), torch.ones(2, 1).double()
    >>> learner = Learner(nets, "align_ada")
    >>> tuple(learner.step(x, y, lr=0.1).shape)
    (3,)
    """

    def __init__(self, network, rule, generator=None, *, device=None):
        need_stack("network", network)
        self.network, self.rule = network, checks.choice("rule", rule, network.rules)
        if generator is not None or rule in DRAWING:
            checks.torch_generator("generator", generator)
        if device is not None:
            network.weights = devices.moved(network.weights, checks.torch_device("device", device))
        self.initial = [W.clone() for W in network.weights]
        self.feedback = network.draw_feedback(rule, generator)

    @torch.no_grad()
    def changes(self, x, y):
        """Changes of all weights for a unit learning rate, and the loss before them.

        Parameters
        ----------
        x : Tensor, shape (batch, ...) or (n_seeds, batch, ...)
            Inputs, shared by all networks or one batch each.
        y : Tensor
            Targets, likewise.

        Returns
        -------
        changes : list of Tensor
            One a weight tensor.
        loss : Tensor, shape (n_seeds,)
            Loss of each network.

        Raises
        ------
        ValueError
            If the data do not fit the networks or are not finite.
        """
        for name, data in (("x", x), ("y", y)):
            if checks.instance(name, data, torch.Tensor).is_complex():
                raise TypeError(f"{name} needs real numbers, got elements of type {data.dtype}")
        changes, loss = self.network.changes(self.rule, self.initial, self.feedback, x, y)
        if not loss.isfinite().all():  # a network may diverge, and the others go on; data may not
            checks.finite("x", x), checks.finite("y", y)
        return changes, loss

    @torch.no_grad()
    def step(self, x, y, lr):
        """Learn from one minibatch.

        Parameters
        ----------
        x, y : Tensor
            As in :meth:`changes`.
        lr : float or Tensor, shape (n_seeds,)
            Learning rate, one for all or one a network.

        Returns
        -------
        loss : Tensor, shape (n_seeds,)
            Loss before the step.

        Raises
        ------
        ValueError
            If the data do not fit the networks, or the rate is negative, not finite, or not one for all or each.
        """
        n_seeds = len(self.network.weights[0])
        if torch.is_tensor(lr):
            fits = lr.numel() in (1, n_seeds) and bool(((lr >= 0) & lr.isfinite()).all())
        else:
            fits = isinstance(lr, numbers.Real) and not isinstance(lr, bool) and 0 <= lr < math.inf
        if not fits:
            words = f"finite rates of at least 0, one for all or one for each of {n_seeds}"
            checks.need(False, "lr", words, lr)
        changes, loss = self.changes(x, y)
        for W, change in zip(self.network.weights, changes, strict=True):
            if torch.is_tensor(lr):
                W.add_(change * lr.to(W).view(-1, *[1] * (W.ndim - 1)))
            else:
                W.add_(change, alpha=lr)
        return loss


def need_batch(x, y, inputs, targets, n_seeds=None):
    """Raise a ValueError unless a batch has samples and both shapes; a word of the inputs' is the targets' as well.

    With ``n_seeds``, both may have a leading axis of seeds, of that length or of one.
    """
    free = () if n_seeds is None else (...,)
    checks.shaped("x", x, (*free, *inputs))
    lengths = dict(zip(inputs, x.shape[-len(inputs) :], strict=True))
    checks.shaped("y", y, (*free, *(lengths.get(length, length) for length in targets)))
    checks.need(0 not in x.shape, "x", "at least one sample", x)
    for name, data, shape in (("x", x, inputs), ("y", y, targets)):
        batches = tuple(data.shape[: -len(shape)])
        words = f"one batch for all networks, or one for each of {n_seeds}"
        checks.need(batches in ((), (1,), (n_seeds,)), name, words, data)


def need_stack(name, network):
    """Raise a ValueError unless it is a stack of networks, which a :class:`Learner` can train."""
    parts = ("rules", "weights", "draw_feedback", "changes", "outputs")
    checks.need(all(hasattr(network, part) for part in parts), name, "a stack of networks", network)


def need_data(x, y, names=("x", "y")):
    """Refuse inputs and targets, under their names, unless they are finite tensors of one length."""
    for name, data in zip(names, (x, y), strict=True):
        checks.instance(name, data, torch.Tensor)
        if data.is_complex():
            raise TypeError(f"{name} needs real numbers, got elements of type {data.dtype}")
        checks.need(data.ndim > 0 and data.numel() > 0, name, "at least one sample", data)
        checks.finite(name, data)
    checks.need(len(x) == len(y), names[1], f"one entry for each of {len(x)} samples of {names[0]}", y)


def fill_gradients(model, learner, x, y):
    """Put a rule's direction into ``.grad`` of a model, so that any torch optimiser can take the step.

    Parameters
    ----------
    model : MLP
        The model the optimiser trains; the learner was made from it (or one like it) before training.
    learner : Learner
        Of a stack of one network; holds the initial weights and the feedback, and follows the model.
    x, y : Tensor
        Minibatch.

    Returns
    -------
    loss : float
        Loss of the model.

    Examples
    --------
    >>> from gdln.alignment.perceptrons import Perceptrons
    >>> from gdln.nets.mlp import MLP
    >>> model = MLP([2, 8, 1], "relu", "ntk", generator=torch.Generator().manual_seed(0))
    >>> learner = Learner(Perceptrons.from_models([model]), "align_zero")
    >>> optimiser = torch.optim.Adam(model.parameters(), lr=0.01)
    >>> loss = fill_gradients(model, learner, torch.eye(2).double(), torch.ones(2, 1).double())
    >>> optimiser.step()
    """
    checks.instance("model", model, MLP), checks.instance("learner", learner, Learner)
    need_data(x, y)
    stacked = [tuple(W.shape) for W in learner.network.weights]
    layers = [(1, *W.shape) for W in model.weights]
    checks.need(stacked == layers, "learner", f"one network with weights of shapes {layers}", stacked)
    for stacked, W in zip(learner.network.weights, model.weights, strict=True):
        stacked[0] = W.detach()
    changes, loss = learner.changes(x, y)
    for W, change in zip(model.weights, changes, strict=True):
        W.grad = -change[0].to(W.device)
    return float(loss[0])


def train(learner, x, y, lr, n_epochs, *, generator, batch_size=50, evaluate=None, progress=False):
    """Minibatch training of a stack; every network sees the same minibatches.

    Parameters
    ----------
    learner : Learner
        The networks and their rule.
    x, y : Tensor, shape (n, ...)
        Training data.
    lr : float or Tensor, shape (n_seeds,)
        Learning rate.
    n_epochs : int
        Passes through the data; a last, incomplete minibatch is left out.
    generator : torch.Generator
        Order of the data.
    batch_size : int, optional
        Samples in a minibatch.
    evaluate : callable, optional
        ``evaluate(network)`` after every epoch; its results are stacked.
    progress : bool, optional
        Show a bar on stderr.

    Returns
    -------
    losses : Tensor, shape (n_epochs, n_seeds)
        Training loss averaged over the epoch. A network that diverged has NaN or infinity; the others are not touched.
    evaluations : list
        What ``evaluate`` returned.

    Raises
    ------
    ValueError
        If the data do not match or are not finite, or a setting is out of range.
    TypeError
        If the generator is none.
    """
    checks.instance("learner", learner, Learner)
    need_data(x, y)
    n_epochs, batch_size = (
        checks.count("n_epochs", n_epochs),
        checks.count("batch_size", batch_size, most=len(x)),
    )
    if evaluate is not None:
        checks.function("evaluate", evaluate)
    progress = checks.flag("progress", progress)
    epochs = range(n_epochs)
    if progress:
        epochs = optional.load("tqdm", "progress=True").tqdm(epochs, leave=False)
    here = learner.network.weights[0].device
    x, y = x.to(here), y.to(here)
    losses, evaluations = [], []
    for _ in epochs:
        batches = minibatches(len(x), batch_size, generator, device=here)
        losses.append(sum(learner.step(x[b], y[b], lr) for b in batches) / len(batches))
        if evaluate is not None:
            evaluations.append(evaluate(learner.network))
    return torch.stack(losses).cpu(), evaluations


@torch.no_grad()
def accuracy(network, x, labels):
    """Fraction of samples whose largest output is their class, one number a network.

    A diverged network scores zero: its outputs have no largest one.

    Parameters
    ----------
    network : Perceptrons or another stack
        The networks.
    x : Tensor, shape (n, ...)
        Inputs.
    labels : Tensor of int, shape (n,)
        Classes.

    Returns
    -------
    accuracy : Tensor, shape (n_seeds,)
        Between 0 and 1.

    Raises
    ------
    ValueError
        If there is not one label a sample or an input is not finite.
    """
    need_stack("network", network)
    need_data(x, labels, names=("x", "labels"))
    checks.need(labels.ndim == 1 and not labels.is_floating_point(), "labels", "one class a sample", labels)
    f = network.outputs(x)
    right = (f.argmax(-1) == labels.to(f.device)) & f.isfinite().all(-1)
    return right.cpu().double().mean(-1)

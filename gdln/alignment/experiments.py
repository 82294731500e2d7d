"""Experiments on the digits that hold the theory of alignment and the learning rules against training."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch

from gdln import checks
from gdln.alignment import scores, theory
from gdln.alignment.rules import Learner, accuracy, need_data, need_stack, train
from gdln.data import images
from gdln.nets import devices
from gdln.nets.mlp import MLP
from gdln.nets.training import gradient_descent, minibatches


@dataclass(frozen=True)
class ImageTask:
    """Images as a regression task, cut into parts.

    Attributes
    ----------
    x, x_validation, x_test : Tensor, shape (n, n_pixels) or (n, n_channels, height, width)
        Centred with the training mean, each of norm :math:`\\sqrt{n_{\\rm pixels}}`.
    y : Tensor, shape (n, n_classes)
        One-hot targets minus 0.1.
    labels, labels_validation, labels_test : Tensor of int, shape (n,)
        Classes.
    """

    x: torch.Tensor
    y: torch.Tensor
    labels: torch.Tensor
    x_validation: torch.Tensor
    labels_validation: torch.Tensor
    x_test: torch.Tensor
    labels_test: torch.Tensor


def image_task(
    image_set, n_train, rng, n_validation=297, n_test=500, *, flat=True, dtype=torch.float64, device="cpu"
):
    """Draw training, validation and test images.

    Parameters
    ----------
    image_set : gdln.data.images.ImageSet
        All images.
    n_train : int
        Training images.
    rng : numpy.random.Generator
        Draws the split.
    n_validation, n_test : int, optional
        Other images.
    flat : bool, optional
        Rows of pixels; otherwise images, of one channel unless the set's shape has three numbers, channels first.
    dtype : torch.dtype, optional
        Type of inputs and targets.
    device : torch.device or str, optional
        Where all of them lie.

    Returns
    -------
    task : ImageTask
        Three disjoint parts.

    Raises
    ------
    ValueError
        If there are not enough images, they lack rows and columns but are not to be flat, or the device is not there.
    """
    checks.instance("image_set", image_set, images.ImageSet)
    n_train = checks.count("n_train", n_train, most=len(image_set) - 1)
    n_validation = checks.count("n_validation", n_validation, least=0, most=len(image_set) - n_train)
    n_test = checks.count("n_test", n_test, least=0, most=len(image_set) - n_train - n_validation)
    flat = checks.flag("flat", flat)
    checks.torch_dtype("dtype", dtype)
    device = checks.torch_device("device", device)
    pictures = flat or len(image_set.shape) in (2, 3)
    checks.need(pictures, "image_set", "rows and columns, and channels first or none", image_set.shape)
    train_set, rest = image_set.split(n_train, checks.generator("rng", rng))
    parts = (
        train_set,
        rest.subset(slice(n_validation)),
        rest.subset(slice(n_validation, n_validation + n_test)),
    )
    shape = (-1,) if flat else (1, *image_set.shape)[-3:]
    x = [torch.from_numpy(X).to(dtype).view(len(X), *shape) for X in images.centred_rows(*parts)]
    labels = [torch.from_numpy(part.labels) for part in parts]
    y = torch.from_numpy(images.one_hot(parts[0].labels) - 0.1).to(dtype)
    tensors = devices.moved([x[0], y, labels[0], x[1], labels[1], x[2], labels[2]], device)
    return ImageTask(*tensors)


def digits_task(n_train, rng, **options):
    """The task of :func:`image_task` with the digits of scikit-learn, and its other arguments."""
    return image_task(images.digits(), n_train, rng, **options)


@dataclass(frozen=True)
class AlignmentScores:
    r"""Trained weight changes against their predictions; arrays of shape (n_checkpoints, n_layers).

    Attributes
    ----------
    steps : ndarray, shape (n_checkpoints,)
        Steps of gradient descent.
    loss : ndarray, shape (n_checkpoints,)
        Loss reached.
    gram, cosine : ndarray
        Score :math:`S_l` and entrywise cosine with the predicted change.
    hebbian, ratio : ndarray
        Score and scale ratio of the error-weighted correlation.
    blind, shuffled : ndarray
        Scores of the two controls.
    moved : ndarray
        :math:`\|\Delta W\|_F/\|W_0\|_F`.
    """

    steps: np.ndarray
    loss: np.ndarray
    gram: np.ndarray
    cosine: np.ndarray
    hebbian: np.ndarray
    ratio: np.ndarray
    blind: np.ndarray
    shuffled: np.ndarray
    moved: np.ndarray


def measure_alignment(x, y, width, depth, *, generator, rng, lr=0.3, checkpoints=(300,), device="cpu"):
    """Train one ReLU network by full-batch gradient descent and score its weight changes.

    Parameters
    ----------
    x, y : Tensor, shape (n, n_inputs), (n, n_outputs)
        Data.
    width, depth : int
        Units in a hidden layer, number of hidden layers.
    generator : torch.Generator
        Draws the weights.
    rng : numpy.random.Generator
        Draws the shuffled control.
    lr : float, optional
        Learning rate.
    checkpoints : sequence of int, optional
        Steps after which to score.
    device : torch.device or str, optional
        Where to train; theory and scores are computed on the CPU.

    Returns
    -------
    scores : AlignmentScores
        One row a checkpoint, one column a layer.

    Raises
    ------
    ValueError
        If the checkpoints do not increase from at least one, or the device is not there.
    """
    need_data(x, y)
    for name, data in (("x", x), ("y", y)):
        checks.need(data.ndim == 2, name, "two dimensions", data)
        if data.dtype != torch.float64:
            raise TypeError(f"{name} needs float64, the type of the weights, got {data.dtype}")
    width, depth = checks.count("width", width), checks.count("depth", depth)
    lr = checks.positive("lr", lr)
    checks.torch_generator("generator", generator), checks.generator("rng", rng)
    checkpoints = checks.array("checkpoints", checkpoints, ndim=1, dtype=int, least=1).tolist()
    rising = min(np.diff([0, *checkpoints])) > 0
    checks.need(rising, "checkpoints", "numbers of steps that increase", checkpoints)
    gains = [1.0] + [math.sqrt(2.0)] * depth
    widths = [x.shape[1], *[width] * depth, y.shape[1]]
    model = MLP(widths, "relu", "ntk", gains, generator=generator, device=device)
    initial = [W.detach().cpu().numpy().copy() for W in model.weights]
    X, Y = x.cpu().numpy(), y.cpu().numpy()
    inputs = theory.frozen_inputs(initial, gains, X)
    signal = theory.layer_kernels(X, gains).signal
    E, done, rows, losses = np.zeros_like(Y), 0, [], []
    for steps in checkpoints:
        run = gradient_descent(model, "squared", x, y, lr, steps - done, record=("outputs",))
        E += lr * (run.outputs[:-1] - Y).sum(axis=0)
        done = steps
        losses.append(run.loss[-1])
        predicted = theory.predicted_changes(initial, gains, X, E)
        for l, W0 in enumerate(initial):
            W = model.weights[l].detach().cpu().numpy()
            change = W - W0
            A = scores.gram(change)
            B = theory.hebbian_gram(inputs[l], E, signal[l], gains[l])
            shuffled = scores.gram(scores.shuffled_change(W, W0, rng))
            rows.append(
                (
                    scores.gram_score(A, scores.gram(predicted[l])),
                    scores.entrywise_cosine(change, predicted[l]),
                    scores.gram_score(A, B),
                    scores.scale_ratio(B, change),
                    scores.gram_score(A, scores.error_blind_gram(inputs[l])),
                    scores.gram_score(A, shuffled),
                    np.linalg.norm(change) / np.linalg.norm(W0),
                )
            )
    table = np.array(rows).reshape(len(checkpoints), len(initial), -1)
    return AlignmentScores(np.array(checkpoints), np.array(losses), *np.moveaxis(table, 2, 0))


@dataclass(frozen=True)
class RuleResult:
    """Test accuracy of one rule, learning rate chosen on the validation images for each seed.

    Attributes
    ----------
    accuracy : ndarray, shape (n_seeds,)
        Test accuracy.
    lr : ndarray, shape (n_seeds,)
        Chosen learning rate.
    table : ndarray, shape (n_lrs, n_seeds)
        Test accuracy at every learning rate.
    diverged : ndarray of bool, shape (n_lrs, n_seeds)
        Whether the loss left the finite numbers, or ended above its start.
    """

    accuracy: np.ndarray
    lr: np.ndarray
    table: np.ndarray
    diverged: np.ndarray


def train_rule(
    rule, tasks, draw, *, generators, lrs=(0.1, 0.3, 1.0), n_epochs=30, batch_size=50, device=None
):
    """Train one network a task and learning rate by one rule, all learning rates at once.

    Parameters
    ----------
    rule : str
        One of the stack's rules.
    tasks : sequence of ImageTask
        One a seed.
    draw : callable
        ``draw(generator=generator)`` is a stack of one network, of any kind, such as
        ``partial(Perceptrons.draw, widths, 1)``.
    generators : iterable of (torch.Generator, torch.Generator)
        A pair a task: the first draws the weights and the order of the data, the second the feedback.
    lrs : sequence of float, optional
        Learning rates.
    n_epochs, batch_size : int, optional
        Training length and minibatch.
    device : torch.device or str, optional
        Where to train: what ``draw`` makes is moved there; it stays where it lies unless given.

    Returns
    -------
    result : RuleResult
        Accuracies.
    """
    checks.need(len(checks.instance("tasks", tasks, (list, tuple))) > 0, "tasks", "at least one task", tasks)
    for task in tasks:
        checks.instance("tasks", task, ImageTask)
    checks.function("draw", draw)
    lrs = checks.array("lrs", lrs, ndim=1, least=0)
    n_epochs, batch_size = checks.count("n_epochs", n_epochs), checks.count("batch_size", batch_size)
    pairs = [
        tuple(checks.instance("generators", pair, (list, tuple)))
        for pair in checks.instance("generators", generators, Iterable)
    ]
    fits = len(pairs) == len(tasks) and all(len(pair) == 2 for pair in pairs)
    checks.need(fits, "generators", f"a pair for each of {len(tasks)} tasks", pairs)

    def for_every_rate(tensors):
        return [W[:1].repeat(len(lrs), *[1] * (W.ndim - 1)) for W in tensors]

    chosen, tables, diverged = [], [], []
    for task, (generator, of_feedback) in zip(tasks, pairs, strict=True):
        networks = draw(generator=checks.torch_generator("generators", generator))
        need_stack("draw", networks)
        networks.weights = for_every_rate(networks.weights)
        learner = Learner(networks, rule, of_feedback, device=device)
        if learner.feedback is not None:  # the same feedback at every learning rate
            learner.feedback = for_every_rate(learner.feedback)
        losses, _ = train(
            learner,
            task.x,
            task.y,
            torch.tensor(lrs, dtype=task.x.dtype, device=networks.weights[0].device),
            n_epochs,
            generator=generator,
            batch_size=min(batch_size, len(task.x)),
        )
        validation = accuracy(networks, task.x_validation, task.labels_validation).numpy()
        test = accuracy(networks, task.x_test, task.labels_test).numpy()
        tables.append(test)
        diverged.append(~(losses[-1] <= losses[0]).numpy())
        chosen.append(int(validation.argmax()))
    tables, chosen = np.array(tables), np.array(chosen)
    return RuleResult(
        tables[np.arange(len(tables)), chosen], np.array(lrs)[chosen], tables.T, np.array(diverged).T
    )


def train_with_prediction(network, x, y, lr, n_epochs, *, generator, batch_size=50, device=None):
    r"""Train a stack by backpropagation and add up, on the side, what the frozen copy would have done.

    At every step the Align-zero change, frozen signals and inputs with the error of the *trained* network, is
    added to a second sum and never used: minibatch by minibatch this is the predicted change.

    Parameters
    ----------
    network : stack
        Trained in place; any stack that has both rules.
    x, y, lr, n_epochs, generator, batch_size
        As in :func:`gdln.alignment.rules.train`.
    device : torch.device or str, optional
        As in :class:`gdln.alignment.rules.Learner`.

    Returns
    -------
    changes, predicted : list of Tensor
        One a weight tensor, with the leading axis of seeds; on the CPU.
    """
    learner = Learner(network, "backprop", device=device)
    frozen = Learner(network, "align_zero")
    need_data(x, y)
    lr, n_epochs = checks.nonnegative("lr", lr), checks.count("n_epochs", n_epochs)
    batch_size = checks.count("batch_size", batch_size, most=len(x))
    predicted, here = [torch.zeros_like(W) for W in network.weights], network.weights[0].device
    x, y = x.to(here), y.to(here)
    for _ in range(n_epochs):
        for b in minibatches(len(x), batch_size, generator, device=here):
            for total, change in zip(predicted, frozen.changes(x[b], y[b])[0], strict=True):
                total.add_(change, alpha=lr)
            learner.step(x[b], y[b], lr)
    changes = [(W - W0).cpu() for W, W0 in zip(network.weights, learner.initial, strict=True)]
    return changes, [total.cpu() for total in predicted]

"""Regression tasks for gated networks: noisy teachers, clustered teachers, and parity of real digits."""

from dataclasses import dataclass

import numpy as np

from gdln import checks
from gdln.data.images import ImageSet, centred_rows


@dataclass(frozen=True)
class Regression:
    """Points to learn from and points to predict.

    Attributes
    ----------
    X, y : ndarray, shapes (n_samples, n_inputs), (n_samples,)
        Training inputs and (noisy) targets.
    X_new, y_new : ndarray, shapes (n_new, n_inputs), (n_new,)
        Fresh inputs and noise-free targets.
    group, group_new : ndarray of int, shapes (n_samples,), (n_new,), or None
        Cluster, or task, of each point.
    unlabelled : ndarray, shape (n_unlabelled, n_inputs), or None
        Further inputs without targets.
    """

    X: np.ndarray
    y: np.ndarray
    X_new: np.ndarray
    y_new: np.ndarray
    group: np.ndarray | None = None
    group_new: np.ndarray | None = None
    unlabelled: np.ndarray | None = None


def relu_teacher(n_samples, n_inputs, n_new, rng, *, noise=0.3, width=10):
    r"""A random ReLU network observed with noise.

    .. math:: y = \frac{1}{\sqrt K}\sum_{k=1}^K c_k\big[w_k\cdot x/\sqrt{N_0}\big]_+ + \eta,\qquad
              x, w_k, c_k\sim\mathcal N(0, I)

    Parameters
    ----------
    n_samples, n_inputs, n_new : int
        Training points, inputs :math:`N_0`, fresh points.
    rng : numpy.random.Generator
        Source of teacher, inputs and noise.
    noise : float, optional
        Standard deviation of :math:`\eta` on the training targets.
    width : int, optional
        Hidden units :math:`K` of the teacher.

    Returns
    -------
    task : Regression
    """
    n_samples, n_inputs = checks.count("n_samples", n_samples), checks.count("n_inputs", n_inputs)
    n_new, width = checks.count("n_new", n_new), checks.count("width", width)
    checks.generator("rng", rng)
    noise = checks.nonnegative("noise", noise)
    W, c = rng.standard_normal((width, n_inputs)), rng.standard_normal(width)
    X, X_new = rng.standard_normal((n_samples, n_inputs)), rng.standard_normal((n_new, n_inputs))
    y, y_new = (np.maximum(x @ W.T / np.sqrt(n_inputs), 0) @ c / np.sqrt(width) for x in (X, X_new))
    return Regression(X, y + noise * rng.standard_normal(n_samples), X_new, y_new)


def clustered_teacher(
    n_samples, n_inputs, n_new, rng, *, n_clusters=4, spread=0.5, noise=0.1, n_unlabelled=2000
):
    r"""Gaussian clusters with a linear teacher each, :math:`y = w_k\cdot x/\sqrt{N_0}` in cluster :math:`k`.

    Parameters
    ----------
    n_samples, n_inputs, n_new : int
        Training points, inputs, fresh points.
    rng : numpy.random.Generator
        Source of centres, teachers, points and noise.
    n_clusters : int, optional
        Clusters, equally likely, with centres drawn from :math:`\mathcal N(0, I)`.
    spread : float, optional
        Standard deviation of a point about its centre, per input.
    noise : float, optional
        Standard deviation of the noise on the training targets.
    n_unlabelled : int, optional
        Points without targets.

    Returns
    -------
    task : Regression
    """
    n_samples, n_inputs = checks.count("n_samples", n_samples), checks.count("n_inputs", n_inputs)
    n_new, n_clusters = checks.count("n_new", n_new), checks.count("n_clusters", n_clusters)
    n_unlabelled = checks.count("n_unlabelled", n_unlabelled, least=0)
    checks.generator("rng", rng)
    spread, noise = checks.nonnegative("spread", spread), checks.nonnegative("noise", noise)
    centres, teachers = rng.standard_normal((2, n_clusters, n_inputs))

    def draw(n):
        k = rng.integers(n_clusters, size=n)
        X = centres[k] + spread * rng.standard_normal((n, n_inputs))
        return X, (X * teachers[k]).sum(axis=1) / np.sqrt(n_inputs), k

    (X, y, k), (X_new, y_new, k_new), (unlabelled, _, _) = draw(n_samples), draw(n_new), draw(n_unlabelled)
    return Regression(X, y + noise * rng.standard_normal(n_samples), X_new, y_new, k, k_new, unlabelled)


def even_odd(images, n_samples, n_new, rng):
    r"""Parity of digits: even is :math:`+1`, odd is :math:`-1`.

    Parameters
    ----------
    images : ImageSet
        Digits, as from :func:`gdln.data.images.digits`.
    n_samples, n_new : int
        Images to learn from and to predict, drawn without replacement.
    rng : numpy.random.Generator
        Source of the choice.

    Returns
    -------
    task : Regression
        Inputs minus the mean of the images to learn from, each scaled to the squared norm ``n_inputs``, see
        :func:`gdln.data.images.centred_rows`. The images to predict have no part in it.
    """
    checks.instance("images", images, ImageSet)
    checks.generator("rng", rng)
    n_samples = checks.count("n_samples", n_samples, most=len(images) - 1)
    n_new = checks.count("n_new", n_new, most=len(images) - n_samples)
    train, rest = images.split(n_samples, rng)
    return Regression(*_parity(train, rest.subset(np.arange(n_new))))


def _parity(train, fresh):
    """Inputs and parities of the images to learn from, and of those to predict."""
    X, X_new = centred_rows(train, fresh)
    y, y_new = (np.where(part.labels % 2 == 0, 1.0, -1.0) for part in (train, fresh))
    return X, y, X_new, y_new


def permuted_even_odd(images, n_tasks, n_samples, n_new, rng):
    r"""Parity of digits in several tasks, each with its own permutation of the pixels.

    Parameters
    ----------
    images : ImageSet
        Digits.
    n_tasks : int
        Tasks; the first keeps the pixels where they are.
    n_samples, n_new : int
        Images a task, to learn from and to predict.
    rng : numpy.random.Generator
        Source of the choice and of the permutations.

    Returns
    -------
    task : Regression
        All tasks together; ``group`` is the task.
    """
    n_tasks = checks.count("n_tasks", n_tasks)
    parts = []
    for t in range(n_tasks):
        part = even_odd(images, n_samples, n_new, rng)
        order = np.arange(part.X.shape[1]) if t == 0 else rng.permutation(part.X.shape[1])
        parts.append((part.X[:, order], part.y, part.X_new[:, order], part.y_new))
    X, y, X_new, y_new = (np.concatenate(x) for x in zip(*parts, strict=True))
    tasks = np.arange(n_tasks)
    return Regression(X, y, X_new, y_new, tasks.repeat(n_samples), tasks.repeat(n_new))


@dataclass(frozen=True)
class Task:
    """Training and test data of a regression on labels.

    Attributes
    ----------
    X, X_test : ndarray, shapes (n, n_inputs), (m, n_inputs)
        Inputs with rows of norm :math:`\\sqrt{n_0}`.
    Y, Y_test : ndarray, shapes (n, k), (m, k)
        Targets.
    """

    X: np.ndarray
    Y: np.ndarray
    X_test: np.ndarray
    Y_test: np.ndarray


def parity(image_set, n_train, n_test, rng):
    """Even against odd, labels +1 and -1: :func:`even_odd` with one column of targets."""
    X, y, X_test, y_test = _parity(*_halves(image_set, n_train, n_test, rng))
    return Task(X, y[:, None], X_test, y_test[:, None])


def classes(image_set, n_train, n_test, rng):
    """Ten classes; targets one-hot minus 0.1."""
    train, test = _halves(image_set, n_train, n_test, rng)
    X, X_test = centred_rows(train, test)
    # one in ten is the mean of a class
    Y, Y_test = (np.eye(10)[part.labels] - 0.1 for part in (train, test))
    return Task(X, Y, X_test, Y_test)


def _halves(image_set, n_train, n_test, rng):
    """Training images, and as many others for the test as there are, up to a number."""
    checks.instance("image_set", image_set, ImageSet)
    n_train = checks.count("n_train", n_train, most=len(image_set) - 1)
    n_test = checks.count("n_test", n_test)
    train, test = image_set.split(n_train, checks.generator("rng", rng))
    return train, test.subset(np.arange(min(n_test, len(test))))


def subspace(n_train, n_test, rng, n_inputs=20):
    r"""Two relevant directions, :math:`y \propto \tanh(2x_1)\tanh(2x_2)`, unit variance, inputs on a sphere."""
    n_train, n_test = checks.count("n_train", n_train), checks.count("n_test", n_test)
    n_inputs = checks.count("n_inputs", n_inputs, least=2)
    X = checks.generator("rng", rng).standard_normal((n_train + n_test, n_inputs))
    X *= np.sqrt(n_inputs) / np.linalg.norm(X, axis=1, keepdims=True)
    Y = np.prod(np.tanh(2 * X[:, :2]), axis=1, keepdims=True)
    Y /= np.sqrt(np.mean(Y[:n_train] ** 2))
    return Task(X[:n_train], Y[:n_train], X[n_train:], Y[n_train:])

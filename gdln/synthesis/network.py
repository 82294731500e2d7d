r"""One network on one data set: questions about digits, its weights, and their gradient flow without any theory.

The network is :math:`f_m(x) = \frac{\gamma}{N}\,a_m\cdot Wx = F_m x` with one row :math:`a_m` a question: a gated deep
linear network of :math:`M` contexts, each of which sees every image. The scale :math:`\gamma` leads from rich to lazy
learning, the width :math:`N` from a small network to an infinite one.
"""

from dataclasses import dataclass

import numpy as np
from scipy.integrate import solve_ivp

from gdln import checks
from gdln.data import images
from gdln.synthesis import measures
from gdln.synthesis.measures import MapTrajectory

#: What is asked of a digit: is it even, is it at least five, has it a closed loop.
QUESTIONS = ((0, 2, 4, 6, 8), (5, 6, 7, 8, 9), (0, 6, 8, 9))
RULES = ("backprop", "align_zero", "align_ada")


@dataclass(frozen=True)
class Questions:
    r"""Digits, white on the training set, and three questions about them.

    Attributes
    ----------
    X, X_test : ndarray, shape (n, n_inputs)
        Principal components, in units of their standard deviation over the training set.
    Y, Y_test : ndarray, shape (n, 3)
        Answers plus and minus one, minus their training mean.
    sigma : ndarray, shape (3, n_inputs)
        :math:`\Sigma = Y^\top X/P` of the training set.
    """

    X: np.ndarray
    Y: np.ndarray
    X_test: np.ndarray
    Y_test: np.ndarray
    sigma: np.ndarray


def digits_questions(n_train, n_inputs, rng, n_test=500):
    r"""Draw training and test digits, whiten, and ask the questions :data:`QUESTIONS`.

    Parameters
    ----------
    n_train : int
        Training images :math:`P`, more than inputs.
    n_inputs : int
        Principal components kept, :math:`N_0`; at most 61, which vary in every draw of a few hundred.
    rng : numpy.random.Generator
        Draws the split.
    n_test : int, optional
        Test images.

    Returns
    -------
    questions : Questions
        White to rounding: ``X.T @ X / n_train`` is the identity.

    Raises
    ------
    ValueError
        If there are not enough images, or the images vary in fewer directions.
    """
    every = images.digits()
    n_inputs = checks.count("n_inputs", n_inputs, most=every.X.shape[1])
    n_train = checks.count("n_train", n_train, least=n_inputs + 1, most=len(every) - 1)
    n_test = checks.count("n_test", n_test, most=len(every) - n_train)
    train, rest = every.split(n_train, checks.generator("rng", rng))
    test = rest.subset(slice(n_test))
    mean = train.X.mean(axis=0)
    _, scale, directions = np.linalg.svd(train.X - mean, full_matrices=False)
    rank = int((scale > 1e-10 * scale[0]).sum())
    checks.need(n_inputs <= rank, "n_inputs", f"at most the {rank} directions that vary", n_inputs)
    to_white = directions[:n_inputs].T * (np.sqrt(n_train) / scale[:n_inputs])
    X, X_test = (train.X - mean) @ to_white, (test.X - mean) @ to_white
    answers = np.array([[2.0 * (digit in yes) - 1 for yes in QUESTIONS] for digit in range(10)])
    middle = answers[train.labels].mean(axis=0)
    Y, Y_test = answers[train.labels] - middle, answers[test.labels] - middle
    return Questions(X, Y, X_test, Y_test, Y.T @ X / n_train)


def normal_weights(n_inputs, n_outputs, width, rng):
    """Weights with independent standard normal entries.

    Parameters
    ----------
    n_inputs, n_outputs, width : int
        Sizes.
    rng : numpy.random.Generator
        Draws them.

    Returns
    -------
    A : ndarray, shape (n_outputs, width)
        Upper weights.
    W : ndarray, shape (width, n_inputs)
        Lower weights.
    """
    n_inputs, n_outputs = checks.count("n_inputs", n_inputs), checks.count("n_outputs", n_outputs)
    width = checks.count("width", width)
    checks.generator("rng", rng)
    return rng.standard_normal((n_outputs, width)), rng.standard_normal((width, n_inputs))


def antisymmetric_weights(n_inputs, n_outputs, width, rng):
    """Normal weights in pairs of units that cancel: the map is exactly zero at the start.

    Parameters
    ----------
    n_inputs, n_outputs, width : int
        Sizes; the width is even.
    rng : numpy.random.Generator
        Draws one half.

    Returns
    -------
    A, W : ndarray
        As from :func:`normal_weights`: ``A = [A1, -A1]``, ``W = [W1; W1]``.

    Raises
    ------
    ValueError
        If the width is odd.
    """
    width = checks.count("width", width, least=2)
    checks.need(width % 2 == 0, "width", "an even number of units", width)
    A, W = normal_weights(n_inputs, n_outputs, width // 2, rng)
    return np.hstack([A, -A]), np.vstack([W, W])


@dataclass(frozen=True)
class WeightTrajectory(MapTrajectory):
    r"""A simulated network along time: what its weights make, and the weights at both ends.

    Attributes
    ----------
    P : ndarray, shape (n_times, n_outputs, n_outputs)
        :math:`AA^\top/N`.
    Q : ndarray, shape (n_times, n_inputs, n_inputs)
        :math:`W^\top W/N`.
    E : ndarray, shape (n_times, n_outputs, n_inputs)
        Time-integrated error :math:`\int(\Sigma-F)\,dt`.
    first, last : tuple of ndarray
        Weights :math:`(A, W)` at the first and the last time.
    """

    P: np.ndarray
    Q: np.ndarray
    E: np.ndarray
    first: tuple
    last: tuple

    def __post_init__(self):
        for name, value in vars(self).items():
            for part in value if isinstance(value, tuple) else (value,):
                checks.finite(name, part)


def simulate(A, W, sigma, gamma, times, rule="backprop", rtol=1e-9, atol=1e-11):
    r"""Gradient flow, or a learning rule, on all weights.

    .. math:: \dot A = \tfrac1\gamma S W^\top, \qquad \dot W = \tfrac1\gamma A^\top S, \qquad
        S = \Sigma - F, \quad F = \tfrac\gamma N AW .

    ``align_zero`` has the weights of the start in place of :math:`W` and :math:`A` on the right, ``align_ada`` those
    of the start in place of :math:`A` only.

    Parameters
    ----------
    A : array_like, shape (n_outputs, width)
        Upper weights at the start.
    W : array_like, shape (width, n_inputs)
        Lower weights at the start.
    sigma : array_like, shape (n_outputs, n_inputs)
        :math:`\Sigma`; inputs are white.
    gamma : float
        Scale of the output, :math:`\gamma`. The learning rate is :math:`N/\gamma^2`.
    times : array_like, shape (n_times,)
        Increasing times, the first is that of the start.
    rule : {"backprop", "align_zero", "align_ada"}, optional
        Learning rule.
    rtol, atol : float, optional
        Tolerances of the solver.

    Returns
    -------
    run : WeightTrajectory
        At the given times.

    Raises
    ------
    ValueError
        If shapes do not match, the times do not increase, or the rule is unknown.
    gdln.checks.Diverged
        If the solver gives up.
    """
    A = checks.array("A", A, shape=("n_outputs", "width"))
    W = checks.array("W", W, shape=(A.shape[1], "n_inputs"))
    sigma = checks.array("sigma", sigma, shape=(len(A), W.shape[1]))
    gamma = checks.positive("gamma", gamma)
    times = measures.rising(times)
    rule = checks.choice("rule", rule, RULES)
    rtol, atol = checks.positive("rtol", rtol), checks.positive("atol", atol)
    A0, W0 = A, W
    (m, N), n = A.shape, W.shape[1]
    cut = [m * N, m * N + N * n]

    def weights(v):
        A, W, E = np.split(v, cut)
        return A.reshape(m, N), W.reshape(N, n), E.reshape(m, n)

    def slopes(A, W):
        S = sigma - gamma / N * A @ W
        heard = W0 if rule == "align_zero" else W
        spoken = A if rule == "backprop" else A0
        return S @ heard.T / gamma, spoken.T @ S / gamma, S

    def slope(_, v):
        A, W, _ = weights(v)
        return np.concatenate([x.ravel() for x in slopes(A, W)])

    start = np.concatenate([A.ravel(), W.ravel(), np.zeros(m * n)])
    records, v, t = [], start, times[0]
    for until in times:
        if until > t:
            # the end of a step and never a point between two: an interpolant would lose digits near rest
            part = solve_ivp(slope, (t, until), v, method="DOP853", rtol=rtol, atol=atol, t_eval=[until])
            if part.status != 0 or not np.isfinite(part.y).all():
                raise checks.Diverged(f"the weights stopped at t={t:.4g}: {part.message}", time=float(t))
            v, t = part.y[:, -1], until
        A, W, E = weights(v)
        change_A, change_W, _ = slopes(A, W)
        F, speed = gamma / N * A @ W, gamma / N * (change_A @ W + A @ change_W)
        records.append((F, speed, A @ A.T / N, W.T @ W / N, E))
    return WeightTrajectory(times, *map(np.array, zip(*records, strict=True)), (A0, W0), (A, W))


def predicted_weights(run, gamma):
    r"""Weight changes predicted from the weights of the start and the integrated error.

    .. math:: \Delta A = \tfrac1\gamma E W_0^\top, \qquad \Delta W = \tfrac1\gamma A_0^\top E .

    Parameters
    ----------
    run : WeightTrajectory
        A simulation, whose own integrated error is used.
    gamma : float
        Its scale.

    Returns
    -------
    changes : tuple of ndarray
        :math:`(\Delta A, \Delta W)`.
    """
    checks.instance("run", run, WeightTrajectory)
    gamma = checks.positive("gamma", gamma)
    A, W = run.first
    return run.E[-1] @ W.T / gamma, A.T @ run.E[-1] / gamma


def weight_cosine(run, gamma):
    r"""Entrywise cosine between the change of :math:`W` and its prediction.

    Parameters
    ----------
    run : WeightTrajectory
        A simulation.
    gamma : float
        Its scale.

    Returns
    -------
    cosine : float
        One where the layer moved only along its first gradient's direction.

    Raises
    ------
    ValueError
        If the weights did not move.
    """
    predicted = predicted_weights(run, gamma)[1]
    change = run.last[1] - run.first[1]
    size = np.linalg.norm(change) * np.linalg.norm(predicted)
    checks.need(size > 0, "run", "weights that moved", run.times)
    return float((change * predicted).sum() / size)

r"""Gate families: fixed functions :math:`g(x)\in\mathbb R^M` shared by all units of a gated network.

A family is a small frozen object that is called on inputs of shape (n_samples, n_inputs) and returns gate
values of shape (n_samples, n_gates), so that the same gates meet training and test points. At a point whose
gates are all zero a gated network returns zero whatever its weights are, and its kernel has a zero row. Every
family therefore refuses such points unless ``allow_silent`` is set.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, softmax

from gdln import checks, optional


def check_active(G, allow_silent=False):
    """Refuse gate values that leave a point with all gates off.

    Parameters
    ----------
    G : array_like, shape (n_samples, n_gates)
        Gate values.
    allow_silent : bool, optional
        Let such points pass: legal with a temperature above zero, where the network predicts zero there.

    Returns
    -------
    G : ndarray, shape (n_samples, n_gates)
        The same values as floats.

    Raises
    ------
    ValueError
        If ``G`` is not a finite matrix, or a row is zero and ``allow_silent`` is not set. The message says
        what to do.

    Examples
    --------
    >>> check_active([[1, 0], [0, 1]]).shape
    (2, 2)
    """
    G = checks.array("G", G, shape=("n_samples", "n_gates"))
    allow_silent = checks.flag("allow_silent", allow_silent)
    silent = np.flatnonzero(~G.any(axis=1))
    if silent.size and not allow_silent:
        raise ValueError(
            f"all gates are off at {silent.size} of {len(G)} points (first: row {silent[0]}), so the network "
            "is zero there and its kernel at T = 0 is singular; add a constant gate (constant=True), use "
            "complementary pairs (complementary=True) or soft gates, or keep T > 0 and pass allow_silent=True"
        )
    return G


@dataclass(frozen=True)
class PlaneGates:
    r"""Gates that look at a point through planes: steps, or sigmoids of finite slope.

    .. math:: g_m(x) = \Theta(u_m)\ \text{or}\ \frac{1}{1+e^{-\beta u_m}},\qquad
              u_m = \tfrac{1}{\sqrt{N_0}} v_m\cdot x - b_m,

    with :math:`\Theta(0) = 1`. A zero direction with negative threshold is a gate that is always on.

    Parameters
    ----------
    directions : ndarray, shape (n_gates, n_inputs)
        Normals :math:`v_m`.
    thresholds : ndarray, shape (n_gates,)
        Thresholds :math:`b_m`.
    slope : float, optional
        :math:`\beta > 0`; infinite (the default) gives steps.
    allow_silent : bool, optional
        Let points pass at which all gates are off, see :func:`check_active`.
    """

    directions: np.ndarray
    thresholds: np.ndarray
    slope: float = np.inf
    allow_silent: bool = False

    def __post_init__(self):
        directions = checks.array("directions", self.directions, shape=("n_gates", "n_inputs"))
        thresholds = checks.array("thresholds", self.thresholds, shape=(len(directions),))
        object.__setattr__(self, "directions", directions)
        object.__setattr__(self, "thresholds", thresholds)
        object.__setattr__(self, "slope", checks.positive("slope", self.slope, infinite=True))
        object.__setattr__(self, "allow_silent", checks.flag("allow_silent", self.allow_silent))

    @property
    def n_gates(self):
        """Number of gates."""
        return len(self.thresholds)

    def __call__(self, X):
        """Gate values at the rows of ``X``, shape (n_samples, n_gates)."""
        X = _inputs(X, self.directions.shape[1])
        u = X @ self.directions.T / np.sqrt(X.shape[1]) - self.thresholds
        if np.isinf(self.slope):
            return check_active(u >= 0, self.allow_silent)
        constant = ~self.directions.any(axis=1)
        return check_active(np.where(constant, u >= 0, expit(self.slope * u)), self.allow_silent)


@dataclass(frozen=True)
class ClusterGates:
    r"""Soft assignment to centres, learned without labels.

    .. math:: g_m(x) = \sqrt M\,\frac{e^{-\lVert x-c_m\rVert^2/2s^2}}{\sum_k e^{-\lVert x-c_k\rVert^2/2s^2}}

    The factor :math:`\sqrt M` keeps :math:`\frac1M\lVert g\rVert^2` at one when each point belongs to one
    centre. The gates sum to :math:`\sqrt M`, so they are never all off.

    Parameters
    ----------
    centres : ndarray, shape (n_gates, n_inputs)
        Centres :math:`c_m`.
    bandwidth : float
        Width :math:`s > 0` of the assignment, in the units of the inputs; small is hard.
    """

    centres: np.ndarray
    bandwidth: float

    def __post_init__(self):
        centres = checks.array("centres", self.centres, shape=("n_gates", "n_inputs"))
        object.__setattr__(self, "centres", centres)
        object.__setattr__(self, "bandwidth", checks.positive("bandwidth", self.bandwidth))

    @property
    def n_gates(self):
        """Number of gates."""
        return len(self.centres)

    def __call__(self, X):
        """Gate values at the rows of ``X``, shape (n_samples, n_gates)."""
        X = _inputs(X, self.centres.shape[1])
        # |x|^2 is common to all centres and drops out of the softmax
        logits = (X @ self.centres.T - 0.5 * (self.centres**2).sum(axis=1)) / self.bandwidth**2
        return check_active(np.sqrt(self.n_gates) * softmax(logits, axis=1))


def random_planes(
    n_gates,
    n_inputs,
    rng,
    *,
    slope=np.inf,
    threshold=0.0,
    constant=False,
    complementary=False,
    allow_silent=False,
):
    r"""Step or sigmoid gates with Gaussian normals, :math:`v_m\sim\mathcal N(0, I)`.

    Parameters
    ----------
    n_gates, n_inputs : int
        Number of gates, counting the constant one, and of inputs.
    rng : numpy.random.Generator
        Source of the normals.
    slope : float, optional
        Slope :math:`\beta` of the sigmoid; infinite for steps.
    threshold : float or array_like, shape (n_gates,), optional
        Thresholds :math:`b_m`.
    constant : bool, optional
        Make the first gate always on.
    complementary : bool, optional
        Draw the gates in pairs :math:`\Theta(u), \Theta(-u)`: one of each pair is on.
    allow_silent : bool, optional
        Let points pass at which all gates are off, see :func:`check_active`.

    Returns
    -------
    gates : PlaneGates
        Callable family.

    Raises
    ------
    ValueError
        If a number is out of range, or pairs do not fill the gates.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> gates = random_planes(3, 5, rng, constant=True)
    >>> gates(rng.standard_normal((4, 5)))[:, 0]
    array([1., 1., 1., 1.])
    """
    n_gates, n_inputs = checks.count("n_gates", n_gates), checks.count("n_inputs", n_inputs)
    rng, slope = checks.generator("rng", rng), checks.positive("slope", slope, infinite=True)
    constant, complementary = checks.flag("constant", constant), checks.flag("complementary", complementary)
    threshold = checks.array("threshold", threshold, ndim=(0, 1))
    fits = threshold.ndim == 0 or len(threshold) == n_gates
    checks.need(fits, "threshold", f"one number or {n_gates} of them", threshold)
    n_drawn = n_gates - constant
    if complementary and n_drawn % 2:
        raise ValueError(
            f"n_gates needs an even number of gates besides the constant one for complementary pairs, got {n_drawn}"
        )
    thresholds = np.array(np.broadcast_to(threshold, n_gates))
    directions = rng.standard_normal((n_drawn // 2 if complementary else n_drawn, n_inputs))
    if complementary:
        directions = np.stack((directions, -directions), axis=1).reshape(n_drawn, n_inputs)
        thresholds[constant + 1 :: 2] = -thresholds[int(constant) : n_gates - 1 : 2]
    if constant:
        directions = np.vstack((np.zeros(n_inputs), directions))
        thresholds[0] = -1.0
    return PlaneGates(directions, thresholds, slope, allow_silent)


def clusters(X, n_gates, rng, *, bandwidth=None, n_starts=10):
    r"""Soft cluster gates around the k-means centres of unlabelled points.

    Parameters
    ----------
    X : array_like, shape (n_samples, n_inputs)
        Unlabelled points.
    n_gates : int
        Number of centres.
    rng : numpy.random.Generator
        Source of the k-means starts.
    bandwidth : float, optional
        Width :math:`s`; by default :math:`s^2 = \langle\min_m\lVert x-c_m\rVert^2\rangle/N_0`, the mean
        squared distance of a point to its own centre per input: for spherical clusters their variance.
    n_starts : int, optional
        Starts of k-means; the best is kept.

    Returns
    -------
    gates : ClusterGates
        Callable family.

    Raises
    ------
    ValueError
        If there are fewer points than gates, or the bandwidth is not positive.
    """
    X = _inputs(X)
    n_gates, n_starts = checks.count("n_gates", n_gates, most=len(X)), checks.count("n_starts", n_starts)
    rng = checks.generator("rng", rng)
    if bandwidth is not None:
        bandwidth = checks.positive("bandwidth", bandwidth)
    KMeans = optional.load("sklearn.cluster", "a clustering").KMeans
    fit = KMeans(n_gates, n_init=n_starts, random_state=int(rng.integers(2**31))).fit(X)
    if bandwidth is None:
        bandwidth = np.sqrt(fit.inertia_ / X.size)
    checks.need(bandwidth > 0, "bandwidth", "to be given where every point is its own centre", bandwidth)
    return ClusterGates(fit.cluster_centers_, float(bandwidth))


def constant(X):
    """The single gate of a linear network, one everywhere: shape (n_samples, 1)."""
    return np.ones((len(_inputs(X)), 1))


def task_masks(n_tasks, n_gates, rng, fraction=0.5):
    r"""Random masks :math:`\xi^t\in\{0,1\}^M`, one a task, none of them empty.

    Parameters
    ----------
    n_tasks, n_gates : int
        Numbers of tasks and gates.
    rng : numpy.random.Generator
        Source of the masks.
    fraction : float, optional
        Probability of a one; empty masks are drawn again.

    Returns
    -------
    masks : ndarray, shape (n_tasks, n_gates)
        Zeros and ones.

    Raises
    ------
    ValueError
        If a number is out of range.
    """
    n_tasks, n_gates = checks.count("n_tasks", n_tasks), checks.count("n_gates", n_gates)
    rng, fraction = checks.generator("rng", rng), checks.number("fraction", fraction, above=0, most=1)
    masks = np.zeros((n_tasks, n_gates))
    while (empty := ~masks.any(axis=1)).any():
        masks[empty] = rng.random((int(empty.sum()), n_gates)) < fraction
    return masks


def by_task(tasks, masks, bottom_up=None, *, allow_silent=False):
    r"""Top-down gates :math:`g(x, t) = g^{\rm bu}(x)\circ\xi^t`, or the masks alone.

    Parameters
    ----------
    tasks : array_like of int, shape (n_samples,)
        Task of each point.
    masks : array_like, shape (n_tasks, n_gates)
        Masks :math:`\xi^t`, see :func:`task_masks`.
    bottom_up : array_like, shape (n_samples, n_gates), optional
        Gate values from the inputs; without them the gates know the task only, :math:`g(t) = \xi^t`.
    allow_silent : bool, optional
        Let points pass at which all gates are off, see :func:`check_active`.

    Returns
    -------
    G : ndarray, shape (n_samples, n_gates)
        Gate values.

    Raises
    ------
    ValueError
        If a task has no mask, or shapes differ, or a point has all gates off.

    Examples
    --------
    >>> by_task([0, 1], [[1, 0], [1, 1]])
    array([[1., 0.],
           [1., 1.]])
    """
    masks = checks.array("masks", masks, shape=("n_tasks", "n_gates"))
    tasks = checks.array("tasks", tasks, shape=("n_samples",), dtype=int, least=0, most=len(masks) - 1)
    G = masks[tasks]
    if bottom_up is not None:
        G = G * checks.array("bottom_up", bottom_up, shape=G.shape)
    return check_active(G, allow_silent)


def _inputs(X, n_inputs="n_inputs"):
    """Inputs as a finite float matrix with the expected number of columns."""
    return checks.array("X", X, shape=("n_samples", n_inputs), empty=n_inputs != "n_inputs")

r"""How a wide Bayesian network codes its classes: one neuron's posterior, and which codes it chooses.

Network :math:`f(x)=\frac1N\sum_ia_i\,\phi(w_i\cdot x/\sqrt{N_0})` with a likelihood and a prior that both grow as
:math:`N`. Neurons are then independent draws of one law of readout and pre-activations; that law is Gaussian for linear
units, and for saturating ones it is a design: codes with probabilities.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import erf

from gdln import checks


def _sigmoid(z):
    return 0.5 * (1 + erf(0.5 * np.sqrt(np.pi) * z)), 0.5 * np.exp(-0.25 * np.pi * z * z)


#: Pairs of value and slope by name. The sigmoid has slope one half at zero.
ACTIVATIONS = {
    "linear": lambda z: (z, np.ones_like(z)),
    "sigmoid": _sigmoid,
    "relu": lambda z: (np.maximum(z, 0), (z > 0).astype(float)),
}


@dataclass(frozen=True)
class LinearCode:
    """Posterior of a wide linear network.

    Attributes
    ----------
    A : ndarray, shape (n_classes, n_classes)
        Second moment of a neuron's readout.
    fields : ndarray, shape (n_samples, n_classes)
        The conjugate fields :math:`u`, errors over temperature.
    outputs : ndarray, shape (n_samples, n_classes)
        Mean outputs on the training set.
    kernel : ndarray, shape (n_samples, n_samples)
        Second moment of a neuron's pre-activations.
    """

    A: np.ndarray
    fields: np.ndarray
    outputs: np.ndarray
    kernel: np.ndarray


@dataclass(frozen=True)
class Design:
    """Binary codes, their probabilities and readouts.

    Attributes
    ----------
    codes : ndarray of int, shape (n_codes, n_classes)
        Which classes a neuron answers to.
    probabilities : ndarray, shape (n_codes,)
        Share of the neurons with each code.
    readouts : ndarray, shape (n_codes, n_classes)
        Readout :math:`M^{-1}m` of each code.
    cost : float
        Mean squared readout, :math:`\\mathrm{tr}\\,M^{-1}`.
    sensitivities : ndarray, shape (n_codes,)
        :math:`m^\\top M^{-2}m`: no design is better if none exceeds the cost.
    """

    codes: np.ndarray
    probabilities: np.ndarray
    readouts: np.ndarray
    cost: float
    sensitivities: np.ndarray


@dataclass(frozen=True)
class CodeStatistics:
    """How the neurons of one network share a task.

    Attributes
    ----------
    kurtosis : float
        Excess kurtosis of the readouts over the neurons, mean over the classes.
    participation : float
        :math:`(\\sum s)^2/(N\\sum s^2)` of the contributions :math:`s_i=\\|a_i\\|\\,\\mathrm{rms}_\\mu\\phi_{i\\mu}`.
    top_share : float
        Share of the contributions that the tenth of the neurons with the largest ones has.
    half : float
        Smallest fraction of the neurons that makes half of the outputs of the right classes, see :func:`own_outputs`.
    class_share : float
        Share of the variance of activities over samples that lies between the classes, see :func:`class_share`.
    """

    kurtosis: float
    participation: float
    top_share: float
    half: float
    class_share: float


@dataclass(frozen=True)
class UnitLaw:
    """Readouts against their law given the activities.

    Attributes
    ----------
    slope : float
        Regression of the readouts on their predicted means; one.
    variance : float
        Variance about these means over the prior variance; one.
    kurtosis : float
        Excess kurtosis of what is left; zero.
    """

    slope: float
    variance: float
    kurtosis: float


def solve_linear_code(K0, Y, temperature, sigma2, rtol=1e-12):
    r"""Solve the saddle point of a wide linear network.

    .. math:: A^{-1}=\sigma_a^{-2}I-u^\top K_0u,\qquad u+\tfrac1TK_0uA=\tfrac1TY,\qquad K=K_0+K_0uAu^\top K_0 .

    At zero temperature, with :math:`Q=Y^\top K_0^{-1}Y`,

    .. math:: A=\tfrac{\sigma_a^2}2\Big(I+\sqrt{I+4Q/\sigma_a^2}\Big),\qquad K=K_0+YA^{-1}Y^\top .

    Parameters
    ----------
    K0 : array_like, shape (n_samples, n_samples)
        Input kernel, positive definite.
    Y : array_like, shape (n_samples, n_classes)
        Targets.
    temperature : float
        :math:`T\ge0`.
    sigma2 : float
        Prior variance :math:`\sigma_a^2` of a readout weight.
    rtol : float, optional
        Relative change at which the iteration ends.

    Returns
    -------
    code : LinearCode
        Second moments, fields and mean outputs.

    Raises
    ------
    TypeError, ValueError
        If shapes do not fit, the kernel is not positive definite or an argument is out of its range.
    RuntimeError
        If the iteration does not settle.

    Notes
    -----
    Derived in chapter "Analog, redundant and sparse codes". Given :math:`Q_T=A\,u^\top K_0u\,A` the first equation is
    solved by the closed form with :math:`Q_T` for :math:`Q`. A change of :math:`A` by a factor changes :math:`Q_T` by
    less than the square of the factor, and :math:`A` answers by less than the root of that, so the alternation settles.

    Examples
    --------
    >>> code = solve_linear_code([[1.0]], [[1.0]], temperature=0.0, sigma2=1.0)
    >>> bool(abs(code.A[0, 0] - (1 + 5**0.5) / 2) < 1e-12)
    True
    """
    K0 = checks.psd("K0", K0)
    Y = checks.array("Y", Y, shape=(len(K0), None))
    temperature, sigma2 = checks.nonnegative("temperature", temperature), checks.positive("sigma2", sigma2)
    rtol = checks.positive("rtol", rtol)
    values, vectors = np.linalg.eigh(K0)
    checks.need(values[0] > 1e-12 * values[-1], "K0", "a positive definite matrix", K0)
    rows = vectors.T @ Y
    with np.errstate(over="ignore", invalid="ignore"):
        Q = rows.T @ (rows / values[:, None])
    checks.need(np.isfinite(Q).all(), "Y", "targets whose squares in units of K0 do not overflow", Y)
    A = _readout_moment(Q, sigma2)
    for _ in range(100_000):
        alpha, basis = np.linalg.eigh(A)
        turned = rows @ basis
        # K0^(1/2) u A in the bases of K0 and A
        scaled = np.sqrt(values)[:, None] * turned * alpha / (temperature + values[:, None] * alpha)
        previous, A = A, basis @ _readout_moment(scaled.T @ scaled, sigma2) @ basis.T
        if np.abs(A - previous).max() <= rtol * np.abs(A).max():
            break
    else:
        raise RuntimeError("the saddle point did not settle: loosen rtol, or raise or lower temperature")
    alpha, basis = np.linalg.eigh(A)
    fields = vectors @ ((rows @ basis) / (temperature + values[:, None] * alpha)) @ basis.T
    outputs = K0 @ fields @ A
    kernel = K0 + outputs @ np.linalg.solve(A, outputs.T)
    return LinearCode((A + A.T) / 2, fields, outputs, (kernel + kernel.T) / 2)


def _readout_moment(Q, sigma2):
    values, vectors = np.linalg.eigh(Q)
    moment = sigma2 / 2 * (1 + np.sqrt(1 + 4 * np.maximum(values, 0) / sigma2))
    return (vectors * moment) @ vectors.T


def mixed_code_cost(n_classes, n_active):
    r"""Cost of the design of all codes with the same number of ones, each as likely.

    .. math:: \mathrm{tr}\,M^{-1}=\frac R{k^2}+\frac{R(R-1)^2}{k(R-k)} .

    Parameters
    ----------
    n_classes : int
        :math:`R\ge2`.
    n_active : int
        :math:`k`, from 1 to ``n_classes - 1``.

    Returns
    -------
    cost : float
        Mean squared readout.

    Raises
    ------
    TypeError, ValueError
        If a number is no count or out of its range.

    Examples
    --------
    >>> mixed_code_cost(3, 2), mixed_code_cost(3, 1)
    (6.75, 9.0)
    """
    R = checks.count("n_classes", n_classes, least=2)
    k = checks.count("n_active", n_active, most=R - 1)
    return R / k**2 + R * (R - 1) ** 2 / (k * (R - k))


def design(codes, probabilities):
    r"""Cheapest readouts of codes with given probabilities, and what they cost.

    Outputs that meet one-hot targets need :math:`\sum_mp_ma_mm^\top=I`; the least mean square of the readouts has
    :math:`a_m=M^{-1}m` with :math:`M=\sum_mp_mmm^\top`.

    Parameters
    ----------
    codes : array_like of int, shape (n_codes, n_classes)
        Zeros and ones.
    probabilities : array_like, shape (n_codes,)
        Shares that sum to one.

    Returns
    -------
    design : Design
        Readouts, cost, and the sensitivity of the cost to each code.

    Raises
    ------
    TypeError, ValueError
        If shapes do not fit, a code has other entries, the shares do not sum to one, or the codes do not span the
        classes.
    """
    codes = checks.array("codes", codes, ndim=2, dtype=bool).astype(int)
    p = checks.probabilities("probabilities", probabilities, shape=(len(codes),), total=1.0)
    M = codes.T * p @ codes
    checks.need(
        np.linalg.matrix_rank(M) == len(M), "codes", "likely codes that tell all classes apart", codes
    )
    readouts = np.linalg.solve(M, codes.T).T
    squares = np.square(readouts).sum(axis=1)
    return Design(codes, p, readouts, float(p @ squares), squares)


def optimal_design(n_classes, n_steps=100_000, rtol=1e-9):
    r"""Probabilities of all binary codes that need the smallest readouts: an A-optimal design.

    Multiplicative steps :math:`p_m\leftarrow p_m\sqrt{s_m}/\sum_np_n\sqrt{s_n}` with the sensitivities
    :math:`s_m=m^\top M^{-2}m`, each of which lowers the convex cost :math:`\mathrm{tr}\,M^{-1}`.

    Parameters
    ----------
    n_classes : int
        At most ten; there are ``2**n_classes - 1`` codes.
    n_steps : int, optional
        Steps allowed.
    rtol : float, optional
        Ends where no sensitivity exceeds the cost by more than this part of it.

    Returns
    -------
    design : Design
        Codes with a share above ``1e-6``, most likely first.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of its range.
    RuntimeError
        If the steps run out.
    """
    R = checks.count("n_classes", n_classes, least=2, most=10)
    n_steps, rtol = checks.count("n_steps", n_steps), checks.positive("rtol", rtol)
    codes = (np.arange(1, 2**R)[:, None] >> np.arange(R)[::-1]) & 1
    p = np.full(len(codes), 1 / len(codes))
    for _ in range(n_steps):
        found = design(codes, p / p.sum())
        if found.sensitivities.max() <= (1 + rtol) * found.cost:
            break
        p = found.probabilities * np.sqrt(found.sensitivities)
    else:
        raise RuntimeError(f"n_steps needs more than {n_steps} steps for rtol={rtol:.3g}")
    order = np.argsort(-found.probabilities, kind="stable")
    kept = order[found.probabilities[order] > 1e-6]
    return design(found.codes[kept], found.probabilities[kept] / found.probabilities[kept].sum())


def unit_law(a, phi, fields, sigma2):
    r"""Hold sampled readouts against their law given the activities.

    The single-unit posterior says :math:`a\sim\mathcal N(\sigma_a^2u^\top\phi,\ \sigma_a^2I)`.

    Parameters
    ----------
    a : array_like, shape (width, n_classes)
        Readouts of a sampled network.
    phi : array_like, shape (width, n_samples)
        Activities of its neurons.
    fields : array_like, shape (n_samples, n_classes)
        The fields :math:`u=(Y-F)/T` of the mean outputs :math:`F`.
    sigma2 : float
        Prior variance.

    Returns
    -------
    law : UnitLaw
        Slope, variance and kurtosis.

    Raises
    ------
    TypeError, ValueError
        If shapes do not fit, all predicted means vanish, or nothing is left of the readouts but a constant.
    """
    a, phi = _neurons(a, phi)
    fields = checks.array("fields", fields, shape=(phi.shape[1], a.shape[1]))
    sigma2 = checks.positive("sigma2", sigma2)
    mean = sigma2 * phi @ fields
    size = np.square(mean).sum()
    checks.need(size > 0, "fields", "fields that reach the neurons", fields)
    left = a - mean
    # what subtraction leaves of equal numbers is rounding
    checks.need(
        np.ptp(left) > 1e-12 * np.abs(a).max(),
        "a",
        "readouts that differ from their means by more than one number",
        a,
    )
    return UnitLaw(
        float((a * mean).sum() / size), float(np.square(left).mean() / sigma2), _kurtosis(left.ravel())
    )


def code_statistics(a, phi, labels):
    """How the neurons of a network share the task.

    Parameters
    ----------
    a : array_like, shape (width, n_classes)
        Readouts.
    phi : array_like, shape (width, n_samples)
        Activities.
    labels : array_like of int, shape (n_samples,)
        Class of each sample, from 0.

    Returns
    -------
    statistics : CodeStatistics
        Numbers that tell analog, redundant and sparse codes apart.

    Raises
    ------
    TypeError, ValueError
        If shapes do not fit, or readouts or activities do not vary.
    """
    a, phi = _neurons(a, phi)
    labels = checks.array("labels", labels, shape=(phi.shape[1],), dtype=int, least=0)
    checks.need((np.ptp(a, axis=0) > 0).all(), "a", "readouts that differ between neurons", a)
    checks.need((np.ptp(phi, axis=1) > 0).any(), "phi", "activities that differ between samples", phi)
    s = np.linalg.norm(a, axis=1) * np.sqrt(np.square(phi).mean(axis=1))
    ranked = np.cumsum(np.sort(s)[::-1]) / s.sum()
    made = np.cumsum(np.sort(own_outputs(a, phi, labels))[::-1])
    checks.need(made[-1] > 0, "a", "outputs of the right classes above zero", a)
    tenth = max(1, round(len(s) / 10))
    return CodeStatistics(
        kurtosis=float(np.mean([_kurtosis(column) for column in a.T])),
        participation=float(s.sum() ** 2 / (len(s) * np.square(s).sum())),
        top_share=float(ranked[tenth - 1]),
        half=float((np.argmax(made >= made[-1] / 2) + 1) / len(s)),
        class_share=class_share(phi.T @ phi, labels),
    )


def own_outputs(a, phi, labels):
    r"""What each neuron adds to the outputs of the right classes.

    Parameters
    ----------
    a : array_like, shape (width, n_classes)
        Readouts.
    phi : array_like, shape (width, n_samples)
        Activities.
    labels : array_like of int, shape (n_samples,)
        Class of each sample, from 0.

    Returns
    -------
    outputs : ndarray, shape (width,)
        Means over samples of :math:`a_{i,r(\mu)}\phi_{i\mu}`; their mean over neurons is that of the outputs.

    Raises
    ------
    TypeError, ValueError
        If shapes do not fit or a label has no readout.
    """
    a, phi = _neurons(a, phi)
    labels = checks.array("labels", labels, shape=(phi.shape[1],), dtype=int, least=0, most=a.shape[1] - 1)
    return (a[:, labels] * phi).mean(axis=1)


def class_codes(phi, labels):
    """Share of the neurons with each binary code: which class means of the activity lie above one half.

    Parameters
    ----------
    phi : array_like, shape (width, n_samples)
        Activities.
    labels : array_like of int, shape (n_samples,)
        Class of each sample, from 0; every class needs one.

    Returns
    -------
    shares : dict of str to float
        By code, the first class first, as in ``"110"``.
    means : ndarray, shape (width, n_classes)
        Class means.

    Raises
    ------
    TypeError, ValueError
        If shapes do not fit or a class has no sample.
    """
    phi = checks.array("phi", phi, ndim=2)
    labels = checks.array("labels", labels, shape=(phi.shape[1],), dtype=int, least=0)
    n_classes = labels.max() + 1
    checks.need(len(np.unique(labels)) == n_classes, "labels", "a sample of every class", labels)
    means = np.stack([phi[:, labels == c].mean(axis=1) for c in range(n_classes)], axis=1)
    texts = ["".join("1" if high else "0" for high in row) for row in means > 0.5]
    return {code: texts.count(code) / len(texts) for code in sorted(set(texts))}, means


def class_share(K, labels):
    r"""Share of the variance over samples that lies between classes, summed over neurons, from their kernel.

    Parameters
    ----------
    K : array_like, shape (n_samples, n_samples)
        Kernel of the activities, up to a factor.
    labels : array_like of int, shape (n_samples,)
        Class of each sample, from 0.

    Returns
    -------
    share : float
        :math:`\mathrm{tr}(PHKH)/\mathrm{tr}(HKH)`, with :math:`P` the projection on class means and :math:`H` that off
        the mean.

    Raises
    ------
    TypeError, ValueError
        If shapes do not fit, or activities do not differ between samples.
    """
    K = checks.symmetric("K", K)
    labels = checks.array("labels", labels, shape=(len(K),), dtype=int, least=0)
    centred = _centred("K", K)
    members = (labels[:, None] == np.unique(labels)).astype(float)
    between = (members * (centred @ members)).sum(axis=0) / members.sum(axis=0)
    return float(between.sum() / np.trace(centred))


def class_alignment(K, Y):
    r"""Cosine of a kernel with that of the targets, both centred.

    Parameters
    ----------
    K : array_like, shape (n_samples, n_samples)
        A kernel.
    Y : array_like, shape (n_samples, n_classes)
        Targets.

    Returns
    -------
    cosine : float
        :math:`\langle HKH,HYY^\top H\rangle` over the norms, :math:`H` the projection off the mean.

    Raises
    ------
    TypeError, ValueError
        If shapes do not fit, or a centred kernel vanishes.
    """
    K = checks.symmetric("K", K)
    Y = checks.array("Y", Y, shape=(len(K), None))
    centred, targets = _centred("K", K), _centred("Y", Y @ Y.T)
    return float((centred * targets).sum() / (np.linalg.norm(centred) * np.linalg.norm(targets)))


def persistence(before, after):
    """Correlation over neurons of the readouts at two times of a chain, mean over the classes.

    Parameters
    ----------
    before, after : array_like, shape (width, n_classes)
        Readouts.

    Returns
    -------
    correlation : float
        One where every neuron keeps its part.

    Raises
    ------
    TypeError, ValueError
        If shapes differ, or readouts do not vary over neurons.
    """
    before = checks.array("before", before, ndim=2)
    after = checks.array("after", after, shape=before.shape)
    for name, a in (("before", before), ("after", after)):
        checks.need((np.ptp(a, axis=0) > 0).all(), name, "readouts that differ between neurons", a)
    return float(np.mean([np.corrcoef(x, y)[0, 1] for x, y in zip(before.T, after.T, strict=True)]))


def _centred(name, K):
    """A kernel without its mean over samples."""
    centred = K - K.mean(axis=0) - K.mean(axis=1)[:, None] + K.mean()
    # what centring leaves of a constant is rounding
    checks.need(np.abs(centred).max() > 1e-12 * np.abs(K).max(), name, "samples that differ", K)
    return centred


def _neurons(a, phi):
    a = checks.array("a", a, ndim=2)
    return a, checks.array("phi", phi, shape=(len(a), None))


def _kurtosis(x):
    """Excess kurtosis of numbers that differ."""
    x = x - x.mean()
    return float(np.mean(x**4) / np.mean(x**2) ** 2 - 3)

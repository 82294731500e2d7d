"""One cell of the map: a network is trained, and every theory predicts what it did."""

from dataclasses import dataclass

import numpy as np

from gdln import checks
from gdln.synthesis import gibbs, measures, moments, network, posterior, theories

#: What predicts a trained network; ``empirical`` is the frozen kernel of the network's own start.
PREDICTIONS = ("mean_field", "frozen", "empirical", "race", "align_ada")
#: Times of a run: from a thousandth of the fastest half-time of the map to where the slowest mode rests.
TIMES = np.concatenate([[0.0], np.geomspace(1e-4, 20.0, 160)])
#: Times at which maps are compared, in half-times of the strongest mode at infinite width.
CLOCK = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)


@dataclass(frozen=True)
class Comparison:
    r"""One network against the theories. Dictionaries have one entry a theory that says something at this scale.

    Attributes
    ----------
    half_times : ndarray, shape (rank,)
        Of the network, strongest mode first.
    predicted : dict
        The theories' half-times, shape (rank,).
    stop_errors : dict
        Distance of the stopped predictors on the test images, relative to the network's.
    clock_errors : dict
        Distance of the maps on the test images at the times :data:`CLOCK`, shape (6,), relative to the network's.
    movement, features : float
        Relative change of the tangent kernel, and of the kernel :math:`Q` of the features, from start to end.
    cosine : float
        Entrywise cosine of the change of the lower weights with its prediction.
    curve : ndarray, shape (161,)
        Reducible loss of the network at :data:`TIMES`, relative to the start of an infinite one.
    empirical_curve : ndarray, shape (161,)
        The same of the frozen kernel of its start.
    """

    half_times: np.ndarray
    predicted: dict
    stop_errors: dict
    clock_errors: dict
    movement: float
    features: float
    cosine: float
    curve: np.ndarray
    empirical_curve: np.ndarray


def compare(A, W, questions, gamma):
    r"""Train one network by backpropagation and hold all of :data:`PREDICTIONS` against it.

    Parameters
    ----------
    A, W : array_like, shapes (3, width) and (width, n_inputs)
        Weights at the start.
    questions : Questions
        The task.
    gamma : float
        Scale of the output. The race says nothing where it would start behind the half of a mode.

    Returns
    -------
    comparison : Comparison
        Numbers of this network.

    Raises
    ------
    ValueError
        If shapes do not match, or the network is too narrow for its target.
    """
    sigma = checks.array("sigma", checks.instance("questions", questions, network.Questions).sigma, ndim=2)
    A = checks.array("A", A, shape=(len(sigma), "width"))
    W = checks.array("W", W, shape=(A.shape[1], sigma.shape[1]))
    rank = np.linalg.matrix_rank(sigma)
    checks.need(np.linalg.matrix_rank(A) >= rank, "A", f"a rank of at least {rank}, that of the target", A)
    run = network.simulate(A, W, sigma, gamma, TIMES)
    start = moments.of_weights(A, W, gamma)
    weakest = np.linalg.svd(sigma)[1][-1]
    runs = {
        name: moments.solve_frozen(*start, sigma, TIMES)
        if name == "empirical"
        else theories.solve(sigma, gamma, name, TIMES)
        for name in PREDICTIONS
        if name != "race" or gamma < weakest
    }
    strongest = theories.mode_half_times(np.linalg.svd(sigma)[1], gamma, "mean_field")[0]
    clock = strongest * np.array(CLOCK)
    stopped, along = measures.stop_map(run, sigma), measures.maps_at(run, clock)
    size = (sigma**2).sum()
    return Comparison(
        measures.half_times(run, sigma),
        {name: measures.half_times(theory, sigma) for name, theory in runs.items()},
        {
            name: distance(measures.stop_map(theory, sigma), stopped, questions.X_test)
            for name, theory in runs.items()
        },
        {
            name: np.array(
                [
                    distance(F, G, questions.X_test)
                    for F, G in zip(measures.maps_at(theory, clock), along, strict=True)
                ]
            )
            for name, theory in runs.items()
        },
        measures.kernel_movement((run.P[0], run.Q[0]), (run.P[-1], run.Q[-1])),
        float(np.linalg.norm(run.Q[-1] - run.Q[0]) / np.linalg.norm(run.Q[0])),
        network.weight_cosine(run, gamma),
        ((sigma - run.maps) ** 2).sum((1, 2)) / size,
        ((sigma - runs["empirical"].maps) ** 2).sum((1, 2)) / size,
    )


def distance(F, reference, X):
    r"""Relative distance of two predictors on images, :math:`\|X(F-G)^\top\|_F/\|XG^\top\|_F`.

    Parameters
    ----------
    F, reference : array_like, shape (n_outputs, n_inputs)
        A map and the one it is compared with, :math:`G`.
    X : array_like, shape (n, n_inputs)
        Images.

    Returns
    -------
    distance : float
        Zero where they answer alike.

    Raises
    ------
    ValueError
        If shapes do not match, or the reference answers zero to every image.
    """
    reference = checks.array("reference", reference, ndim=2)
    F = checks.array("F", F, shape=reference.shape)
    X = checks.array("X", X, shape=("n", F.shape[1]))
    size = np.linalg.norm(X @ reference.T)
    checks.need(size > 0, "reference", "answers that are not all zero", reference)
    return float(np.linalg.norm(X @ (F - reference).T) / size)


def compare_posterior(questions, gamma, noise, width, n_sweeps, rng):
    r"""Sample one posterior and hold the theories of its mean against it.

    Parameters
    ----------
    questions : Questions
        The task.
    gamma, noise, width, n_sweeps, rng
        As in :func:`gdln.synthesis.gibbs.sample`.

    Returns
    -------
    errors : dict
        Relative distance on the test images for each of :data:`gdln.synthesis.posterior.THEORIES`, and two more:
        ``chain``, half the distance between the means of the two halves of the chain, an estimate of its own error, and
        ``readout``, the relative distance of the read-out moment of the finite-width theory from the sampled one.
    """
    sigma = checks.instance("questions", questions, network.Questions).sigma
    n_sweeps = checks.count("n_sweeps", n_sweeps, least=2)
    chain = gibbs.sample(sigma, gamma, noise, width, n_sweeps, rng)
    mean, half = chain.maps.mean(axis=0), n_sweeps // 2
    errors = {
        name: distance(posterior.mean_map(sigma, gamma, noise, width, name), mean, questions.X_test)
        for name in posterior.THEORIES
    }
    halves = chain.maps[:half].mean(axis=0), chain.maps[half:].mean(axis=0)
    U, s, _ = np.linalg.svd(sigma)
    u, sampled = posterior.readout(s, gamma, noise, sigma.shape[1] / width), chain.U.mean(axis=0)
    errors["chain"] = distance(*halves, questions.X_test) / 2
    errors["readout"] = float(np.linalg.norm((U * u) @ U.T - sampled) / np.linalg.norm(sampled))
    return errors

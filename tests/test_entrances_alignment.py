"""Every public function of the theory of alignment and of its scores refuses bad input by the argument's name."""

import numpy as np

from gdln.alignment import scores, theory
from tests import test_entrances as walk

MODULES = (theory, scores)
#: A result, which keeps what it is given.
APART = {"LayerKernels"}


def twice(x):
    return 2 * x


def calls():
    """A good call of every public function: arguments by name."""
    rng = np.random.default_rng(0)
    A, B, X = rng.standard_normal((3, 4)), rng.standard_normal((3, 4)), rng.standard_normal((5, 4))
    E, kernel = rng.standard_normal((5, 2)), X @ X.T
    layers = dict(weights=[A, rng.standard_normal((2, 3))], gains=np.array([1.0, 1.5]), X=X)
    return {
        theory.layer_kernels: dict(X=X, gains=np.array([1.0, 1.5])),
        theory.integrated_error: dict(t=1.0, ntk=kernel, e0=E, n_samples=5),
        theory.frozen_inputs: layers,
        theory.predicted_changes: dict(**layers, E=E),
        theory.hebbian_gram: dict(inputs=X, E=E, signal_kernel=kernel, gain=1.0),
        scores.error_blind_gram: dict(inputs=X),
        scores.shuffled_change: dict(trained=A, initial=B, rng=rng),
        scores.gram: dict(change=A),
        scores.gram_score: dict(A=A.T @ A, B=B.T @ B),
        scores.probe_score: dict(apply_a=twice, apply_b=twice, shape=(2, 3), n_probes=3, rng=rng, batch=2),
        scores.entrywise_cosine: dict(change=A, predicted=B),
        scores.scale_ratio: dict(predicted_gram=B.T @ B, change=A),
    }


#: What comes of a value that is bad elsewhere and right here: beginnings of lines of :func:`walk.faults`.
RIGHT = {
    "theory.integrated_error": ("n_samples = None passed",),
    "theory.hebbian_gram": ("gain = -1 passed",),  # a sign
    "scores.probe_score": ("shape = (2, 2, 2) passed",),
}

test_bad_values_are_refused_by_name, test_other_forms_change_nothing = walk.over(MODULES, calls, APART, RIGHT)

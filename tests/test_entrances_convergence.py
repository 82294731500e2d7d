"""Every public function of the part on convergence refuses bad input by the argument's name, and at once."""

import numpy as np

from gdln.convergence import certificates, experiments, features, flow, nets
from tests import test_entrances as walk

MODULES = (certificates, experiments, features, flow, nets)
#: Results, which keep what they are given.
APART = {"Certificate", "GeneralisationOutcome", "Flow"}


def calls():
    """A good call of every public function: arguments by name."""
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((4, 6)), rng.standard_normal(4)
    gram = features.feature_kernel(X, X)
    c, h = flow.draw_functions(gram, 6, rng)
    network = dict(h=h, c=c, activation="sine", scaling="ntk")
    sets = dict(train=(X, np.sign(y)), test=(X + 0.1, np.sign(y)), rng=rng)
    return {
        certificates.smallest_eigenvalue: dict(gram=gram),
        certificates.schur_bound: dict(gram=gram, S=gram**2),
        certificates.rate_bound: dict(gram=gram, h=h, c=c, activation="sine"),
        certificates.certify: dict(gram=gram, h0=h, c=1e3 * c, y=y, activation="relu", scaling="ntk"),
        certificates.units_needed: dict(n=20, accuracy=0.1, failure=0.01),
        certificates.chernoff_failure: dict(n_features=10, lam=0.1, n=4, bound=2.0, shortfall=0.5),
        certificates.features_needed: dict(lam=0.1, n=4, bound=2.0, shortfall=0.5, failure=0.1),
        certificates.ball_radius: dict(gram=gram, loss0=0.5, c_hat=1.0, slope_max=1.5, rate=0.1),
        certificates.rademacher_bound: dict(gram=gram, radius=2.0, c_hat=1.0, slope_max=1.5),
        experiments.train_and_test: dict(
            **sets, model="three_layer", scaling="ntk", n_units=6, n_features=8, stop_ratio=0.9, rtol=1e-3, atol=1e-3
        ),
        experiments.random_feature_error: dict(**sets, n_features=8),
        features.linear_features: dict(X=X),
        features.RandomFeatures: dict(u=X, b=y, kind="fourier"),
        features.draw_features: dict(n_features=3, d=2, rng=rng, kind="fourier"),
        features.feature_kernel: dict(X1=X, X2=X[:2], kind="fourier"),
        flow.draw_units: dict(n_units=4, n_features=3, rng=rng, c_hat=2.0),
        flow.node_scales: dict(n_units=4, share=0.5, decay=2.5),
        flow.draw_functions: dict(kernel=gram, n_units=4, rng=rng, c_hat=2.0),
        flow.output: network,
        flow.velocity: dict(**network, y=y),
        flow.tangent_kernel: dict(gram=gram, h=h, c=c, activation="sine"),
        flow.flow: dict(
            gram=gram, h0=h, c=c, y=y, activation="sine", times=np.array([0.0, 1.0]), scaling="ntk", stop_ratio=0.5,
            method="RK45", rtol=1e-3, atol=1e-3, max_steps=100,
        ),
        nets.ThreeLayerNetwork: dict(
            c=c, W=rng.standard_normal((6, 4)), activation="sine", first=features.RandomFeatures(X, y, "relu"),
            scaling="ntk", device="cpu",
        ),
    }  # fmt: skip


#: What comes of a value that is bad elsewhere and right here: beginnings of lines of :func:`walk.faults`.
RIGHT = {
    "flow.flow": tuple(f"{name} = None passed" for name in ("stop_ratio", "rtol", "atol", "max_steps")),
    "experiments.train_and_test": tuple(
        f"{name} = None" for name in ("stop_ratio", "rtol", "atol")
    ),  # slow, too
    # any number of features, or several, each with its bound
    "certificates.chernoff_failure": tuple(
        f"n_features = {value} passed" for value in ("[1.0, 2.0]", "array([1., 1.])", "2.5", "2.0", "True")
    ),
    "nets.ThreeLayerNetwork": ("first = None passed",),
}

test_bad_values_are_refused_by_name, test_other_forms_change_nothing = walk.over(MODULES, calls, APART, RIGHT)

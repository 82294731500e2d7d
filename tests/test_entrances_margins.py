"""Every public function on the margins of gated networks refuses bad input by the argument's name, and at once."""

import numpy as np

from gdln.synthesis import margin_descent, margins
from tests import test_entrances as walk

MODULES = (margins, margin_descent)
#: Results, which keep what they are given.
APART = {"MaxMargin", "MarginTrajectory"}


def calls():
    """A good call of every public function: arguments by name."""
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((4, 5)), rng.choice([-1.0, 1.0], 4)
    gates = margins.private_gates(X, 3, rng, 1)
    features = margins.gated_features(gates, X)
    task = dict(features=features, y=y)
    shared = dict(gates=gates[0], X=X, y=y)
    search = dict(tolerance=1e-2, max_steps=50, smoothing=True)
    run = dict(n_steps=3, rng=rng, lr=0.02, gain=0.1, record_every=2)
    return {
        margins.private_gates: dict(X=X, n_units=3, rng=rng, n_planes=2),
        margins.gated_features: dict(gates=gates, X=X),
        margins.norm: dict(beta=features[:, 0], kind="group"),
        margins.l2_margin: task,
        margins.group_margin: dict(**task, **search),
        margins.nuclear_margin: dict(**shared, **search),
        margin_descent.simulate_linear: dict(**task, **run),
        margin_descent.simulate_private: dict(**task, **run, widths=[2]),
        margin_descent.simulate_shared: dict(**shared, **run, width=3),
    }


#: What comes of a value that is bad elsewhere and right here: beginnings of lines of :func:`walk.faults`.
RIGHT = {
    "margins.norm": ("beta = array([[[[",),  # of a stack of any shape
    "margin_descent.simulate_private": ("widths = [] passed", "widths = [2, 2, 2] passed"),
}

test_bad_values_are_refused_by_name, test_other_forms_change_nothing = walk.over(MODULES, calls, APART, RIGHT)

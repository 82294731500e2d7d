"""Every public function of the chapters on two points and on codes refuses bad input by the argument's name."""

import numpy as np

from gdln.synthesis import coding, coding_sampling, two_points, two_points_nets
from tests import test_entrances as walk

MODULES = (coding, coding_sampling, two_points, two_points_nets)
#: Results, which keep what they are given.
APART = {
    "CodeChain", "CodeStatistics", "Design", "LinearCode", "UnitLaw",
    "PairFit", "PairLine", "PairSolution", "PairTrajectory",
}  # fmt: skip


def calls():
    """A good call of every public function: arguments by name."""
    times = np.linspace(0, 10, 40)
    start, data, rates = dict(h0=0.3, y0=0.1, w0=0.05), dict(d_x=1.5, d_y=0.5), dict(eta_h=0.7, eta_y=1.3)
    path = two_points.solve_pair(**start, **data, **rates, times=times)
    curves = dict(h=path.h, y=path.y)
    rng = np.random.default_rng(0)
    X, labels = rng.standard_normal((6, 9)), np.arange(6) % 3
    network = dict(a=rng.random((5, 3)), phi=rng.random((5, 6)))
    K0, Y = X @ X.T / 9, np.eye(3)[labels]
    return {
        coding.solve_linear_code: dict(K0=K0, Y=Y, temperature=0.1, sigma2=0.2, rtol=1e-12),
        coding.mixed_code_cost: dict(n_classes=4, n_active=2),
        coding.design: dict(
            codes=np.array([[1, 1], [1, 0], [0, 1]]), probabilities=np.array([0.2, 0.4, 0.4])
        ),
        coding.optimal_design: dict(n_classes=3, n_steps=10_000, rtol=1e-9),
        coding.unit_law: dict(**network, fields=rng.standard_normal((6, 3)), sigma2=0.2),
        coding.code_statistics: dict(**network, labels=labels),
        coding.own_outputs: dict(**network, labels=labels),
        coding.class_codes: dict(phi=network["phi"], labels=labels),
        coding.class_share: dict(K=K0, labels=labels),
        coding.class_alignment: dict(K=K0, Y=Y),
        coding.persistence: dict(before=rng.random((5, 3)), after=rng.random((5, 3))),
        coding_sampling.sample_codes: dict(
            K0=K0,
            Y=Y,
            width=4,
            activation="relu",
            temperature=0.1,
            sigma2=0.2,
            rng=np.random.default_rng(0),
            n_trajectories=16,
            n_kept=2,
            scaling="mean_field",
        ),
        two_points.pair_velocity: dict(**curves, w=path.w, **data, **rates),
        two_points.solve_pair: dict(**start, **data, **rates, times=times),
        two_points.invariant: dict(**curves, d_x=1.5, **rates),
        two_points.final_distance: {
            name: np.array([value, 1.1 * value])
            for name, value in dict(h0=0.3, y0=0.1, **data, ratio=0.5, readout=0.6).items()
        },
        two_points.rich_rise: dict(t=times, t_half=3.0, **data, **rates),
        two_points.pair_loss: dict(y=path.y, w=path.w, d_y=0.5, mean_error=path.y),
        two_points.fit_rates: dict(**curves, w=path.w, **data, times=times),
        two_points.straightness: dict(**curves, above=0.02),
        two_points_nets.simulate_pair: dict(
            X=np.array([[-1.0], [0.0]]),
            Y=np.array([[0.6], [1.3]]),
            width=4,
            depth=2,
            activation="tanh",
            gain=0.8,
            lr=0.05,
            n_steps=5,
            rng=np.random.default_rng(0),
            stop_below=1e-6,
        ),
        two_points_nets.simulate_one_unit: dict(
            a=0.5, b=np.array([0.3, 0.1]), target=np.array([1.0, 0.5]), d_x=1.5, **rates, times=times
        ),
    }


def any_shape(*names):
    """Lines of arrays with more axes, for what is taken element by element."""
    return tuple(f"{name} = array([[[[" for name in names)


#: What comes of a value that is bad elsewhere and right here: beginnings of lines of :func:`walk.faults`.
RIGHT = {
    "two_points.pair_velocity": any_shape("y", "w"),
    "two_points.invariant": any_shape("y"),
    "two_points.final_distance": (*any_shape("h0", "y0", "d_x", "d_y", "ratio", "readout"), "readout = None"),
    "two_points.pair_loss": any_shape("y", "w", "mean_error"),
    "two_points.rich_rise": ("t_half = -1 passed",),
    "two_points_nets.simulate_one_unit": ("a = -1 passed",),  # a difference
}

test_bad_values_are_refused_by_name, test_other_forms_change_nothing = walk.over(MODULES, calls, APART, RIGHT)

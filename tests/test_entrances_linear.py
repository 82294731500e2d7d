"""Every public function of the race and of linear networks refuses bad input by the argument's name, and at once."""

import numpy as np

from gdln.linear import modes, riccati, simulation
from tests import test_entrances as walk

MODULES = (modes, simulation, riccati)
#: Records, which keep what they are given.
APART = {"Modes", "ChainTrajectory", "LinearTrajectory", "Moments"}


def calls():
    """A good call of every public function: arguments by name."""
    rng = np.random.default_rng(0)
    mode = dict(s=np.array([1.0, 2.0]), a0=np.array([0.1]), d=np.array([1.5]), tau=2.0)
    chain = dict(t=np.array([0.5]), s=np.array([1.0]), d=np.array([1.5]), tau=2.0)
    sigma_yx = rng.standard_normal((2, 3))
    correlated = dict(sigma_yx=sigma_yx, sigma_x=np.eye(3))
    balanced = riccati.lambda_balanced_weights((2, 3), 0.5, 0.1, 2, rng)
    moments = riccati.solve(balanced, sigma_yx, [0.0, 1.0])
    return {
        modes.mode_strength: dict(t=np.array([0.5]), **mode),
        modes.mode_time: dict(a=np.array([0.2]), **mode),
        modes.chain_weights: dict(**chain, b1=np.array([0.1]), b2=np.array([-0.2])),
        modes.mode_strength_unbalanced: dict(**chain, a0=np.array([0.1]), q=np.array([-0.2])),
        modes.depth_time: dict(a=np.array([0.2]), **mode, depth=3),
        modes.depth_strength: dict(t=np.array([0.5]), **mode, depth=3),
        modes.modes: dict(**correlated, rank=2),
        modes.correlations: dict(X=rng.standard_normal((5, 3)), Y=rng.standard_normal((5, 2))),
        simulation.simulate_chain: dict(weights=np.array([0.1, 0.2]), s=1.0, lr=0.1, n_steps=2, d=1.0),
        simulation.decoupled_weights: dict(
            basis=modes.modes(sigma_yx, np.eye(3)), widths=[4, 5], a0=np.array([0.1, 0.2]), rng=rng
        ),
        simulation.random_weights: dict(widths=[3, 4, 2], deviation=0.1, rng=rng),
        simulation.ntk_weights: dict(widths=[3, 4, 2], rng=rng),
        simulation.simulate: dict(
            weights=[np.ones((4, 3)), np.ones((2, 4))], **correlated, lr=0.1, n_steps=2, record_every=1,
            method="rk4", rates=[1.0, 0.5],
        ),
        riccati.lambda_balanced_weights: dict(
            basis=(2, 3), imbalance=0.5, strengths=np.array([0.1, 0.2]), width=2, rng=rng
        ),
        riccati.imbalance_of: dict(weights=balanced),
        riccati.solve: dict(weights=balanced, sigma_yx=sigma_yx, times=np.array([0.0, 1.0]), tau=1.0),
        riccati.kernel_distance: dict(moments=moments, reference=1),
        riccati.moments_of: dict(
            W1=np.ones((4, 2, 3)), W2=np.ones((4, 1, 2)), times=np.arange(4.0)
        ),
    }  # fmt: skip


#: What comes of a value that is bad elsewhere and right here: beginnings of lines of :func:`walk.faults`.
RIGHT = {
    # any shape
    **{
        f"modes.{name}": tuple(f"{argument} = array([[[[" for argument in arguments)
        for name, arguments in {
            "mode_strength": ("s", "a0"),
            "mode_time": ("a", "s", "a0"),
            "chain_weights": ("s", "b1", "b2"),
            "mode_strength_unbalanced": ("s", "a0"),
            "depth_time": ("a", "s", "a0"),
            "depth_strength": ("s", "a0"),
        }.items()
    },
    "modes.modes": ("rank = None passed",),
    "riccati.kernel_distance": ("reference = -1 passed",),  # the last time
    "riccati.lambda_balanced_weights": ("imbalance = -1 passed",),
    "simulation.decoupled_weights": ("widths = [4, 4, 4] passed",),
    "simulation.ntk_weights": ("widths = [3, 3, 3] passed",),
    "simulation.random_weights": ("widths = [3, 3, 3] passed",),
    "simulation.simulate": ("rates = None passed",),
    "simulation.simulate_chain": ("s = -1 passed",),
}  # fmt: skip

test_bad_values_are_refused_by_name, test_other_forms_change_nothing = walk.over(MODULES, calls, APART, RIGHT)

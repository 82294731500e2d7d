"""Every public function of the part that holds all theories together refuses bad input by the argument's name."""

import numpy as np

from gdln.synthesis import experiments, gibbs, measures, moments, network, posterior, theories
from tests import test_entrances as walk

MODULES = (experiments, gibbs, measures, moments, network, posterior, theories)
#: Results, which keep what they are given.
APART = {
    "Comparison", "ReadoutChain", "MapTrajectory", "MomentTrajectory", "Questions", "WeightTrajectory",
}  # fmt: skip

FEW = network.digits_questions(40, 4, np.random.default_rng(0), n_test=10)


def calls():
    """A good call of every public function: arguments by name."""
    rng = np.random.default_rng(0)
    A, W = network.antisymmetric_weights(4, 3, 8, np.random.default_rng(1))
    sigma, s = FEW.sigma.copy(), np.array([0.9, 0.4])
    times = np.linspace(0, 9, 40)
    run = network.simulate(A, W, sigma, 0.5, times)
    F, P, Q = moments.of_weights(A, W, 0.5)
    start = dict(F=F, P=P, Q=Q, sigma=sigma)
    theory = dict(s=s, gamma=0.3, theory="align_ada")
    sizes = dict(n_inputs=4, n_outputs=3, width=6, rng=rng)
    tolerances = dict(rtol=1e-8, atol=1e-10)
    return {
        experiments.compare: dict(A=A, W=W, questions=FEW, gamma=0.5),
        experiments.compare_posterior: dict(
            questions=FEW, gamma=1.0, noise=0.5, width=4, n_sweeps=6, rng=rng
        ),
        experiments.distance: dict(F=F, reference=sigma, X=FEW.X.copy()),
        gibbs.sample: dict(sigma=sigma, gamma=1.0, noise=0.5, width=4, n_sweeps=3, rng=rng, n_burn=2),
        measures.half_times: dict(run=run, sigma=sigma),
        measures.kernel_movement: dict(start=(P, Q), end=(2 * P, Q)),
        measures.maps_at: dict(run=run, times=np.array([0.5, 1.0])),
        measures.rising: dict(times=times),
        measures.stop_map: dict(run=run, sigma=sigma, fraction=0.5),
        moments.certified_rate: dict(P=run.P.copy(), Q=run.Q.copy()),
        moments.of_weights: dict(A=A, W=W, gamma=0.5),
        moments.solve_frozen: dict(**start, times=times),
        moments.solve_moments: dict(**start, gamma=0.5, times=times[:4], **tolerances),
        network.antisymmetric_weights: sizes,
        network.digits_questions: dict(n_train=30, n_inputs=4, rng=rng, n_test=5),
        network.normal_weights: sizes,
        network.predicted_weights: dict(run=run, gamma=0.5),
        network.simulate: dict(
            A=A, W=W, sigma=sigma, gamma=0.5, times=times[:4], rule="backprop", **tolerances
        ),
        network.weight_cosine: dict(run=run, gamma=0.5),
        posterior.accidental_width: dict(s=s, gamma=1.0, noise=0.5, n_inputs=4),
        posterior.mean_map: dict(sigma=sigma, gamma=1.0, noise=0.5, width=5, theory="finite_width"),
        posterior.noise_ratio: dict(temperature=0.1, width=5, gamma=1.0, n_samples=20),
        posterior.readout: dict(s=s, gamma=1.0, noise=0.5, rank_ratio=0.2),
        theories.cosine: dict(s=s, gamma=0.3),
        theories.mode_half_times: theory,
        theories.movement: dict(**theory, n_inputs=4),
        theories.response: dict(E=np.array([0.1, 0.4]), gamma=0.3, theory="align_ada"),
        theories.solve: dict(sigma=sigma, gamma=0.3, theory="align_ada", times=times),
        theories.strengths: dict(t=times, **theory),
    }


#: Right here, and what comes of it.
RIGHT = {"theories.response": ("E = array([[[[0.1]]]",)}  # taken element by element

test_bad_values_are_refused_by_name, test_other_forms_change_nothing = walk.over(MODULES, calls, APART, RIGHT)

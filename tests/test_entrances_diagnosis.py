"""Every public function of the diagnosis refuses bad input by the argument's name, and at once."""

import numpy as np
import torch

from gdln.diagnosis import (
    bayes,
    kernels,
    known,
    layers,
    linearisation,
    measure,
    modes,
    networks,
    report,
    verdict,
)
from gdln.kernels.moments import FullyConnected
from tests import test_entrances as walk

MODULES = (bayes, kernels, known, layers, linearisation, measure, modes, networks, report, verdict)
#: Results, which keep what they are given.
APART = {"LinearisedRun", "ModeCourse", "LayerChange", "Verdict", "Diagnosis", "Descent", "Erf", "Thresholds"}


def calls():
    """A good call of every public function: arguments by name."""
    rng = np.random.default_rng(0)
    generator = torch.Generator().manual_seed(0)
    X, X_test, Y = rng.standard_normal((6, 3)), rng.standard_normal((4, 3)), rng.standard_normal((6, 2))
    start = known.perceptron([3, 4, 2], generator=torch.Generator().manual_seed(0))
    x, y = torch.tensor(X), torch.tensor(Y)
    end = known.descend(start, x, y, lr=0.1, n_steps=12, stop=0).checkpoints
    trained = end[-1][1]
    both = dict(initial=start, trained=trained)
    net = dict(model=start, X=X)
    K = kernels.tangent_kernel(start, x).numpy()
    K_test = kernels.tangent_kernel(start, X_test, x).numpy()
    F0 = start(x).detach().numpy()
    runs = np.stack([0 * Y, Y / 2, Y])
    vector = rng.standard_normal(5)
    layer = torch.nn.Linear(3, 2, bias=False, dtype=torch.float64)
    return {
        networks.Network: dict(model=start),
        networks.pair: both,
        networks.flat: dict(model=start),
        kernels.tangent_kernel: dict(**net, X2=X_test, outputs="all", memory=1e6),
        kernels.movement: dict(before=K[:, 0, :, 0], after=2 * K[:, 0, :, 0]),
        kernels.centred_alignment: dict(before=K[:, 0, :, 0], after=K[:, 1, :, 1]),
        kernels.heard: net,
        kernels.features: net,
        kernels.feature_kernels: net,
        linearisation.weight_gap: dict(**both, X=X),
        linearisation.train_linearised: dict(
            kernel=K, test_kernel=K_test, F0=F0, F0_test=start(torch.tensor(X_test)).detach().numpy(), Y=Y,
            loss="squared", time=1.5, until=None,
        ),
        linearisation.linearised_gap: dict(outputs=Y, linearised=0.9 * Y, start=0 * Y),
        modes.mode_strengths: dict(X=X, Y=Y, outputs=runs, n_modes=2),
        modes.mode_course: dict(X=X, Y=Y, outputs=runs, times=np.array([0.0, 1.0, 2.0]), n_modes=2),
        modes.spread: dict(half_times=np.array([1.0, 2.0])),
        layers.integrated_error: dict(errors=runs, times=np.array([0.0, 1.0, 2.0]), lr=0.1),
        layers.predicted_changes: dict(**net, E=Y),
        layers.layer_changes: dict(**both, X=X, E=Y, rng=rng),
        layers.effective_rank: dict(change=X),
        layers.imbalance: dict(model=start),
        bayes.drift: dict(late=vector, half=vector + 1),
        bayes.memory: dict(late=vector, start=vector + 1),
        bayes.stationary: dict(losses=np.array([4.0, 3.0, 2.0, 1.0])),
        bayes.process_distance: dict(first=Y + 0.1, second=Y + 0.2, process=Y),
        bayes.readout_scale: dict(readouts=rng.standard_normal((3, 5)), sigma2=1.0),
        bayes.infinite_width: dict(
            network=FullyConnected(1, "relu"), X=X, Y=Y, X_test=X_test, temperature=0.1
        ),
        verdict.decide: dict(measures={"movement": 0.02, "trained_gap": 0.03}, thresholds=verdict.THRESHOLDS),
        verdict.width_exponent: dict(widths=np.array([8.0, 32.0, 128.0]), movements=np.array([0.5, 0.2, 0.1])),
        measure.diagnose: dict(
            model=start, train=end, data=(X, Y), rng=rng, test=X_test, loss="squared", lr=0.1, n_probe=4,
            infinite=FullyConnected(1, "relu"), temperature=0.1, sigma2=1.0, width_exponent=-0.5, memory=1e6,
        ),
        known.Gain: dict(layer=layer, gain=1.0, generator=generator),
        known.perceptron: dict(
            widths=[3, 4, 2], activation="tanh", generator=generator, gain=1.0, dtype=torch.float64, device="cpu"
        ),
        known.convolutional: dict(
            channels=2, n_outputs=2, activation="relu", generator=generator, dtype=torch.float64, device="cpu"
        ),
        known.Centred: dict(net=start, scale=2.0),
        known.parity_digits: dict(n=4, n_test=3, rng=rng, scale=2.0, dtype=torch.float64, device="cpu"),
        known.descend: dict(model=start, X=x, Y=y, loss="squared", lr=0.1, share=0.5, n_steps=3, stop=0.1),
        known.langevin: dict(
            model=start, X=x, Y=y, temperature=0.2, lr=0.01, n_steps=4, n_records=2, generator=generator
        ),
    }  # fmt: skip


#: What comes of a value that is bad elsewhere and right here: beginnings of lines of :func:`walk.faults`.
RIGHT = {
    "bayes.readout_scale": ("readouts = array([[[[[",),  # of any shape
    "known.Gain": ("gain = -1 passed",),  # a sign
    "known.parity_digits": ("scale = -1 passed",),
    "known.perceptron": ("gain = -1 passed", "gain = None passed", "widths = [3, 3, 3] passed"),
    "linearisation.train_linearised": ("time = inf gave", "until = None passed"),
    "measure.diagnose": (
        "train = [(0.1,",  # one checkpoint three times
        "test = None passed",
        "infinite = None passed",
        "sigma2 = None passed",
        "width_exponent = None passed",
        "width_exponent = -1 passed",
    ),
    # samples of any shape
    "modes.mode_course": ("X = array([[[[[",),
    "modes.mode_strengths": ("X = array([[[[[",),
    "modes.spread": ("half_times = array([ 1., inf]) passed",),  # one never got there
    # what was not measured is left away
    "verdict.decide": (
        "measures = {'movement': 0.02",
        "measures = {'trained_gap'",
        "measures = {'movement': None",
    ),
}

test_bad_values_are_refused_by_name, test_other_forms_change_nothing = walk.over(MODULES, calls, APART, RIGHT)

"""Every public function of the torch networks and of their training refuses bad input by the argument's name."""

import numpy as np
import pytest
import torch

from gdln.nets import mlp, training
from tests import test_entrances as walk

MODULES = (mlp, training)
#: A result, which keeps what it is given.
APART = {"TrainingTrajectory"}


def calls():
    """A good call of every public function: arguments by name."""
    generator = torch.Generator().manual_seed(0)

    def net():
        return mlp.MLP([3, 4, 2], "tanh", generator=generator)

    X = torch.randn(5, 3, generator=generator, dtype=torch.float64)
    Y = torch.randn(5, 2, generator=generator, dtype=torch.float64)
    steps = dict(
        loss="squared", X=X, Y=Y, lr=0.1, n_steps=2, record_every=1, record=("weights",), momentum=0.5, divergence=10.0,
        device="cpu",
    )  # fmt: skip
    return {
        mlp.initial_weights: dict(
            n_out=2, n_in=3, parametrisation="xavier", gain=1.0, generator=generator, dtype=torch.float64,
            device="cpu",
        ),
        mlp.MLP: dict(
            widths=(3, 4, 2), activation="tanh", parametrisation="ntk", gains=(1.0, 2.0), generator=generator,
            bias_gain=0.1, dtype=torch.float64, device="cpu",
        ),
        mlp.Tap: dict(net=net(), layer=0),
        mlp.upper_part: dict(net=net(), layer=0),
        training.half_squared_error: dict(outputs=X, Y=X + 1),
        training.cross_entropy: dict(outputs=X, labels=torch.arange(5) % 3),
        training.minibatches: dict(n=5, batch_size=2, generator=generator, device="cpu"),
        training.gradient_descent: dict(model=net(), **steps, parameters=("weights.0",)),
        training.gradient_flow: dict(
            model=net(), loss="squared", X=X, Y=Y, times=np.array([0.0, 0.1]), record=("weights",), tau=1.0,
            rtol=1e-6, atol=1e-6, method="RK45", device="cpu",
        ),
        training.ensemble: dict(models=[net(), net()], **steps, own_data=False, chunk_size=1),
    }  # fmt: skip


#: What comes of a value that is bad elsewhere and right here: beginnings of lines of :func:`walk.faults`.
RIGHT = {
    "mlp.initial_weights": ("gain = -1 passed",),  # a sign
    "mlp.MLP": ("bias_gain = None passed", "widths = (3, 3, 3) passed"),
    "mlp.Tap": ("layer = -1 passed",),  # counted from the end
    # by such a loss a run knows that it diverged
    "training.half_squared_error": tuple(
        f"{name} = tensor([[ {start}" for name, start in (("outputs", 1), ("Y", 2))
    ),
    "training.cross_entropy": ("outputs = tensor([[ 1",),
    "training.gradient_descent": (
        "record = [] passed",
        "record = ('weights', 'w",
        "parameters = None passed",
        "momentum = -1",
        "parameters = ('weights.0', 'w",
        "divergence = inf passed",
        "device = None passed",  # where the weights lie
    ),
    "training.gradient_flow": ("record = [] passed", "record = ('weights', 'w", "device = None passed"),
    "training.ensemble": (
        "record = [] passed",
        "record = ('weights', 'w",
        "momentum = -1",
        "chunk_size = None passed",
        "divergence = inf passed",
        "models = [MLP",
        "device = None passed",
    ),
}

test_bad_values_are_refused_by_name, test_other_forms_change_nothing = walk.over(MODULES, calls, APART, RIGHT)


@pytest.mark.parametrize(
    "function", [training.gradient_descent, training.gradient_flow, training.ensemble], ids=walk.name_of
)
@pytest.mark.parametrize("name", ["X", "Y"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_not_finite_are_not_taken_for_a_run_that_diverged(function, name, value):
    good = calls()[function]
    broken = good[name].clone()
    broken[-1, -1] = value
    with pytest.raises(ValueError, match=f"^{name} needs finite numbers"):
        function(**{**good, name: broken})


@pytest.mark.parametrize(
    "function", [training.gradient_descent, training.gradient_flow, training.ensemble], ids=walk.name_of
)
def test_training_leaves_its_data_alone(function):
    start, good = calls()[function], calls()[function]
    function(**good)
    assert torch.equal(good["X"], start["X"]) and torch.equal(good["Y"], start["Y"])

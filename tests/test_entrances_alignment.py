"""Every public function of the part on alignment refuses bad input by the argument's name, and at once."""

from functools import partial

import numpy as np
import torch

from gdln.alignment import convolutional, experiments, perceptrons, recurrent, routing, rules, scores, theory
from gdln.data import images
from gdln.nets.mlp import MLP
from tests import test_entrances as walk

MODULES = (convolutional, experiments, perceptrons, recurrent, routing, rules, scores, theory)
#: Results, which keep what they are given; what speaks for the functions that call it.
APART = {
    "LayerKernels", "ImageTask", "AlignmentScores", "RuleResult", "need_batch", "need_stack",
    "need_data",
}  # fmt: skip

FEW = images.digits().subset(slice(0, 20))


def layers_of(network):
    return len(network.weights)


def twice(x):
    return 2 * x


def calls():
    """A good call of every public function: arguments by name."""
    rng = np.random.default_rng(0)
    A, B, X = rng.standard_normal((3, 4)), rng.standard_normal((3, 4)), rng.standard_normal((5, 4))
    E, kernel = rng.standard_normal((5, 2)), X @ X.T
    layers = dict(weights=[A, rng.standard_normal((2, 3))], gains=np.array([1.0, 1.5]), X=X)
    generator = torch.Generator().manual_seed(0)

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    x, y, labels = normal(6, 3), normal(6, 2), torch.tensor([0, 1, 1, 0, 1, 0])
    stack = perceptrons.Perceptrons.draw([3, 4, 2], 2, generator=generator)
    sources = dict(n_seeds=2, generator=generator)
    epoch = dict(x=x, y=y, lr=0.1, n_epochs=1, generator=generator, batch_size=3)
    model = MLP([3, 4, 2], "relu", "ntk", generator=generator)
    parts = dict(n_train=5, rng=rng)
    task = experiments.image_task(FEW, **parts, n_validation=3, n_test=3)
    draw = partial(perceptrons.Perceptrons.draw, (64, 3, 10), 1)
    return {
        convolutional.ConvolutionalNets: dict(
            channels=2, strides=[1, 2], n_outputs=2, **sources, n_inputs=1, dtype=torch.float64, device="cpu"
        ),
        convolutional.convolution_gram: dict(
            change=normal(2, 9), stride=1, probes=rng.standard_normal((2, 1, 4, 4))
        ),
        experiments.image_task: dict(
            image_set=FEW, **parts, n_validation=3, n_test=3, flat=True, dtype=torch.float64, device="cpu"
        ),
        experiments.digits_task: parts,
        experiments.measure_alignment: dict(
            x=x, y=y, width=3, depth=1, generator=generator, rng=rng, lr=0.1, checkpoints=(1, 2), device="cpu"
        ),
        experiments.train_rule: dict(
            rule="feedback",
            tasks=[task],
            draw=draw,
            generators=[(generator, generator)],
            lrs=(0.1, 0.2),
            n_epochs=1,
            batch_size=2,
            device="cpu",
        ),
        experiments.train_with_prediction: dict(network=stack, **epoch, device="cpu"),
        perceptrons.Perceptrons: dict(
            weights=[normal(2, 4, 3), normal(2, 2, 4)], multipliers=(1.0, 0.5), activations=("relu", "linear")
        ),
        recurrent.RecurrentNets: dict(n_inputs=2, width=3, **sources, dtype=torch.float64, device="cpu"),
        routing.RoutingNets: dict(
            mask=np.eye(2, dtype=bool), n_inputs=3, n_outputs=2, width=4, gain=0.5, **sources, device="cpu"
        ),
        rules.Learner: dict(network=stack, rule="feedback", generator=generator, device="cpu"),
        rules.accuracy: dict(network=stack, x=x, labels=labels),
        rules.fill_gradients: dict(
            model=model,
            learner=rules.Learner(perceptrons.Perceptrons.from_models([model]), "align_zero"),
            x=x,
            y=y,
        ),
        rules.train: dict(
            learner=rules.Learner(stack, "backprop"), **epoch, evaluate=layers_of, progress=False
        ),
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
    "convolutional.ConvolutionalNets": ("strides = [1, 1, 1] passed",),
    "experiments.train_rule": ("lrs = (0.1, 0.1, 0.1) passed", "device = None passed"),
    # where the weights lie
    "experiments.train_with_prediction": ("device = None passed",),
    "rules.Learner": ("device = None passed",),
    "rules.train": ("evaluate = None passed",),
    "theory.integrated_error": ("n_samples = None passed",),
    "theory.hebbian_gram": ("gain = -1 passed",),  # a sign
    "scores.probe_score": ("shape = (2, 2, 2) passed",),
}

test_bad_values_are_refused_by_name, test_other_forms_change_nothing = walk.over(MODULES, calls, APART, RIGHT)

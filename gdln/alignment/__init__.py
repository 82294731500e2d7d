"""Input-weight alignment: what the inputs of a layer say about how its weights will change.

Start with ``theory``: kernels of a wide network at the start, the time-integrated error, and the weight changes they
predict. ``scores`` says how far a predicted change agrees with a measured one. From the prediction come learning rules:
``rules`` has them all, with one ``Learner`` for any stack of networks, which are ``perceptrons``, ``convolutional``,
``recurrent`` or the pathway networks of ``routing``. ``experiments`` runs theory and rules on the digits.

All but ``theory`` and ``scores`` need torch and are imported by name.
"""

from gdln.alignment.scores import entrywise_cosine, gram_score, probe_score, scale_ratio
from gdln.alignment.theory import (
    LayerKernels,
    frozen_inputs,
    hebbian_gram,
    integrated_error,
    layer_kernels,
    predicted_changes,
)

__all__ = [
    "LayerKernels",
    "entrywise_cosine",
    "frozen_inputs",
    "gram_score",
    "hebbian_gram",
    "integrated_error",
    "layer_kernels",
    "predicted_changes",
    "probe_score",
    "scale_ratio",
]

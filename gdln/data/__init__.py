"""Tasks and images: every number that enters a theory or a simulation, and nothing that learns.

``tasks`` makes small structured tasks (hierarchies, contexts, routes between domains, points on a sphere);
``images`` reads digits, MNIST and their relatives, and permutes or rotates them; ``regression`` turns teachers and
images into inputs and targets, cut into a part to learn from and a part to predict.

From here data flows one way: into a graph or gates and a theory's ``solve``, or into a network and its training.
"""

from gdln.data.images import ImageSet, centre, centred_rows, digits, load, one_hot, whiten
from gdln.data.regression import Regression, even_odd, relu_teacher
from gdln.data.tasks import GatedTask, RoutingTask, contextual, hierarchical, xor

__all__ = [
    "GatedTask",
    "ImageSet",
    "Regression",
    "RoutingTask",
    "centre",
    "centred_rows",
    "contextual",
    "digits",
    "even_odd",
    "hierarchical",
    "load",
    "one_hot",
    "relu_teacher",
    "whiten",
    "xor",
]

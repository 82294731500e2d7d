"""One network, many theories: what each of them says of the same network, and where it is right.

Start with ``network``: three questions about digits, one gated linear network with a scale and a width, and the flow
of all its weights. ``moments`` is the equation that this network obeys at every width; ``theories`` are what remains
of it in five limits, each one function of the integrated error. ``posterior`` is the same network as a Bayesian, and
``gibbs`` samples its weights. ``measures`` asks runs and theories the same questions: when is a mode half learned,
what does the network say when it is stopped, how far did the kernel move. ``experiments`` makes one cell of the map.

``two_points`` follows two points through any network by three equations and two rates; held against it are the networks
of ``two_points_nets``.

``coding`` says how a wide Bayesian network codes its classes, by the law of one neuron; ``coding_sampling`` samples all
weights of such networks.

``margins`` solves for the largest margin that a gated network can reach for the norm that its wiring keeps small, and
proves how close the solution is; ``margin_descent`` trains the networks.
"""

from gdln.synthesis.measures import half_times, kernel_movement, stop_map
from gdln.synthesis.moments import certified_rate, solve_frozen, solve_moments
from gdln.synthesis.network import antisymmetric_weights, digits_questions, simulate, weight_cosine
from gdln.synthesis.posterior import mean_map, readout
from gdln.synthesis.theories import mode_half_times, movement, response

__all__ = [
    "antisymmetric_weights",
    "certified_rate",
    "digits_questions",
    "half_times",
    "kernel_movement",
    "mean_map",
    "mode_half_times",
    "movement",
    "readout",
    "response",
    "simulate",
    "solve_frozen",
    "solve_moments",
    "stop_map",
    "weight_cosine",
]

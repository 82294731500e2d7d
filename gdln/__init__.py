"""How gated, linear and wide networks learn: theories, and simulations that do not use them.

The modules stand on four floors and import only from their own floor or below, never in a circle:

- ground: ``checks``, ``claims``, ``plotting``, ``results``, ``sweep``, and what only integrates, ``integration``;
- objects: data (``datasets``, ``images``, ``teachers``), gated graphs (``graph``, ``propagation``,
  ``bases``), gates and their kernels (``gates``, ``patches``, ``gated_kernels``), kernels of wide networks
  (``moments``, ``kernels``, ``spectrum``, ``tangent``, ``features``, ``activations``);
- theories: deep linear networks (``linear``, ``riccati``), the race (``race``, ``routing``, ``trees``),
  kernel renormalization (``renormalization``, ``saddle``, ``bayesian_linear``, ``posterior``,
  ``estimators``, ``generalisation``), bottlenecks (``function_space``, ``bottleneck``,
  ``bottleneck_training``, ``bottleneck_linear``, ``speedup``), mean-field networks (``meanfield``,
  ``certificates``, ``comparison``), alignment (``alignment``), and plain simulations in numpy (``flows``,
  ``routes``, ``contexts``, ``learned_gates``);
- networks, which need torch: ``networks``, ``training``, ``pathways``, ``langevin``, ``three_layer``,
  ``learning_rules``, ``recurrent``, ``convolutional``, ``routing_rules``, ``alignment_training``.

Import the module you need: ``from gdln import race``.
"""

from importlib.metadata import version

__version__ = version("gdln")

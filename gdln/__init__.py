"""How gated, linear and wide networks learn: theories, and simulations that do not use them.

One package a part of the book, over a common ground. Each package's docstring tells its story. Imports go only to
floors below, or stay in the package:

- ground, modules that know nothing of ours: ``activations``, ``checks``, ``claims``, ``fingerprint``,
  ``integration``, ``optional``, ``plotting``, ``results``, ``sweep``;
- what the parts share: ``data`` (tasks and images), ``nets`` (networks in torch and their training), ``kernels``
  (infinitely wide networks, function space; may use ``data``), ``linear`` (deep linear networks);
- a part each, and no part imports another: ``race``, ``renormalization``, ``bottleneck``, ``convergence``,
  ``alignment``, ``synthesis``;
- above the parts ``diagnosis``, which may use all of them: which theory describes a network of one's own.

Data flows one way: from ``data`` to gates or a graph, a theory's ``solve`` and its result; and from ``data`` to
networks, training and a trajectory. The two meet in a chapter or a test. Importing a package loads no torch; modules
that need it are imported by name::

    from gdln.data import hierarchical
    from gdln.race import GatedGraph, correlations, reduce_flow
"""

from importlib.metadata import version

__version__ = version("gdln")

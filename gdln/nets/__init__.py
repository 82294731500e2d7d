"""Fully connected networks in torch and their training: the measurements the theories are held against.

``mlp`` builds networks in the parametrisations of the papers and cuts them open (``Tap``, ``upper_part``);
``training`` runs gradient descent and gradient flow on any torch model and records the way; ``devices`` says where
tensors lie. The parts' own networks (``race.nets``, ``convergence.nets``) start from here; no theory does.

All need torch (``pip install -e '.[train]'``), so nothing is imported with the package: name the module,
``from gdln.nets.mlp import MLP``.
"""

"""One network, many theories: what each of them says of the same network, and where it is right.

``two_points`` follows two points through any network by three equations and two rates; held against it are the networks
of ``two_points_nets``.

``margins`` solves for the largest margin that a gated network can reach for the norm that its wiring keeps small, and
proves how close the solution is; ``margin_descent`` trains the networks.
"""

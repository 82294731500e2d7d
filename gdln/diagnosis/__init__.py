"""Which theory describes a network of one's own? Measurements on any torch module, and a verdict with its reasons.

``measure`` holds a network before and after training: how far its tangent kernel and features moved (``kernels``), how
far it left its own linearisation (``linearisation``), whether each layer's weights went where frozen signals send them
(``layers``), in which order the modes of the task were learnt (``modes``), and whether its weights are a draw from a
posterior rather than the end of a descent (``bayes``). ``verdict`` turns the numbers into a theory by thresholds that
stand in one place; ``report`` says it in plain words, with what it cannot tell. ``networks`` makes a function of its
trained parameters out of a module, and ``known`` builds the networks of known regime that the thresholds come from.

    from gdln.diagnosis.measure import diagnose

    print(diagnose(model, train, (X, y), rng=rng))

or, from a shell, ``python -m gdln.diagnosis --help``. All but ``modes``, ``report`` and ``verdict`` need torch, so
modules are imported by name.
"""

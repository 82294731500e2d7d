"""All measurements on one network, and the verdict."""

import copy
from collections.abc import Iterator

import numpy as np
import torch

from gdln import checks
from gdln.diagnosis import bayes, layers, linearisation, modes
from gdln.diagnosis import kernels as kernels_of
from gdln.diagnosis.networks import ROUNDING, Network, flat, pair
from gdln.diagnosis.report import Diagnosis
from gdln.diagnosis.verdict import MEASURES, decide
from gdln.kernels import function_space, moments

#: Rows of the largest matrix that is decomposed: samples times outputs. Eight times the work at twice as many.
MOST_ROWS = 2000
#: Outputs up to which every pair of them enters the tangent kernel; and up to which each has gradients of its own.
ALL_OUTPUTS, OWN_OUTPUTS = 3, 100
#: Records without which an integral over time, or a half of a chain, means nothing.
FEWEST_RECORDS = 8


def diagnose(
    model,
    train,
    data,
    *,
    rng,
    test=None,
    loss="squared",
    lr=None,
    n_probe=100,
    infinite=None,
    temperature=0.0,
    sigma2=None,
    width_exponent=None,
    memory=1e9,
):
    r"""Which theory describes a network and its training?

    Parameters
    ----------
    model : torch.nn.Module
        The network before training; it is copied, never changed. In evaluation mode, where that makes a difference.
    train : callable, or list of checkpoints
        ``train(model)`` trains the module that it is given. If it is a generator function, every ``yield`` records a
        checkpoint; it yields the time, steps times rate on the loss below, or None where there is no such time (Adam).
        Or the checkpoints of a training that is over, the first that of ``model`` itself left away: modules, dicts of
        parameters as of ``state_dict()``, or pairs of time and one of these.
    data : tuple of array_like or Tensor
        Inputs ``X``, samples first, and targets ``Y``: numbers of shape (n,) or (n, n_outputs), for the cross-entropy
        class numbers of shape (n,).
    rng : numpy.random.Generator
        Source of the order in which a control hands errors to other samples.
    test : array_like or Tensor, shape (m, ...), optional
        Inputs that were not trained on. Without them no trained linearisation is compared: where both networks fit
        their data, they agree.
    loss : {"squared", "cross_entropy"}, optional
        :math:`\frac1{2n}\sum_i\|f(x_i)-y_i\|^2` or :math:`-\frac1n\sum_i\ln p_{i,y_i}`. A mean over outputs as well,
        as in ``torch.nn.MSELoss``, is this loss times two over their number: multiply times and rate by that.
    lr : float, optional
        Step of gradient descent, to say whether it was short enough to be a flow.
    n_probe : int, optional
        Training samples on which the movement of kernels is measured, evenly spread over them.
    infinite : FullyConnected, optional
        The limit of infinite width, :class:`gdln.kernels.moments.FullyConnected`, if there is one.
    temperature : float, optional
        Variance of the noise in the targets, for the posterior of that limit.
    sigma2 : float, optional
        Prior variance of a read-out weight: the last trained parameter of two or more dimensions.
    width_exponent : float, optional
        From other runs, see :func:`gdln.diagnosis.verdict.width_exponent`.
    memory : float, optional
        Bytes for rows of the Jacobian.

    Returns
    -------
    diagnosis : Diagnosis
        Prints as a report; ``figure()``, ``to_frame()``, ``to_html()``.

    Raises
    ------
    TypeError, ValueError
        If the network, a checkpoint or the data cannot be diagnosed; says which and why.
    """
    network = Network(model)
    rng, n_probe = checks.generator("rng", rng), checks.count("n_probe", n_probe)
    checks.choice("loss", loss, ("squared", "cross_entropy"))
    memory, temperature = checks.positive("memory", memory), checks.nonnegative("temperature", temperature)
    if infinite is not None:
        checks.instance("infinite", infinite, moments.FullyConnected)
    optional = {"lr": lr, "sigma2": sigma2}
    lr, sigma2 = (None if x is None else checks.positive(name, x) for name, x in optional.items())
    if width_exponent is not None:
        width_exponent = checks.number("width_exponent", width_exponent)
    X, Y = _data(network, data, loss)
    if test is not None:
        test = network.inputs("test", test)
        checks.need(test.shape[1:] == X.shape[1:], "test", f"samples of shape {tuple(X.shape[1:])}", test)
    network.steady(X)
    times, models = _checkpoints(model, train)
    outputs = np.stack([_numpy(Network(m).outputs(X)) for m in models])
    run = _Run(models, X, Y, outputs, times, loss)
    first, last = models[0], models[-1]
    found, missing, notes = {}, {}, []
    if np.array_equal(outputs[0], outputs[-1]):
        raise ValueError("train needs to change the outputs of the model, got the same before and after")
    _kernels(run, test, n_probe, lr, memory, found, missing, notes)
    changes = _layers(run, rng, lr, found, missing, notes)
    _weights(run, found, missing)
    _limits(run, infinite, temperature, sigma2, test, found, missing)
    if width_exponent is not None:
        found["width_exponent"] = width_exponent
    else:
        missing["width_exponent"] = "needs other widths, trained in the same way"
    probes = X[_spread(len(X), n_probe)]
    before, after = (kernels_of.feature_kernels(m, probes) for m in (first, last))
    learning = {name.rpartition(".")[0] for name in network.names}  # copies that stand still say nothing
    both = ((name, before[name], after[name]) for name in before if name in after and name in learning)
    features = {name: kernels_of.movement(_numpy(a), _numpy(b)) for name, a, b in both if bool(a.any())}
    balance = [layers.imbalance(m) for m in (first, last)]
    course = _course(run, found, missing)
    notes += _rises(run.losses, run.errors, run.outputs, ROUNDING[network.dtype])
    if not features:
        notes.append("No layer could be listened to, so features were not looked at.")
    known = {name: value for name, value in found.items() if name in MEASURES}
    facts = {
        "n_parameters": network.n_parameters,
        "n_frozen": network.n_frozen,
        "n_outputs": outputs.shape[2],
        "n_samples": len(X),
        "dtype": str(network.dtype).removeprefix("torch."),
        "loss": loss.replace("_", " "),
        "time_unit": "checkpoints" if times is None else "steps × rate",
    }
    return Diagnosis(
        decide(known),
        found,
        missing,
        changes,
        features,
        {k: (balance[0][k], balance[1][k]) for k in balance[0] if k in balance[1]},
        course,
        run.axis,
        run.losses,
        facts,
        tuple(notes),
    )


class _Run:
    """A training with its outputs at every checkpoint."""

    def __init__(self, models, X, Y, outputs, times, loss):
        self.models, self.X, self.Y, self.outputs, self.times, self.loss = models, X, Y, outputs, times, loss
        self.axis = np.arange(len(models), dtype=float) if times is None else times
        both = [function_space.loss_and_gradient(F, Y, loss) for F in outputs]
        self.losses = np.array([value for value, _ in both])
        self.errors = len(Y) * np.stack([error for _, error in both])


def _data(network, data, loss):
    if not isinstance(data, tuple | list) or len(data) != 2:
        raise TypeError(f"data needs a pair of inputs and targets, got {checks.described(data)}")
    X = network.inputs("data[0]", data[0])
    n_outputs = network.outputs(X[:1]).shape[1]
    Y = checks.as_numpy("data[1]", data[1])
    if loss == "cross_entropy":
        labels = checks.array("data[1]", Y, shape=(len(X),), dtype=int, least=0, below=max(n_outputs, 2))
        checks.need(n_outputs > 1, "model", "an output a class for the cross-entropy", f"{n_outputs} output")
        return X, np.eye(n_outputs)[labels]
    Y = checks.array("data[1]", Y, ndim=(1, 2))
    Y = Y[:, None] if Y.ndim == 1 else Y
    checks.need(
        Y.shape == (len(X), n_outputs), "data[1]", f"shape ({len(X)}, {n_outputs}), that of the outputs", Y
    )
    return X, Y


def _checkpoints(model, train):
    """Times and modules, the first that of the model itself."""
    models, times = [copy.deepcopy(model)], []
    if callable(train):
        learner = copy.deepcopy(model)
        course = train(learner)
        if isinstance(course, Iterator):
            for time in course:
                models.append(copy.deepcopy(learner))
                times.append(time)
        else:
            models.append(learner)
            times.append(None)
    else:
        checks.instance("train", train, (list, tuple))
        for k, item in enumerate(train):
            time = None
            if isinstance(item, tuple) and len(item) == 2:
                time, item = item
            models.append(_restored(model, item, f"train[{k}]"))
            times.append(time)
    checks.need(len(models) > 1, "train", "at least one checkpoint after the start", "none")
    for k, trained in enumerate(models[1:]):
        try:
            pair(model, trained)
        except (TypeError, ValueError) as error:
            raise type(error)(f"train needs checkpoints of the model, got at number {k}: {error}") from error
    if any(time is None for time in times):
        return None, models
    times = checks.times("train", [0.0, *(checks.number("train", time) for time in times)], ordered=True)
    if len(times) > 2 and times[1] == 0:  # the start was recorded, too
        times, models = times[1:], models[1:]
    return np.array(times), models


def _restored(model, item, name):
    if isinstance(item, torch.nn.Module):
        return item
    checks.instance(name, item, (torch.nn.Module, dict))
    restored = copy.deepcopy(model)
    try:
        restored.load_state_dict(item)
    except (RuntimeError, TypeError, AttributeError) as error:
        words = " ".join(str(error).split())
        raise ValueError(f"{name} needs the parameters of the model, got others: {words[:300]}") from error
    return restored


def _kernels(run, test, n_probe, lr, memory, found, missing, notes):
    """Movement of the tangent kernel, and the two gaps."""
    first, last, C = run.models[0], run.models[-1], run.outputs.shape[2]
    probe = _spread(len(run.X), min(n_probe, MOST_ROWS // (C if C <= ALL_OUTPUTS else 1)))
    kind = "all" if C <= ALL_OUTPUTS else "trace" if C <= OWN_OUTPUTS else "sum"
    if kind == "sum":
        notes.append(f"With {C} outputs the tangent kernel is that of their sum.")
    options = dict(outputs=kind, memory=memory)
    before, after = (_numpy(kernels_of.tangent_kernel(m, run.X[probe], **options)) for m in (first, last))
    found["movement"] = kernels_of.movement(before, after)
    if len(probe) > 2:
        found["alignment"] = kernels_of.centred_alignment(before, after)
    sharpness = "needs the rate"
    if lr is not None and kind == "all":
        for name, K in (("sharpness_start", before), ("sharpness_end", after)):
            found[name] = lr * function_space.largest_eigenvalue(K)
        if found["sharpness_end"] > 2:
            notes.append("The rate times the largest eigenvalue ends above 2: this was no gradient flow.")
    else:
        if lr is not None:
            sharpness = f"made for at most {ALL_OUTPUTS} outputs"
        missing |= dict.fromkeys(("sharpness_start", "sharpness_end"), sharpness)
    where = run.X if test is None else test
    found["weight_gap"] = linearisation.weight_gap(first, last, where)
    if test is None:
        missing["trained_gap"] = "needs test inputs: on what both were trained on they agree"
        notes.append("Without test inputs the gap to the linearisation is that on the training inputs.")
    elif len(run.X) * C > MOST_ROWS:
        missing["trained_gap"] = (
            f"made for at most {MOST_ROWS} samples times outputs; the other gap stands in"
        )
    elif run.times is not None:
        _trained_gap(run, test, memory, found, missing, time=float(run.times[-1] - run.times[0]))
    else:
        _trained_gap(run, test, memory, found, missing, until=float(run.losses[-1]))
        notes.append("No times were given: the linearised network was trained to the same loss.")


def _trained_gap(run, test, memory, found, missing, **end):
    first, last = run.models[0], run.models[-1]
    K = _numpy(kernels_of.tangent_kernel(first, run.X, memory=memory))
    K_test = _numpy(kernels_of.tangent_kernel(first, test, run.X, memory=memory))
    F0_test, F_test = (_numpy(Network(m).outputs(test)) for m in (first, last))
    try:
        lin = linearisation.train_linearised(K, K_test, run.outputs[0], F0_test, run.Y, loss=run.loss, **end)
    except ValueError as error:
        missing["trained_gap"] = str(error)
    else:
        found["trained_gap"] = linearisation.linearised_gap(F_test, lin.test_outputs, F0_test)


def _layers(run, rng, lr, found, missing, notes):
    """Alignment, where the integral over time can be done."""
    reason = None
    if run.times is None:
        reason = "needs times, steps times rate"
    elif len(run.times) < FEWEST_RECORDS:
        reason = f"needs at least {FEWEST_RECORDS} checkpoints to integrate the error"
    if reason:
        missing["smallest_cosine"] = reason
        return ()
    E = layers.integrated_error(run.errors, run.times, lr or 0.0)
    changes = layers.layer_changes(run.models[0], run.models[-1], run.X, E, rng=rng)
    cosines = [layer.cosine for layer in changes if layer.cosine is not None]
    if cosines:
        found["smallest_cosine"] = min(cosines)
    else:
        missing["smallest_cosine"] = "no weight moved"
    if (-np.diff(run.losses) > 0.5 * run.losses.max()).any():
        notes.append("The loss falls by half between two checkpoints: record more of them for the alignment.")
    return changes


def _rises(losses, errors, outputs, rounding):
    """A warning if the loss rose where a flow would have lowered it, by more than rounding of the outputs can do."""
    # an output off by rounding times the largest moves the loss by at most the errors' mean sum times that
    fine = rounding * np.abs(outputs).max((1, 2)) * np.abs(errors).sum(2).mean(1)
    rises = np.diff(losses)
    rose = np.flatnonzero(rises > np.maximum(fine[1:], fine[:-1]))
    if not rose.size:
        return []
    k = rose[np.argmax(rises[rose])]
    return [
        f"The loss rises between {rose.size} of {len(rises)} neighbouring checkpoints, at most from {losses[k]:.3g} to "
        f"{losses[k + 1]:.3g}: this was no gradient flow on it. The step is too long, there is noise or momentum, or "
        "another loss was lowered."
    ]


def _weights(run, found, missing):
    """Drift and memory, and whether the loss is at rest."""
    if len(run.models) < FEWEST_RECORDS:
        missing |= dict.fromkeys(("drift", "memory", "stationary"), f"needs {FEWEST_RECORDS} checkpoints")
        return
    half = int(np.argmin(np.abs(run.axis - (run.axis[0] + run.axis[-1]) / 2)))
    start, middle, end = (flat(run.models[k]) for k in (0, half, -1))
    for name, measure, other in (("drift", bayes.drift, middle), ("memory", bayes.memory, start)):
        try:
            found[name] = measure(end, other)
        except ValueError as error:
            missing[name] = str(error)
    found["stationary"] = bayes.stationary(run.losses)


def _limits(run, infinite, temperature, sigma2, test, found, missing):
    """The posterior, its limit of infinite width, and how far the read-out is from its prior."""
    chain = run.models[len(run.models) // 2 :]
    weights = [[p for p in Network(m).parameters if p.ndim > 1] for m in chain]
    if weights[0]:
        # the read-out has a row an output and a column a unit
        found["samples_per_unit"] = len(run.X) / weights[0][-1].flatten(1).shape[1]
    else:
        missing["samples_per_unit"] = "no trained matrix"
    if sigma2 is None or not weights[0]:
        missing["readout_scale"] = "needs the prior variance of the read-out"
    elif len(chain) < FEWEST_RECORDS // 2:
        missing["readout_scale"] = f"needs {FEWEST_RECORDS} checkpoints"
    else:
        found["readout_scale"] = bayes.readout_scale(np.stack([_numpy(w[-1]) for w in weights]), sigma2)
    if infinite is None:
        missing |= dict.fromkeys(("process", "nngp_gap", "ntk_gap"), "needs the infinitely wide network")
        return
    where = run.X if test is None else test
    X, X_test = (_numpy(x.flatten(1)) for x in (run.X, where))
    told = bayes.infinite_width(infinite, X, run.Y, X_test, temperature=temperature)
    drawn = [_numpy(Network(m).outputs(where)) for m in chain]
    for name, other in (("nngp_gap", told["nngp"]), ("ntk_gap", told["ntk"])):
        found[name] = float(np.linalg.norm(drawn[-1] - other) / np.linalg.norm(other))
    if len(chain) < FEWEST_RECORDS // 2:
        missing["process"] = f"needs {FEWEST_RECORDS} checkpoints"
    else:
        cut = len(chain) // 2
        halves = (np.mean(part, axis=0) for part in (drawn[:cut], drawn[cut:]))
        found["process"] = bayes.process_distance(*halves, told["nngp"])


def _course(run, found, missing):
    X, F = _numpy(run.X.flatten(1)), run.outputs
    if run.loss == "cross_entropy":
        F = F - F.max(axis=2, keepdims=True)
        F = np.exp(F) / np.exp(F).sum(axis=2, keepdims=True)
    try:
        course = modes.mode_course(X, run.Y, F, run.axis)
    except ValueError as error:
        missing["mode_spread"] = str(error)
        return None
    spread = modes.spread(course.half_times)
    if spread is not None:
        found["mode_spread"] = spread
    else:
        missing["mode_spread"] = "fewer than two modes were half learnt"
    return course


def _spread(n, most):
    """Indices of samples evenly spread over all."""
    return np.unique(np.linspace(0, n - 1, min(n, most)).round().astype(int))


def _numpy(tensor):
    return tensor.detach().double().cpu().numpy()

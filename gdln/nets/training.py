"""Training of torch networks: full-batch descent, gradient flow, ensembles of seeds, minibatches."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import torch
from scipy.integrate import solve_ivp
from torch.func import functional_call, stack_module_state, vmap

from gdln import checks
from gdln.nets import devices

METHODS = ("RK23", "RK45", "DOP853", "Radau", "BDF", "LSODA")
RECORDS = ("weights", "singular_values", "outputs")


@dataclass(frozen=True)
class TrainingTrajectory:
    """What a training run recorded; an ensemble's arrays have the members first, all but steps and times.

    Attributes
    ----------
    steps : ndarray, shape (n_records,)
        Number of steps taken (for a gradient flow: the record's index).
    times : ndarray, shape (n_records,)
        Step times learning rate, or the time of the flow.
    loss : ndarray, shape (n_records,)
        Loss before the next step.
    weights, singular_values : dict of str to ndarray, shape (n_records, ...)
        By parameter name, where asked for.
    outputs : ndarray, shape (n_records, ...), or None
        Network outputs, where asked for.
    """

    steps: np.ndarray
    times: np.ndarray
    loss: np.ndarray
    weights: dict = field(default_factory=dict)
    singular_values: dict = field(default_factory=dict)
    outputs: np.ndarray | None = None


def half_squared_error(outputs, Y):
    r"""Mean over samples of half the squared distance, :math:`\frac1{2n}\sum_\mu\|y_\mu-f_\mu\|^2`.

    For dictionaries (outputs and targets by node) the sum over nodes. NaN and infinity in the outputs come back in the
    loss, by which a run knows that it diverged.

    Raises
    ------
    TypeError, ValueError
        If there are no tensors, no sample, or targets of another shape than the outputs.
    """
    if isinstance(outputs, dict):
        checks.instance("Y", Y, dict)
        checks.need(Y.keys() >= outputs.keys(), "Y", f"targets of the nodes {sorted(outputs)}", Y)
        return sum(half_squared_error(outputs[node], Y[node]) for node in outputs)
    checks.instance("outputs", outputs, torch.Tensor), checks.instance("Y", Y, torch.Tensor)
    if outputs.is_complex() or Y.is_complex():
        raise TypeError(f"outputs and Y need real numbers, got {outputs.dtype} and {Y.dtype}")
    if outputs.shape != Y.shape:  # else they would be broadcast against each other
        checks.need(False, "Y", f"the shape of the outputs, {tuple(outputs.shape)}", Y)
    checks.need(outputs.ndim > 0 and len(outputs) > 0, "outputs", "at least one sample", outputs)
    return 0.5 * (Y - outputs).square().sum() / Y.shape[0]


def cross_entropy(outputs, labels):
    """Mean cross-entropy of logits of shape (n, n_classes) with integer labels of shape (n,).

    Raises
    ------
    TypeError, ValueError
        If there are no tensors, no sample, or not one integer label for each.
    """
    checks.instance("outputs", outputs, torch.Tensor), checks.instance("labels", labels, torch.Tensor)
    checks.need(outputs.ndim == 2 and len(outputs) > 0, "outputs", "shape (n, n_classes)", outputs)
    if not outputs.is_floating_point():
        raise TypeError(f"outputs needs floating-point numbers, got {outputs.dtype}")
    if labels.dtype != torch.int64:
        raise TypeError(f"labels needs int64 class numbers, got {labels.dtype}")
    checks.need(labels.shape == outputs.shape[:1], "labels", f"shape ({len(outputs)},)", labels)
    try:
        return torch.nn.functional.cross_entropy(outputs, labels)
    except IndexError as error:
        raise ValueError(f"labels needs class numbers below {outputs.shape[1]}, got: {error}") from error


def minibatches(n, batch_size, generator, *, device="cpu"):
    """Indices of the minibatches of one epoch, in a new order.

    Parameters
    ----------
    n : int
        Samples.
    batch_size : int
        Samples in a minibatch, at most ``n``.
    generator : torch.Generator
        Source of the order.
    device : torch.device or str, optional
        Where the indices lie.

    Returns
    -------
    batches : Tensor of int, shape (n // batch_size, batch_size)
        No sample twice; a last, incomplete minibatch is left out.

    Raises
    ------
    TypeError, ValueError
        If a number is no count or out of range, the generator is none, or the device is not there.

    Examples
    --------
    >>> minibatches(7, 2, torch.Generator().manual_seed(0)).shape
    torch.Size([3, 2])
    """
    n = checks.count("n", n)
    batch_size = checks.count("batch_size", batch_size, most=n)
    checks.torch_generator("generator", generator)
    device = checks.torch_device("device", device)
    order = torch.randperm(n, generator=generator, device=generator.device).to(device)
    return order[: n // batch_size * batch_size].view(-1, batch_size)


LOSSES = {"squared": half_squared_error, "cross_entropy": cross_entropy}


def gradient_descent(
    model,
    loss,
    X,
    Y,
    lr,
    n_steps,
    record_every=1,
    record=(),
    momentum=0.0,
    parameters=None,
    divergence=1e6,
    *,
    device=None,
):
    r"""Full-batch gradient descent; trains the model in place.

    :math:`v \leftarrow m v - \eta\,\partial\mathcal L/\partial W,\ W \leftarrow W + v`, for all parameters.

    Parameters
    ----------
    model : torch.nn.Module
        The network; called as ``model(X)``, or ``model(*X)`` if ``X`` is a tuple.
    loss : str or callable
        ``"squared"`` (:func:`half_squared_error`), ``"cross_entropy"``, or ``loss(outputs, Y)`` giving a scalar.
    X, Y : Tensor or any
        Inputs and targets, shape (n_samples, ...).
    lr : float
        Step :math:`\eta`; with unit time constant one step takes the time :math:`\eta`.
    n_steps : int
        Number of steps.
    record_every : int, optional
        Record at steps 0, ``record_every``, ... and at the last one.
    record : collection of str, optional
        Any of ``"weights"``, ``"singular_values"``, ``"outputs"``; the loss always.
    momentum : float, optional
        :math:`m`.
    parameters : collection of str, optional
        Names of the parameters that learn; all unless given.
    divergence : float, optional
        The run counts as diverged when the loss exceeds this multiple of the larger of 1 and its first value.
    device : torch.device or str, optional
        Where to train: the model is moved there and stays; where its weights lie unless given. The data come to it.

    Returns
    -------
    trajectory : TrainingTrajectory
        Losses and what else was asked for.

    Raises
    ------
    gdln.checks.Diverged
        If the run diverges; names the step and the loss.
    ValueError
        If an argument is out of range, a name unknown, or a number in the data is not finite.
    """
    checks.instance("model", model, torch.nn.Module)
    loss = _loss(loss)
    lr, momentum, divergence = _check(lr, n_steps, record_every, record, momentum, divergence)
    _check_data(X, Y)
    here = devices.settled(model, device)
    X, Y = devices.moved(X, here), devices.moved(Y, here)
    learning = _learning(model, parameters)
    velocity = [torch.zeros_like(p) for p in learning.values()] if momentum else None
    recorder, limit = _Recorder(record, lr), None
    for step in range(n_steps + 1):
        outputs = _call(model, X)
        value = loss(outputs, Y)
        number = float(value.detach())
        limit = divergence * max(1.0, abs(number)) if limit is None and math.isfinite(number) else limit
        _check_divergence(number, limit, step, lr)
        if step % record_every == 0 or step == n_steps:
            recorder.add(step, value, dict(model.named_parameters()), outputs)
        if step == n_steps:
            break
        gradients = torch.autograd.grad(value, list(learning.values()))
        with torch.no_grad():
            for i, (p, g) in enumerate(zip(learning.values(), gradients, strict=True)):
                if velocity is not None:
                    g = velocity[i].mul_(momentum).add_(g)
                p.sub_(g, alpha=lr)
    return recorder.result()


def gradient_flow(
    model, loss, X, Y, times, record=(), tau=1.0, rtol=1e-9, atol=1e-11, method="DOP853", *, device=None
):
    r"""Integrate :math:`\tau\,\dot W=-\partial\mathcal L/\partial W`; leaves the model at the last time.

    Steps are chosen by the integrator, small enough for the tolerances.

    Parameters
    ----------
    model, loss, X, Y, record
        As in :func:`gradient_descent`; float64 weights.
    times : array_like, shape (n_records,)
        Increasing times of the records; the flow starts at the first.
    tau : float, optional
        Time constant.
    rtol, atol : float, optional
        Tolerances of the integrator.
    method : str, optional
        Method of ``scipy.integrate.solve_ivp``.
    device : torch.device or str, optional
        As in :func:`gradient_descent`; only the gradients are computed there, the integrator stays on the CPU.

    Returns
    -------
    trajectory : TrainingTrajectory
        Recorded at ``times``.

    Raises
    ------
    gdln.checks.Diverged
        If the integration fails or the loss is not finite.
    ValueError
        If times do not increase, weights are not float64, a name is unknown, or a number in the data is not finite.
    """
    checks.instance("model", model, torch.nn.Module)
    loss, tau = _loss(loss), checks.positive("tau", tau)
    rtol, atol = checks.positive("rtol", rtol), checks.positive("atol", atol)
    method = checks.choice("method", method, METHODS)
    _check_record(record)
    _check_data(X, Y)
    times = checks.times("times", times, ndim=1, least=None)
    checks.need(
        len(times) > 1 and (np.diff(times) > 0).all(), "times", "at least two times that increase", times
    )
    here = devices.settled(model, device)
    X, Y = devices.moved(X, here), devices.moved(Y, here)
    parameters = list(model.parameters())
    if any(p.dtype != torch.float64 for p in parameters):
        raise ValueError(f"model needs float64 weights for a gradient flow, got {parameters[0].dtype}")

    def put(w):
        start = 0
        with torch.no_grad():
            for p in parameters:
                p.copy_(torch.from_numpy(w[start : start + p.numel()]).view_as(p))
                start += p.numel()

    def velocity(_, w):
        put(w)
        gradients = torch.autograd.grad(loss(_call(model, X), Y), parameters)
        return -torch.cat([g.reshape(-1) for g in gradients]).cpu().numpy() / tau

    with torch.no_grad():  # the integrator would never end on NaN
        _check_flow(float(loss(_call(model, X), Y)), times[0])
    w0 = torch.cat([p.detach().reshape(-1) for p in parameters]).cpu().numpy().copy()
    solution = solve_ivp(velocity, (times[0], times[-1]), w0, method, t_eval=times, rtol=rtol, atol=atol)
    if not solution.success:
        reached = float(solution.t[-1]) if solution.t.size else float(times[0])
        raise checks.Diverged(f"gradient flow stopped at t={reached:.4g}: {solution.message}", time=reached)
    recorder = _Recorder(record, 1.0)
    for index, w in enumerate(np.ascontiguousarray(solution.y.T)):
        put(w)
        with torch.no_grad():
            outputs = _call(model, X)
            value = loss(outputs, Y)
        _check_flow(float(value), times[index])
        recorder.add(index, value, dict(model.named_parameters()), outputs)
    return recorder.result(times)


def ensemble(
    models,
    loss,
    X,
    Y,
    lr,
    n_steps,
    record_every=1,
    record=(),
    momentum=0.0,
    own_data=False,
    chunk_size=None,
    divergence=1e6,
    *,
    device=None,
):
    r"""Train several networks of one shape at once, the same steps as :func:`gradient_descent` for each.

    The members are stacked and trained in batched products (``torch.func.vmap``); the models are left at
    their last weights. Faster than a loop for narrow networks; at widths of several hundred a loop is as
    fast.

    Parameters
    ----------
    models : sequence of torch.nn.Module
        Networks of one architecture, usually made with one generator each.
    loss, lr, n_steps, record_every, record, momentum, divergence
        As in :func:`gradient_descent`.
    X, Y : Tensor or tuple of Tensor
        Data of all members, or with ``own_data`` one leading entry per member.
    own_data : bool, optional
        Whether every member has its own data.
    chunk_size : int, optional
        Members trained together, all unless given; smaller chunks can stay in cache.
    device : torch.device or str, optional
        Where to train: all models are moved there and stay; where the first one lies unless given.

    Returns
    -------
    trajectory : TrainingTrajectory
        Arrays of shape (n_members, n_records, ...).

    Raises
    ------
    gdln.checks.Diverged
        If a member diverges; names the member, the step and the loss.
    ValueError
        If there are no models, an argument is out of range, a name unknown, or a number in the data is not finite.
    """
    loss, own_data = _loss(loss), checks.flag("own_data", own_data)
    lr, momentum, divergence = _check(lr, n_steps, record_every, record, momentum, divergence)
    _check_data(X, Y)
    models = list(checks.instance("models", models, Iterable))
    checks.need(len(models) > 0, "models", "at least one model", models)
    for model in models:
        checks.instance("models", model, torch.nn.Module)
    here = devices.settled(models[0], device)
    for model in models[1:]:
        devices.settled(model, here)
    X, Y = devices.moved(X, here), devices.moved(Y, here)
    chunk_size = len(models) if chunk_size is None else checks.count("chunk_size", chunk_size)
    if len(models) > chunk_size:
        runs = []
        for start in range(0, len(models), chunk_size):
            part = slice(start, start + chunk_size)
            x, y = (_members(X, part), _members(Y, part)) if own_data else (X, Y)
            run = ensemble(
                models[part],
                loss,
                x,
                y,
                lr,
                n_steps,
                record_every,
                record,
                momentum,
                own_data,
                None,
                divergence,
            )
            runs.append(run)
        return _joined(runs)

    stacked, buffers = stack_module_state(models)
    stacked = {name: p.detach().clone().requires_grad_() for name, p in stacked.items()}
    data_dim = 0 if own_data else None

    def evaluate(parameters, buffers, x, y):
        outputs = functional_call(models[0], (parameters, buffers), x if isinstance(x, tuple) else (x,))
        return loss(outputs, y), outputs

    forward = vmap(evaluate, in_dims=(0, 0, data_dim, data_dim))
    velocity = [torch.zeros_like(p) for p in stacked.values()] if momentum else None
    recorder, limit = _Recorder(record, lr), None
    for step in range(n_steps + 1):
        values, outputs = forward(stacked, buffers, X, Y)
        now = values.detach()
        limit = divergence * now.abs().clamp(min=1.0) if limit is None else limit
        bad = ~(now.isfinite() & (now <= limit))
        if bad.any():
            member = int(bad.nonzero()[0])
            _check_divergence(float(now[member]), float(limit[member]), step, lr, member)
        if step % record_every == 0 or step == n_steps:
            recorder.add(step, values, stacked, outputs)
        if step == n_steps:
            break
        # the members' losses have no parameter in common, so the gradient of their sum holds each one's own
        gradients = torch.autograd.grad(values.sum(), list(stacked.values()))
        with torch.no_grad():
            for i, (p, g) in enumerate(zip(stacked.values(), gradients, strict=True)):
                p.sub_(g if velocity is None else velocity[i].mul_(momentum).add_(g), alpha=lr)
    with torch.no_grad():
        for i, model in enumerate(models):
            for name, p in model.named_parameters():
                p.copy_(stacked[name][i])
    return recorder.result(members=True)


def _members(data, part):
    return tuple(x[part] for x in data) if isinstance(data, tuple) else data[part]


def _joined(runs):
    """Trajectories of several chunks of members as one."""

    def join(arrays):
        return np.concatenate(list(arrays))

    first = runs[0]
    return TrainingTrajectory(
        steps=first.steps,
        times=first.times,
        loss=join(run.loss for run in runs),
        weights={name: join(run.weights[name] for run in runs) for name in first.weights},
        singular_values={
            name: join(run.singular_values[name] for run in runs) for name in first.singular_values
        },
        outputs=None if first.outputs is None else join(run.outputs for run in runs),
    )


class _Recorder:
    """Collects records and turns them into one TrainingTrajectory."""

    def __init__(self, record, lr):
        self.record, self.lr = tuple(record), lr
        self.steps, self.loss, self.weights, self.values, self.outputs = [], [], {}, {}, []

    def add(self, step, value, parameters, outputs):
        self.steps.append(step)
        self.loss.append(value.detach().cpu().numpy().copy())
        for name, p in parameters.items():
            p = p.detach()
            if "weights" in self.record:
                self.weights.setdefault(name, []).append(p.cpu().numpy().copy())
            if "singular_values" in self.record and p.ndim >= 2:
                self.values.setdefault(name, []).append(torch.linalg.svdvals(p).cpu().numpy())
        if "outputs" in self.record:
            if isinstance(outputs, dict):
                raise ValueError("outputs are recorded for networks with one output tensor, not by node")
            self.outputs.append(outputs.detach().cpu().numpy().copy())

    def result(self, times=None, members=False):
        def stack(records):
            array = np.array(records)
            return np.moveaxis(array, 0, 1) if members else array

        steps = np.array(self.steps)
        return TrainingTrajectory(
            steps=steps,
            times=self.lr * steps if times is None else times,
            loss=stack(self.loss),
            weights={name: stack(w) for name, w in self.weights.items()},
            singular_values={name: stack(s) for name, s in self.values.items()},
            outputs=stack(self.outputs) if self.outputs else None,
        )


def _call(model, X):
    return model(*X) if isinstance(X, tuple) else model(X)


def _loss(loss):
    if callable(loss):
        return loss
    return LOSSES[checks.choice("loss", loss, LOSSES)]


def _learning(model, names):
    parameters = dict(model.named_parameters())
    if names is None:
        return parameters
    names = [
        checks.choice("parameters", name, parameters)
        for name in checks.instance("parameters", names, Iterable)
    ]
    checks.need(len(names) > 0, "parameters", "at least one name", names)
    return {name: parameters[name] for name in names}


def _check(lr, n_steps, record_every, record, momentum, divergence):
    checks.count("n_steps", n_steps, least=0), checks.count("record_every", record_every)
    _check_record(record)
    momentum = checks.number("momentum", momentum)
    return checks.positive("lr", lr), momentum, checks.positive("divergence", divergence, infinite=True)


def _check_record(record):
    checks.need(not isinstance(record, str), "record", f"a collection of names among {RECORDS}", record)
    for name in checks.instance("record", record, Iterable):
        checks.choice("record", name, RECORDS)


def _check_data(X, Y):
    """Refuse NaN and infinity before the first step, which would be blamed for them."""
    for name, data in (("X", X), ("Y", Y)):
        for tensor in _tensors(name, data):
            checks.finite(name, tensor)


def _tensors(name, data):
    if isinstance(data, dict | tuple | list):
        for part in data.values() if isinstance(data, dict) else data:
            yield from _tensors(name, part)
    else:
        yield checks.instance(name, data, torch.Tensor)


def _check_flow(value, time):
    if not math.isfinite(value):
        raise checks.Diverged(f"gradient flow diverged at t={time:.4g}: loss {value:.3g}", time=float(time))


def _check_divergence(value, limit, step, lr, member=None):
    if not math.isfinite(value) or (limit is not None and value > limit):
        who = "training" if member is None else f"member {member}"
        raise checks.Diverged(
            f"{who} diverged at step {step}: loss {value:.3g} with lr={lr}; try a smaller lr", step=step
        )

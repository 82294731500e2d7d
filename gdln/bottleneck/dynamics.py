r"""Gradient descent in function space for infinitely wide networks with a bottleneck.

At step :math:`t`, with :math:`\chi_j = \partial\mathcal L/\partial F_j` and :math:`J` the Jacobian of :math:`f^t`,

.. math::
    z_i^{t+1} = z_i^t - \eta\sum_j \Theta_g(x_i, x_j) J(z_j^t)^\top\chi_j,\qquad
    f^{t+1}(\cdot) = f^t(\cdot) - \eta\sum_j \Theta_f(\cdot, z_j^t)\chi_j .

:func:`memory` keeps the whole history and is exact at any depth; :func:`tangent` replaces :math:`f` by the
linearisation of a wide finite draw (one hidden layer) and needs no history.
"""

import numpy as np

from gdln import checks
from gdln.bottleneck.architecture import Bottleneck, Features, composite_kernel
from gdln.kernels import moments
from gdln.kernels.function_space import (
    LOSSES,
    FunctionTrajectory,
    UnstableStepSize,
    largest_eigenvalue,
    loss_and_gradient,
)
from gdln.kernels.gram import gram
from gdln.kernels.tangent import ACTIVATIONS

_CHUNK = 4096  # history points handled at once
_LARGEST = 1e150  # of an output: its square is a number still


class _Memory:
    """The upper part as its initial draw plus everything it was taught."""

    def __init__(self, net, f0, n_outputs):
        self.net, self.f0, self.size = net, f0, 0
        self.Z, self.chi = np.empty((1024, net.width)), np.empty((1024, n_outputs))

    def evaluate(self, z, jacobian=True):
        n, k, d = len(z), self.chi.shape[1], self.net.width
        came = self.f0(z)
        checks.need(
            isinstance(came, tuple) and len(came) == 2, "f0", "to return a value and a Jacobian", came
        )
        F = checks.array("the value of f0", came[0], shape=(n, k), copy=True)
        J = checks.array("the Jacobian of f0", came[1], shape=(n, k, d), copy=True)
        q11 = np.einsum("ij,ij->i", z, z)[:, None] / self.net.fan_in
        for i in range(0, self.size, _CHUNK):
            Z, chi = self.Z[i : min(i + _CHUNK, self.size)], self.chi[i : min(i + _CHUNK, self.size)]
            q22 = np.einsum("ij,ij->i", Z, Z)[None, :] / self.net.fan_in
            q12 = z @ Z.T / self.net.fan_in
            if not jacobian:
                F -= moments.from_moments(self.net.upper, q11, q12, q22).ntk @ chi
                continue
            part = moments.moment_derivatives(self.net.upper, q11, q12, q22)
            F -= part.ntk @ chi
            J -= 2 / self.net.fan_in * (part.ntk_11 @ chi)[:, :, None] * z[:, None, :]
            pulls = (chi[:, :, None] * Z[:, None, :]).reshape(len(Z), k * d)
            J -= (part.ntk_12 @ pulls).reshape(n, k, d) / self.net.fan_in
        return F, J, z

    def update(self, z, push):
        needed = self.size + len(z)
        while needed > len(self.Z):
            self.Z, self.chi = (np.concatenate([A, np.empty_like(A)]) for A in (self.Z, self.chi))
        self.Z[self.size : needed], self.chi[self.size : needed] = z, push
        self.size = needed


class _Tangent:
    """The upper part as the linearisation of a finite draw around its initial weights."""

    def __init__(self, net, f0):
        self.net, self.f0 = net, f0
        self.units, k = f0.V.shape
        self.gain = net.upper.W_std / np.sqrt(net.fan_in)
        self.out = net.upper.W_std / np.sqrt(self.units)
        self.S = np.concatenate([f0.W, np.zeros_like(f0.W)])  # rows of W, then of its increment
        self.bias = np.concatenate([f0.b, np.zeros_like(f0.b)])
        self.dV, self.dc = np.zeros_like(f0.V), np.zeros(k)

    def evaluate(self, z, jacobian=True):
        M, name, V = self.units, self.net.upper.activation, self.f0.V
        pre = z @ (self.gain * self.S.T)
        pre += self.net.upper.b_std * self.bias
        h, dh = pre[:, :M], pre[:, M:]
        value, slope = ACTIVATIONS[name](h)
        moved = slope * dh
        F = self.out * (value @ (V + self.dV) + moved @ V) + self.net.upper.b_std * (self.f0.c + self.dc)
        cache = (z, value, slope)
        if not jacobian:
            return F, None, cache
        n, k = len(z), V.shape[1]
        P = np.empty((n, k, 2 * M))
        np.multiply(slope[:, None, :], V.T, out=P[:, :, M:])
        np.multiply(slope[:, None, :], (V + self.dV).T, out=P[:, :, :M])
        if name == "erf":  # the second derivative is -2 h times the first; zero for the others
            moved *= h
            moved *= -2
            if k == 1:
                moved *= V[:, 0]
                P[:, 0, :M] += moved
            else:
                P[:, :, :M] += moved[:, None, :] * V.T
        J = (P.reshape(n * k, 2 * M) @ self.S).reshape(n, k, -1)
        J *= self.gain * self.out
        return F, J, cache

    def update(self, cache, push):
        z, value, slope = cache
        b_std = self.net.upper.b_std
        signal = push @ (self.out * self.f0.V.T)
        signal *= slope
        self.dV -= self.out * (value.T @ push)
        self.S[self.units :] -= signal.T @ (self.gain * z)
        self.bias[self.units :] -= b_std * signal.sum(axis=0)
        self.dc -= b_std * push.sum(axis=0)


def memory(net, X, Y, z0, f0, **options):
    r"""Exact gradient descent of the infinitely wide network, any depth, with the whole history kept.

    Parameters
    ----------
    net : Bottleneck
        The architecture.
    X : array_like, shape (n, n_inputs)
        Training inputs.
    Y : array_like, shape (n,) or (n, k)
        Targets.
    z0 : array_like, shape (n, d)
        Initial bottleneck activities, from :func:`gdln.bottleneck.architecture.draw` or a finite network.
    f0 : callable
        ``f0(z)`` is the pair value (n, k), Jacobian (n, k, d) of the initial upper part.
    **options
        Keyword arguments of the training loop: ``lr`` :math:`\eta` and ``n_steps`` (both needed);
        ``loss``, ``label_scale`` (see :func:`gdln.kernels.function_space.loss_and_gradient`); ``centred``, to train
        :math:`F_t - F_0`; ``batches``, one int array a step; ``X_test`` and ``z0_test``, points carried along;
        ``record_every``; ``keep_jacobian``; ``stop_below``, a training loss at which to end.

    Returns
    -------
    run : FunctionTrajectory
        The trajectory. Cost of step :math:`t`: :math:`O(n^2 t)` kernel evaluations.

    Raises
    ------
    UnstableStepSize
        If the loss grows without bound; holds the largest eigenvalue of the kernel where the growth began.
    ValueError
        If shapes do not agree.
    """
    X, Y, z0 = _training_set(net, X, Y, z0)
    checks.function("f0", f0)
    return _train(net, X, Y, z0, _Memory(net, f0, Y.shape[1]), **options)


def tangent(net, X, Y, z0, f0, **options):
    r"""Gradient descent with the upper part linearised around a wide finite draw; one hidden layer in it.

    The exact limit when :math:`f` is replaced by the first-order expansion of ``f0`` in its weights: error
    :math:`O(M^{-1/2})`, cost :math:`O(nM(d + k))` a step, no history.

    Parameters
    ----------
    net : Bottleneck
        The architecture, with ``net.upper.depth`` 1.
    X, Y, z0
        As in :func:`memory`.
    f0 : Features
        Draw of the upper part, from :func:`gdln.bottleneck.architecture.draw_features`.
    **options
        As in :func:`memory`.

    Returns
    -------
    run : FunctionTrajectory
        The trajectory.

    Raises
    ------
    UnstableStepSize
        As in :func:`memory`.
    """
    X, Y, z0 = _training_set(net, X, Y, z0)
    checks.instance("f0", f0, Features)
    checks.need(f0.net == net, "f0", "a draw of the same net", f0)
    k = Y.shape[1]
    checks.need(f0.V.shape[1] == k, "f0", f"one output a column of Y, {k}", f"{f0.V.shape[1]} outputs")
    return _train(net, X, Y, z0, _Tangent(net, f0), **options)


def _training_set(net, X, Y, z0):
    checks.instance("net", net, Bottleneck)
    X, Y = checks.array("X", X, shape=("n", "n_inputs")), checks.array("Y", Y, ndim=(1, 2))
    checks.need(len(Y) == len(X), "Y", f"one row for each of the {len(X)} rows of X", Y)
    z0 = checks.array("z0", z0, shape=(len(X), net.width))
    return X, Y[:, None] if Y.ndim == 1 else Y, z0


@np.errstate(over="ignore", invalid="ignore")  # what overflows is noticed by the watch, and ends in words
def _train(
    net,
    X,
    Y,
    z0,
    upper,
    *,
    lr,
    n_steps,
    loss="squared",
    label_scale=1.0,
    centred=False,
    batches=None,
    X_test=None,
    z0_test=None,
    record_every=1,
    keep_jacobian=False,
    stop_below=None,
):
    lr, label_scale = (
        checks.positive(name, value) for name, value in (("lr", lr), ("label_scale", label_scale))
    )
    n_steps, record_every = (
        checks.count("n_steps", n_steps, least=0),
        checks.count("record_every", record_every),
    )
    checks.choice("loss", loss, LOSSES)
    checks.choice("centred", centred, (False, True))
    checks.choice("keep_jacobian", keep_jacobian, (False, True))
    if stop_below is not None:
        stop_below = checks.number("stop_below", stop_below)
    batches = _batches(batches, n_steps, len(X))
    theta = gram(net.lower, X).ntk
    pulled = np.zeros_like(z0)  # sum over steps of eta J^T chi: z is linear in it
    F0 = upper.evaluate(z0, jacobian=False)[0] if centred else 0.0
    test = None
    checks.need((X_test is None) == (z0_test is None), "z0_test", "to come together with X_test", z0_test)
    if X_test is not None:
        X_test = checks.array("X_test", X_test, shape=("m", X.shape[1]))
        z0_test = checks.array("z0_test", z0_test, shape=(len(X_test), net.width))
        test = _Test(gram(net.lower, X_test, X).ntk, z0_test)
        test.F0 = upper.evaluate(test.z0, jacobian=False)[0] if centred else 0.0
    recorder, watch = _Recorder(keep_jacobian, test), _Watch(net, theta, lr)
    for step in range(n_steps + 1):
        recording = step % record_every == 0 or step == n_steps
        rows = None if batches is None or step == n_steps else batches[step]
        if rows is not None and recording:
            z = z0 - theta @ pulled
            F, J, _ = watch.evaluate(upper, z, keep_jacobian)
            value, _ = loss_and_gradient(F - F0, Y, loss, label_scale)
            recorder.add(step, value, F - F0, z, J, upper, pulled)
        if rows is None:
            z = z0 - theta @ pulled
            F, J, cache = watch.evaluate(upper, z)
            F -= F0
            value, chi = loss_and_gradient(F, Y, loss, label_scale)
            watch.check(step, value, z, J)
            recorder.history.append(value)
            last = stop_below is not None and value < stop_below
            if recording or last:
                recorder.add(step, value, F, z, J, upper, pulled)
            if last:
                break
        else:
            z = z0[rows] - theta[rows] @ pulled
            F, J, cache = watch.evaluate(upper, z)
            value, chi = loss_and_gradient(F - (F0[rows] if centred else 0.0), Y[rows], loss, label_scale)
            watch.check(step, value, z, J, rows)
            recorder.history.append(value)
        push = lr * chi
        pull = np.einsum("nk,nkd->nd", push, J)
        if rows is None:
            pulled += pull
        else:
            np.add.at(pulled, rows, pull)
        upper.update(cache, push)
    return recorder.result()


def _batches(batches, n_steps, n):
    if batches is None:
        return None
    checks.instance("batches", batches, (list, tuple, np.ndarray))
    checks.need(len(batches) >= n_steps, "batches", f"one batch a step, {n_steps}", batches)
    return [
        checks.array(f"batches[{step}]", batches[step], ndim=1, dtype=int, least=0, most=n - 1)
        for step in range(n_steps)
    ]


class _Test:
    def __init__(self, theta, z0):
        self.theta, self.z0, self.F0 = theta, z0, 0.0


class _Recorder:
    def __init__(self, keep_jacobian, test):
        self.keep_jacobian, self.test = keep_jacobian, test
        self.steps, self.loss, self.F, self.z, self.J, self.F_test, self.z_test = ([] for _ in range(7))
        self.history = []

    def add(self, step, value, F, z, J, upper, pulled):
        self.steps.append(step)
        self.loss.append(value)
        self.F.append(F)
        self.z.append(z)
        if self.keep_jacobian:
            self.J.append(J)
        if self.test is not None:
            z_test = self.test.z0 - self.test.theta @ pulled
            self.F_test.append(upper.evaluate(z_test, jacobian=False)[0] - self.test.F0)
            self.z_test.append(z_test)

    def result(self):
        def stack(records):
            return np.array(records) if records else None

        return FunctionTrajectory(
            np.array(self.steps),
            np.array(self.loss),
            np.array(self.history),
            *(stack(records) for records in (self.F, self.z, self.J, self.F_test, self.z_test)),
        )


class _Watch:
    """Notices a loss that grows without bound and names the eigenvalue that drives it."""

    def __init__(self, net, theta, lr, growth=1e4):
        self.net, self.theta, self.lr, self.growth = net, theta, lr, growth
        self.limit, self.previous, self.onset = np.inf, None, None

    def evaluate(self, upper, z, jacobian=True):
        """What the upper part makes of the activities, unless they left the numbers that a float can hold."""
        if np.isfinite(z).all():
            try:
                F, J, cache = upper.evaluate(z, jacobian)
            except FloatingPointError:
                F = None
            if F is not None and np.abs(F).max() < _LARGEST:
                return F, J, cache
        if self.previous is None:  # nothing was learnt yet: it is the start that is too large
            raise FloatingPointError("z0 needs activities on which the network is finite, got larger ones")
        self.diverged(None)

    def check(self, step, value, z, J, rows=None):
        state = (step, value, z, J, rows)
        if self.previous is None:
            self.limit = self.growth * max(value, 1e-12)
        if value <= self.limit:  # false for NaN
            if self.onset is None or value < self.onset[1]:
                self.onset = state  # the growth began where the loss was lowest
            self.previous = state
            return
        self.diverged(state)

    def diverged(self, state):
        eigenvalue = np.inf
        for start in (self.onset, self.previous, state):
            if start is None:
                continue
            step, _, z, J, rows = start
            if not (np.isfinite(z).all() and np.isfinite(J).all()):
                continue
            theta = self.theta if rows is None else self.theta[np.ix_(rows, rows)]
            eigenvalue = largest_eigenvalue(composite_kernel(self.net, theta, z, J))
            if eigenvalue > 2 / self.lr:
                break
        raise UnstableStepSize(self.lr, eigenvalue, step)

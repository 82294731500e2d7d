"""A torch module as a function of the parameters that are trained."""

import contextlib

import torch
from torch.func import functional_call, jacrev, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from gdln import checks

#: Samples that a forward pass without gradients takes at once.
BATCH = 256
#: What an error of rounding may do to an output, relative to the largest: batches of other sizes add in another order.
ROUNDING = {torch.float32: 1e-3, torch.float64: 1e-9}


class Network:
    r"""The map from trained parameters :math:`\theta` and inputs to outputs :math:`f_\theta(x)\in\mathbb R^C`.

    The module is used as it is and never changed: its mode stays, frozen parameters and buffers are constants, and a
    parameter that is used twice counts once.

    Parameters
    ----------
    model : torch.nn.Module
        Maps a batch, samples first, to one tensor with as many rows; other axes of the output are flattened into
        :math:`C`. Scripted and exported modules will do.

    Attributes
    ----------
    names : tuple of str
        Names of the trained parameters, those with ``requires_grad``.
    n_parameters, n_frozen : int
        Their number, and the number of the others.
    dtype, device
        Of the parameters.

    Raises
    ------
    TypeError
        If it is no module, or its parameters are not of one type, float32 or float64.
    ValueError
        If nothing is trained, a parameter is not finite, or a layer is in training mode and makes outputs that depend
        on chance (dropout) or on the other samples (batch normalisation).
    """

    def __init__(self, model):
        self.model = checks.instance("model", model, torch.nn.Module)
        named = dict(model.named_parameters())
        trained = {name: p for name, p in named.items() if p.requires_grad}
        what = "at least one parameter with requires_grad: nothing is trained, so nothing can be diagnosed"
        checks.need(any(p.numel() for p in trained.values()), "model", what, f"{len(named)} parameters")
        kinds = {p.dtype for p in named.values() if p.is_floating_point()}
        if (
            len(kinds) != 1
            or not kinds <= ROUNDING.keys()
            or not all(p.dtype in kinds for p in named.values())
        ):
            raise TypeError(
                f"model needs parameters of one type, float32 or float64, got {sorted(map(str, kinds))}"
            )
        for name, p in named.items():
            if not bool(p.detach().isfinite().all()):
                raise ValueError(f"model needs finite parameters, got NaN or infinity in {name}")
        for name, module in model.named_modules():
            _refuse_training_mode(name, module)
        self.names = tuple(trained)
        self.parameters = tuple(trained.values())
        self.n_parameters = sum(p.numel() for p in self.parameters)
        self.n_frozen = sum(p.numel() for p in named.values()) - self.n_parameters
        self.dtype, self.device = self.parameters[0].dtype, self.parameters[0].device
        self._tokens = any("Embedding" in _kind(module) for module in model.modules())
        self._batched = not isinstance(model, torch.jit.ScriptModule)

    def inputs(self, name, X):
        """Inputs as a tensor of the type and on the device of the parameters; integers stay for embeddings.

        Parameters
        ----------
        name : str
            The argument.
        X : array_like or Tensor, shape (n_samples, ...)
            Finite numbers.

        Raises
        ------
        TypeError, ValueError
            If they are no finite numbers, samples first.
        """
        checks.instance("name", name, str)
        if not isinstance(X, torch.Tensor):
            found = checks.array(name, X)
            whole = self._tokens and bool((found == found.round()).all())
            X = torch.tensor(found, dtype=torch.int64 if whole else self.dtype, device=self.device)
        if X.is_complex():
            raise TypeError(f"{name} needs real numbers, got {X.dtype}")
        checks.need(X.ndim > 0 and X.numel() > 0, name, "at least one sample, samples first", X)
        checks.finite(name, X)
        keep = self._tokens and not X.is_floating_point()
        return X.detach().to(device=self.device, dtype=X.dtype if keep else self.dtype)

    @torch.no_grad()
    def outputs(self, X):
        """Outputs, shape (n_samples, n_outputs), without gradients and a few samples at a time.

        Raises
        ------
        TypeError, ValueError
            If the module refuses the inputs, or its outputs are not one finite floating tensor with a row a sample.
        """
        X = self.inputs("X", X)
        return torch.cat([self._call(part) for part in X.split(BATCH)])

    def steady(self, X):
        """Refuse a module whose output for a sample depends on chance, on the past, or on the rest of the batch.

        Raises
        ------
        ValueError
            Tells which of them it is.
        """
        few = self.inputs("X", X)[:3]
        once, again, alone = self.outputs(few), self.outputs(few), self.outputs(few[:1])
        size = ROUNDING[self.dtype] * (1 + once.abs().max())
        what = "the same outputs at every call (call model.eval() before, or take out what is random)"
        checks.need(bool(((once - again).abs() <= size).all()), "model", what, "two calls that differ")
        what = "outputs that do not depend on the other samples of the batch (samples first; model.eval())"
        same = bool(((once[:1] - alone).abs() <= size).all())
        checks.need(same, "model", what, "a sample that alone has another output")

    def jacobian(self, X, summed=False, names=None):
        r"""Rows :math:`\partial f_c(x_i)/\partial\theta_k`, one tensor a parameter, shape (n_samples, n_outputs, size).

        One ``vmap`` over samples; where a layer does not allow it (recurrent and scripted ones), a loop. With
        ``summed`` the rows of the one output :math:`\sum_cf_c`; ``names`` are the parameters, all unless given.
        """
        X, summed = self.inputs("X", X), checks.flag("summed", summed)
        found = dict(zip(self.names, self.parameters, strict=True))
        if names is not None:
            found = {name: found[checks.choice("names", name, self.names)] for name in names}
        self._call(X[:1])  # refuse in words first

        def one(values, x):
            out = functional_call(self.model, values, (x[None],)).reshape(-1)
            return out.sum()[None] if summed else out

        if self._batched:
            try:
                with _plain_attention():
                    values = {name: p.detach() for name, p in found.items()}
                    rows = vmap(jacrev(one), (None, 0))(values, X)
                return [rows[name].detach().flatten(2) for name in found]
            except torch.OutOfMemoryError:
                raise
            except (RuntimeError, NotImplementedError):
                self._batched = False  # no use in trying again
        return self._jacobian_in_a_loop(X, summed, tuple(found.values()))

    def _jacobian_in_a_loop(self, X, summed, parameters):
        found = [[] for _ in parameters]
        for x in X:
            with torch.enable_grad(), _plain_attention():
                out = self.model(x[None]).reshape(-1)
                out = out.sum()[None] if summed else out
                for c, value in enumerate(out):
                    rows = torch.autograd.grad(
                        value, parameters, retain_graph=c + 1 < len(out), materialize_grads=True
                    )
                    for kept, row in zip(found, rows, strict=True):
                        kept.append(row.flatten())
        return [torch.stack(rows).view(len(X), -1, rows[0].numel()) for rows in found]

    def signals(self, X, layers, summed=False):
        r"""Inputs :math:`a_i` and backward signals :math:`\delta_{ic}` of linear layers, of whose weights
        :math:`\delta_{ic}a_i^\top` is the row of the Jacobian.

        Parameters
        ----------
        X : array_like or Tensor, shape (n_samples, ...)
            Inputs.
        layers : sequence of str
            Names of linear layers, see :meth:`dense`.
        summed : bool, optional
            Of the one output :math:`\sum_cf_c`.

        Returns
        -------
        signals : list of pairs of Tensor, shapes (n_samples, n_in), (n_samples, n_outputs, n_out)
            One a layer.
        """
        X, parts = self.inputs("X", X), []
        for part in X.split(BATCH):
            calls, out = self._listen(part, layers)
            inputs, ends = zip(*(call[0] for call in calls), strict=True)
            values = out.sum(1, keepdim=True) if summed else out
            rows = [
                torch.autograd.grad(values[:, c].sum(), ends, retain_graph=True, materialize_grads=True)
                for c in range(values.shape[1])
            ]
            backward = (torch.stack(d, 1) for d in zip(*rows, strict=True))
            parts.append([(a.detach(), d) for a, d in zip(inputs, backward, strict=True)])
        return [
            tuple(torch.cat(tensors) for tensors in zip(*pieces, strict=True))
            for pieces in zip(*parts, strict=True)
        ]

    def dense(self, X):
        """Names of the layers whose rows are outer products.

        They are linear, have a trained weight of their own, and see one vector a sample, once. What a module does with
        its weights besides cannot be seen from outside, so the outer products of a few samples are added up and
        compared with the gradient.
        """
        few = self.inputs("X", X)[:3]
        if isinstance(self.model, torch.jit.ScriptModule):
            return ()
        owners = {}
        for name, module in self.model.named_modules():
            if isinstance(module, torch.nn.Linear) and type(module).forward is torch.nn.Linear.forward:
                owners.setdefault(id(module.weight), []).append(name)
        ids = {id(p) for p in self.parameters}
        layers = [names[0] for key, names in owners.items() if key in ids and len(names) == 1]
        calls, _ = self._listen(few, layers)
        once = {
            name for name, call in zip(layers, calls, strict=True)
            if len(call) == 1 and call[0][0].ndim == 2 and len(call[0][0]) == len(few) and call[0][1].requires_grad
        }  # fmt: skip
        layers = [name for name in layers if name in once]
        if not layers:
            return ()
        whole = dict(zip(self.names, self.pull(few, torch.ones_like(self.outputs(few))), strict=True))
        found = []
        for name, (a, d) in zip(layers, self.signals(few, layers, summed=True), strict=True):
            layer, told = self.model.get_submodule(name), {"weight": d[:, 0].mT @ a, "bias": d[:, 0].sum(0)}
            keys = [key for key in told if any(p is getattr(layer, key) for p in self.parameters)]
            mine = [f"{name}.{key}".lstrip(".") for key in keys]
            if all(n in whole and _near(told[n.rpartition(".")[2]], whole[n]) for n in mine):
                found.append(name)
        return tuple(found)

    def _listen(self, X, layers):
        """Inputs and outputs of some layers at every call of one forward pass with gradients, and the outputs."""
        heard, handles = {name: [] for name in layers}, []
        try:
            for name in layers:
                keep = heard[name].append
                handles.append(
                    self.model.get_submodule(name).register_forward_hook(
                        lambda _, args, out, keep=keep: keep((args[0], out)) if args else None
                    )
                )
            with torch.enable_grad(), _plain_attention():
                out = self._call(X)
        finally:
            for handle in handles:
                handle.remove()
        return list(heard.values()), out

    def pull(self, X, weights):
        r"""The backward pass, :math:`\sum_i\partial\langle w_i, f(x_i)\rangle/\partial\theta_k`."""
        X = self.inputs("X", X)
        weights = torch.as_tensor(weights, dtype=self.dtype, device=self.device)
        n_outputs = self._call(X[:1]).shape[1]
        fits = weights.shape == (len(X), n_outputs)
        checks.need(fits, "weights", f"shape ({len(X)}, {n_outputs}), that of the outputs", weights)
        total = [torch.zeros_like(p) for p in self.parameters]
        for part, w in zip(X.split(BATCH), weights.split(BATCH), strict=True):
            with torch.enable_grad():
                value = (self.model(part).reshape(len(part), -1) * w).sum()
                for kept, grad in zip(
                    total, torch.autograd.grad(value, self.parameters, materialize_grads=True), strict=True
                ):
                    kept += grad
        return [kept.detach() for kept in total]

    def push(self, X, changes):
        r"""The directional derivative :math:`J\,\Delta\theta`, shape (n_samples, n_outputs), no Jacobian made.

        By differentiating the backward pass in its weights, in which it is linear: every layer with a second derivative
        allows that, recurrent and scripted ones included.
        """
        X = self.inputs("X", X)
        self._call(X[:1])
        found = []
        for part in X.split(BATCH):
            # the kernels of cuDNN for recurrent layers have no second derivative
            with torch.enable_grad(), _plain_attention(), torch.backends.cudnn.flags(enabled=False):
                out = self.model(part).reshape(len(part), -1)
                dual = torch.zeros_like(out, requires_grad=True)
                grads = torch.autograd.grad(
                    out, self.parameters, dual, create_graph=True, materialize_grads=True
                )
                along = sum((g * d).sum() for g, d in zip(grads, changes, strict=True))
                (pushed,) = torch.autograd.grad(along, dual, materialize_grads=True)
            found.append(pushed.detach())
        return torch.cat(found)

    def _call(self, X):
        try:
            out = self.model(X)
        except (RuntimeError, ValueError, TypeError, IndexError) as error:
            words = str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__
            raise ValueError(
                f"X needs a batch that the model takes, got shape {tuple(X.shape)}: {words}"
            ) from error
        if not isinstance(out, torch.Tensor):
            raise TypeError(f"model needs one tensor for output, got {checks.described(out)}: wrap it")
        if not out.is_floating_point():
            raise TypeError(f"model needs floating-point outputs, got {out.dtype}")
        fits = out.ndim > 0 and len(out) == len(X) and out.numel() > 0
        checks.need(fits, "model", f"one row of outputs for each of {len(X)} samples", out)
        if not bool(out.detach().isfinite().all()):
            raise ValueError("model needs finite outputs, got NaN or infinity")
        return out.reshape(len(out), -1)


def pair(initial, trained):
    """Two checkpoints of one network.

    Parameters
    ----------
    initial, trained : torch.nn.Module
        The network before and after.

    Returns
    -------
    first, last : Network
        Both.

    Raises
    ------
    TypeError, ValueError
        If one is no network that can be diagnosed, or their trained parameters differ in name, shape or type.
    """
    found = []
    for name, model in (("initial", initial), ("trained", trained)):
        checks.instance(name, model, torch.nn.Module)
        try:
            found.append(Network(model))
        except (TypeError, ValueError) as error:
            raise type(error)(f"{name}: {error}") from error
    first, last = found
    shapes = [
        {n: (tuple(p.shape), p.dtype) for n, p in zip(k.names, k.parameters, strict=True)} for k in found
    ]
    differ = sorted(n for n in shapes[0].keys() | shapes[1].keys() if shapes[0].get(n) != shapes[1].get(n))
    if differ:
        one, other = (shape.get(differ[0], "none") for shape in shapes)
        raise ValueError(
            f"trained needs the trained parameters of initial, by name, shape and type, got {other} where "
            f"{one} stands in {differ[0]!r}"
        )
    return first, last


def flat(model):
    """All trained parameters in one vector, a copy in float64 on the CPU, as a numpy array."""
    network = Network(model)
    return torch.cat([p.detach().flatten().double().cpu() for p in network.parameters]).numpy()


@contextlib.contextmanager
def _plain_attention():
    """Attention by the formula: its fused kernels have neither a batched nor a second derivative."""
    with sdpa_kernel(SDPBackend.MATH):
        yield


def _near(a, b):
    return bool(((a - b).abs() <= ROUNDING[a.dtype] * (b.abs().max() + a.abs().max())).all())


def _kind(module):
    return getattr(module, "original_name", type(module).__name__)


def _refuse_training_mode(name, module):
    if not module.training:
        return
    kind, where = _kind(module), f"{name!r}, " if name else ""
    random = "Dropout" in kind and getattr(module, "p", 1) > 0
    if random or "BatchNorm" in kind:
        why = "draws anew at every call" if random else "mixes the samples of a batch"
        raise ValueError(
            f"model needs evaluation mode, got {where}{kind} in training mode, which {why}: call eval()"
        )

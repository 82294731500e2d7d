"""A second device on a machine that has none: it computes on the CPU and keeps its tensors apart, as a card does.

Inside :func:`pretended` the device ``"meta"`` holds numbers. An operation that meets one of its tensors and a tensor of
the CPU raises, and so does reading one as an array: what a forgotten ``.to`` or ``.cpu()`` does on a real card. The
numbers are the CPU's to rounding: a product may be folded otherwise.
"""

import contextlib

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map_only

CARD = torch.device("meta")
COPY, MOVE = torch.ops.aten.copy_.default, torch.ops.aten._to_copy.default


class Apart(torch.Tensor):
    """A tensor on the pretended card; its numbers lie in ``held``, on the CPU."""

    @staticmethod
    def __new__(cls, held):
        options = {"dtype": held.dtype, "device": CARD, "requires_grad": held.requires_grad}
        return torch.Tensor._make_wrapper_subclass(
            cls, held.shape, strides=held.stride(), storage_offset=held.storage_offset(), **options
        )

    def __init__(self, held):
        self.held = held

    def __repr__(self):
        return f"Apart({self.held})"

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        tensors = [x for x in tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor)]
        # a card takes single numbers of the CPU, and copies go between devices
        if function is not COPY and any(not isinstance(x, Apart) and x.ndim for x in tensors):
            raise RuntimeError(f"{function}: tensors on two devices, the card and the CPU")
        held_args, held_kwargs = tree_map_only(Apart, lambda x: x.held, (args, kwargs))
        to = held_kwargs.pop("device", None)
        found = function(*held_args, **held_kwargs)
        if function is COPY:
            return args[0]
        if function is MOVE and to is not None and to != CARD:
            return found
        return return_and_correct_aliasing(function, args, kwargs, tree_map_only(torch.Tensor, Apart, found))


class Made(TorchDispatchMode):
    """Tensors that are made on the card, or moved there."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if kwargs.get("device") != CARD or any(isinstance(x, Apart) for x in args):
            return function(*args, **kwargs)
        generator = kwargs.get("generator")
        if generator is not None and generator.device != CARD:
            raise RuntimeError(
                f"{function}: the generator lies on {generator.device}, the tensor on the card"
            )
        found = function(*args, **(kwargs | {"device": torch.device("cpu")}))
        # what lies on the CPU already would come back itself
        return Apart(found.clone() if any(found is x for x in args) else found)


class Told(TorchFunctionMode):
    """``torch.tensor`` and ``torch.as_tensor`` look at the device before anything is dispatched."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if function in (torch.tensor, torch.as_tensor) and kwargs.get("device") in (CARD, CARD.type):
            return function(*args, **(kwargs | {"device": "cpu"})).to(CARD)
        return function(*args, **kwargs)


@contextlib.contextmanager
def pretended():
    """A pretended card, and where it is."""
    with Told(), Made():
        yield CARD

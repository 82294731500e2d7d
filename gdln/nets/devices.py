"""Where tensors lie: one rule for draws, networks and data.

A draw is made where its generator lies and moved to the device, so that a generator on the CPU gives the same numbers
on every device. A network lies where it was made or moved, and the data come to it. Results come back to the CPU.
"""

import torch

from gdln import checks


def normal(shape, generator, dtype, device):
    """Standard normal numbers.

    Parameters
    ----------
    shape : sequence of int
        Shape of the result.
    generator : torch.Generator
        Source of randomness; the draw is made on its device.
    dtype : torch.dtype
        Type of the numbers.
    device : torch.device
        Where they are needed.

    Returns
    -------
    numbers : Tensor, shape ``shape``
        On the device.
    """
    return torch.randn(shape, generator=generator, dtype=dtype, device=generator.device).to(device)


def settled(model, device):
    """Move a module, if a device is given, and tell where it lies.

    Parameters
    ----------
    model : torch.nn.Module
        Moved in place.
    device : torch.device, str or None
        Where to; None leaves it.

    Returns
    -------
    device : torch.device
        That of the first parameter; the CPU where there is none.

    Raises
    ------
    TypeError, ValueError
        If the device is none or is not there.
    """
    if device is not None:
        model.to(checks.torch_device("device", device))
    return next((p.device for p in model.parameters()), torch.device("cpu"))


def moved(data, device):
    """Data on a device.

    Parameters
    ----------
    data : Tensor, or dict, tuple or list of such
        What lies there already is not copied.
    device : torch.device
        Where to.

    Returns
    -------
    data : as it came
        The same structure.
    """
    if isinstance(data, dict):
        return {key: moved(part, device) for key, part in data.items()}
    if isinstance(data, tuple | list):
        parts = [moved(part, device) for part in data]
        return tuple(parts) if isinstance(data, tuple) else parts
    return data.to(device)

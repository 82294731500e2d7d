"""Checks at every public entrance: which argument, what was needed, what came.

A check takes the argument's name and its value, and returns the value in the one form that the library computes with,
or raises ``TypeError`` for a wrong kind of object and ``ValueError`` for a wrong value, both as ``"<name> needs <what>,
got <what came>"``. Arrays come from lists, numpy arrays of any layout, pandas objects and torch tensors; none of them
is changed, and what a check returns cannot change them.
"""

import difflib
import numbers
from collections.abc import Iterable

import numpy as np

from gdln import optional


class Diverged(FloatingPointError):
    """A run left the finite numbers.

    Parameters
    ----------
    message : str
        What diverged.
    time : float, optional
        Time at which it was seen, in the units of the run.
    step : int, optional
        Step at which it was seen.
    """

    def __init__(self, message, *, time=None, step=None):
        super().__init__(message)
        self.time, self.step = time, step

    def __reduce__(self):
        # exceptions are rebuilt from their positional arguments; a worker process would lose the time and the step
        return _diverged, (str(self), self.time, self.step)


def _diverged(message, time, step):
    return Diverged(message, time=time, step=step)


def still_finite(state, what="the state", *, time=None, step=None):
    """Go on with a finite state, or end the run.

    Parameters
    ----------
    state : array_like or torch tensor
        Numbers to look at.
    what : str, optional
        Their name in the message.
    time : float, optional
        Time of the run.
    step : int, optional
        Step of the run.

    Raises
    ------
    Diverged
        If one is NaN or infinite; carries ``time`` and ``step``.

    Examples
    --------
    >>> still_finite([1.0, 2.0], step=3)
    """
    state = as_numpy("state", state)
    if not np.isfinite(state).all():
        where = f" at t={time:.4g}" if time is not None else f" at step {step}" if step is not None else ""
        raise Diverged(f"{what} diverged{where}", time=time, step=step)


def as_numpy(name, x):
    """A torch tensor as a numpy array; anything else as it is. Torch is not imported for that.

    Parameters
    ----------
    name : str
        The argument.
    x : object
        What came; a tensor may need gradients or lie on a device.

    Returns
    -------
    x : object
        May share the tensor's memory.

    Raises
    ------
    TypeError
        If the tensor is sparse or cannot be read.
    """
    if not (_from_torch(type(x)) and hasattr(x, "detach") and hasattr(x, "numpy")):
        return x
    try:
        x = x.detach().cpu().resolve_conj().resolve_neg()
        return (x.float() if str(x.dtype) == "torch.bfloat16" else x).numpy()
    except (TypeError, RuntimeError) as error:
        raise TypeError(f"{name} needs a dense tensor, got {type(x).__name__}: {error}") from error


def finite(name, data):
    """Data without NaN or infinity, an array or a torch tensor, as they came.

    Parameters
    ----------
    name : str
        The argument.
    data : array_like or torch tensor
        Numbers to look at, before a run could be blamed for them.

    Returns
    -------
    data : object
        The same object.

    Raises
    ------
    ValueError
        If one is NaN or infinite.

    Examples
    --------
    >>> finite("x", [1.0, np.nan])
    Traceback (most recent call last):
    ValueError: x needs finite numbers, got NaN in 1 of 2 elements
    """
    # a tensor is looked at where it lies: this may stand in a training loop
    whole = data.isfinite().all() if _from_torch(type(data)) else np.isfinite(data).all()
    if not bool(whole):
        raise ValueError(f"{name} needs finite numbers, got {_not_finite(np.asarray(as_numpy(name, data)))}")
    return data


def need(condition, name, what, came):
    """Refuse an argument unless a condition holds.

    Parameters
    ----------
    condition : bool
        Whether the argument is as needed.
    name : str
        The argument.
    what : str
        What it needs, as in "a width above its bottleneck".
    came : object
        What came instead, described by its type, shape or value.

    Raises
    ------
    ValueError
        If ``condition`` is false.
    """
    if not condition:
        raise ValueError(f"{name} needs {what}, got {described(came)}")


def described(value):
    """A value in a few words, for a message.

    Examples
    --------
    >>> described(np.zeros((2, 3))), described("x"), described(None), described(2.5)
    ('an array of shape (2, 3)', "str 'x'", 'None', 'float 2.5')
    """
    if value is None:
        return "None"
    # a class has descriptors where its objects have values
    shape = None if isinstance(value, type) else getattr(value, "shape", None)
    if shape is not None and len(tuple(shape)) > 0:
        return _of_shape(value)
    if isinstance(value, np.generic | np.ndarray):
        return f"{value.dtype} {value}"
    text = repr(value)
    if isinstance(value, list | tuple | dict | set):
        return text if len(text) <= 60 else f"a {type(value).__name__} of {len(value)} elements"
    if isinstance(value, numbers.Number | str | bytes):
        return f"{type(value).__name__} {text if len(text) <= 60 else text[:57] + '...'}"
    if isinstance(value, type) or callable(value):
        return getattr(value, "__qualname__", type(value).__name__)
    return f"an object of type {type(value).__name__}"


def _of_shape(value):
    kind = "an array" if isinstance(value, np.ndarray) else f"a {type(value).__name__}"
    return f"{kind} of shape {tuple(value.shape)}"


def array(
    name,
    x,
    *,
    ndim=None,
    shape=None,
    dtype=float,
    finite=True,
    empty=False,
    above=None,
    least=None,
    below=None,
    most=None,
    copy=False,
):
    """Numbers as a numpy array of one type.

    Parameters
    ----------
    name : str
        The argument.
    x : array_like
        Number, nested sequence, numpy array, pandas object or torch tensor.
    ndim : int or tuple of int, optional
        Number of dimensions, or those allowed.
    shape : tuple, optional
        Shape, one entry an axis: an integer, None for any length, or a word for any length; equal words stand for
        equal lengths, as in ``("n", "n")``. A leading ``...`` allows any axes before the others.
    dtype : type, optional
        ``float`` (numbers and booleans), ``int`` (integers, no booleans), ``bool`` (booleans, or numbers that are all
        0 or 1), ``complex``. The result is in float64, int64, bool or complex128.
    finite : bool, optional
        Refuse NaN and infinity.
    empty : bool, optional
        Allow an array without elements.
    above, least, below, most : float, optional
        Bounds on every element: ``above < x``, ``least <= x``, ``x < below``, ``x <= most``. NaN is outside any bound.
    copy : bool, optional
        Return an array of one's own to write in. Otherwise the array is read-only, for it may share the memory of
        ``x``.

    Returns
    -------
    array : ndarray
        In native byte order, read-only unless ``copy``.

    Raises
    ------
    TypeError
        If ``x`` holds no numbers of the kind needed: text, objects, complex numbers or fractions for integers; sparse
        and masked arrays are to be filled by the caller.
    ValueError
        If the shape, a bound or the finiteness fails, or rows differ in length.

    Examples
    --------
    >>> array("X", [[1, 2], [3, 4]], shape=("n", "n"))
    array([[1., 2.],
           [3., 4.]])
    >>> array("X", [1, 2], shape=("n_samples", 3))
    Traceback (most recent call last):
    ValueError: X needs shape (n_samples, 3), got an array of shape (2,)
    """
    found = _numbers(name, x, dtype)
    _shape(name, found, ndim, shape)
    if not empty and found.size == 0:
        raise ValueError(f"{name} needs at least one element, got an array of shape {found.shape}")
    if found.size:
        if finite and not np.isfinite(found).all():
            raise ValueError(f"{name} needs finite numbers, got {_not_finite(found)}")
        _bounds(name, found, above, least, below, most)
    if copy:
        return np.array(found)
    view = found.view()
    view.flags.writeable = False
    return view


def number(name, x, *, finite=True, above=None, least=None, below=None, most=None):
    """One real number as a float.

    Parameters
    ----------
    name : str
        The argument.
    x : float
        Number, numpy scalar, or array or tensor without dimensions; no boolean.
    finite : bool, optional
        Refuse infinity. NaN is always refused.
    above, least, below, most : float, optional
        Bounds, as in :func:`array`.

    Returns
    -------
    x : float
        The number.

    Raises
    ------
    TypeError
        If it is no real number.
    ValueError
        If it is NaN, infinite where it must not be, or outside its bounds.

    Examples
    --------
    >>> number("temperature", np.float32(0.5), least=0)
    0.5
    >>> number("temperature", -1, least=0)
    Traceback (most recent call last):
    ValueError: temperature needs a number of at least 0, got int -1
    """
    value = as_numpy(name, x)
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} needs {_bounded('a number', above, least, below, most)}, got {described(x)}")
    try:
        value = float(value)
    except OverflowError:
        raise ValueError(f"{name} needs a number that float64 can hold, got {described(x)}") from None
    inside = (
        (above is None or value > above)
        and (least is None or value >= least)
        and (below is None or value < below)
        and (most is None or value <= most)
    )
    if np.isnan(value) or not inside or (finite and np.isinf(value)):
        what = _bounded(
            "a finite number" if finite and np.isinf(value) else "a number", above, least, below, most
        )
        raise ValueError(f"{name} needs {what}, got {described(x)}")
    return value


def positive(name, x, *, infinite=False):
    """One number above zero as a float; infinity only if ``infinite``. Errors as in :func:`number`.

    Examples
    --------
    >>> positive("width", np.inf, infinite=True)
    inf
    """
    return number(name, x, above=0, finite=not infinite)


def nonnegative(name, x, *, infinite=False):
    """One number of at least zero as a float; infinity only if ``infinite``. Errors as in :func:`number`.

    Examples
    --------
    >>> nonnegative("temperature", 0)
    0.0
    """
    return number(name, x, least=0, finite=not infinite)


def count(name, n, least=1, most=None):
    """A whole number of things as an int.

    Parameters
    ----------
    name : str
        The argument.
    n : int
        Python or numpy integer; no boolean, and no float even where it is whole.
    least, most : int, optional
        Smallest and largest value allowed.

    Returns
    -------
    n : int
        The number.

    Raises
    ------
    TypeError
        If it is no integer.
    ValueError
        If it is too small or too large.

    Examples
    --------
    >>> count("n_gates", np.int32(3))
    3
    >>> count("n_gates", 2.5)
    Traceback (most recent call last):
    TypeError: n_gates needs a whole number of at least 1, got float 2.5
    """
    what = _bounded("a whole number", None, least, None, most)
    value = as_numpy(name, n)
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{name} needs {what}, got {described(n)}")
    value = int(value)
    if (least is not None and value < least) or (most is not None and value > most):
        raise ValueError(f"{name} needs {what}, got {value}")
    return value


def flag(name, value):
    """Yes or no.

    Parameters
    ----------
    name : str
        The argument.
    value : bool
        Python or numpy boolean; no number, and no text, which would count as yes.

    Returns
    -------
    value : bool
        The answer.

    Raises
    ------
    TypeError
        If it is anything else.

    Examples
    --------
    >>> flag("centred", "no")
    Traceback (most recent call last):
    TypeError: centred needs True or False, got str 'no'
    """
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} needs True or False, got {described(value)}")
    return bool(value)


def choice(name, value, options):
    """One of a few options.

    Parameters
    ----------
    name : str
        The argument.
    value : str or object
        What was chosen.
    options : iterable
        Everything that may be chosen.

    Returns
    -------
    option : object
        The option that equals ``value``.

    Raises
    ------
    ValueError
        If it is none of them; lists all, and the nearest to a misspelt word.

    Examples
    --------
    >>> choice("rule", "algin_zero", ("align_zero", "align_ada"))
    Traceback (most recent call last):
    ValueError: rule needs one of 'align_zero', 'align_ada' (did you mean 'align_zero'?), got str 'algin_zero'
    """
    options = tuple(options)
    for option in options:
        if value is option or (isinstance(value, type(option)) and _same(value, option)):
            return option
    near = []
    if isinstance(value, str):
        near = difflib.get_close_matches(value, [option for option in options if isinstance(option, str)], 1)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    raise ValueError(f"{name} needs one of {', '.join(map(repr, options))}{hint}, got {described(value)}")


def generator(name, rng):
    """A numpy generator, the only source of randomness the numpy modules take.

    Parameters
    ----------
    name : str
        The argument.
    rng : numpy.random.Generator
        Generator; it advances as it is used.

    Returns
    -------
    rng : numpy.random.Generator
        The same object.

    Raises
    ------
    TypeError
        If it is anything else, seeds, None and torch generators included.

    Examples
    --------
    >>> generator("rng", 0)
    Traceback (most recent call last):
    TypeError: rng needs a numpy.random.Generator such as numpy.random.default_rng(0), got int 0
    """
    if not isinstance(rng, np.random.Generator):
        raise TypeError(
            f"{name} needs a numpy.random.Generator such as numpy.random.default_rng(0), got {_source(rng)}"
        )
    return rng


def torch_generator(name, generator):
    """A torch generator, the only source of randomness the modules on torch take.

    Parameters
    ----------
    name : str
        The argument.
    generator : torch.Generator
        Generator; it advances as it is used.

    Returns
    -------
    generator : torch.Generator
        The same object.

    Raises
    ------
    TypeError
        If it is anything else; None would draw from torch's global state.

    Examples
    --------
    >>> torch_generator("generator", None)
    Traceback (most recent call last):
    TypeError: generator needs a torch.Generator such as torch.Generator().manual_seed(0), got None
    """
    kind = type(generator)
    if kind.__name__ != "Generator" or not _from_torch(kind):
        raise TypeError(
            f"{name} needs a torch.Generator such as torch.Generator().manual_seed(0), got {_source(generator)}"
        )
    return generator


def torch_dtype(name, dtype):
    """A type of torch that holds floating-point numbers, as weights are.

    Parameters
    ----------
    name : str
        The argument.
    dtype : torch.dtype
        What came.

    Returns
    -------
    dtype : torch.dtype
        The same object.

    Raises
    ------
    TypeError
        If it is anything else, types of integers and of numpy included.

    Examples
    --------
    >>> torch_dtype("dtype", float)
    Traceback (most recent call last):
    TypeError: dtype needs a floating-point torch.dtype, got float
    """
    kind = type(dtype)
    if kind.__name__ != "dtype" or not _from_torch(kind) or not dtype.is_floating_point:
        raise TypeError(f"{name} needs a floating-point torch.dtype, got {described(dtype)}")
    return dtype


def torch_device(name, device):
    """A device that torch can compute on, here and now.

    Parameters
    ----------
    name : str
        The argument.
    device : torch.device or str
        What came, such as ``"cpu"``, ``"cuda"`` or ``"cuda:1"``.

    Returns
    -------
    device : torch.device
        As tensors name it that lie there: ``"cuda"`` becomes the card in use.

    Raises
    ------
    TypeError
        If it is neither a device nor a name.
    ValueError
        If torch knows no such device, or it is not there; tells those that are.

    Examples
    --------
    >>> torch_device("device", "cpu")
    device(type='cpu')
    >>> torch_device("device", 0)
    Traceback (most recent call last):
    TypeError: device needs a torch.device or its name, such as 'cpu', got int 0
    """
    torch = optional.load("torch", f"{name}=")
    if not isinstance(device, str | torch.device):
        raise TypeError(f"{name} needs a torch.device or its name, such as 'cpu', got {described(device)}")
    try:
        zero = torch.zeros((), dtype=torch.uint8, device=torch.device(device))
        zero.cpu()  # a number that comes back: on "meta" nothing is computed
    # AssertionError: of a torch that was built without the device
    except (RuntimeError, AssertionError) as error:
        here = ["cpu", *(f"cuda:{k}" for k in range(torch.cuda.device_count()))]
        here += ["mps"] * torch.backends.mps.is_available()
        words = (str(error).strip() or type(error).__name__).splitlines()[0].split(". ")[0]
        raise ValueError(
            f"{name} needs one of the devices here, {here}, got {str(device)!r}: {words}"
        ) from error
    return zero.device


def floating(name, tensor):
    """A torch tensor of floating-point numbers: in one of integers, what is computed would be rounded to its type.

    Parameters
    ----------
    name : str
        The argument.
    tensor : torch.Tensor
        What came.

    Returns
    -------
    tensor : torch.Tensor
        The same object.

    Raises
    ------
    TypeError
        If it is no tensor, or one of other numbers.

    Examples
    --------
    >>> floating("weights", [1.0])
    Traceback (most recent call last):
    TypeError: weights needs a Tensor, got [1.0]
    """
    if not (_from_torch(type(tensor)) and hasattr(tensor, "detach")):
        raise TypeError(f"{name} needs a Tensor, got {described(tensor)}")
    if not tensor.is_floating_point():
        raise TypeError(f"{name} needs floating-point numbers, got elements of type {tensor.dtype}")
    return tensor


def entries(name, given, wanted, what):
    """A dict with one entry for each of the things it is about, and no other.

    Parameters
    ----------
    name : str
        The argument.
    given : dict
        What came.
    wanted : iterable
        Its keys.
    what : str
        What they are, as in "input nodes".

    Returns
    -------
    given : dict
        The same object.

    Raises
    ------
    TypeError
        If it is no dict.
    ValueError
        If it lacks an entry or has one too many; names them.

    Examples
    --------
    >>> entries("inputs", {"a": 1, "c": 2}, ("a", "b"), "input nodes")
    Traceback (most recent call last):
    ValueError: inputs needs one entry for each of the input nodes ['a', 'b'], got none for ['b'] and one for ['c']
    """
    instance(name, given, dict)
    wanted = set(wanted)
    lacking, extra = sorted(wanted - set(given), key=str), sorted(set(given) - wanted, key=str)
    if lacking or extra:
        words = [f"{kind} for {keys}" for kind, keys in (("none", lacking), ("one", extra)) if keys]
        what = f"one entry for each of the {what} {sorted(wanted, key=str)}"
        raise ValueError(f"{name} needs {what}, got {' and '.join(words)}")
    return given


def shaped(name, x, shape):
    """An array or a torch tensor of some shape, as it came.

    Parameters
    ----------
    name : str
        The argument.
    x : ndarray or torch tensor
        What came.
    shape : tuple
        As in :func:`array`.

    Returns
    -------
    x : object
        The same object.

    Raises
    ------
    ValueError
        If its shape is another one.

    Examples
    --------
    >>> shaped("x", np.zeros((5, 2)), ("batch", 3))
    Traceback (most recent call last):
    ValueError: x needs shape (batch, 3), got an array of shape (5, 2)
    """
    _shape(name, x, None, shape)
    return x


def instance(name, value, kinds):
    """An object of one class, or of one of several.

    Parameters
    ----------
    name : str
        The argument.
    value : object
        What came.
    kinds : type or tuple of type
        What is needed.

    Returns
    -------
    value : object
        The same object.

    Raises
    ------
    TypeError
        If it is of no such class.

    Examples
    --------
    >>> instance("images", 3, dict)
    Traceback (most recent call last):
    TypeError: images needs a dict, got int 3
    """
    if not isinstance(value, kinds):
        kinds = kinds if isinstance(kinds, tuple) else (kinds,)
        raise TypeError(f"{name} needs a {' or a '.join(k.__name__ for k in kinds)}, got {described(value)}")
    return value


def function(name, value):
    """Something that can be called.

    Parameters
    ----------
    name : str
        The argument.
    value : callable
        What came.

    Returns
    -------
    value : callable
        The same object.

    Raises
    ------
    TypeError
        If it cannot be called.

    Examples
    --------
    >>> function("slope", 2.0)
    Traceback (most recent call last):
    TypeError: slope needs a function, got float 2.0
    """
    if not callable(value):
        raise TypeError(f"{name} needs a function, got {described(value)}")
    return value


def times(name, t, *, ndim=None, infinite=False, ordered=False, least=0.0):
    """Times of a run, from zero on unless said otherwise.

    Parameters
    ----------
    name : str
        The argument.
    t : array_like
        One or more times.
    ndim : int or tuple of int, optional
        Number of dimensions, or those allowed; any unless given.
    infinite : bool, optional
        Allow infinity, where a limit is known.
    ordered : bool, optional
        Refuse times that decrease (along the last axis).
    least : float, optional
        Earliest time allowed; None for any.

    Returns
    -------
    t : ndarray
        Read-only, in float64.

    Raises
    ------
    TypeError
        If they are no numbers.
    ValueError
        If one is NaN, below ``least``, or infinite or earlier than the one before where it must not be.

    Examples
    --------
    >>> times("times", [0, 1, 1], ordered=True)
    array([0., 1., 1.])
    """
    t = array(name, t, ndim=ndim, finite=not infinite, least=-np.inf if least is None else least)
    if ordered and t.ndim:
        early = t[..., 1:] < t[..., :-1]
        if early.any():
            before, after = t[..., :-1][early].flat[0], t[..., 1:][early].flat[0]
            raise ValueError(f"{name} needs times that do not decrease, got {after:.6g} after {before:.6g}")
    return t


def together(**arrays):
    """Arrays of numbers broadcast to one shape.

    Parameters
    ----------
    **arrays : ndarray
        Arrays that passed a check already, by the names of the arguments.

    Returns
    -------
    arrays : tuple of ndarray
        Read-only, of one shape, in the order given.

    Raises
    ------
    ValueError
        If their shapes do not broadcast; names all of them.

    Examples
    --------
    >>> together(b=np.ones((2, 3)), d=np.ones(2))
    Traceback (most recent call last):
    ValueError: b, d need shapes that broadcast together, got (2, 3), (2,)
    """
    try:
        shape = np.broadcast_shapes(*(a.shape for a in arrays.values()))
    except ValueError:
        came = ", ".join(str(a.shape) for a in arrays.values())
        raise ValueError(f"{', '.join(arrays)} need shapes that broadcast together, got {came}") from None
    return tuple(np.broadcast_to(a, shape) for a in arrays.values())


def square(name, K, *, copy=False):
    """A finite matrix with as many rows as columns, at least one. Errors as in :func:`array`.

    Examples
    --------
    >>> square("kernel", [[1, 2]])
    Traceback (most recent call last):
    ValueError: kernel needs shape (n, n), got an array of shape (1, 2)
    """
    return array(name, K, shape=("n", "n"), copy=copy)


def symmetric(name, K, *, rtol=1e-8, copy=False):
    """A finite matrix that equals its transpose.

    Parameters
    ----------
    name : str
        The argument.
    K : array_like, shape (n, n)
        Matrix.
    rtol : float, optional
        Largest difference between two mirrored entries, relative to the largest entry.
    copy : bool, optional
        Return an array to write in, see :func:`array`.

    Returns
    -------
    K : ndarray, shape (n, n)
        As it came, not symmetrised.

    Raises
    ------
    TypeError, ValueError
        As :func:`array`, and if the matrix is not symmetric.

    Examples
    --------
    >>> symmetric("kernel", [[1.0, 2.0], [3.0, 1.0]])
    Traceback (most recent call last):
    ValueError: kernel needs a symmetric matrix, got mirrored entries that differ by 1 where the largest is 3
    """
    K = square(name, K, copy=copy)
    largest = np.abs(K).max()
    with np.errstate(over="ignore"):  # huge entries of opposite sign differ by infinity
        off = np.abs(K - K.T).max()
    if off > rtol * largest:
        raise ValueError(
            f"{name} needs a symmetric matrix, got mirrored entries that differ by {off:.3g} where the largest is"
            f" {largest:.3g}"
        )
    return K


def psd(name, K, *, rtol=1e-8, copy=False):
    """A symmetric matrix without negative eigenvalues, as kernels and covariances are.

    Parameters
    ----------
    name : str
        The argument.
    K : array_like, shape (n, n)
        Matrix; its eigenvalues are computed, at a cost of order n^3.
    rtol : float, optional
        How far below zero an eigenvalue may come by rounding, relative to the largest entry, and as in
        :func:`symmetric`.
    copy : bool, optional
        Return an array to write in, see :func:`array`.

    Returns
    -------
    K : ndarray, shape (n, n)
        As it came.

    Raises
    ------
    TypeError, ValueError
        As :func:`symmetric`, and if an eigenvalue is negative beyond rounding.

    Examples
    --------
    >>> psd("kernel", [[1.0, 2.0], [2.0, 1.0]])
    Traceback (most recent call last):
    ValueError: kernel needs eigenvalues of at least zero, got -1
    """
    K = symmetric(name, K, rtol=rtol, copy=copy)
    largest = np.abs(K).max()
    if largest > 0:
        # in units of the largest entry, so that tiny and huge matrices are judged alike
        lowest = np.linalg.eigvalsh(K / largest)[0]
        if lowest < -rtol * len(K):
            raise ValueError(f"{name} needs eigenvalues of at least zero, got {lowest * largest:.3g}")
    return K


def probabilities(name, p, *, ndim=None, shape=None, total=None):
    """Numbers between zero and one.

    Parameters
    ----------
    name : str
        The argument.
    p : array_like
        Probabilities.
    ndim, shape : optional
        As in :func:`array`.
    total : float, optional
        What they must sum to along the last axis, to rounding.

    Returns
    -------
    p : ndarray
        Read-only, in float64.

    Raises
    ------
    TypeError, ValueError
        As :func:`array`, and if the sum is not ``total``.

    Examples
    --------
    >>> probabilities("weights", [0.5, 0.6], total=1)
    Traceback (most recent call last):
    ValueError: weights needs probabilities that sum to 1, got a sum of 1.1
    """
    p = array(name, p, ndim=ndim, shape=shape, least=0, most=1)
    if total is not None:
        sums = np.atleast_1d(p.sum(axis=-1))
        # n numbers rounded to float32 sum to within n times its half ulp
        wrong = np.abs(sums - total) > 1e-7 * max(1, np.atleast_1d(p).shape[-1])
        if wrong.any():
            raise ValueError(
                f"{name} needs probabilities that sum to {total:.6g}, got a sum of {sums[wrong].flat[0]:.6g}"
            )
    return p


def _from_torch(kind):
    return any((k.__module__ or "").split(".")[0] == "torch" for k in kind.__mro__)


_TYPES = {float: np.float64, int: np.int64, bool: np.bool_, complex: np.complex128}


def _numbers(name, x, dtype):
    """The array of ``x`` in the type of ``dtype``, or words on why its elements are none."""
    if type(x) is np.ndarray and x.dtype == _TYPES[dtype]:
        return x  # the most frequent; for small arrays all that follows takes longer than what is computed of them
    if type(x) is float and dtype is float:
        return np.asarray(x)
    what = {float: "real numbers", int: "integers", bool: "booleans, or zeros and ones", complex: "numbers"}[
        dtype
    ]
    raw = as_numpy(name, x)
    if isinstance(raw, str | bytes | dict | set) or raw is None:
        raise TypeError(f"{name} needs an array of {what}, got {described(x)}")
    if isinstance(raw, np.ma.MaskedArray) or (hasattr(raw, "tocoo") and hasattr(raw, "nnz")):
        kind = "a masked array" if isinstance(raw, np.ma.MaskedArray) else "a sparse matrix"
        raise TypeError(f"{name} needs an array with every element filled in, got {kind}")
    if isinstance(raw, Iterable) and not hasattr(raw, "__array__") and not hasattr(raw, "__len__"):
        raise TypeError(f"{name} needs an array of {what}, got {described(x)}")
    if isinstance(raw, list | tuple):
        raw = _listed(name, raw)
    try:
        found = np.asarray(raw)
    except (ValueError, TypeError, RuntimeError) as error:
        raise ValueError(f"{name} needs rows of equal length, got {described(x)}: {error}") from error
    if found.dtype == object:
        found = _unboxed(name, found, what)
    kind, wanted = found.dtype.kind, {float: "buif", int: "ui", bool: "buif", complex: "buifc"}[dtype]
    if found.size == 0 and kind == "f":  # numpy's type of an empty list
        kind = wanted[0]
    if kind not in wanted:
        raise TypeError(f"{name} needs {what}, got elements of type {found.dtype}")
    if dtype is bool and kind != "b" and not ((found == 0) | (found == 1)).all():
        raise ValueError(f"{name} needs {what}, got {found[(found != 0) & (found != 1)].flat[0]}")
    if dtype is int and kind == "u" and found.size and found.max() > np.iinfo(np.int64).max:
        raise ValueError(f"{name} needs integers of 64 bits, got {found.max()}")
    with np.errstate(over="ignore"):  # wider floats that overflow are infinite, which the caller refuses
        return np.asarray(found, dtype=_TYPES[dtype])


def _listed(name, raw):
    """A nested list with its tensors as arrays, which numpy would otherwise read element by element or refuse."""
    return [_listed(name, v) if isinstance(v, list | tuple) else as_numpy(name, v) for v in raw]


def _unboxed(name, found, what):
    """Python objects as numbers, if they are: None or text would otherwise turn into NaN, or into what it spells."""
    for value in found.flat:
        if isinstance(value, list | tuple | np.ndarray):
            raise ValueError(f"{name} needs rows of equal length, got {described(value)} among them")
        if not isinstance(value, numbers.Number | np.bool_):
            raise TypeError(f"{name} needs {what}, got {described(value)} among them")
    values = list(found.flat)
    if values and all(isinstance(value, bool | np.bool_) for value in values):
        return found.astype(bool)
    if values and all(isinstance(value, numbers.Integral) for value in values):
        try:
            return found.astype(np.int64)
        except OverflowError:
            pass  # integers beyond 64 bits are read as floats
    try:
        return found.astype(complex if any(isinstance(value, complex) for value in values) else float)
    except (OverflowError, TypeError, ValueError) as error:
        raise ValueError(f"{name} needs {what} that float64 can hold, got {error}") from error


def _shape(name, found, ndim, shape):
    if ndim is not None:
        allowed = ndim if isinstance(ndim, tuple) else (ndim,)
        if found.ndim not in allowed:
            words = " or ".join(map(str, allowed))
            axes = "dimension" if words == "1" else "dimensions"
            raise ValueError(f"{name} needs {words} {axes}, got {_of_shape(found)}")
    if shape is None:
        return
    free = bool(shape) and shape[0] is Ellipsis
    wanted = shape[1:] if free else shape
    actual = found.shape[found.ndim - len(wanted) :] if free and found.ndim >= len(wanted) else found.shape
    fits, lengths = len(actual) == len(wanted), {}
    if fits:
        for length, entry in zip(actual, wanted, strict=True):
            if isinstance(entry, str):
                fits &= lengths.setdefault(entry, length) == length
            elif entry is not None:
                fits &= entry == length
    if not fits:
        words = ["..."] * free + ["any" if entry is None else str(entry) for entry in wanted]
        text = f"({words[0]},)" if len(words) == 1 else f"({', '.join(words)})"
        raise ValueError(f"{name} needs shape {text}, got {_of_shape(found)}")


def _bounds(name, found, above, least, below, most):
    for bound, outside in (
        (above, lambda b: ~(found > b)),
        (least, lambda b: ~(found >= b)),
        (below, lambda b: ~(found < b)),
        (most, lambda b: ~(found <= b)),
    ):
        if bound is not None and (wrong := outside(bound)).any():
            what = _bounded("numbers", above, least, below, most)
            raise ValueError(f"{name} needs {what}, got {_digits(found[wrong].flat[0])}")


def _bounded(noun, above, least, below, most):
    bounds = ((above, "above"), (least, "of at least"), (below, "below"), (most, "of at most"))
    words = [f"{word} {_digits(bound)}" for bound, word in bounds if bound is not None and np.isfinite(bound)]
    return f"{noun} {' and '.join(words)}" if words else noun


def _digits(value):
    """A number in words of an error: whole ones with all their digits, so that one beyond a bound differs from it."""
    return str(value) if isinstance(value, numbers.Integral) else f"{value:.6g}"


def _not_finite(found):
    n = int(np.count_nonzero(~np.isfinite(found)))
    kind = "NaN" if np.isnan(found).any() else "infinity"
    return kind if found.ndim == 0 else f"{kind} in {n} of {found.size} elements"


def _same(value, option):
    try:
        return bool(value == option)
    except (ValueError, TypeError):  # arrays compare element by element
        return False


def _source(rng):
    kind = type(rng)
    if kind.__name__ in ("Generator", "RandomState"):
        return f"a {'torch' if _from_torch(kind) else 'numpy.random'}.{kind.__name__}"
    return described(rng)

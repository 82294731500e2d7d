r"""Real images: built-in digits, idx and CIFAR-10 files, and the families of domains made from one image set.

Nothing is downloaded unless :func:`fetch` is called. :func:`load` looks in the folder named by the
environment variable ``GDLN_DATA``, whose files it checks for their format only, then among the
files fetched before, and for Fashion-MNIST where Debian's package ``dataset-fashion-mnist`` puts it.
"""

import contextlib
import functools
import gzip
import itertools
import math
import os
import tarfile
import zlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy import ndimage, sparse

from gdln import checks, optional

_IDX = {
    ("train", "images"): "train-images-idx3-ubyte",
    ("train", "labels"): "train-labels-idx1-ubyte",
    ("test", "images"): "t10k-images-idx3-ubyte",
    ("test", "labels"): "t10k-labels-idx1-ubyte",
}
_CIFAR = {"train": [f"data_batch_{i}.bin" for i in range(1, 6)], "test": ["test_batch.bin"]}
_CIFAR_ARCHIVE = "cifar-10-binary.tar.gz"
_CIFAR_RECORD, _CIFAR_MOST = 3073, 10_000  # bytes of an image with its label; images of a published batch
_IDX_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
#: Folders a set comes in: ours, the one of its own archive, torchvision's.
_ALIASES = {
    "mnist": ("mnist", "MNIST"),
    "fashion": ("fashion", "fashion-mnist", "FashionMNIST"),
    "kmnist": ("kmnist", "KMNIST"),
    "cifar10": ("cifar10",),
}
_DEBIAN = {"fashion": (Path("/usr/share/datasets/fashion-mnist"), "dataset-fashion-mnist")}

#: Where each set is published, and the MD5 sums of the files as published there.
SOURCES = {
    "mnist": (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        {
            "train-images-idx3-ubyte.gz": "md5:f68b3c2dcbeaaa9fbdd348bbdeb94873",
            "train-labels-idx1-ubyte.gz": "md5:d53e105ee54ea40749a09fcbcd1e9432",
            "t10k-images-idx3-ubyte.gz": "md5:9fb629c4189551a2d022fa330f9573f3",
            "t10k-labels-idx1-ubyte.gz": "md5:ec29112dd5afa0611ce80d1b7f02629c",
        },
    ),
    "fashion": (
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        {
            "train-images-idx3-ubyte.gz": "md5:8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "train-labels-idx1-ubyte.gz": "md5:25c81989df183df01b3e8a0aad5dffbe",
            "t10k-images-idx3-ubyte.gz": "md5:bef4ecab320f06d8554ea6380940ec79",
            "t10k-labels-idx1-ubyte.gz": "md5:bb300cfdad3c16e7a12a480ee83cd310",
        },
    ),
    "kmnist": (
        "http://codh.rois.ac.jp/kmnist/dataset/kmnist/",
        {
            "train-images-idx3-ubyte.gz": "md5:bdb82020997e1d708af4cf47b453dcf7",
            "train-labels-idx1-ubyte.gz": "md5:e144d726b3acfaa3e44228e80efcd344",
            "t10k-images-idx3-ubyte.gz": "md5:5c965bf0a639b31b8f53240b1b52f4d7",
            "t10k-labels-idx1-ubyte.gz": "md5:7320c461ea6c1c855c0b718fb2a4b134",
        },
    ),
    "cifar10": (
        "https://www.cs.toronto.edu/~kriz/",
        {_CIFAR_ARCHIVE: "md5:c32a1d4ab5d03f1284b67883e8d87530"},
    ),
}


@dataclass(frozen=True)
class ImageSet:
    """Images as rows, with labels.

    Attributes
    ----------
    X : ndarray, shape (n, n_pixels)
        Pixels between 0 and 1, row by row; colour images channel by channel. Arrays of floats are kept in their
        precision.
    labels : ndarray of int, shape (n,)
        Classes.
    shape : tuple of int
        Shape of one image: (height, width) or (channels, height, width).
    """

    X: np.ndarray
    labels: np.ndarray
    shape: tuple

    def __post_init__(self):
        X = checks.array("X", self.X, shape=("n", "n_pixels"))
        labels = checks.array("labels", self.labels, shape=("n",), dtype=int)
        # floats of another width are a choice, as single precision for training; all else becomes the standard type
        if not (type(self.X) is np.ndarray and self.X.dtype.kind == "f"):
            object.__setattr__(self, "X", X)
        if not (type(self.labels) is np.ndarray and self.labels.dtype == np.int64):
            object.__setattr__(self, "labels", labels)
        shape = checks.array("shape", self.shape, ndim=1, dtype=int, least=1)
        object.__setattr__(self, "shape", tuple(shape.tolist()))
        if self.X.shape != (len(self.labels), math.prod(self.shape)):
            raise ValueError(
                f"X needs {len(self.labels)} images of {math.prod(self.shape)} pixels, as labels and shape say, got an"
                f" array of shape {self.X.shape}"
            )

    def __len__(self):
        return len(self.labels)

    def subset(self, index):
        """The images at ``index`` (integers, a slice or a boolean mask), at least one."""
        if not isinstance(index, slice):
            checks.array("index", index, ndim=1)
            if np.asarray(index).dtype.kind == "b":
                index = checks.array("index", index, dtype=bool, shape=(len(self),))
            else:
                index = checks.array("index", index, dtype=int, least=-len(self), most=len(self) - 1)
        return replace(self, X=self.X[index], labels=self.labels[index])

    def split(self, n_train, rng):
        """Shuffle and cut into ``n_train`` images and the rest: a pair of image sets."""
        n_train = checks.count("n_train", n_train, most=len(self) - 1)
        order = checks.generator("rng", rng).permutation(len(self))
        return self.subset(order[:n_train]), self.subset(order[n_train:])


def digits():
    """The 1797 handwritten digits (8 by 8 pixels) that come with scikit-learn.

    Returns
    -------
    digits : ImageSet
        Pixels divided by 16, so between 0 and 1.

    Examples
    --------
    >>> digits().X.shape
    (1797, 64)
    """
    X, labels = _bundled()
    return ImageSet(X.copy(), labels.copy(), (8, 8))


@functools.cache  # a text file, which takes a hundred times as long to read as its numbers to copy
def _bundled():
    """Pixels and labels of scikit-learn's digits."""
    bunch = optional.load("sklearn.datasets", "the set of digits").load_digits()
    return bunch.data / 16.0, bunch.target.astype(np.int64)


def centre(X):
    """Subtract the mean image.

    Parameters
    ----------
    X : array_like, shape (n, n_pixels)
        Images.

    Returns
    -------
    X : ndarray, shape (n, n_pixels)
        With zero mean over images.
    """
    X = checks.array("X", X, ndim=2)
    return X - X.mean(axis=0)


def whiten(X, rtol=1e-10):
    r"""Centre, and make all directions equally strong: :math:`X^\top X / n = I`.

    Principal components divided by their standard deviation; directions without variance are left out.

    Parameters
    ----------
    X : array_like, shape (n, n_pixels)
        Images.
    rtol : float, optional
        Directions with a singular value below ``rtol`` times the largest are left out.

    Returns
    -------
    Z : ndarray, shape (n, rank)
        Whitened images, in decreasing order of the variance they had.

    Raises
    ------
    ValueError
        If there is no image, a pixel is not finite, or no pixel varies.
    """
    X, rtol = checks.array("X", X, ndim=2), checks.number("rtol", rtol, least=0, below=1)
    checks.need(np.ptp(X, axis=0).any(), "X", "rows of pixels that vary", X)
    X = centre(X)
    U, s, _ = np.linalg.svd(X, full_matrices=False)
    return math.sqrt(len(X)) * U[:, s > rtol * s[0]]


def one_hot(labels, n_classes=10, centred=False):
    r"""Targets :math:`y_{\mu c}=\delta_{c\,c(\mu)}`, minus their mean over the samples if ``centred``.

    Parameters
    ----------
    labels : array_like of int, shape (n,)
        Classes.
    n_classes : int, optional
        Number of classes.
    centred : bool, optional
        Subtract each column's mean.

    Returns
    -------
    Y : ndarray, shape (n, n_classes)
        Targets.

    Raises
    ------
    TypeError
        If labels are no integers.
    ValueError
        If there is no label, or one is not between 0 and ``n_classes - 1``.
    """
    n_classes, centred = checks.count("n_classes", n_classes), checks.flag("centred", centred)
    labels = checks.array("labels", labels, ndim=1, dtype=int, least=0, most=n_classes - 1)
    Y = np.eye(n_classes)[labels]
    return Y - Y.mean(axis=0) if centred else Y


def read_idx(source, most_bytes=2**30):
    """Read a file in the idx format of MNIST, compressed or not.

    Parameters
    ----------
    source : path
        File: two zero bytes, the type of the elements (08 unsigned byte, 09 signed byte, 0b, 0c integers of two and
        four bytes, 0d, 0e floats of four and eight), the number of dimensions, the dimensions as big-endian 32-bit
        integers, the data, big-endian too.
    most_bytes : int, optional
        Largest amount of data to unpack; a file that states more is refused after its header. Every published set
        is smaller than the gibibyte it is unless given.

    Returns
    -------
    array : ndarray
        In the shape and type the file states, in native byte order.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the header is not idx, the size does not match it or exceeds ``most_bytes``, or the compressed data are
        cut or damaged.
    """
    source = Path(checks.instance("source", source, (str, os.PathLike)))
    most_bytes = checks.count("most_bytes", most_bytes)
    with source.open("rb") as raw:
        compressed = raw.read(2) == b"\x1f\x8b"
    try:
        with gzip.open(source) if compressed else source.open("rb") as file:
            return _idx(file, source, most_bytes)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{source} is a damaged gzip file: {error}") from error


def _idx(file, source, most_bytes):
    """The array of an open idx file. Never reads further than the header says, plus one byte to see the end."""
    begin = file.read(4)
    if len(begin) < 4 or begin[:2] != b"\0\0" or begin[2] not in _IDX_TYPES or not begin[3]:
        raise ValueError(f"{source} is no idx file: it begins with {begin.hex(' ') or 'nothing'}")
    dtype, header = np.dtype(_IDX_TYPES[begin[2]]), file.read(4 * begin[3])
    if len(header) < 4 * begin[3]:
        raise ValueError(f"{source} ends in its header of {begin[3]} dimensions")
    shape = tuple(int(n) for n in np.frombuffer(header, dtype=">u4"))
    n_bytes = math.prod(shape) * dtype.itemsize
    if n_bytes > most_bytes:
        raise ValueError(
            f"{source} states shape {shape}, which is {n_bytes} bytes and above the {most_bytes} allowed"
        )
    body = file.read(n_bytes + 1)
    if len(body) != n_bytes:
        holds = f"{len(body)}" if len(body) < n_bytes else "more"
        raise ValueError(f"{source} states shape {shape}, which is {n_bytes} bytes, but holds {holds}")
    return np.frombuffer(body, dtype=dtype).astype(dtype.newbyteorder("=")).reshape(shape)


def read_cifar10(source):
    """Read one batch of CIFAR-10 in its binary version.

    Parameters
    ----------
    source : path or bytes
        Records of one label byte and 3072 pixel bytes (red, green, blue planes of 32 by 32).

    Returns
    -------
    images : ndarray of uint8, shape (n, 3, 32, 32)
        Pixels.
    labels : ndarray of uint8, shape (n,)
        Classes.

    Raises
    ------
    ValueError
        If the size is not a multiple of 3073 bytes, there are more than 10,000 records or none, or a label exceeds 9.
    """
    if isinstance(source, bytes):
        return _cifar(source, "the batch")
    source = Path(checks.instance("source", source, (str, os.PathLike)))
    _cifar_size(source.stat().st_size, source)
    return _cifar(source.read_bytes(), source)


def _cifar(data, source):
    _cifar_size(len(data), source)
    records = np.frombuffer(data, dtype=np.uint8).reshape(-1, _CIFAR_RECORD)
    if records[:, 0].max() > 9:
        raise ValueError(f"CIFAR-10 labels are 0..9, but {source} holds {records[:, 0].max()}")
    return records[:, 1:].reshape(-1, 3, 32, 32), records[:, 0]


def _cifar_size(n_bytes, source):
    if not n_bytes or n_bytes % _CIFAR_RECORD or n_bytes > _CIFAR_MOST * _CIFAR_RECORD:
        raise ValueError(
            f"CIFAR-10 batches hold 1 to {_CIFAR_MOST} records of {_CIFAR_RECORD} bytes, but {source} is"
            f" {n_bytes} bytes long"
        )


def load(name, split="train", folder=None, *, n_images=None):
    """Load an image set from local files; never downloads.

    Parameters
    ----------
    name : str
        ``"digits"``, ``"mnist"``, ``"fashion"``, ``"kmnist"`` or ``"cifar10"``.
    split : str, optional
        ``"train"`` or ``"test"``. The digits have one split only, ``"train"``.
    folder : path, optional
        Where the files lie, in a subfolder named like the set, as torchvision leaves them (``MNIST/raw``), or
        directly; the idx sets other than MNIST, whose files have the same names, directly only if the folder
        itself bears the set's name. Names with a dot (``t10k-images.idx3-ubyte``) and compressed files are found
        too. Unless given: the folder named by ``GDLN_DATA``, then what :func:`fetch` has stored, then for
        ``"fashion"`` the folder of Debian's package ``dataset-fashion-mnist``.
    n_images : int, optional
        How many of the first images to take; the others cost no memory as numbers. All unless given.

    Returns
    -------
    images : ImageSet
        Pixels between 0 and 1.

    Raises
    ------
    FileNotFoundError
        If a file is missing; says where it was looked for and what to do.
    ValueError
        If the name or split is unknown, there are fewer images, or a file is damaged, not in its format, without
        images, or holds a label above 9; names the file.
    """
    checks.choice("name", name, ("digits", *SOURCES))
    if n_images is not None:
        n_images = checks.count("n_images", n_images)
    checks.choice("split", split, ("train",) if name == "digits" else ("train", "test"))
    if folder is not None:
        folder = Path(checks.instance("folder", folder, (str, os.PathLike))).expanduser()
    if name == "digits":
        whole = digits()
        checks.need(n_images is None or n_images <= len(whole), "n_images", f"at most {len(whole)}", n_images)
        return whole if n_images is None else whole.subset(slice(n_images))
    if name == "cifar10":
        pairs = _cifar_batches(split, folder)
        pixels, labels = (np.concatenate(parts) for parts in zip(*pairs, strict=True))
    else:
        files = [_find(name, _IDX[split, kind], folder) for kind in ("images", "labels")]
        pixels, labels = map(read_idx, files)
        for array, file, n_dim, most in zip((pixels, labels), files, (3, 1), (255, 9), strict=True):
            if array.ndim != n_dim or array.dtype.kind not in "ui":
                raise ValueError(
                    f"{file} needs integers in {n_dim} dimensions, got {array.dtype} {array.shape}"
                )
            if not array.size:
                raise ValueError(f"{file} needs at least one image, got shape {array.shape}")
            if array.min() < 0 or array.max() > most:
                raise ValueError(f"{file} needs numbers 0..{most}, got {array.min()}..{array.max()}")
        if len(labels) != len(pixels):
            raise ValueError(f"{files[0]} holds {len(pixels)} images, but {files[1]} {len(labels)} labels")
    checks.need(n_images is None or n_images <= len(pixels), "n_images", f"at most {len(pixels)}", n_images)
    pixels, labels = pixels[:n_images], labels[:n_images]
    return ImageSet(pixels.reshape(len(pixels), -1) / 255.0, labels.astype(np.int64), pixels.shape[1:])


def fetch(name):
    """Download an image set once, check its published MD5 sums, and keep it where :func:`load` finds it.

    Parameters
    ----------
    name : str
        A key of ``SOURCES``.

    Returns
    -------
    paths : list of str
        The stored files.

    Raises
    ------
    ValueError
        If the name is unknown, or a file differs from its checksum (raised by pooch).
    """
    checks.choice("name", name, SOURCES)
    base_url, registry = SOURCES[name]
    pooch = optional.load("pooch", "a download")
    store = pooch.create(path=_cache() / name, base_url=base_url, registry=registry)
    return [store.fetch(file) for file in registry]


def pixel_permutations(n_domains, n_pixels, rng):
    """Fixed random pixel orders, one a domain.

    Parameters
    ----------
    n_domains, n_pixels : int
        Numbers of domains and pixels.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    orders : ndarray of int, shape (n_domains, n_pixels)
        ``X[:, orders[i]]`` is the image set as domain ``i`` shows it.
    """
    n_domains, n_pixels = checks.count("n_domains", n_domains), checks.count("n_pixels", n_pixels)
    checks.generator("rng", rng)
    return np.stack([rng.permutation(n_pixels) for _ in range(n_domains)])


def permuted_inputs(images, orders):
    """The images in every domain of a family of pixel permutations.

    Parameters
    ----------
    images : ImageSet
        Base images.
    orders : array_like of int, shape (n_domains, n_pixels)
        From :func:`pixel_permutations`.

    Returns
    -------
    X : ndarray, shape (n_domains, n, n_pixels)
        Inputs.

    Raises
    ------
    ValueError
        If a row of ``orders`` is no permutation of the pixels.
    """
    checks.instance("images", images, ImageSet)
    orders = checks.array("orders", orders, shape=("n_domains", images.X.shape[1]), dtype=int)
    valid = (np.sort(orders, axis=1) == np.arange(images.X.shape[1])).all()
    checks.need(valid, "orders", f"permutations of {images.X.shape[1]} pixels", orders)
    permuted = np.empty((len(orders), *images.X.shape), images.X.dtype)
    for order, out in zip(orders, permuted, strict=True):
        images.X.take(order, axis=1, out=out, mode="clip")  # filled in place: no second copy of all domains
    return permuted


def rotated_inputs(images, n_domains, largest_angle=180.0):
    r"""The images rotated about their centre by :math:`i\,\theta/M` degrees in domain :math:`i=0..M-1`.

    Parameters
    ----------
    images : ImageSet
        Base images.
    n_domains : int
        Number of domains :math:`M`.
    largest_angle : float, optional
        :math:`\theta`: 180 in the paper's text (Saxe et al. 2022, App. D); its code uses 270 for MNIST.

    Returns
    -------
    X : ndarray, shape (n_domains, n, n_pixels)
        Inputs; linear interpolation, zeros beyond the border.
    """
    checks.instance("images", images, ImageSet)
    n_domains = checks.count("n_domains", n_domains)
    largest_angle = checks.number("largest_angle", largest_angle)
    checks.need(len(images.shape) > 1, "images", "pixels in rows and columns", images.shape)
    planes = images.X.reshape(-1, math.prod(images.shape[-2:]))
    rotated = np.empty((n_domains, *planes.shape), planes.dtype)
    for angle, out in zip(largest_angle * np.arange(n_domains) / n_domains, rotated, strict=True):
        _rotate(planes, images.shape[-2:], angle, out)
    return rotated.reshape(n_domains, len(images), -1)


def _rotate(planes, shape, angle, out):
    """Fill ``out`` with the planes turned by an angle in degrees."""
    options = {"axes": (-1, -2), "reshape": False, "order": 1}
    n, n_pixels = planes.shape
    if n <= n_pixels:
        ndimage.rotate(planes.reshape(n, *shape), angle, output=out.reshape(n, *shape), **options)
        return
    # linear in the pixels, and each result has four of them at most: turned once alone, then a sparse product
    alone = ndimage.rotate(np.eye(n_pixels).reshape(-1, *shape), angle, **options)
    turn = sparse.csr_array(alone.reshape(n_pixels, -1).T)
    for start in range(0, n, 500):  # as many as a cache holds: several times faster than all at once
        part = slice(start, start + 500)
        out[part] = (turn @ planes[part].T.astype(float)).T


def random_label_permutations(n_domains, n_classes, rng):
    """Random relabellings, all different.

    Parameters
    ----------
    n_domains, n_classes : int
        Numbers of domains and classes.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    relabelling : ndarray of int, shape (n_domains, n_classes)
        Domain ``j`` calls class ``c`` by the name ``relabelling[j, c]``.

    Raises
    ------
    ValueError
        If there are fewer relabellings than domains.
    """
    n_domains, n_classes = _relabellings(n_domains, n_classes)
    checks.generator("rng", rng)
    found = {}
    while len(found) < n_domains:
        order = rng.permutation(n_classes)
        found[order.tobytes()] = order
    return np.stack(list(found.values()))


def lexicographic_label_permutations(n_domains, n_classes=10):
    """The first relabellings in lexicographic order, the choice of the paper's published code.

    With 10 classes and up to 120 domains the first five classes keep their names in every domain, so the
    domains have more in common than random ones.

    Parameters
    ----------
    n_domains, n_classes : int
        Numbers of domains and classes.

    Returns
    -------
    relabelling : ndarray of int, shape (n_domains, n_classes)
        As in :func:`random_label_permutations`.

    Raises
    ------
    ValueError
        If there are fewer relabellings than domains.

    Examples
    --------
    >>> lexicographic_label_permutations(3, 4)
    array([[0, 1, 2, 3],
           [0, 1, 3, 2],
           [0, 2, 1, 3]])
    """
    n_domains, n_classes = _relabellings(n_domains, n_classes)
    return np.array(list(itertools.islice(itertools.permutations(range(n_classes)), n_domains)))


def _relabellings(n_domains, n_classes):
    n_domains, n_classes = checks.count("n_domains", n_domains), checks.count("n_classes", n_classes)
    # 20! is above every number of domains that fits in memory, and larger factorials take long
    orders = math.factorial(min(n_classes, 20))
    if n_domains > orders:
        raise ValueError(f"n_domains needs at most {orders} for {n_classes} classes, got {n_domains}")
    return n_domains, n_classes


def _cache():
    # what pooch.os_cache asks; pooch itself loads a progress bar, which warns in notebooks without ipywidgets
    return Path(optional.load("platformdirs", "the folder of downloads").user_cache_dir("gdln"))


def _folders(name, folder):
    """Folders to look in, the most specific first."""
    roots = [folder] if folder is not None else []
    if folder is None and os.environ.get("GDLN_DATA"):
        roots.append(Path(os.environ["GDLN_DATA"]).expanduser())
    found = []
    for root in roots:
        found += [root / alias / sub for alias in _ALIASES[name] for sub in ("", "raw")]
        owner = root.parent.name if root.name == "raw" else root.name
        # the idx sets share their file names, so a folder named like another set is never taken for this one
        others = {alias for other, aliases in _ALIASES.items() if other != name for alias in aliases}
        if owner in _ALIASES[name] or (name in ("mnist", "cifar10") and owner not in others):
            found += [root, root / "raw"]
    if folder is None:
        with contextlib.suppress(
            ModuleNotFoundError
        ):  # it comes with pooch: without it nothing was ever downloaded
            found.append(_cache() / name)
        found += [_DEBIAN[name][0]] if name in _DEBIAN else []
    return list(dict.fromkeys(found))


def _find(name, file, folder):
    places = _folders(name, folder)
    stem, rank, ending = file.rpartition("-idx")
    for place in places:
        for spelling in (file, f"{stem}.{rank[1:]}{ending}"):
            for candidate in (place / spelling, place / f"{spelling}.gz"):
                if candidate.is_file():
                    return candidate
    raise _missing(name, f"{file}[.gz]", places)


def _cifar_batches(split, folder):
    """Pixels and labels of every batch, from the files or the archive, whichever is found first."""
    places = _folders("cifar10", folder)
    for place in places:
        for root in (place, place / "cifar-10-batches-bin"):
            if all((root / batch).is_file() for batch in _CIFAR[split]):
                return [read_cifar10(root / batch) for batch in _CIFAR[split]]
        if (place / _CIFAR_ARCHIVE).is_file():
            return _cifar_archive(place / _CIFAR_ARCHIVE, _CIFAR[split])
    raise _missing("cifar10", " ".join(_CIFAR[split]), places)


def _cifar_archive(path, batches):
    """The batches of a compressed archive, in one pass, whose checksum is compared before anything is returned."""
    found = {}
    try:
        with gzip.open(path) as unpacked, tarfile.open(fileobj=unpacked, mode="r:") as archive:
            for member in archive:
                batch = member.name.removeprefix("cifar-10-batches-bin/")
                if batch in batches and member.isfile():
                    _cifar_size(member.size, f"{member.name} in {path}")
                    found[batch] = archive.extractfile(member).read()
                elif member.size > _CIFAR_MOST * _CIFAR_RECORD:
                    raise ValueError(
                        f"{path} holds {member.name} of {member.size} bytes, larger than any batch"
                    )
            # tar stops at its own end; gzip compares its checksum only when its last byte is read
            if len(unpacked.read(2**20)) == 2**20:
                raise ValueError(f"{path} goes on behind the end of its archive")
    except (tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{path} is a damaged archive: {error}") from error
    if missing := [batch for batch in batches if batch not in found]:
        raise ValueError(f"{path} is not the archive of CIFAR-10's binary version: it holds no {missing[0]}")
    return [_cifar(found[batch], f"{batch} in {path}") for batch in batches]


def _missing(name, file, places):
    looked = ", ".join(str(place) for place in places)
    package = f", or install Debian's package {_DEBIAN[name][1]}" if name in _DEBIAN else ""
    return FileNotFoundError(
        f"no {file} for {name!r} in {looked}; set GDLN_DATA to the folder that holds it, or call "
        f"gdln.data.images.fetch({name!r}) once with a network{package}"
    )


def centred_rows(train, *others):
    r"""Inputs for networks in the NTK parametrisation: minus the training mean, rows scaled to norm :math:`\sqrt d`.

    Parameters
    ----------
    train : ImageSet
        Its mean image is subtracted from every set.
    others : ImageSet
        Further sets, such as a test set.

    Returns
    -------
    X : list of ndarray, shapes (n, n_pixels)
        One array a set.

    Raises
    ------
    ValueError
        If an image equals the mean image: it cannot be scaled.
    """
    for name, part in (("train", train), *((f"others[{k}]", part) for k, part in enumerate(others))):
        checks.instance(name, part, ImageSet)
        checks.need(part.shape == train.shape, name, f"images of shape {train.shape}", part.shape)
    mean = train.X.mean(axis=0)
    centred = [part.X - mean for part in (train, *others)]
    if not all(np.any(X, axis=1).all() for X in centred):
        raise ValueError(
            "train and others need images that differ from the mean of train, got one that does not"
        )
    return [np.sqrt(X.shape[1]) * X / np.linalg.norm(X, axis=1, keepdims=True) for X in centred]

r"""Real images: built-in digits, idx and CIFAR-10 files, and the families of domains made from one image set.

Nothing is downloaded unless :func:`fetch` is called. :func:`load` looks in the folder named by the
environment variable ``GDLN_DATA``, whose files it checks for their format only, and then among the
files fetched before.
"""

import gzip
import itertools
import math
import os
import tarfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy import ndimage
from sklearn.datasets import load_digits

_IDX = {
    ("train", "images"): "train-images-idx3-ubyte",
    ("train", "labels"): "train-labels-idx1-ubyte",
    ("test", "images"): "t10k-images-idx3-ubyte",
    ("test", "labels"): "t10k-labels-idx1-ubyte",
}
_CIFAR = {"train": [f"data_batch_{i}.bin" for i in range(1, 6)], "test": ["test_batch.bin"]}
_CIFAR_ARCHIVE = "cifar-10-binary.tar.gz"

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
        Pixels between 0 and 1, row by row; colour images channel by channel.
    labels : ndarray of int, shape (n,)
        Classes.
    shape : tuple of int
        Shape of one image: (height, width) or (channels, height, width).
    """

    X: np.ndarray
    labels: np.ndarray
    shape: tuple

    def __post_init__(self):
        if self.X.shape != (len(self.labels), math.prod(self.shape)):
            raise ValueError(
                f"need {len(self.labels)} images of {math.prod(self.shape)} pixels, got array {self.X.shape}"
            )

    def __len__(self):
        return len(self.labels)

    def subset(self, index):
        """The images at ``index`` (integers, a slice or a boolean mask)."""
        return replace(self, X=self.X[index], labels=self.labels[index])

    def split(self, n_train, rng):
        """Shuffle and cut into ``n_train`` images and the rest: a pair of image sets."""
        if not 0 < n_train < len(self):
            raise ValueError(f"need 0 < n_train < {len(self)}, got {n_train}")
        order = rng.permutation(len(self))
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
    bunch = load_digits()
    return ImageSet(bunch.data / 16.0, bunch.target.astype(np.int64), (8, 8))


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
    X = np.asarray(X, dtype=float)
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
    X = np.asarray(X, dtype=float)
    if X.ndim != 2 or X.size == 0 or not np.isfinite(X).all() or not np.ptp(X, axis=0).any():
        raise ValueError(f"need finite rows of pixels that vary, got an array {X.shape}")
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
    ValueError
        If there is no label, or one is not an integer between 0 and ``n_classes - 1``.
    """
    labels = np.asarray(labels)
    if labels.ndim != 1 or labels.size == 0 or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(f"need a list of integer labels, got shape {labels.shape} of {labels.dtype}")
    if labels.min() < 0 or labels.max() >= n_classes:
        raise ValueError(f"need labels 0..{n_classes - 1}, got {labels.min()}..{labels.max()}")
    Y = np.eye(n_classes)[labels]
    return Y - Y.mean(axis=0) if centred else Y


def read_idx(source):
    """Read a file in the idx format of MNIST, compressed or not.

    Parameters
    ----------
    source : path
        File of unsigned bytes: two zero bytes, type 0x08, the number of dimensions, the dimensions as
        big-endian 32-bit integers, the data.

    Returns
    -------
    array : ndarray of uint8
        In the shape the file states.

    Raises
    ------
    ValueError
        If the header is not idx with unsigned bytes, or the size does not match it.
    """
    data = Path(source).read_bytes()
    if data[:2] == b"\x1f\x8b":
        data = gzip.decompress(data)
    if len(data) < 4 or data[:3] != b"\x00\x00\x08":
        raise ValueError(f"{source} is no idx file of unsigned bytes: it begins with {data[:4].hex(' ')}")
    n_dim = data[3]
    shape = tuple(int(n) for n in np.frombuffer(data[4 : 4 + 4 * n_dim], dtype=">u4"))
    body = np.frombuffer(data, dtype=np.uint8, offset=4 + 4 * n_dim)
    if len(shape) != n_dim or body.size != math.prod(shape):
        raise ValueError(f"{source} states shape {shape} but holds {body.size} bytes")
    return body.reshape(shape)


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
        If the size is not a multiple of 3073 bytes or a label exceeds 9.
    """
    data = source if isinstance(source, bytes) else Path(source).read_bytes()
    if not data or len(data) % 3073:
        raise ValueError(f"CIFAR-10 batches hold records of 3073 bytes, got {len(data)} bytes")
    records = np.frombuffer(data, dtype=np.uint8).reshape(-1, 3073)
    if records[:, 0].max() > 9:
        raise ValueError(f"CIFAR-10 labels are 0..9, got {records[:, 0].max()}")
    return records[:, 1:].reshape(-1, 3, 32, 32), records[:, 0]


def load(name, split="train", folder=None):
    """Load an image set from local files; never downloads.

    Parameters
    ----------
    name : str
        ``"digits"``, ``"mnist"``, ``"fashion"``, ``"kmnist"`` or ``"cifar10"``.
    split : str, optional
        ``"train"`` or ``"test"``. The digits have one split only, ``"train"``.
    folder : path, optional
        Where the files lie, directly or in a subfolder named like the set (the idx sets other than MNIST,
        whose files have the same names, only in a subfolder). Unless given: the folder named by
        ``GDLN_DATA``, then what :func:`fetch` has stored.

    Returns
    -------
    images : ImageSet
        Pixels between 0 and 1.

    Raises
    ------
    FileNotFoundError
        If a file is missing; says where it was looked for and what to do.
    ValueError
        If the name or split is unknown, or a file is not in its format.
    """
    if name == "digits" and split == "train":
        return digits()
    if name not in SOURCES or split not in ("train", "test"):
        raise ValueError(
            f"need one of {('digits', *SOURCES)} and split 'train' or 'test', got {name!r} and {split!r}"
        )
    if name == "cifar10":
        pairs = [read_cifar10(batch) for batch in _cifar_batches(split, folder)]
        pixels, labels = (np.concatenate(parts) for parts in zip(*pairs, strict=True))
    else:
        pixels, labels = (read_idx(_find(name, _IDX[split, kind], folder)) for kind in ("images", "labels"))
        if pixels.ndim != 3 or labels.shape != pixels.shape[:1]:
            raise ValueError(
                f"{name} {split}: images of shape {pixels.shape}, labels {labels.shape} do not match"
            )
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
    if name not in SOURCES:
        raise ValueError(f"need one of {tuple(SOURCES)}, got {name!r}")
    base_url, registry = SOURCES[name]
    import pooch  # here, since its progress bar warns at import where ipywidgets is missing

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
    orders = np.asarray(orders)
    if orders.ndim != 2 or not np.array_equal(
        np.sort(orders, axis=1), np.broadcast_to(np.arange(images.X.shape[1]), orders.shape)
    ):
        raise ValueError(f"need permutations of {images.X.shape[1]} pixels, got an array {orders.shape}")
    return np.stack([images.X.take(order, axis=1) for order in orders])  # take keeps rows contiguous


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
    stack = images.X.reshape(len(images), *images.shape)
    angles = largest_angle * np.arange(n_domains) / n_domains
    rotated = [
        ndimage.rotate(stack, a, axes=(-1, -2), reshape=False, order=1) if a else stack for a in angles
    ]
    return np.stack(rotated).reshape(n_domains, len(images), -1)


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
    if n_domains > math.factorial(n_classes):
        raise ValueError(
            f"{n_classes} classes have {math.factorial(n_classes)} orders, fewer than {n_domains}"
        )
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
    if n_domains > math.factorial(n_classes):
        raise ValueError(
            f"{n_classes} classes have {math.factorial(n_classes)} orders, fewer than {n_domains}"
        )
    return np.array(list(itertools.islice(itertools.permutations(range(n_classes)), n_domains)))


def _cache():
    import pooch

    return Path(pooch.os_cache("gdln"))


def _folders(name, folder):
    """Folders to look in, the most specific first."""
    roots = [Path(folder)] if folder is not None else []
    if folder is None and os.environ.get("GDLN_DATA"):
        roots.append(Path(os.environ["GDLN_DATA"]))
    flat = name in ("mnist", "cifar10")
    found = [place for root in roots for place in ((root / name, root) if flat else (root / name,))]
    return found if folder is not None else [*found, _cache() / name]


def _find(name, file, folder):
    places = _folders(name, folder)
    for place in places:
        for candidate in (place / file, place / f"{file}.gz"):
            if candidate.is_file():
                return candidate
    raise _missing(name, f"{file}[.gz]", places)


def _cifar_batches(split, folder):
    places = _folders("cifar10", folder)
    for place in places:
        for root in (place, place / "cifar-10-batches-bin"):
            if all((root / batch).is_file() for batch in _CIFAR[split]):
                return [(root / batch).read_bytes() for batch in _CIFAR[split]]
        if (place / _CIFAR_ARCHIVE).is_file():
            with tarfile.open(place / _CIFAR_ARCHIVE) as archive:
                members = [archive.extractfile(f"cifar-10-batches-bin/{batch}") for batch in _CIFAR[split]]
                return [member.read() for member in members]
    raise _missing("cifar10", " ".join(_CIFAR[split]), places)


def _missing(name, file, places):
    looked = ", ".join(str(place) for place in places)
    return FileNotFoundError(
        f"no {file} for {name!r} in {looked}; set GDLN_DATA to the folder that holds it, or call "
        f"gdln.images.fetch({name!r}) once with a network"
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
    mean = train.X.mean(axis=0)
    centred = [part.X - mean for part in (train, *others)]
    if not all(np.any(X, axis=1).all() for X in centred):
        raise ValueError("need images that differ from the mean of the training set")
    return [np.sqrt(X.shape[1]) * X / np.linalg.norm(X, axis=1, keepdims=True) for X in centred]

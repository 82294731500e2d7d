import gzip
import io
import math
import os
import subprocess
import sys
import tarfile
import tracemalloc

import numpy as np
import platformdirs
import pooch
import pytest

from gdln.data import images


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def idx_bytes(array):
    return bytes([0, 0, 8, array.ndim]) + np.array(array.shape, dtype=">u4").tobytes() + array.tobytes()


def write_idx_set(folder, rng, n=7, compress=False, split="t10k"):
    folder.mkdir(parents=True, exist_ok=True)
    pixels = rng.integers(0, 256, (n, 28, 28), dtype=np.uint8)
    labels = rng.integers(0, 10, n, dtype=np.uint8)
    for file, array in ((f"{split}-images-idx3-ubyte", pixels), (f"{split}-labels-idx1-ubyte", labels)):
        data = idx_bytes(array)
        (folder / (file + ".gz" * compress)).write_bytes(gzip.compress(data) if compress else data)
    return pixels, labels


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("name", ["mnist", "fashion", "kmnist"])
def test_an_idx_set_is_read_back_as_written(tmp_path, rng, monkeypatch, name, compress):
    pixels, labels = write_idx_set(tmp_path / name, rng, compress=compress)
    monkeypatch.setenv("GDLN_DATA", str(tmp_path))
    loaded = images.load(name, "test")
    np.testing.assert_allclose(loaded.X * 255, pixels.reshape(7, -1), atol=1e-12)
    np.testing.assert_array_equal(loaded.labels, labels)
    assert loaded.shape == (28, 28)


def test_mnist_files_may_lie_directly_in_the_folder_but_sets_of_the_same_file_names_may_not(tmp_path, rng):
    write_idx_set(tmp_path, rng)
    assert len(images.load("mnist", "test", folder=tmp_path)) == 7
    with pytest.raises(FileNotFoundError):
        images.load("fashion", "test", folder=tmp_path)


def test_the_first_images_are_those_of_the_whole_set(tmp_path, rng):
    write_idx_set(tmp_path / "mnist", rng)
    whole, some = (images.load("mnist", "test", tmp_path, n_images=n) for n in (None, 3))
    assert np.array_equal(some.X, whole.X[:3]) and np.array_equal(some.labels, whole.labels[:3])
    assert (
        len(images.load("digits", n_images=5)) == 5
        and len(images.load("mnist", "test", tmp_path, n_images=7)) == 7
    )
    for source in (("mnist", "test", tmp_path), ("digits",)):
        with pytest.raises(ValueError, match="n_images needs at most"):
            images.load(*source, n_images=1798)


@pytest.mark.parametrize("form", ["flat", "folder", "archive"])
def test_cifar10_is_read_back_as_written_in_all_its_forms(tmp_path, rng, form):
    root = tmp_path / "cifar-10-batches-bin"
    root.mkdir()
    pixels = rng.integers(0, 256, (5, 4, 3, 32, 32), dtype=np.uint8)
    labels = rng.integers(0, 10, (5, 4), dtype=np.uint8)
    target = tmp_path if form == "flat" else root
    for i in range(5):
        records = np.concatenate([labels[i][:, None], pixels[i].reshape(4, -1)], axis=1)
        (target / f"data_batch_{i + 1}.bin").write_bytes(records.tobytes())
    place = tmp_path
    if form == "archive":
        place = tmp_path / "elsewhere"
        place.mkdir()
        with tarfile.open(place / "cifar-10-binary.tar.gz", "w:gz") as archive:
            archive.add(root, arcname="cifar-10-batches-bin")
    loaded = images.load("cifar10", "train", folder=place)
    assert loaded.shape == (3, 32, 32)
    np.testing.assert_allclose(loaded.X * 255, pixels.reshape(20, -1), atol=1e-12)
    np.testing.assert_array_equal(loaded.labels, labels.ravel())


def test_all_sets_side_by_side_give_each_its_own_images_of_either_split(tmp_path, monkeypatch):
    """As published: idx files of one name in a folder a set, and CIFAR-10's archive with all that is in it."""
    written, rngs = {}, iter(np.random.default_rng(0).spawn(9))
    for name in ("mnist", "fashion", "kmnist"):
        for split, stem in (("train", "train"), ("test", "t10k")):
            pixels, labels = write_idx_set(tmp_path / name, next(rngs), n=6, compress=True, split=stem)
            written[name, split] = pixels.reshape(6, -1), labels
    batches = [f"data_batch_{i}.bin" for i in range(1, 6)] + ["test_batch.bin"]
    numbers = next(rngs)
    colours = numbers.integers(0, 256, (6, 4, 3072), dtype=np.uint8)
    classes = numbers.integers(0, 10, (6, 4), dtype=np.uint8)
    files = {"batches.meta.txt": b"airplane\nautomobile\n", "readme.html": b"<html></html>"}
    for file, label, colour in zip(batches, classes, colours, strict=True):
        files[file] = np.concatenate([label[:, None], colour], axis=1).tobytes()
    (tmp_path / "cifar10").mkdir()
    with tarfile.open(tmp_path / "cifar10" / "cifar-10-binary.tar.gz", "w:gz") as archive:
        for file, content in files.items():
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{file}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    written["cifar10", "train"] = colours[:5].reshape(20, -1), classes[:5].ravel()
    written["cifar10", "test"] = colours[5], classes[5]
    monkeypatch.setenv("GDLN_DATA", str(tmp_path))
    for (name, split), (pixels, labels) in written.items():
        loaded = images.load(name, split)
        np.testing.assert_array_equal(np.rint(255 * loaded.X), pixels, err_msg=f"{name}, {split}")
        np.testing.assert_array_equal(loaded.labels, labels)
    # planes of red, green and blue, each by rows
    red = images.load("cifar10", "test").X.reshape(4, 3, 32, 32)[0, 0]
    np.testing.assert_array_equal(np.rint(255 * red[1]), colours[5, 0, 32:64])


def test_a_missing_file_says_where_it_was_looked_for_and_what_to_do(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no train-images.* in .*GDLN_DATA.*fetch\('mnist'\)"):
        images.load("mnist", "train", folder=tmp_path)
    with pytest.raises(FileNotFoundError, match=r"test_batch.bin.*GDLN_DATA"):
        images.load("cifar10", "test", folder=tmp_path)


def test_loading_never_reaches_for_the_network(tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("a download was started")

    monkeypatch.setattr(pooch, "retrieve", refuse)
    monkeypatch.setattr(pooch, "create", refuse)
    monkeypatch.setattr(platformdirs, "user_cache_dir", lambda name: tmp_path)
    monkeypatch.delenv("GDLN_DATA", raising=False)
    with pytest.raises(FileNotFoundError):
        images.load("mnist", "test")


def test_files_fetched_before_are_found_without_a_folder(tmp_path, rng, monkeypatch):
    monkeypatch.setattr(platformdirs, "user_cache_dir", lambda name: tmp_path)
    monkeypatch.delenv("GDLN_DATA", raising=False)
    write_idx_set(tmp_path / "kmnist", rng)
    assert len(images.load("kmnist", "test")) == 7


def test_files_are_looked_for_where_pooch_stores_them_without_loading_it():
    assert images._cache() == pooch.os_cache("gdln")
    code = (
        "import sys\n"
        "from gdln.data import images\n"
        "try:\n"
        "    images.load('cifar10', 'test')\n"
        "except FileNotFoundError as error:\n"
        "    assert str(images._cache() / 'cifar10') in str(error)\n"
        "    print(sorted({'pooch', 'tqdm'} & set(sys.modules)))\n"
    )
    alone = {name: value for name, value in os.environ.items() if name != "GDLN_DATA"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=alone)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_every_published_file_has_an_md5_sum_and_unknown_sets_are_refused():
    for _, registry in images.SOURCES.values():
        assert all(len(sum_) == 36 and sum_.startswith("md5:") for sum_ in registry.values())
    with pytest.raises(ValueError, match="mnist"):
        images.fetch("emnist")


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize(
    "code, kind", [(8, "u1"), (9, "i1"), (11, ">i2"), (12, ">i4"), (13, ">f4"), (14, ">f8")]
)
def test_every_element_type_of_the_format_is_read_in_native_order(tmp_path, code, kind, compress):
    array = np.array([[0, 1, 100], [3, 4, 127]], dtype=kind)
    data = bytes([0, 0, code, 2]) + np.array(array.shape, dtype=">u4").tobytes() + array.tobytes()
    (tmp_path / "file").write_bytes(gzip.compress(data) if compress else data)
    found = images.read_idx(tmp_path / "file")
    np.testing.assert_array_equal(found, array)
    assert found.dtype.isnative and found.dtype == array.dtype.newbyteorder("=")


def test_an_idx_file_that_is_cut_anywhere_or_too_long_is_refused_with_its_name(tmp_path, rng):
    good = idx_bytes(rng.integers(0, 256, (3, 2), dtype=np.uint8))
    broken = [good[:k] for k in range(len(good))] + [good + b"x", b"\0\0\x0a" + good[3:], b"\0\0\x08\0x"]
    for data in broken:
        for form in (data, gzip.compress(data)):
            (tmp_path / "some-file").write_bytes(form)
            with pytest.raises(ValueError, match="some-file (is no idx|ends in|states)"):
                images.read_idx(tmp_path / "some-file")


def test_a_gzip_file_that_is_cut_or_changed_anywhere_is_refused_with_its_name(tmp_path, rng):
    packed = gzip.compress(idx_bytes(rng.integers(0, 256, (30, 20), dtype=np.uint8)), mtime=0)
    broken = [packed[:k] for k in range(2, len(packed), 7)]
    for k in range(10, len(packed)):  # behind gzip's own header, whose time and system may be anything
        broken.append(packed[:k] + bytes([packed[k] ^ 0x55]) + packed[k + 1 :])
    for data in broken:
        (tmp_path / "some-file.gz").write_bytes(data)
        with pytest.raises(ValueError, match="some-file.gz (is a damaged gzip|is no idx|ends in|states)"):
            images.read_idx(tmp_path / "some-file.gz")


@pytest.mark.parametrize("stated", [None, (1, 2, 2), (3, 1000, 1000, 1000), (2**32 - 1,) * 4])
def test_a_small_file_that_unpacks_to_gigabytes_is_refused_after_its_header(tmp_path, stated):
    path = tmp_path / "bomb.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        if stated:
            file.write(bytes([0, 0, 8, len(stated)]) + np.array(stated, dtype=">u4").tobytes())
        for _ in range(64):
            file.write(bytes(2**20))
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="bomb.gz (is no idx|states shape)"):
            images.read_idx(path)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


def test_the_largest_amount_to_unpack_is_the_callers_to_choose(tmp_path):
    (tmp_path / "file").write_bytes(idx_bytes(np.zeros((4, 5), dtype=np.uint8)))
    assert images.read_idx(tmp_path / "file", most_bytes=20).shape == (4, 5)
    with pytest.raises(ValueError, match="20 bytes and above the 19 allowed"):
        images.read_idx(tmp_path / "file", most_bytes=19)


@pytest.mark.parametrize(
    "pixels, labels, file",
    [
        (np.zeros((2, 3, 3), np.uint8), np.array([0, 200], np.uint8), "labels"),
        (
            np.zeros((2, 3, 3), np.uint8),
            np.zeros(3, np.uint8),
            "images.* holds 2 images, but .*t10k-labels.* 3 labels",
        ),
        (np.zeros((2, 9), np.uint8), np.zeros(2, np.uint8), "images"),
        (np.zeros((2, 3, 3), np.uint8), np.zeros((2, 1), np.uint8), "labels"),
        (np.zeros((0, 3, 3), np.uint8), np.zeros(0, np.uint8), "images"),
        (np.zeros((2, 3, 0), np.uint8), np.zeros(2, np.uint8), "images"),
    ],
)
def test_a_set_that_cannot_be_right_names_its_file(tmp_path, pixels, labels, file):
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(idx_bytes(pixels))
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(idx_bytes(labels))
    with pytest.raises(ValueError, match=f"t10k-{file}"):
        images.load("mnist", "test", folder=tmp_path)


def test_broken_cifar_batches_are_refused():
    for n_bytes in (0, 3072, 3074, 10_001 * 3073):
        with pytest.raises(ValueError, match=f"3073 bytes, but the batch is {n_bytes} bytes long"):
            images.read_cifar10(bytes(n_bytes))
    with pytest.raises(ValueError, match="labels are 0..9, but the batch holds 10"):
        images.read_cifar10(bytes([10]) + bytes(3072))


def cifar_archive(path, data, folder="cifar-10-batches-bin", file="test_batch.bin"):
    with tarfile.open(path, "w:gz") as archive:
        member = tarfile.TarInfo(f"{folder}/{file}")
        member.size = len(data)
        archive.addfile(member, io.BytesIO(data))
    return path.read_bytes()


def test_a_broken_archive_is_refused_with_its_name(tmp_path, rng):
    path = tmp_path / "cifar-10-binary.tar.gz"
    good = cifar_archive(path, bytes(rng.integers(0, 10, 3073, dtype=np.uint8)))
    assert len(images.load("cifar10", "test", folder=tmp_path)) == 1
    broken = [good[:k] for k in range(0, len(good), 97)]
    broken += [
        good[:k] + bytes([good[k] ^ 0x55]) + good[k + 1 :] for k in range(12 + len(path.name), len(good), 97)
    ]
    broken.append(cifar_archive(path, bytes(3073), file="data_batch_1.bin"))
    broken.append(cifar_archive(path, bytes(3073), folder="cifar-10-batches-py"))
    broken.append(cifar_archive(path, bytes(3072)))
    broken.append(cifar_archive(path, bytes([11]) + bytes(3072)))
    broken.append(cifar_archive(path, bytes(31 * 10**6), file="readme.html"))
    broken.append(gzip.compress(gzip.decompress(good) + bytes(2**21)))
    for data in broken:
        path.write_bytes(data)
        with pytest.raises(ValueError, match="cifar-10-binary.tar.gz"):
            images.load("cifar10", "test", folder=tmp_path)


@pytest.mark.parametrize("dotted", [False, True])
@pytest.mark.parametrize(
    "name, place",
    [
        ("mnist", "MNIST/raw"),
        ("fashion", "FashionMNIST/raw"),
        ("kmnist", "KMNIST/raw"),
        ("fashion", "fashion-mnist"),
        ("mnist", "raw"),
    ],
)
def test_folders_are_found_as_other_libraries_leave_them(tmp_path, rng, name, place, dotted):
    pixels, _ = write_idx_set(tmp_path / place, rng)
    if dotted:
        for file in (tmp_path / place).iterdir():
            file.rename(file.with_name(file.name.replace("-idx", ".idx")))
    inside = [] if place == "raw" else [tmp_path / place.split("/")[0], tmp_path / place]
    for folder in (tmp_path, *inside):
        np.testing.assert_array_equal(images.load(name, "test", folder=folder).X, pixels.reshape(7, -1) / 255)
    for other in {"mnist", "fashion", "kmnist"} - {name}:  # the files of one set bear the names of another's
        for folder in inside:
            with pytest.raises(FileNotFoundError):
                images.load(other, "test", folder=folder)


def test_a_tilde_in_the_folder_stands_for_the_home(tmp_path, rng, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    write_idx_set(tmp_path / "sets" / "mnist", rng)
    monkeypatch.setenv("GDLN_DATA", "~/sets")
    assert len(images.load("mnist", "test")) == len(images.load("mnist", "test", folder="~/sets")) == 7
    with pytest.raises(TypeError, match="folder needs a str"):
        images.load("mnist", "test", folder=3)


def test_fashion_is_found_where_debian_puts_it_and_missed_in_words(tmp_path, rng, monkeypatch):
    monkeypatch.setattr(platformdirs, "user_cache_dir", lambda name: tmp_path / "cache")
    monkeypatch.delenv("GDLN_DATA", raising=False)
    place, package = images._DEBIAN["fashion"]
    assert place.is_absolute()
    monkeypatch.setitem(images._DEBIAN, "fashion", (tmp_path / "debian", package))
    with pytest.raises(FileNotFoundError, match="debian; .*install Debian's package dataset-fashion-mnist"):
        images.load("fashion", "test")
    pixels, _ = write_idx_set(tmp_path / "debian", rng, compress=True)
    np.testing.assert_array_equal(images.load("fashion", "test").X, pixels.reshape(7, -1) / 255)
    write_idx_set(tmp_path / "own" / "fashion", rng, n=3)
    monkeypatch.setenv("GDLN_DATA", str(tmp_path / "own"))
    assert len(images.load("fashion", "test")) == 3


@pytest.mark.parametrize("name, split", [("emnist", "train"), ("mnist", "valid"), ("digits", "test")])
def test_unknown_sets_and_splits_are_refused(name, split):
    with pytest.raises(ValueError, match="(name|split) needs one of"):
        images.load(name, split)


def test_digits_split_into_disjoint_parts_with_pixels_between_zero_and_one(rng):
    base = images.digits()
    train, test = base.split(1400, rng)
    assert (len(train), len(test)) == (1400, 397)
    assert base.X.min() == 0 and base.X.max() == 1
    both = np.concatenate([train.X, test.X])
    np.testing.assert_array_equal(np.unique(both, axis=0), np.unique(base.X, axis=0))
    for n_train in (0, 1797):
        with pytest.raises(ValueError, match="n_train needs a whole number"):
            base.split(n_train, rng)
    with pytest.raises(TypeError, match="rng needs a numpy.random.Generator"):
        base.split(10, 0)


def test_digits_that_somebody_changed_are_those_of_nobody_else():
    one, other = images.digits(), images.digits()
    one.X[:], one.labels[:] = 0.5, 3
    for untouched in (other, images.digits()):
        assert untouched.X.max() == 1 and set(untouched.labels) == set(range(10))


def test_whitened_digits_have_unit_covariance_on_every_varying_direction():
    X = images.digits().X
    Z = images.whiten(X)
    assert Z.shape[1] == np.linalg.matrix_rank(images.centre(X))
    np.testing.assert_allclose(Z.T @ Z / len(Z), np.eye(Z.shape[1]), atol=1e-12)
    np.testing.assert_allclose(Z.mean(axis=0), 0, atol=1e-12)


def test_one_hot_targets_pick_their_class_and_centre_to_zero_mean():
    Y = images.one_hot([0, 2, 2], 3)
    np.testing.assert_array_equal(Y, [[1, 0, 0], [0, 0, 1], [0, 0, 1]])
    np.testing.assert_allclose(images.one_hot([0, 2, 2], 3, centred=True).sum(axis=0), 0, atol=1e-15)
    for labels in ([3], [-1], [], [[0]]):
        with pytest.raises(ValueError, match="labels needs"):
            images.one_hot(labels, 3)
    with pytest.raises(TypeError, match="labels needs integers"):
        images.one_hot([0.5], 3)


@pytest.mark.parametrize("X", [np.empty((0, 3)), np.ones((4, 3)), np.full((4, 3), np.nan)])
def test_images_without_variance_are_not_whitened(X):
    with pytest.raises(ValueError, match="X needs"):
        images.whiten(X)


def test_pixel_permutations_keep_all_distances_between_images(rng):
    base = images.digits().subset(slice(0, 20))
    orders = images.pixel_permutations(3, 64, rng)
    X = images.permuted_inputs(base, orders)
    for domain in X:
        np.testing.assert_allclose(domain @ domain.T, base.X @ base.X.T)
    assert not np.array_equal(X[0], X[1])
    with pytest.raises(ValueError, match="permutations of 64"):
        images.permuted_inputs(base, np.zeros((2, 64), dtype=int))


def test_rotation_by_a_right_angle_moves_pixels_exactly(rng):
    base = images.digits().subset(slice(0, 5))
    X = images.rotated_inputs(base, 4, 360.0).reshape(4, 5, 8, 8)
    for quarter in range(4):
        exact = np.rot90(base.X.reshape(5, 8, 8), quarter, axes=(-2, -1))
        np.testing.assert_allclose(X[quarter], exact, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [35, 36, 1100])  # one by one up to as many images as pixels, then all at once
def test_many_images_rotate_as_each_of_them_alone(rng, n, dtype):
    X = rng.random((n, 35)).astype(dtype)
    many = images.rotated_inputs(images.ImageSet(X, np.zeros(n, dtype=int), (5, 7)), 3)
    assert many.dtype == dtype and np.array_equal(many[0], X)
    for i in (0, n // 2, n - 1):
        alone = images.ImageSet(X[[i]], np.zeros(1, dtype=int), (5, 7))
        np.testing.assert_allclose(
            many[:, [i]], images.rotated_inputs(alone, 3), atol=4 * np.finfo(dtype).eps
        )


def test_domains_keep_the_precision_of_their_images_and_leave_them_alone(rng):
    X = rng.random((40, 9)).astype(np.float32)
    base, before = images.ImageSet(X, np.zeros(40, dtype=int), (3, 3)), X.copy()
    for made in (images.rotated_inputs(base, 2), images.permuted_inputs(base, np.stack([np.arange(9)] * 2))):
        assert made.dtype == np.float32 and made.flags.c_contiguous and np.array_equal(made[0], X)
        made[...] = 0
    assert np.array_equal(X, before)


def test_colour_images_rotate_channel_by_channel(rng):
    pixels = rng.random((2, 3, 6, 6))
    base = images.ImageSet(pixels.reshape(2, -1), np.zeros(2, dtype=int), (3, 6, 6))
    grey = images.ImageSet(pixels[:, 1].reshape(2, -1), np.zeros(2, dtype=int), (6, 6))
    colour = images.rotated_inputs(base, 3).reshape(3, 2, 3, 36)
    np.testing.assert_allclose(colour[:, :, 1], images.rotated_inputs(grey, 3))


def test_random_relabellings_are_distinct_permutations(rng):
    P = images.random_label_permutations(6, 3, rng)
    assert sorted(map(tuple, P)) == sorted(map(tuple, images.lexicographic_label_permutations(6, 3)))
    with pytest.raises(ValueError, match="n_domains needs at most 6"):
        images.random_label_permutations(7, 3, rng)


def test_the_first_hundred_lexicographic_relabellings_leave_five_classes_alone():
    P = images.lexicographic_label_permutations(100)
    assert (P[:, :5] == np.arange(5)).all() and len(np.unique(P, axis=0)) == 100
    assert len(np.unique(P[:, 5])) == 5
    with pytest.raises(ValueError, match="n_domains needs at most 6"):
        images.lexicographic_label_permutations(math.factorial(3) + 1, 3)


def test_a_set_whose_arrays_do_not_match_is_refused():
    with pytest.raises(ValueError, match="pixels"):
        images.ImageSet(np.zeros((2, 9)), np.zeros(2, dtype=int), (2, 4))


def test_centred_rows_have_one_norm_and_subtract_the_training_mean():
    train, test = images.digits().split(100, np.random.default_rng(0))
    X, X_test = images.centred_rows(train, test)
    assert np.allclose(np.linalg.norm(X, axis=1), 8) and np.allclose(np.linalg.norm(X_test, axis=1), 8)
    moved = test.X[0] - train.X.mean(axis=0)
    assert np.allclose(X_test[0] * np.linalg.norm(moved) / 8, moved)
    with pytest.raises(ValueError, match="differ from the mean"):
        images.centred_rows(images.ImageSet(np.ones((2, 4)), np.zeros(2, dtype=int), (2, 2)))


def test_subsets_take_integers_slices_and_masks_and_refuse_the_rest():
    base = images.digits().subset(slice(0, 5))
    mask = np.array([True, False, True, False, False])
    for index in ([0, 2], slice(0, 3, 2), mask, mask.tolist(), np.array([0, -3])):
        np.testing.assert_array_equal(base.subset(index).labels, base.labels[[0, 2]])
    for wrong in ([5], [-6], mask[:4], [], [[0]], slice(0, 0)):
        with pytest.raises(ValueError, match="(index|X) needs"):
            base.subset(wrong)
    for wrong in ([0.5], ["0"], None, "0"):
        with pytest.raises(TypeError, match="index needs"):
            base.subset(wrong)


def test_a_set_keeps_the_arrays_it_is_given_and_converts_what_is_none():
    X, labels = np.ones((2, 4)), np.zeros(2, dtype=np.int64)
    kept = images.ImageSet(X, labels, (2, 2))
    assert kept.X is X and kept.labels is labels
    assert images.ImageSet(X.astype(np.float32), labels, (2, 2)).X.dtype == np.float32
    for converted in (
        images.ImageSet(X.tolist(), labels.tolist(), [2, 2]),
        images.ImageSet(X.astype(np.uint8), labels.astype(np.uint8), np.array([2, 2])),
    ):
        assert converted.X.dtype == np.float64 and converted.labels.dtype == np.int64
        assert converted.shape == (2, 2)
    with pytest.raises(ValueError, match="X needs finite"):
        images.ImageSet(np.nan * X, labels, (2, 2))

import gzip
import math
import tarfile

import numpy as np
import pooch
import pytest

from gdln import images


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
    monkeypatch.setattr(pooch, "os_cache", lambda name: tmp_path)
    monkeypatch.delenv("GDLN_DATA", raising=False)
    with pytest.raises(FileNotFoundError):
        images.load("mnist", "test")


def test_files_fetched_before_are_found_without_a_folder(tmp_path, rng, monkeypatch):
    monkeypatch.setattr(pooch, "os_cache", lambda name: tmp_path)
    monkeypatch.delenv("GDLN_DATA", raising=False)
    write_idx_set(tmp_path / "kmnist", rng)
    assert len(images.load("kmnist", "test")) == 7


def test_every_published_file_has_an_md5_sum_and_unknown_sets_are_refused():
    for _, registry in images.SOURCES.values():
        assert all(len(sum_) == 36 and sum_.startswith("md5:") for sum_ in registry.values())
    with pytest.raises(ValueError, match="mnist"):
        images.fetch("emnist")


def test_broken_files_are_refused(tmp_path, rng):
    good = idx_bytes(rng.integers(0, 256, (3, 2), dtype=np.uint8))
    for broken in (good[:-1], b"\x00\x00\x0d\x01" + good[4:], b"", b"\x1f\x8b"[:1]):
        (tmp_path / "file").write_bytes(broken)
        with pytest.raises(ValueError, match="file"):
            images.read_idx(tmp_path / "file")
    with pytest.raises(ValueError, match="3073"):
        images.read_cifar10(bytes(3072))
    with pytest.raises(ValueError, match="labels are 0..9"):
        images.read_cifar10(bytes([10]) + bytes(3072))


@pytest.mark.parametrize("name, split", [("emnist", "train"), ("mnist", "valid"), ("digits", "test")])
def test_unknown_sets_and_splits_are_refused(name, split):
    with pytest.raises(ValueError, match="need one of"):
        images.load(name, split)


def test_digits_split_into_disjoint_parts_with_pixels_between_zero_and_one(rng):
    base = images.digits()
    train, test = base.split(1400, rng)
    assert (len(train), len(test)) == (1400, 397)
    assert base.X.min() == 0 and base.X.max() == 1
    both = np.concatenate([train.X, test.X])
    np.testing.assert_array_equal(np.unique(both, axis=0), np.unique(base.X, axis=0))
    with pytest.raises(ValueError, match="n_train"):
        base.split(1797, rng)


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
    for labels in ([3], [], [0.5]):
        with pytest.raises(ValueError, match="labels"):
            images.one_hot(labels, 3)


@pytest.mark.parametrize("X", [np.empty((0, 3)), np.ones((4, 3)), np.full((4, 3), np.nan)])
def test_images_without_variance_are_not_whitened(X):
    with pytest.raises(ValueError, match="need finite rows"):
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


def test_colour_images_rotate_channel_by_channel(rng):
    pixels = rng.random((2, 3, 6, 6))
    base = images.ImageSet(pixels.reshape(2, -1), np.zeros(2, dtype=int), (3, 6, 6))
    grey = images.ImageSet(pixels[:, 1].reshape(2, -1), np.zeros(2, dtype=int), (6, 6))
    colour = images.rotated_inputs(base, 3).reshape(3, 2, 3, 36)
    np.testing.assert_allclose(colour[:, :, 1], images.rotated_inputs(grey, 3))


def test_random_relabellings_are_distinct_permutations(rng):
    P = images.random_label_permutations(6, 3, rng)
    assert sorted(map(tuple, P)) == sorted(map(tuple, images.lexicographic_label_permutations(6, 3)))
    with pytest.raises(ValueError, match="6 orders"):
        images.random_label_permutations(7, 3, rng)


def test_the_first_hundred_lexicographic_relabellings_leave_five_classes_alone():
    P = images.lexicographic_label_permutations(100)
    assert (P[:, :5] == np.arange(5)).all() and len(np.unique(P, axis=0)) == 100
    assert len(np.unique(P[:, 5])) == 5
    with pytest.raises(ValueError, match="orders"):
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

"""Teachers and digits: their power, their noise, and what an equal draw worked by hand gives."""

from dataclasses import replace

import numpy as np
import pytest

from gdln.data import images
from gdln.data.regression import (
    classes,
    clustered_teacher,
    even_odd,
    parity,
    permuted_even_odd,
    relu_teacher,
    subspace,
)


def test_teachers_have_the_power_they_should():
    rng = np.random.default_rng(0)
    even = even_odd(images.digits(), 1000, 700, rng)
    assert set(np.unique(even.y)) == {-1.0, 1.0}
    for X in (even.X, even.X_new):
        np.testing.assert_allclose((X**2).mean(axis=1), 1, rtol=1e-12)
    clusters = clustered_teacher(5, 200, 4000, rng, n_clusters=400, noise=0.0)
    assert np.mean(clusters.y_new**2) == pytest.approx(1.25, rel=0.25)  # centres one, spread a quarter
    noisy = relu_teacher(4000, 20, 10, np.random.default_rng(1), noise=2.0)
    clean = relu_teacher(4000, 20, 10, np.random.default_rng(1), noise=0.0)
    assert np.std(noisy.y - clean.y) == pytest.approx(2, rel=0.05)


def test_even_digits_are_plus_one_and_rows_have_power_one_about_the_mean_to_learn_from():
    pictures = np.array([[1.0, 3.0], [3.0, 3.0], [8.0, 9.0]])
    three = images.ImageSet(pictures, np.array([0, 1, 4]), (1, 2))
    seed = next(s for s in range(99) if np.random.default_rng(s).permutation(3)[2] == 2)
    task = even_odd(three, 2, 1, np.random.default_rng(seed))
    # the mean of the two to learn from is (2, 3): they lie at -1 and 1 on the first pixel, the third at (6, 6)
    order = np.argsort(task.X[:, 0])
    np.testing.assert_allclose(task.X[order], np.sqrt(2) * np.array([[-1, 0], [1, 0]]), rtol=1e-15)
    np.testing.assert_allclose(task.X_new, [[1, 1]], rtol=1e-15)
    np.testing.assert_array_equal(task.y[order], [1, -1])
    np.testing.assert_array_equal(task.y_new, [1])


def test_inputs_to_learn_from_do_not_depend_on_the_images_to_predict():
    digits, seeded = images.digits(), np.random.default_rng
    order = seeded(0).permutation(len(digits))
    changed = digits.X.copy()
    changed[order[30:]] *= 3  # every image that is not learned from
    other = replace(digits, X=changed)
    few, many, moved = (
        even_odd(data, 30, n_new, seeded(0)) for data, n_new in ((digits, 5), (digits, 900), (other, 5))
    )
    np.testing.assert_array_equal(few.X, many.X)
    np.testing.assert_array_equal(few.X, moved.X)
    columns = parity(digits, 30, 900, seeded(0))
    np.testing.assert_array_equal(columns.X, many.X)
    np.testing.assert_array_equal(columns.X_test, many.X_new)
    np.testing.assert_array_equal(columns.Y[:, 0], many.y)


def test_permuted_tasks_hold_the_same_pixels_in_another_order():
    digits = images.digits()
    task = permuted_even_odd(digits, 3, 20, 5, np.random.default_rng(0))
    assert task.X.shape == (60, 64) and task.X_new.shape == (15, 64)
    np.testing.assert_array_equal(task.group, np.repeat([0, 1, 2], 20))
    np.testing.assert_array_equal(task.group_new, np.repeat([0, 1, 2], 5))
    rng = np.random.default_rng(0)
    for k in range(3):
        own = even_odd(digits, 20, 5, rng)
        order = rng.permutation(64) if k else np.arange(64)  # the first task keeps the pixels where they are
        np.testing.assert_array_equal(task.X[task.group == k], own.X[:, order])
        np.testing.assert_array_equal(task.X_new[task.group_new == k], own.X_new[:, order])
        np.testing.assert_array_equal(task.y[task.group == k], own.y)
    middle, last = task.X[20:40], task.X[40:]
    # one order a task, for its training and for its new points
    assert not np.array_equal(np.flatnonzero(middle.std(axis=0) == 0), np.flatnonzero(last.std(axis=0) == 0))


def test_a_cluster_without_spread_is_its_centre_and_teachers_are_linear():
    task = clustered_teacher(200, 7, 100, np.random.default_rng(3), n_clusters=3, spread=0.0, noise=0.0)
    for k in range(3):
        assert len(np.unique(task.X[task.group == k], axis=0)) == 1
    assert set(task.group) == {0, 1, 2} and task.unlabelled.shape == (2000, 7)
    wide = clustered_teacher(4000, 5, 300, np.random.default_rng(3), n_clusters=3, spread=2.0, noise=0.5)
    for k in range(3):
        X, y = wide.X_new[wide.group_new == k], wide.y_new[wide.group_new == k]
        w = np.linalg.lstsq(X, y, rcond=None)[0]
        np.testing.assert_allclose(X @ w, y, atol=1e-12)  # no constant and no noise on fresh points
        own = wide.group == k
        assert np.std(wide.y[own] - wide.X[own] @ w) == pytest.approx(0.5, rel=0.1)
        np.testing.assert_allclose(wide.X[own].std(axis=0), 2.0, rtol=0.1)


def test_the_power_of_a_clustered_teacher_does_not_grow_with_its_inputs():
    for n in (50, 800):
        task = clustered_teacher(1, n, 4000, np.random.default_rng(0), n_clusters=2000, spread=1.0, noise=0.0)
        assert np.mean(task.y_new**2) == pytest.approx(2, rel=0.1)  # centres one, spread one


@pytest.mark.parametrize("width", [1, 10, 300])
@pytest.mark.parametrize("n_inputs", [4, 100])
def test_a_relu_teacher_has_power_one_half_at_every_width_and_size(width, n_inputs):
    power = [
        np.mean(relu_teacher(1, n_inputs, 100, np.random.default_rng(seed), width=width).y_new ** 2)
        for seed in range(600)
    ]
    assert np.mean(power) == pytest.approx(0.5, abs=5 * np.std(power) / np.sqrt(600))


def test_a_relu_teacher_of_one_unit_is_a_ramp():
    task = relu_teacher(1, 1, 500, np.random.default_rng(0), width=1)
    x, y = task.X_new[:, 0], task.y_new
    slope = y[np.abs(y) > 0] / x[np.abs(y) > 0]
    np.testing.assert_allclose(slope, slope[0], rtol=1e-12)
    assert len(set(np.sign(x[y != 0]))) == 1 and set(np.sign(x[y == 0])) == {-np.sign(x[y != 0][0])}


def test_two_directions_make_the_target_of_the_subspace_task():
    task = subspace(40, 30, np.random.default_rng(2), n_inputs=5)
    assert task.X.shape == (40, 5) and task.X_test.shape == (30, 5)
    np.testing.assert_allclose((task.X**2).sum(axis=1), 5, rtol=1e-13)
    np.testing.assert_allclose((task.X_test**2).sum(axis=1), 5, rtol=1e-13)
    made = [np.tanh(2 * X[:, 0]) * np.tanh(2 * X[:, 1]) for X in (task.X, task.X_test)]
    size = np.sqrt(np.mean(made[0] ** 2))  # of the training points, for both
    np.testing.assert_allclose(task.Y[:, 0], made[0] / size, rtol=1e-13)
    np.testing.assert_allclose(task.Y_test[:, 0], made[1] / size, rtol=1e-13)
    assert subspace(2, 2, np.random.default_rng(0), n_inputs=2).X.shape == (2, 2)
    with pytest.raises(ValueError, match="n_inputs"):
        subspace(2, 2, np.random.default_rng(0), n_inputs=1)


def test_parity_is_plus_one_on_even_digits_and_the_test_has_what_is_left():
    digits = images.digits().subset(slice(100))
    task = parity(digits, 80, 50, np.random.default_rng(0))
    train, test = digits.split(80, np.random.default_rng(0))
    assert len(task.Y_test) == 20 == len(test)  # fewer are left than were asked for
    np.testing.assert_array_equal(task.Y[:, 0], (-1.0) ** train.labels)
    np.testing.assert_array_equal(task.Y_test[:, 0], (-1.0) ** test.labels)
    np.testing.assert_allclose((task.X**2).sum(axis=1), 64, rtol=1e-12)


def test_every_count_up_to_all_images_is_allowed_and_one_more_refused():
    digits = images.digits().subset(slice(10))
    for make in (even_odd, parity, classes):
        assert len(make(digits, 9, 1, np.random.default_rng(0)).X) == 9
        with pytest.raises(ValueError, match="n_train|n_samples"):
            make(digits, 10, 1, np.random.default_rng(0))
    with pytest.raises(ValueError, match="n_new"):
        even_odd(digits, 8, 3, np.random.default_rng(0))
    same = images.ImageSet(np.ones((3, 4)), np.array([0, 1, 2]), (2, 2))
    with pytest.raises(ValueError, match="differ from the mean"):
        even_odd(same, 2, 1, np.random.default_rng(0))


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda r: relu_teacher(3, 3, 3, r, noise=np.nan), "noise needs"),
        (lambda r: clustered_teacher(3, 3, 3, r, spread=-1), "spread needs"),
        (lambda r: clustered_teacher(3, 3, 3, r, n_unlabelled=-1), "n_unlabelled needs"),
        (lambda r: even_odd(images.digits(), 0, 5, r), "n_samples needs"),
        (lambda r: permuted_even_odd(images.digits(), 0, 5, 5, r), "n_tasks needs"),
    ],
)
def test_bad_input_is_refused_with_the_reason(call, message):
    with pytest.raises(ValueError, match=message):
        call(np.random.default_rng(0))

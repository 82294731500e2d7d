"""Scores of a change against a prediction: exact cases, invariances, estimates, and what is refused."""

import numpy as np
import pytest

from gdln.alignment import scores


def matrix(seed=0):
    return np.random.default_rng(seed).standard_normal((8, 5))


def test_scores_are_one_for_proportional_matrices_and_blind_to_rotations_of_the_output():
    D, rng = matrix(), np.random.default_rng(5)
    Q = np.linalg.qr(rng.standard_normal((8, 8)))[0]
    A = scores.gram(D)
    assert scores.gram_score(A, 3 * A) == pytest.approx(1)
    assert scores.gram_score(A, scores.gram(Q @ D)) == pytest.approx(1)
    assert scores.entrywise_cosine(D, 2 * D) == pytest.approx(1)
    assert scores.entrywise_cosine(D, Q @ D) < 0.9
    assert scores.scale_ratio(4 * A, D) == pytest.approx(4)


@pytest.mark.parametrize("unit", [1.0, 1e-3, 1e3])
def test_scores_worked_by_hand_in_any_unit(unit):
    change, other = unit * np.array([[3.0, 4], [0, 0], [0, 0]]), unit * np.array([[3.0, 0], [0, 4], [0, 12]])
    np.testing.assert_allclose(scores.gram(change), unit**2 * np.array([[9, 12], [12, 16]]), rtol=1e-15)
    np.testing.assert_allclose(scores.error_blind_gram(change), scores.gram(change), rtol=1e-15)
    # |change| = 5, |other| = 13 and the product has 9
    assert scores.entrywise_cosine(change, other) == pytest.approx(9 / 65, rel=1e-14)
    A, B = unit * np.array([[2.0, 1], [1, 2]]), unit * np.diag([3.0, 4])
    assert scores.gram_score(A, B) == pytest.approx(14 / (10**0.5 * 5), rel=1e-14)
    assert scores.scale_ratio(unit**2 * np.array([[30.0, 7], [7, 20]]), change) == pytest.approx(2, rel=1e-14)
    # xi . (1, -1) xi over |xi| |xi|, for the one probe that is drawn
    a, b = np.random.default_rng(3).standard_normal((1, 1, 2)).ravel()
    score = scores.probe_score(
        lambda xi: unit * xi * [1, -1], lambda xi: unit * xi, (1, 2), 1, np.random.default_rng(3)
    )
    assert score == pytest.approx((a**2 - b**2) / (a**2 + b**2), rel=1e-14)


def test_probes_estimate_the_exact_score():
    A, B = scores.gram(matrix(1)), scores.gram(matrix(2))
    exact = scores.gram_score(A, B)
    estimate = scores.probe_score(lambda xi: xi @ A, lambda xi: xi @ B, (5,), 4000, np.random.default_rng(6))
    assert abs(estimate - exact) < 0.03  # 1 / sqrt(4000) = 0.016


def test_as_many_probes_are_drawn_as_asked_for_however_they_are_grouped():
    for n_probes, batch, groups in ((5, 2, [2, 2, 1]), (4, 2, [2, 2]), (3, 8, [3]), (1, 1, [1])):
        seen = []
        score = scores.probe_score(
            lambda xi, seen=seen: seen.append(len(xi)) or xi,
            lambda xi: 2 * xi,
            (5,),
            n_probes,
            np.random.default_rng(0),
            batch=batch,
        )
        assert seen == groups
        assert score == pytest.approx(1, rel=1e-14)  # proportional operators, whatever the probes


def test_the_shuffled_control_is_larger_than_the_change():
    rng = np.random.default_rng(7)
    W0 = rng.standard_normal((40, 40))
    W = W0 + 0.01 * rng.standard_normal((40, 40))
    shuffled = scores.shuffled_change(W, W0, rng)
    assert np.sort((shuffled + W0).ravel()) == pytest.approx(np.sort(W.ravel()))
    assert np.linalg.norm(shuffled) / np.linalg.norm(W0) == pytest.approx(2**0.5, rel=0.1)


def test_shapes_that_do_not_fit_and_zeros_that_have_no_direction_are_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="B needs shape"):
        scores.gram_score(np.eye(2), np.eye(3))
    with pytest.raises(ValueError, match="predicted needs two changes that are not zero"):
        scores.entrywise_cosine(np.eye(2), np.zeros((2, 2)))
    for A, B in ((np.zeros((2, 2)), np.eye(2)), (np.eye(2), np.zeros((2, 2)))):
        with pytest.raises(ValueError, match="A, B needs two matrices that are not zero"):
            scores.gram_score(A, B)
    for call in (scores.gram, lambda v: scores.entrywise_cosine(v, v), lambda v: scores.scale_ratio(v, v)):
        with pytest.raises(ValueError, match="change needs 2 dimensions"):
            call(np.ones(3))
    with pytest.raises(ValueError, match="inputs needs 2 dimensions"):
        scores.error_blind_gram(np.ones(3))
    with pytest.raises(ValueError, match="predicted_gram needs shape"):
        scores.scale_ratio(np.eye(3), np.ones((3, 2)))
    with pytest.raises(ValueError, match="shape needs numbers of at least 1"):
        scores.probe_score(abs, abs, (2, 0), 3, rng)
    with pytest.raises(ValueError, match="n_probes needs"):
        scores.probe_score(abs, abs, (2,), 0, None)
    with pytest.raises(ValueError, match="initial needs shape"):
        scores.shuffled_change(np.eye(3), np.ones((1, 3)), rng)
    with pytest.raises(ValueError, match="operators that are finite and not zero"):
        scores.probe_score(lambda x: 0 * x, lambda x: x, (2,), 3, rng)
    with pytest.raises(ValueError, match="change needs a matrix that is not zero"):
        scores.scale_ratio(np.eye(2), np.zeros((2, 2)))

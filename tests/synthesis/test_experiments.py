import numpy as np
import pytest

from gdln.synthesis import experiments, network, posterior

FEW = network.digits_questions(60, 6, np.random.default_rng(0), n_test=40)


def test_a_lazy_network_is_predicted_by_its_own_kernel_and_the_race_is_silent():
    found = experiments.compare(*network.antisymmetric_weights(6, 3, 16, np.random.default_rng(0)), FEW, 30.0)
    assert "race" not in found.predicted and set(found.predicted) == set(found.stop_errors)
    assert found.stop_errors["empirical"] < 1e-3 < 0.05 < found.stop_errors["mean_field"]
    assert found.clock_errors["empirical"].max() < 1e-2 and found.movement < 0.05
    np.testing.assert_allclose(found.curve, found.empirical_curve, atol=1e-3)


def test_a_rich_network_is_predicted_by_the_mean_field_and_not_by_its_own_kernel():
    found = experiments.compare(
        *network.antisymmetric_weights(6, 3, 256, np.random.default_rng(1)), FEW, 0.02
    )
    assert found.stop_errors["mean_field"] < found.stop_errors["empirical"]
    late = found.predicted["empirical"][0] / found.half_times[0]
    assert late > 3 and found.predicted["race"][0] / found.half_times[0] == pytest.approx(1, abs=0.1)
    assert found.movement > 1 and found.cosine < 0.9


def test_distance_is_relative_to_the_reference_and_not_symmetric():
    X = np.eye(2)
    assert experiments.distance([[2.0, 0.0]], [[1.0, 0.0]], X) == pytest.approx(1)
    assert experiments.distance([[1.0, 0.0]], [[2.0, 0.0]], X) == pytest.approx(0.5)
    with pytest.raises(ValueError, match="reference"):
        experiments.distance([[1.0, 0.0]], [[0.0, 0.0]], X)


def test_the_finite_width_theory_is_nearer_to_a_narrow_posterior_than_the_others():
    errors = experiments.compare_posterior(FEW, 1.0, 1.0, 8, 1500, np.random.default_rng(0))
    assert set(errors) == {*posterior.THEORIES, "chain", "readout"}
    assert errors["finite_width"] + errors["chain"] < min(errors["mean_field"], errors["gaussian_process"])


def test_a_network_too_narrow_for_its_target_is_named_before_it_is_trained():
    questions = network.digits_questions(100, 16, np.random.default_rng(0))
    weights = network.antisymmetric_weights(16, 3, 4, np.random.default_rng(0))
    with pytest.raises(ValueError, match="^A needs a rank of at least 3"):
        experiments.compare(*weights, questions, 1.0)

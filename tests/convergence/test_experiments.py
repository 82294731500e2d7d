import numpy as np
import pytest

from gdln.convergence import experiments
from gdln.data import tasks


def task(n=60, d=5):
    rng = np.random.default_rng(0)
    return tasks.four_points(n, d, rng), tasks.four_points(400, d, rng)


def outcome(model, scaling, m=200):
    rng = np.random.default_rng(1)
    options = {"model": model, "scaling": scaling, "n_units": m, "n_features": 200, "rtol": 1e-3}
    return experiments.train_and_test(*task(), rng, **options, atol=1e-4 if scaling == "mean_field" else 5e-6)


@pytest.mark.parametrize("model", experiments.MODELS)
def test_training_stops_at_the_asked_loss_and_features_move_less_in_ntk_scaling(model):
    moving, frozen = (outcome(model, s) for s in ("mean_field", "ntk"))
    assert moving.loss_ratio == pytest.approx(0.01, rel=1e-3)
    assert frozen.loss_ratio == pytest.approx(0.01, rel=1e-3)
    assert frozen.movement < moving.movement / 3


def test_all_learners_beat_chance_on_an_easy_task():
    assert outcome("shallow", "mean_field").error < 0.1
    train, test = task()
    assert experiments.random_feature_error(train, test, np.random.default_rng(0)) < 0.35


def test_an_unknown_model_is_refused():
    with pytest.raises(ValueError, match="model"):
        outcome("deep", "ntk")

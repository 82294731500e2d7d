"""One binary task, several ways to learn it: feature-learning flows, their lazy twins and random features."""

from dataclasses import dataclass

import numpy as np

from gdln import checks
from gdln.convergence.features import draw_features, linear_features
from gdln.convergence.flow import draw_units, flow

MODELS = ("three_layer", "shallow")


@dataclass(frozen=True)
class GeneralisationOutcome:
    """What a trained network does on new data.

    Parameters
    ----------
    error : float
        Share of test points with the wrong sign.
    movement : float
        Root mean square change of the pre-activations on the training set.
    time : float
        Flow time at which training stopped.
    loss_ratio : float
        Training loss there, relative to the start.
    """

    error: float
    movement: float
    time: float
    loss_ratio: float


def train_and_test(
    train, test, rng, *, model, scaling, n_units=400, n_features=400, stop_ratio=1e-2, rtol=None, atol=None
):
    """Train a ReLU network by its flow until the loss has fallen to ``stop_ratio``, and test it.

    Parameters
    ----------
    train, test : tuple of ndarray, shapes (n, d), (n,)
        Inputs and targets of plus or minus one.
    rng : numpy.random.Generator
        Draws the first layer, if there is one, then the units; the same draw in both scalings.
    model : {"three_layer", "shallow"}
        Random ReLU features under the trained layer, or none.
    scaling : {"mean_field", "ntk"}
        Scale of the output.
    n_units, n_features : int, optional
        Sizes m and D.
    stop_ratio, rtol, atol : float, optional
        As in ``gdln.convergence.flow.flow``.

    Returns
    -------
    outcome : GeneralisationOutcome
        Errors and how far the features moved.

    Raises
    ------
    TypeError, ValueError
        If the model is unknown, samples do not fit together, or a size or option is out of its range.
    """
    model = checks.choice("model", model, MODELS)
    n_features = checks.count("n_features", n_features)
    (X, y), (X_test, y_test) = _samples(train, test)
    layer = draw_features(n_features, X.shape[1], rng) if model == "three_layer" else linear_features
    phi, phi_test = layer(X), layer(X_test)
    c, W = draw_units(n_units, phi.shape[1], rng)
    options = {"scaling": scaling, "stop_ratio": stop_ratio, "rtol": rtol, "atol": atol}
    run = flow(phi @ phi.T, W @ phi.T, c, y, "relu", [1e5], **options)
    wrong = run.predict(W @ phi_test.T, phi @ phi_test.T) * y_test <= 0
    start = y @ y / (2 * len(y))
    return GeneralisationOutcome(
        float(wrong.mean()), run.movement(), float(run.times[-1]), float(run.loss[-1] / start)
    )


def random_feature_error(train, test, rng, n_features=400):
    """Test error of random ReLU features with a trained readout, the interpolant of least norm.

    Parameters
    ----------
    train, test : tuple of ndarray, shapes (n, d), (n,)
        Inputs and targets of plus or minus one.
    rng : numpy.random.Generator
        Draws the features.
    n_features : int, optional
        Their number.

    Returns
    -------
    error : float
        Share of test points with the wrong sign.

    Raises
    ------
    TypeError, ValueError
        If samples do not fit together or there are no features.
    """
    (X, y), (X_test, y_test) = _samples(train, test)
    layer = draw_features(n_features, X.shape[1], rng)
    readout = np.linalg.lstsq(layer(X), y, rcond=None)[0]
    return float(np.mean((layer(X_test) @ readout) * y_test <= 0))


def _samples(train, test):
    """Inputs and targets to train and to test on, as arrays of one input dimension."""
    pairs, d = [], "d"
    for name, pair in (("train", train), ("test", test)):
        checks.instance(name, pair, (tuple, list))
        checks.need(len(pair) == 2, name, "a pair of inputs and targets", pair)
        X = checks.array(f"{name}[0]", pair[0], shape=("n", d))
        pairs.append((X, checks.array(f"{name}[1]", pair[1], shape=(len(X),))))
        d = X.shape[1]
    return pairs

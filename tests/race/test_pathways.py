import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from gdln.data import images
from gdln.race import pathways


def make(seed=0, activation="linear", gain=1.0, dtype=torch.float64, m=3, n_out=4):
    generator = torch.Generator().manual_seed(seed)
    return pathways.PathwayNetwork(m, n_out, (6, 5, 7, 3), activation, gain, generator=generator, dtype=dtype)


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(5)
    x = torch.randn(3, 8, 6, generator=generator, dtype=torch.float64)
    targets = torch.randint(3, (4, 8), generator=generator)
    return x, targets


MASKS = [np.ones((3, 4), bool), np.array([[1, 0, 0, 0], [1, 1, 0, 1], [0, 0, 1, 0]], bool)]


@pytest.mark.parametrize("activation", ["linear", "leaky_relu"])
@pytest.mark.parametrize("mask", MASKS)
def test_the_written_gradients_are_those_of_autograd_for_any_mask(batch, activation, mask):
    x, targets = batch
    net = make(activation=activation)
    loss, gradients = pathways.loss_and_gradients(net, x, targets, *pathways.trained_routes(mask))
    logits = net(x)
    expected = 0.0
    for i, j in np.argwhere(mask):
        expected = expected + torch.nn.functional.cross_entropy(logits[i, j], targets[j]) / mask.sum()
    torch.testing.assert_close(loss, expected.detach())
    reference = torch.autograd.grad(expected, [net.encoders, net.shared, net.decoders])
    for ours, theirs in zip(gradients, reference, strict=True):
        torch.testing.assert_close(
            ours, theirs, rtol=1e-11, atol=1e-13
        )  # a slope in float32 is wrong by 2e-8


def test_a_route_is_the_composition_of_its_three_maps(batch):
    x, _ = batch
    net = make(activation="leaky_relu")
    h = torch.nn.functional.leaky_relu(x[1] @ net.encoders[1].T, 0.01)
    h = torch.nn.functional.leaky_relu(h @ net.shared.T, 0.01)
    torch.testing.assert_close(net(x)[1, 2], h @ net.decoders[2].T)


def test_untrained_decoders_and_encoders_stay_where_they_were(batch):
    x, targets = batch
    mask = np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 1, 0, 0]], bool)
    _, (_, _, g) = pathways.loss_and_gradients(make(), x, targets, *pathways.trained_routes(mask))
    assert (g[2:] == 0).all() and (g[:2] != 0).any()


def test_training_is_sgd_with_momentum_on_the_full_batch(batch):
    x, targets = batch
    ours, theirs = make(), make()
    run = pathways.train(
        ours,
        x,
        targets,
        MASKS[0],
        0.3,
        20,
        generator=torch.Generator(),
        test=batch,
        batch_size=8,
        record_every=5,
    )
    optimizer = torch.optim.SGD(theirs.parameters(), lr=0.3, momentum=0.9)
    for _ in range(20):
        optimizer.zero_grad()
        logits = theirs(x).reshape(-1, 3)
        loss = torch.nn.functional.cross_entropy(logits, targets[None].expand(3, -1, -1).reshape(-1))
        loss.backward()
        optimizer.step()
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(p, q)
    assert run.epochs.tolist() == [0, 5, 10, 15, 20]
    np.testing.assert_allclose(run.singular_values, np.linalg.svd(ours.shared.detach(), compute_uv=False))
    assert np.isnan(run.untrained).all() and run.trained[-1] > run.trained[0]


def test_training_does_not_depend_on_how_pixels_are_ordered_if_the_encoders_are_reordered_too(batch):
    x, targets = batch
    orders = torch.stack([torch.randperm(6, generator=torch.Generator().manual_seed(s)) for s in range(3)])
    plain, moved = make(), make()
    with torch.no_grad():
        moved.encoders.copy_(torch.stack([W[:, o] for W, o in zip(plain.encoders, orders, strict=True)]))
    x_moved = torch.stack([a[:, o] for a, o in zip(x, orders, strict=True)])
    for net, data in ((plain, x), (moved, x_moved)):
        pathways.train(
            net,
            data,
            targets,
            MASKS[1],
            0.1,
            10,
            generator=torch.Generator().manual_seed(1),
            test=(data, targets),
            batch_size=4,
        )
    torch.testing.assert_close(plain.shared, moved.shared)
    torch.testing.assert_close(plain.decoders, moved.decoders)


def test_accuracy_counts_right_answers_route_by_route(batch):
    x, targets = batch
    net = make()
    expected = (net(x).argmax(-1) == targets[None]).double().mean(-1)
    np.testing.assert_allclose(pathways.accuracy(net, x, targets, chunk=3), expected.numpy())


def test_single_precision_is_kept(batch):
    x, targets = batch
    net = make(dtype=torch.float32)
    _, gradients = pathways.loss_and_gradients(net, x.float(), targets, *pathways.trained_routes(MASKS[0]))
    assert all(g.dtype == torch.float32 for g in gradients)


def sources(seed):
    return {"rng": np.random.default_rng(seed), "generator": torch.Generator().manual_seed(seed)}


@pytest.mark.parametrize("inputs", ["permuted", "rotated"])
@pytest.mark.parametrize("relabelling", ["random", "lexicographic"])
def test_an_experiment_learns_its_trained_routes(inputs, relabelling):
    train, test = images.digits().subset(slice(0, 500)).split(400, np.random.default_rng(0))
    run = pathways.experiment(
        train,
        test,
        3,
        2,
        **sources(0),
        lr=0.1,
        n_epochs=15,
        gain=1.0,
        width=20,
        inputs=inputs,
        relabelling=relabelling,
    )
    assert run.accuracy.shape == (3, 3)
    assert run.trained[-1] > 0.85 > 0.3 > run.trained[0]


def test_an_experiment_is_repeated_exactly_by_its_generators():
    train, test = images.digits().subset(slice(0, 200)).split(150, np.random.default_rng(0))
    runs = [
        pathways.experiment(train, test, 3, 1, **sources(4), lr=0.1, n_epochs=2, width=8) for _ in range(2)
    ]
    np.testing.assert_array_equal(runs[0].accuracy, runs[1].accuracy)
    with pytest.raises(ValueError, match="^inputs needs one of 'permuted', 'rotated'"):
        pathways.experiment(train, test, 3, 1, **sources(4), lr=0.1, n_epochs=2, inputs="mirrored")


def test_bad_settings_are_refused(batch):
    x, targets = batch
    seed = {"generator": torch.Generator(), "test": batch}
    generator = seed["generator"]
    with pytest.raises(ValueError, match=r"^mask needs at least one trained route in every row, got \["):
        pathways.trained_routes([[True, False], [False, False]])
    with pytest.raises(ValueError, match="mask needs 2 dimensions"):
        pathways.trained_routes([True, False])
    with pytest.raises(ValueError, match="^targets needs classes from 0 to 2"):
        pathways.train(make(), x, targets + 100, MASKS[0], 0.1, 1, batch_size=4, **seed)
    with pytest.raises(ValueError, match="widths"):
        pathways.PathwayNetwork(2, 2, (3, 3, 3), generator=generator)
    with pytest.raises(ValueError, match="activation"):
        pathways.PathwayNetwork(2, 2, (3, 3, 3, 3), "tanh", generator=generator)
    with pytest.raises(ValueError, match="^targets needs shape"):
        pathways.train(make(), x, targets[:2], MASKS[0], 0.1, 1, batch_size=4, **seed)
    with pytest.raises(ValueError, match="batch_size"):
        pathways.train(make(), x, targets, MASKS[0], 0.1, 1, batch_size=9, **seed)
    with pytest.raises(ValueError, match="record_every"):
        pathways.train(make(), x, targets, MASKS[0], 0.1, 1, batch_size=4, record_every=0, **seed)
    with pytest.raises(TypeError, match="^x needs the type of the weights"):
        make()(x.half())


def test_a_diverging_run_says_so(batch):
    x, targets = batch
    seed = {"generator": torch.Generator(), "test": batch}
    with pytest.raises(FloatingPointError, match="diverged in epoch"):
        pathways.train(make(), 1e30 * x, targets, MASKS[0], 1e30, 5, batch_size=8, **seed)


def test_permuted_domains_reorder_pixels_and_rotated_ones_do_not(monkeypatch):
    base = images.digits()
    parts = base.split(30, np.random.default_rng(0))[0], base.subset(slice(5))
    monkeypatch.setattr(pathways, "train", lambda network, x, *rest, **options: x.numpy())
    made = {
        inputs: pathways.experiment(*parts, 3, 1, **sources(0), lr=0.1, n_epochs=1, inputs=inputs)
        for inputs in ("permuted", "rotated")
    }
    X = parts[0].X.astype(np.float32)
    same_pixels = {k: [np.allclose(np.sort(x), np.sort(X), atol=1e-6) for x in v] for k, v in made.items()}
    assert same_pixels == {"permuted": [True] * 3, "rotated": [True, False, False]}
    np.testing.assert_allclose(
        made["rotated"][0], X, atol=1e-6
    )  # the first domain is rotated by zero degrees
    assert not np.allclose(made["permuted"][0], X, atol=0.1)


@pytest.mark.parametrize(
    "mask", [np.array([["", "1"], ["1", "0"]]), [[np.nan, 1.0], [1.0, 1.0]], [[2, 0], [0, 1]]]
)
def test_a_mask_of_anything_but_booleans_zeros_and_ones_is_refused(mask):
    with pytest.raises((TypeError, ValueError), match="mask needs booleans, or zeros and ones"):
        pathways.trained_routes(mask)


def test_images_that_are_not_finite_are_named_before_training_starts(batch):
    x, targets = batch
    bad = x.clone()
    bad[0, 0, 0] = torch.nan
    options = {"generator": torch.Generator(), "batch_size": 2}
    for train, test, name in ((bad, x, "x needs finite"), (x, bad, r"test\[0\] needs finite")):
        with pytest.raises(ValueError, match=name):
            pathways.train(make(), train, targets, MASKS[0], 0.1, 1, test=(test, targets), **options)


class SinglePrecision(TorchDispatchMode):
    """Remembers every operation whose result is in single precision."""

    def __init__(self):
        super().__init__()
        self.seen = set()

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        result = operation(*args, **(kwargs or {}))
        if any(getattr(part, "dtype", None) == torch.float32 for part in tree_leaves(result)):
            self.seen.add(str(operation))
        return result


@pytest.mark.parametrize("activation", ["linear", "leaky_relu"])
def test_no_operation_of_a_run_in_double_precision_is_in_single_precision(batch, activation):
    x, targets = batch
    with SinglePrecision() as run:
        options = {"generator": torch.Generator().manual_seed(0), "batch_size": 2, "test": batch}
        pathways.train(make(activation=activation), x, targets, MASKS[0], 0.1, 1, **options)
    with SinglePrecision() as leak:
        torch.where(x[0] > 0, 1.0, 0.01)  # between two Python numbers
    assert leak.seen and not run.seen

"""The scripts of the learning rules on image files: tiny sets in every format, and rates carried to wider networks."""

import importlib
import json
from dataclasses import replace

import numpy as np
import pytest

from gdln import results
from gdln.data import images
from tests.data.test_images import idx_bytes
from tests.test_experiment import experiment  # noqa: F401


def enlarged(n, factor, border):
    """Digits whose pixels are bytes, ``factor`` by ``factor`` each, in a frame, and their labels."""
    digits = images.digits().subset(slice(n))
    pixels = np.kron((255 * digits.X).reshape(-1, 8, 8), np.ones((1, factor, factor)))
    pixels = np.pad(pixels, ((0, 0), (border, border), (border, border)))
    return pixels.astype(np.uint8), digits.labels.astype(np.uint8)


@pytest.fixture
def files(tmp_path, monkeypatch):
    """The digits as Fashion-MNIST, KMNIST, MNIST and CIFAR-10 come."""
    pixels, labels = enlarged(300, 3, 2)
    for name in ("mnist", "fashion", "kmnist"):
        folder = tmp_path / name
        folder.mkdir()
        for split in ("train", "t10k"):
            (folder / f"{split}-images-idx3-ubyte").write_bytes(idx_bytes(pixels))
            (folder / f"{split}-labels-idx1-ubyte").write_bytes(idx_bytes(labels))
    pixels, labels = enlarged(300, 4, 0)
    colour = np.stack([pixels, pixels // 2, 255 - pixels], axis=1).reshape(5, 60, -1)
    (tmp_path / "cifar10").mkdir()
    for k, (batch, names) in enumerate(zip(colour, labels.reshape(5, 60, 1), strict=True), 1):
        (tmp_path / "cifar10" / f"data_batch_{k}.bin").write_bytes(
            np.concatenate([names, batch], axis=1).tobytes()
        )
    monkeypatch.setenv("GDLN_DATA", str(tmp_path))
    return tmp_path


@pytest.fixture
def rules(experiment):  # noqa: F811
    return importlib.import_module("make_alignment_rules")


@pytest.fixture
def convolutional(experiment):  # noqa: F811
    return importlib.import_module("make_alignment_convolutional")


def written(experiment):  # noqa: F811
    (path,) = experiment.ELSEWHERE.glob("*.json")
    return json.loads(path.read_text())


def test_an_experiment_may_have_arguments_called_as_those_of_a_run(experiment):  # noqa: F811
    def told(k, name, function, jobs):
        return {"told": f"{k} {name} {function} {jobs}"}

    found = experiment.runs("x", told, {"k": [1]}, name="a", function="b", jobs="c")
    assert found == [{"told": "1 a b c"}]


@pytest.mark.parametrize("name", ["fashion", "kmnist"])
def test_wide_networks_train_at_the_rates_of_the_narrow_ones_and_seed_by_seed_as_together(
    rules,
    experiment,  # noqa: F811
    files,
    monkeypatch,
    name,
):
    setting = {"n_train": 200, "width": 16, "depth": 1, "n_epochs": 10, "lrs": (0.5, 2.0)}
    monkeypatch.setattr(rules, "SETS", {name: ([setting], 50, 50)})
    monkeypatch.setattr(rules, "WIDE", {32: (2, (0.5, 1.0)), 48: (1, (1.0,)), 64: (1, (1.0,))})
    rules.main(["--set", name, "--seeds", "3", "--widest", "48"])
    rows = written(experiment)["results"]
    of = {width: [row for row in rows if row["width"] == width] for width in (16, 32, 48)}
    assert len(rows) == sum(map(len, of.values())) and np.mean(rows[0]["accuracy"]) > 40  # of ten classes
    assert [row["rule"] for row in of[16]] == list(rules.RULES)
    for width, before, shares, n_seeds in ((32, 16, (0.5, 1.0), 2), (48, 32, (1.0,), 1)):
        wanted = [(rule, [share * lr for share in shares]) for rule, lr in rules.carried(of[before])]
        assert [(row["rule"], row["lrs"]) for row in of[width]] == wanted
        assert {len(row["accuracy"]) for row in of[width]} == {n_seeds}
    # the stack of seeds at once, and all rates at once, are only another way to hold the same networks
    for row in (of[32][0], of[32][4]):
        at_once = rules.trained(0, row["rule"], name, (0, 1), width=32, lrs=tuple(row["lrs"]))
        assert json.loads(json.dumps(at_once)) == row


def test_the_middle_rate_is_carried_and_backprop_has_that_of_align_ada_too(rules):
    rows = [{"rule": rule, "lr": [4.0, 1.0, 4.0]} for rule in rules.RULES]
    assert rules.carried(rows) == [(rule, 4.0) for rule in rules.RULES]
    rows[1]["lr"] = [2.0, 1.0]
    wanted = [(rule, 1.0 if rule == "align_ada" else 4.0) for rule in rules.RULES] + [("backprop", 1.0)]
    assert rules.carried(rows) == wanted
    assert rules.carried([*rows, {"rule": "backprop", "lr": [0.5]}]) == wanted  # its own rates come first


def test_no_setting_is_as_narrow_as_asked_for(rules):
    with pytest.raises(SystemExit, match="^--widest needs at least 16, got 15$"):
        rules.main(["--set", "fashion", "--widest", "15"])


@pytest.mark.parametrize("name", ["digits", "fashion"])
def test_the_settings_of_the_rules_are_those_of_the_committed_file(rules, monkeypatch, name):
    stored, made = results.load("alignment_rules" + (name != "digits") * f"_{name}"), []
    monkeypatch.setattr(rules, "runs", lambda *_, **__: [])
    monkeypatch.setattr(rules, "save", lambda name, chosen, parameters, rows, **_: made.append(parameters))
    rules.main(["--set", name, "--widest", "256"])
    assert made == [stored["parameters"]]

    settings = json.loads(json.dumps(rules.SETS[name][0]))
    rows = stored["results"]
    narrow, wide = rows[: 7 * len(settings)], rows[7 * len(settings) :]
    assert narrow == [
        row | setting | {"rule": rule}
        for row, (setting, rule) in zip(
            narrow, [(setting, rule) for setting in settings for rule in rules.RULES], strict=True
        )
    ]
    if name == "digits":
        assert not wide
        return
    before = narrow[-7:]
    for width, (n_seeds, shares) in rules.WIDE.items():
        rows = [row for row in wide if row["width"] == width]
        wanted = [(rule, [share * lr for share in shares]) for rule, lr in rules.carried(before)]
        assert [(row["rule"], row["lrs"]) for row in rows] == wanted
        assert rows == [row | settings[-1] | {"width": width, "lrs": row["lrs"]} for row in rows]
        assert {len(row["accuracy"]) for row in rows} == {n_seeds}
        before = rows
    assert {row["width"] for row in wide} == set(rules.WIDE)


def test_the_script_still_makes_the_stored_numbers_of_the_digits(rules):
    stored = next(row for row in results.load("alignment_rules")["results"] if row["rule"] == "readout")
    again = rules.trained(0, "readout", "digits", (0,))
    # another machine rounds otherwise: a few of 500 images, as a trained read-out amplifies nothing
    np.testing.assert_allclose(np.array(again["table"])[:, 0], np.array(stored["table"])[:, 0], atol=1.0)
    assert again["lr"] == stored["lr"][:1]


@pytest.mark.parametrize(
    ("name", "shape"),
    [("digits", [8, 8]), ("mnist", [14, 14]), ("fashion", [14, 14]), ("cifar10", [3, 32, 32])],
)
def test_convolutional_networks_train_on_the_images_of_every_set(
    convolutional,
    experiment,  # noqa: F811
    files,
    monkeypatch,
    name,
    shape,
):
    few = replace(convolutional.SETS[name], n_train=150, n_validation=50, n_test=50, epochs=2)
    monkeypatch.setitem(convolutional.SETS, name, few)
    monkeypatch.setattr(convolutional, "CHANNELS", [3])
    monkeypatch.setattr(convolutional, "RULES", ("backprop", "align_zero"))
    convolutional.main(["--set", name, "--seeds", "1"])
    made = written(experiment)
    assert made["parameters"]["image_shape"] == shape
    assert [row["rule"] for row in made["results"]] == ["backprop", "align_zero"]
    assert all(0 <= value <= 100 for row in made["results"] for value in row["accuracy"])


def test_images_are_averaged_two_by_two(convolutional, files):
    averaged, full = convolutional.image_set("fashion"), images.load("fashion", "train")
    assert averaged.X[7, 0] == full.X[7, [0, 1, 28, 29]].mean()
    assert averaged.X[7, 14 * 5 + 6] == pytest.approx(full.X[7, [292, 293, 320, 321]].mean(), abs=1e-15)


@pytest.mark.parametrize("name", ["digits", "mnist", "fashion"])
def test_the_settings_of_the_convolutional_networks_are_those_of_the_committed_file(
    convolutional, monkeypatch, name
):
    stored, made = results.load(f"alignment_convolutional_{name}"), []
    shape = tuple(stored["parameters"]["image_shape"])
    blank = images.ImageSet(np.zeros((1, shape[0] * shape[1])), np.zeros(1, dtype=int), shape)
    monkeypatch.setattr(convolutional, "image_set", lambda name: blank)
    monkeypatch.setattr(convolutional, "runs", lambda *_, **__: [])
    monkeypatch.setattr(
        convolutional, "save", lambda name, chosen, parameters, rows, **_: made.append(parameters)
    )
    convolutional.main(["--set", name])
    assert made == [stored["parameters"]]
    grid = [(channels, rule) for channels in convolutional.CHANNELS for rule in convolutional.RULES]
    assert [(row["channels"], row["rule"]) for row in stored["results"]] == grid

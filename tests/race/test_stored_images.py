"""The script of the stored results on image files: its settings, and sets it has not seen."""

import importlib
import json

import numpy as np
import pytest
import torch

from gdln import results
from gdln.data import images
from gdln.race import pathways
from tests.data.test_images import write_idx_set
from tests.test_experiment import experiment  # noqa: F401


@pytest.fixture
def script(experiment):  # noqa: F811
    return importlib.import_module("make_race_mnist")


@pytest.fixture
def sets(tmp_path, monkeypatch):
    """Sixty training and twenty test images of every set, in folders of their names."""
    for k, name in enumerate(("mnist", "fashion", "kmnist")):
        for split, n in (("train", 60), ("t10k", 20)):
            rng = np.random.default_rng([k, n])
            write_idx_set(tmp_path / name, rng, n, compress=name == "fashion", split=split)
    monkeypatch.setenv("GDLN_DATA", str(tmp_path))


@pytest.mark.parametrize("name", ["mnist", "fashion"])
def test_the_settings_of_the_script_are_those_of_the_committed_file(script, monkeypatch, name):
    stored, made = results.load(f"race_{name}"), {}
    sizes = [range(stored["parameters"][key]) for key in ("n_train", "n_test")]
    monkeypatch.setattr(script, "split_test", lambda seed: sizes)
    monkeypatch.setattr(script, "both_files", lambda name, n_train, seed: (range(n_train), sizes[1]))
    monkeypatch.setattr(script, "table", lambda name, settings, *_: settings)
    monkeypatch.setattr(script, "strengths", lambda base: [])
    monkeypatch.setattr(script, "save", lambda name, chosen, *kept: made.update({name: kept}))
    script.main(["--set", name])
    parameters, found, _ = made[f"race_{name}"]
    assert parameters == stored["parameters"] and found.keys() == stored["results"].keys()
    for part in found.keys() - {"singular_values"}:
        settings, rows = found[part], stored["results"][part]
        assert settings == [
            {key: row[key] for key in setting} for row, setting in zip(rows, settings, strict=True)
        ]


@pytest.mark.parametrize(
    ("argv", "name"),
    [(["--set", "fashion"], "fashion"), (["--set", "kmnist"], "kmnist"), (["--full"], "mnist_full")],
)
def test_image_files_of_any_set_give_a_reduced_result_of_their_own(
    script,
    experiment,  # noqa: F811
    sets,
    monkeypatch,
    capsys,
    argv,
    name,
):
    monkeypatch.setattr(script, "LRS", {8: 0.1, 16: 0.2})
    monkeypatch.setattr(script, "digits", lambda: script.large(8, "permuted")[:1])
    script.main([*argv, "--reduced"])
    path = experiment.ELSEWHERE / f"race_{name}.json"
    assert capsys.readouterr().out.strip() == str(path)
    made = json.loads(path.read_text())
    assert [made["parameters"][key] for key in ("n_train", "n_test", "epochs")] == [60, 20, 1]
    rows = made["results"]["settings"]
    assert [(r["n_domains"], r["n_trained"]) for r in rows if r["inputs"] == "rotated"] == [
        *((8, K) for K in (1, 2, 3, 6)),
        *((16, K) for K in (2, 4, 6, 12)),
    ]
    longer = [(r["inputs"], r["n_domains"], r["n_trained"], r["epochs"]) for r in made["results"]["longer"]]
    assert longer == [(inputs, 8, 3, [0, 1, 2, 3]) for inputs in ("permuted", "rotated")]
    sets = [images.load(name.removesuffix("_full"), split) for split in ("train", "test")]
    for row in (rows[1], rows[9], rows[-1], made["results"]["digits"][0]):
        if row is made["results"]["digits"][0]:
            sets = images.digits().split(1400, np.random.default_rng(0))
        setting = {key: row[key] for key in ("n_domains", "n_trained", "gain", "inputs", "lr")}
        sources = {"rng": np.random.default_rng(0), "generator": torch.Generator().manual_seed(0)}
        run = pathways.experiment(*sets, **setting, **sources, n_epochs=row["epochs"][-1])
        assert row["trained"][0][-1] == pytest.approx(run.trained[-1], abs=1e-4)
        assert row["untrained"][0][-1] == pytest.approx(run.untrained[-1], abs=1e-4)


def test_the_strengths_of_two_images_of_two_classes_are_a_half_and_nothing(script):
    # centred labels (1/2, -1/2) and (-1/2, 1/2), an image a pixel: [[1, -1], [-1, 1]] / 4
    pair = images.ImageSet(np.eye(2), np.array([0, 1]), (1, 2))
    np.testing.assert_allclose(script.strengths(pair), [0.5, 0], atol=1e-6)


def test_a_set_that_is_missing_is_named_before_any_training(script, tmp_path, monkeypatch):
    monkeypatch.setenv("GDLN_DATA", str(tmp_path))
    monkeypatch.setattr(images, "_cache", lambda: tmp_path)
    monkeypatch.setattr(script, "table", lambda *_: pytest.fail("trained"))
    for argv, name in (([], "mnist"), (["--set", "kmnist"], "kmnist"), (["--full"], "mnist")):
        with pytest.raises(FileNotFoundError, match=f"for '{name}' in .*; set GDLN_DATA"):
            script.main(argv)

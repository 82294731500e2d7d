"""The script of the stored results on images: its settings, and image files it has not seen."""

import importlib
import json
from functools import partial

import numpy as np
import pytest

from gdln import results
from gdln.data import images
from tests.data.test_images import idx_bytes
from tests.test_experiment import experiment  # noqa: F401


@pytest.fixture
def script(experiment):  # noqa: F811
    return importlib.import_module("make_ggdln_digits")


@pytest.mark.parametrize("name", ["digits", "mnist", "fashion"])
def test_the_settings_of_the_script_are_those_of_the_committed_file(script, monkeypatch, name):
    stored, made = results.load(f"ggdln_{name}"), {}
    monkeypatch.setattr(script, "runs", lambda name, function, grid, *_, **__: [{"rows": [{}]}] * len(grid))
    monkeypatch.setattr(script, "save", lambda name, chosen, *kept, **_: made.update({name: kept}))
    script.main(["--set", name])
    assert made[f"ggdln_{name}"][0] == stored["parameters"]
    assert set(made[f"ggdln_{name}"][1]) == set(stored["results"])


def by_row(table):
    return [dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True)]


@pytest.fixture
def enlarged(tmp_path, monkeypatch):
    """The digits as a set of idx files, every pixel three by three."""
    digits, folder = images.digits(), tmp_path / "kmnist"
    pixels = np.kron(15 * 16 * digits.X.reshape(-1, 8, 8), np.ones((1, 3, 3)))
    folder.mkdir()
    (folder / "t10k-images-idx3-ubyte").write_bytes(idx_bytes(pixels.astype(np.uint8)))
    (folder / "t10k-labels-idx1-ubyte").write_bytes(idx_bytes(digits.labels.astype(np.uint8)))
    monkeypatch.setenv("GDLN_DATA", str(tmp_path))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::gdln.renormalization.chains.SamplingWarning")
def test_digits_enlarged_give_what_the_digits_give(script, enlarged, monkeypatch, experiment, capsys):  # noqa: F811
    monkeypatch.setattr(script, "N_NEW", dict.fromkeys(script.N_NEW, 50))
    script.main(["--set", "kmnist", "--most", "20", "--repeats", "1", "--draws", "10"])
    path = experiment.ELSEWHERE / "ggdln_kmnist.json"
    assert capsys.readouterr().out.strip() == str(path)
    found = json.loads(path.read_text())["results"]

    def pair(part, **chosen):
        """Errors on the digits and on the other set; planes and centres differ with the number of pixels."""
        rows = [row for row in by_row(found[part]) if all(row[key] == value for key, value in chosen.items())]
        return [[r["error"] for r in rows if r["set"] == name] for name in ("digits", "kmnist")]

    for compared in (
        partial(pair, "widths", gates="linear"),
        partial(pair, "channels", activation="linear"),
        partial(pair, "channels", activation="relu"),
    ):
        np.testing.assert_allclose(*compared(), rtol=1e-6)
    assert len(found["widths"]["error"]) == 2 * 3 * 3 * 5  # sets, gates, prior variances, widths
    assert found["depths"]["depth"] == [L for L in (1, 2, 3) for _ in range(2 * 3)]  # prior variances, widths
    assert {row["n_tasks"] for row in by_row(found["tasks"])} == {1, 2, 4, 8}
    assert all((row["between"] is None) == (row["n_tasks"] == 1) for row in by_row(found["tasks"]))


def test_a_table_by_columns_keeps_eight_digits_of_its_rows(script):
    rows = [
        {"a": 1 / 3, "b": [2 / 3, 1], "c": None, "evaluations": 4},
        {"a": 1, "b": [], "c": "x", "evaluations": 5},
    ]
    wanted = {"a": [0.33333333, 1], "b": [[0.66666667, 1], []], "c": [None, "x"]}
    assert script.columns(rows) == wanted


def test_kernels_of_one_task_and_of_unrelated_tasks_have_the_sizes_worked_by_hand(script):
    group = np.array([0, 0, 1])
    K = np.array([[2.0, 2.0, 1.0], [2.0, 2.0, 1.0], [1.0, 1.0, 8.0]])
    # root mean squares 2 and 8 within, 1 between: one over the root of their product
    assert script.between(K, group) == pytest.approx(1 / 4)
    assert script.between(np.diag([1.0, 1.0, 3.0]), group) == 0
    assert script.between(K[:2, :2], group[:2]) is None


def test_more_images_are_drawn_less_often_but_never_not_at_all(script):
    assert [len(script.draws(n, 4)) for n in (1, 200, 201, 1000, 1001)] == [4, 4, 2, 2, 1]
    assert [len(script.draws(n, 1)) for n in (200, 1000, 4000)] == [1, 1, 1]

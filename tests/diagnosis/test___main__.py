"""The command on scripted and exported modules: a report, a page, a table, or one sentence."""

import copy
import re
import runpy
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from gdln.diagnosis import __main__ as command
from gdln.diagnosis import known
from gdln.diagnosis.measure import diagnose
from tests.diagnosis.test_networks import filled, normal


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Scripted, exported and plain checkpoints of one training, and its data."""
    folder = tmp_path_factory.mktemp("shell")
    model = filled(nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1)))
    X, y, X_test = normal(12, 3), normal(12, 1, seed=1), normal(6, 3, seed=2)
    run = known.descend(model, X, y, n_steps=40, stop=0)
    last = run.checkpoints[-1][1]
    for name, module in (("start", model), ("end", last)):
        torch.jit.save(torch.jit.script(module), folder / f"{name}.ts")
        batch = torch.export.Dim("batch")
        torch.export.save(
            torch.export.export(module, (X,), dynamic_shapes=({0: batch},)), folder / f"{name}.pt2"
        )
    for k, (_, module) in enumerate(run.checkpoints):
        torch.save(module.state_dict(), folder / f"{k}.pth")
    np.savez(folder / "data.npz", X=X.numpy(), y=y.numpy(), X_test=X_test.numpy())
    np.savez(folder / "bare.npz", X=X.numpy())
    return folder, model, run, (X, y, X_test)


@pytest.mark.parametrize("kind", ["ts", "pt2"])
def test_the_command_says_what_the_function_says(folder, kind, capsys):
    place, model, run, (X, y, X_test) = folder
    marks = [f"{place}/{k}.pth@{time}" for k, (time, _) in enumerate(run.checkpoints)]
    table, page = place / f"{kind}.csv", place / f"{kind}.html"
    status = command.main(
        [f"{place}/start.{kind}", *marks, "--data", f"{place}/data.npz", "--lr", str(run.lr)]
        + ["--csv", str(table), "--html", str(page)]
    )
    said = capsys.readouterr()
    assert status == 0 and said.out.startswith("Verdict: ") and not said.err
    told = diagnose(
        copy.deepcopy(model), run.checkpoints, (X, y), rng=np.random.default_rng(0), test=X_test, lr=run.lr
    ).measures
    frame = pd.read_csv(table).dropna(subset="value").set_index("measure")["value"]
    for name, value in told.items():
        assert frame[name] == pytest.approx(value, rel=1e-6, abs=1e-9), name
    assert page.read_text().startswith("<!doctype html>")


def test_whole_modules_do_as_checkpoints(folder, capsys):
    place = folder[0]
    assert command.main([f"{place}/start.ts", f"{place}/end.ts", "--data", f"{place}/data.npz"]) == 0
    assert "needs times" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["none.ts", "end.ts", "--data", "data.npz"], "model needs a file"),
        (["start.ts", "none.pth", "--data", "data.npz"], "checkpoints needs a file"),
        (["start.ts", "end.ts@soon", "--data", "data.npz"], "a number behind the @"),
        (["start.ts", "end.ts", "--data", "start.ts"], "data needs"),
        (["start.ts", "end.ts", "--data", "bare.npz"], "got a file without|without \\['y'\\]"),
        (["data.npz", "end.ts", "--data", "data.npz"], "no module that torch.jit.save"),
        (["start.ts", "start.ts", "--data", "data.npz"], "needs to change the outputs"),
    ],
)
def test_what_it_cannot_do_it_says_in_one_line(folder, arguments, words, capsys):
    place = folder[0]
    paths = [a if a.startswith("--") else f"{place}/{a}" for a in arguments]
    assert command.main(paths) == 2
    said = capsys.readouterr().err
    assert said.startswith("cannot be diagnosed: ") and said.count("\n") == 1
    assert re.search(words, said)


def test_help_tells_of_every_option(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["gdln.diagnosis", "--help"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(command.__file__, run_name="__main__")
    assert not ended.value.code
    said = capsys.readouterr().out
    for option in ("--data", "--loss", "--lr", "--html", "--csv", "--n-probe", "X_test", "state_dict"):
        assert option in said

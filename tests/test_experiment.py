import importlib
import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from gdln import results
from gdln.data import images
from tests.pretend import pretended

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = sorted(
    p.stem for p in (ROOT / "scripts").glob("make_*.py") if "from experiment import" in p.read_text()
)
PAGES = [path.read_text(encoding="utf-8") for path in sorted((ROOT / "book").rglob("*.md"))]
#: File, script, what follows --set, labels of the sections that show it: rows of the page on large experiments.
TABLE = [
    (file, script, chosen, re.findall(r"{ref}`([\w-]+)`", pages))
    for file, script, chosen, pages in re.findall(
        r"^\| `(\w+)` \| `(\w+)\.py`(?: `--set (\w+)`)?.*? \| (.+) \|$",
        (ROOT / "book" / "large_experiments.md").read_text(encoding="utf-8"),
        re.M,
    )
]


@pytest.fixture
def experiment(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(ROOT / "scripts")
    module = importlib.import_module("experiment")
    monkeypatch.setattr(module, "ELSEWHERE", tmp_path / "elsewhere")
    yield module
    for name in ("experiment", *SCRIPTS):
        sys.modules.pop(name, None)


COUNTS = {"seeds": 5, "n_train": 100}


def test_only_a_run_with_every_committed_setting_writes_over_the_committed_result(experiment):
    def folder(*argv):
        return experiment.arguments("", list(argv), counts=COUNTS, reduced={"seeds": 1}).folder

    assert folder() is None and folder("--seeds", "5", "--jobs", "2") is None
    for argv in (["--reduced"], ["--seeds", "4"], ["--n-train", "1"], ["--reduced", "--seeds", "5"]):
        assert folder(*argv) == experiment.ELSEWHERE


def test_reduced_counts_are_defaults_that_one_may_still_choose(experiment):
    def counts(*argv):
        chosen = experiment.arguments("", list(argv), counts=COUNTS, reduced={"seeds": 1})
        return chosen.seeds, chosen.n_train

    assert counts() == (5, 100) and counts("--reduced") == (1, 100)
    assert counts("--reduced", "--seeds", "2", "--n-train", "7") == (2, 7)


@pytest.mark.parametrize("wrong", ["0", "-1", "2.5", "x", ""])
def test_counts_below_one_are_refused_in_words(experiment, capsys, wrong):
    with pytest.raises(SystemExit):
        experiment.arguments("", [f"--seeds={wrong}"], counts=COUNTS)
    assert f"argument --seeds: needs a whole number of at least 1, got {wrong!r}" in capsys.readouterr().err


def test_a_run_on_another_device_writes_elsewhere_and_one_that_is_not_there_is_refused(experiment, capsys):
    def chosen(*argv):
        return experiment.arguments("", list(argv), counts=COUNTS, device=True)

    assert (chosen().device, chosen().folder) == ("cpu", None) == (chosen("--device", "cpu").device, None)
    with pretended() as card:
        found = chosen("--device", str(card))
    assert (found.device, found.folder) == (str(card), experiment.ELSEWHERE)
    with pytest.raises(SystemExit):
        chosen("--device", "cuda:99")
    assert "argument --device: it needs one of the devices here, ['cpu'" in capsys.readouterr().err


def few_digits(seed):
    return images.digits().subset(slice(300)).split(200, np.random.default_rng(seed))


@pytest.mark.filterwarnings("ignore::gdln.renormalization.chains.SamplingWarning")  # chains of a few steps
@pytest.mark.parametrize(
    ("name", "function", "point"),
    [
        ("alignment_recurrent", "trained", {"width": 2, "rule": "feedback", "n_networks": 2}),
        (
            "alignment_scores",
            "measured",
            {"width": 4, "depth": 1, "seed": 0, "n_train": 6, "checkpoints": [2]},
        ),
        ("ggdln_langevin", "sampled", {"name": "convolutional relu", "steps": 160}),
        ("race_digits", "trained", {"setting": 0, "seed": 0, "n_epochs": 1, "record_every": 1}),
    ],
)
def test_a_script_that_takes_a_device_trains_there_to_the_same_numbers(
    experiment, monkeypatch, name, function, point
):
    module = importlib.import_module(f"make_{name}")
    if name == "alignment_recurrent":
        monkeypatch.setattr(module, "EPOCHS", 1)
    if name == "ggdln_langevin":
        monkeypatch.setitem(module.SETTING, "n_warmup", 1)
    if name == "race_digits":
        point = point | {"settings": [{**module.LINEAR, "n_domains": 2, "n_trained": 1}], "split": few_digits}
    run = getattr(module, function)
    here = run(**point, device="cpu")
    with pretended() as card:
        there = run(**point, device=str(card))
    assert here.keys() == there.keys()
    for key in here.keys() - {"seconds", "cpu_seconds"}:
        np.testing.assert_allclose(there[key], here[key], rtol=1e-3, atol=1e-4)


def uneven(a, limit):
    if a > limit:
        raise ValueError("above the limit")
    uneven.calls.append(a)
    return {"value": [a / 3, None], "text": "x"}


uneven.calls = []


@pytest.mark.filterwarnings("ignore:.*points failed:UserWarning")
def test_a_run_that_was_cut_computes_only_what_is_missing_and_writes_nothing_incomplete(
    experiment, monkeypatch
):
    with pytest.raises(SystemExit, match="1 of 3 points of x failed: run again"):
        experiment.runs("x", uneven, {"a": [1, 2, 3]}, limit=2)
    assert uneven.calls == [1, 2]
    assert len((experiment.ELSEWHERE / "x.jsonl").read_text().splitlines()) == 3
    found = experiment.runs("x", uneven, {"a": [1, 2]}, limit=2)
    assert uneven.calls == [1, 2] and found == [{"value": [a / 3, None], "text": "x"} for a in (1, 2)]


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_script_refuses_an_empty_run_and_makes_the_result_of_its_name(experiment, capsys, name):
    if name == "make_kernel_fixtures":
        pytest.importorskip("neural_tangents")
    module = importlib.import_module(name)
    with pytest.raises(SystemExit):
        module.main(["--help"])
    options = re.findall(r"^  --([\w-]+) [A-Z_]+ +\d+ unless given", capsys.readouterr().out, re.M)
    assert options
    for option in options:
        with pytest.raises(SystemExit):
            module.main([f"--{option}", "0"])
        assert f"argument --{option}: needs a whole number of at least 1" in capsys.readouterr().err


def test_the_table_of_scripts_names_every_committed_result_and_no_other():
    times = {"speed", "costs", "device"}  # of a machine, by benchmarks
    assert sorted(file for file, *_ in TABLE) == sorted(
        {path.stem for path in results.FOLDER.glob("*.json")} - times
    )
    assert {script for _, script, *_ in TABLE} == {*SCRIPTS}


@pytest.mark.parametrize(("file", "script", "chosen", "labels"), TABLE)
def test_a_row_of_the_table_of_scripts_is_a_command_that_there_is_and_pages_that_show_it(
    experiment, capsys, file, script, chosen, labels
):
    if chosen:
        with pytest.raises(SystemExit):
            importlib.import_module(script).main(["--help"])
        sets = re.search(r"--set \{(.*?)\}", capsys.readouterr().out)[1]
        assert chosen in sets.split(",") and file.endswith(chosen)
    for label in labels:
        (page,) = (text for text in PAGES if f"\n({label})=\n" in f"\n{text}")
        head, _, tail = file.rpartition("_")
        assert re.search(rf'"{file}(\.json)?"|f"{head}_{{|{{{tail}-table}}', page)


@pytest.mark.slow
def test_a_short_run_leaves_the_committed_result_alone_and_is_taken_up_again(experiment, monkeypatch, capsys):
    module = importlib.import_module("make_race_digits")
    committed = (results.FOLDER / "race_digits.json").read_bytes()
    monkeypatch.setattr(module, "SETTINGS", module.SETTINGS[:2])
    module.main(["--seeds", "1", "--epochs", "20"])
    (path,) = experiment.ELSEWHERE.glob("*.json")
    assert capsys.readouterr().out.strip() == str(path)
    first = json.loads(path.read_text())
    lines = (experiment.ELSEWHERE / "race_digits.jsonl").read_text()
    module.main(["--seeds", "1", "--epochs", "20"])
    assert json.loads(path.read_text()) == first  # the seconds of the first run included
    assert (experiment.ELSEWHERE / "race_digits.jsonl").read_text() == lines
    assert (results.FOLDER / "race_digits.json").read_bytes() == committed
    # the committed runs go on for 100 epochs: their first record is the same
    stored = json.loads(committed)["results"]["settings"][0]
    assert first["results"]["settings"][0]["trained"][0][:2] == stored["trained"][0][:2]

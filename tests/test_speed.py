"""What is stored of speed and cost: in step with the jobs, shown on its pages, and compared by ratios alone."""

import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks import costs, device, jobs, report
from gdln import results
from tests.pretend import pretended
from tests.test_book import ROOT, built

sys.path.insert(0, str(ROOT / "book" / "_ext"))
import speed  # noqa: E402


def stored(name):
    return json.loads((ROOT / "book" / "data" / name).read_text())


def test_every_job_is_stored_with_what_it_is_compared_with_and_no_other():
    rows = stored("speed.json")["results"]
    assert [row["job"] for row in rows] == [job.name for job in jobs.JOBS]
    for row, job in zip(rows, jobs.JOBS, strict=True):
        assert (row["at"], row["sizes"], row["size"]) == (job.at, list(job.sizes), job.size)
        assert (row["faster"] is None) == (job.peer is None) and (row["share"] is None) == (job.limit is None)
        assert row["milliseconds"] > 0 and 0 < row["growth"] < 4
        assert list(row["parts"]) == [name for name, _ in job.parts]
    rows = stored("costs.json")["results"]
    assert [row["work"] for row in rows] == [cost.name for cost in costs.COSTS]


def test_the_ways_of_a_job_give_the_same():
    """Those of the other jobs are compared where they are measured one by one, in the benchmarks of their modules."""
    np.testing.assert_allclose(jobs.closed_form(8)(), jobs.by_solver(8)(), atol=1e-9)
    np.testing.assert_allclose(jobs.tree_velocity(8)(), jobs.tensor_of_pairs(8)(), rtol=1e-11, atol=1e-14)
    ours, theirs = jobs.finite_kernel(8)(), jobs.batched_jacobian(8)()
    np.testing.assert_allclose(ours[:, 0, :, 0], theirs.numpy(), rtol=1e-10, atol=1e-12)


def test_a_ratio_is_slower_only_below_half_of_the_stored_one_and_what_was_not_measured_is_not_compared():
    job = jobs.JOBS[0]
    kept = {"faster": 10.0, "share": 0.6}
    assert report.slower(job, kept, {"faster": 5.1, "share": 0.31}) == []
    words = report.slower(job, kept, {"faster": 4.9, "share": 0.29})
    assert len(words) == 2 and "4.9" in words[0] and "stored 10" in words[0] and "0.29" in words[1]
    assert report.slower(job, kept, {"faster": None, "share": 0.6}) == []
    assert report.slower(job, {"faster": None, "share": None}, {"faster": 1.0, "share": 0.1}) == []


def test_the_guard_names_what_became_slower_and_forgives_one_disturbed_measurement(monkeypatch, capsys):
    job, calls = next(job for job in jobs.JOBS if "routing tree" in job.name), []
    monkeypatch.setattr(report, "JOBS", [job])
    rows = {job.name: {"faster": 8.0, "share": None}}

    def measure(ratios):
        calls.clear()
        left = iter(ratios)
        monkeypatch.setattr(
            report, "measured", lambda _: calls.append(1) or {"faster": next(left), "share": None}
        )

    measure([1.0, 7.0])
    report.check(rows)
    assert len(calls) == 2 and "1 jobs are as fast" in capsys.readouterr().out
    measure([1.0, 2.0, 3.0])
    with pytest.raises(SystemExit, match="Slower than stored:\n.*routing tree.*3 against NumPy"):
        report.check(rows)


def test_the_jobs_of_a_card_run_and_store_nothing_where_they_are_reduced(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("GDLN_RESULTS", str(tmp_path))
    device.main(["--device", "cpu", "--reduced"])
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(row["job"], row["at"]) for row in rows] == [(job.name, job.reduced) for job in device.JOBS]
    assert not any(tmp_path.iterdir())
    for row, job in zip(rows, device.JOBS, strict=True):
        assert row["difference"] == (0 if job.same else None)
        assert row["cpu"] > 0 and row["faster"] == row["cpu"] / row["device"]


def test_the_jobs_give_the_same_numbers_apart_and_what_is_not_there_ends_in_words(capsys):
    with pytest.raises(SystemExit, match="--device needs one of the devices here, .*'cpu'.*, got 'cuda:99'"):
        device.main(["--device", "cuda:99"])
    with pretended() as card:
        for job in device.JOBS:
            if job.same:  # the other one draws on the card, which a pretended one cannot
                there, here = (job.make(job.reduced, where)() for where in (card, device.CPU))
                assert there == pytest.approx(here, rel=1e-5)


@pytest.mark.parametrize("there", [True, False])
def test_the_table_of_a_card_has_a_row_a_job_and_says_in_words_that_there_was_none(there, tmp_path):
    if there:
        row = {"job": "a job", "module": "gdln.kernels.gram", "size": "samples", "at": 20_000}
        row |= {"cpu": 9.0, "device": 0.1, "faster": 90.0, "difference": None}
        about = {"machine": "a CPU", "threads": 16, "device": "a card"}
        results.save("device", about, [row], folder=tmp_path / "book" / "data")
    read_again = []
    env = SimpleNamespace(srcdir=str(tmp_path), docname="speed", note_dependency=lambda path: None)
    env.note_reread = lambda: read_again.append(1)
    table = speed.DeviceTable.__new__(speed.DeviceTable)
    table.state = SimpleNamespace(document=SimpleNamespace(settings=SimpleNamespace(env=env)))
    text = " ".join(node.astext() for node in table.run())
    assert bool(read_again) != there
    if there:
        assert (
            "20,000 samples" in text
            and "a card, s" in text
            and "90" in text
            and "16 threads of a CPU" in text
        )
    else:
        assert text.startswith("No graphics card was at hand")


def test_an_exponent_is_the_slope_of_a_power():
    assert costs.exponent((10, 20, 40), [3 * n**2.5 for n in (10, 20, 40)]) == pytest.approx(2.5)


@pytest.mark.parametrize(
    "value, text", [(None, "–"), (0.0207, "0.021"), (7.13, "7.1"), (157.7, "160"), (35017.9, "35,000")]
)
def test_numbers_are_shown_with_the_digits_they_deserve(value, text):
    assert speed.shown(value) == text


def test_a_number_in_a_sentence_is_the_stored_one_and_an_unknown_one_is_refused():
    row = {"job": "a step: two", "faster": 7.13, "share": 0.536, "parts": {"first touch": 0.604}}
    assert [speed.quoted([row], f"a step: two: {what}") for what in ("faster", "share", "first touch")] == [
        "7.1",
        "54\xa0%",
        "60\xa0%",
    ]
    with pytest.raises(ValueError, match="no job 'a leap' is stored; there are a step: two"):
        speed.quoted([row], "a leap: share")
    with pytest.raises(ValueError, match="'a step: two' has no 'growth'; it has faster, share, first touch"):
        speed.quoted([row], "a step: two: growth")
    with pytest.raises(ValueError, match="has no 'faster'"):
        speed.quoted([row | {"faster": None}], "a step: two: faster")


def test_kept_results_are_all_different_and_are_dropped_in_time(monkeypatch):
    alive = set()

    class Result:
        def __init__(self):
            alive.add(id(self))

        def __del__(self):
            alive.discard(id(self))

    monkeypatch.setattr(jobs, "KEPT", 3)
    run, most = jobs.keeping(lambda n: Result)(1), []
    for _ in range(7):
        run()
        most.append(len(alive))
    assert most == [1, 2, 3, 1, 2, 3, 1]


@pytest.mark.slow  # needs the built book
def test_the_pages_show_every_row():
    for page, name in (("speed", "speed.json"), ("large_experiments", "costs.json")):
        text = built(f"book/{page}").get_text(" ").replace("’", "'")
        for row in stored(name)["results"]:
            assert row.get("job", row.get("work")) in text

import contextlib
import json
import os
import queue
import sys
import threading
import time

import joblib
import numpy as np
import pytest

from gdln import fingerprint, sweep


def multiply(a, b, scale=1.0):
    multiply.calls.append((a, b))
    return {"product": scale * a * b}


multiply.calls = []


def fail_at_two(a):
    if a == 2:
        raise RuntimeError("two is not allowed")
    return {"double": 2 * a}


def die_at_two(a):
    if a == 2:
        os._exit(1)
    return {"double": 2 * a}


def path_of_rows(start):
    return [{"step": k, "value": start + k} for k in range(3)]


def draw(seed):
    return {"normal": np.random.default_rng(seed).standard_normal()}


def test_the_table_is_the_grid_in_its_order():
    table = sweep.sweep(multiply, {"a": [3, 1], "b": np.array([0.5, 2])}, fixed={"scale": 10.0})
    assert list(table.columns) == ["a", "b", "product", "seconds", "failure"]
    np.testing.assert_array_equal(table["a"], [3, 3, 1, 1])
    np.testing.assert_array_equal(table["product"], [15, 60, 5, 20])
    assert table["failure"].isna().all() and (table["seconds"] >= 0).all()


def test_points_need_not_form_a_product():
    table = sweep.sweep(multiply, [{"a": 1, "b": 2}, {"b": 5, "a": 4}])
    np.testing.assert_array_equal(table["product"], [2, 20])


def test_one_point_may_return_several_rows():
    table = sweep.sweep(path_of_rows, {"start": [0, 10]})
    np.testing.assert_array_equal(table["value"], [0, 1, 2, 10, 11, 12])
    np.testing.assert_array_equal(table["start"], [0, 0, 0, 10, 10, 10])


def test_a_failed_point_costs_its_own_row_only():
    with pytest.warns(UserWarning, match="1 of 3 points failed, the first at {'a': 2}: RuntimeError: two is"):
        table = sweep.sweep(fail_at_two, {"a": [1, 2, 3]}).set_index("a")
    assert table.loc[2, "failure"] == "RuntimeError: two is not allowed"
    np.testing.assert_array_equal(table["double"].dropna(), [2, 6])


def test_a_worker_that_dies_costs_its_own_row_only(tmp_path):
    table = sweep.sweep(
        die_at_two, {"a": list(range(6))}, n_jobs=2, path=tmp_path / "partial.jsonl"
    ).set_index("a")
    assert "worker died" in table.loc[2, "failure"]
    np.testing.assert_array_equal(table["double"].drop(2), [0, 2, 6, 8, 10])


def test_workers_do_not_change_the_result():
    grid = {"seed": list(range(5))}
    one, two = sweep.sweep(draw, grid), sweep.sweep(draw, grid, n_jobs=2)
    np.testing.assert_array_equal(one["normal"], two["normal"])


def test_a_partial_file_is_resumed_and_failures_are_run_again(tmp_path):
    path = tmp_path / "partial.jsonl"
    sweep.sweep(multiply, {"a": [1, 2], "b": [3]}, path=path)
    lines = path.read_text().splitlines()
    path.write_text(lines[0] + "\n" + lines[1][:20])  # as if the run had been cut while writing
    multiply.calls.clear()
    table = sweep.sweep(multiply, {"b": [3], "a": [1, 2, 4]}, path=path)
    assert multiply.calls == [(2, 3), (4, 3)]
    np.testing.assert_array_equal(table["product"], [3, 6, 12])
    multiply.calls.clear()
    sweep.sweep(multiply, {"a": [1, 2, 4], "b": [3]}, path=path)
    assert multiply.calls == []


def test_failed_points_are_run_again(tmp_path, monkeypatch):
    path = tmp_path / "partial.jsonl"
    broken = {"a": [1, 2]}
    assert sweep.sweep(fail_at_two, broken, path=path)["failure"].notna().sum() == 1
    monkeypatch.setattr(fail_at_two, "__code__", (lambda a: {"double": 2 * a}).__code__)
    with pytest.warns(UserWarning, match="2 points in .* are computed again"):
        table = sweep.sweep(fail_at_two, broken, path=path)
    assert table["failure"].isna().all()


def test_a_partial_file_of_another_function_is_refused(tmp_path):
    path = tmp_path / "partial.jsonl"
    sweep.sweep(draw, {"seed": [0]}, path=path)
    with pytest.raises(ValueError, match=f"was made by {__name__}.draw"):
        sweep.sweep(path_of_rows, {"start": [0]}, path=path)


def test_the_progress_bar_goes_to_stderr_and_only_when_asked(capsys):
    sweep.sweep(draw, {"seed": [0]})
    assert capsys.readouterr() == ("", "")
    sweep.sweep(draw, {"seed": [0]}, progress=True)
    out, err = capsys.readouterr()
    assert out == "" and err != ""


@pytest.mark.parametrize(
    "grid, message",
    [
        ({"seed": []}, "grid needs at least one point"),
        ([], "grid needs at least one point"),
        ([{"seed": 1}, {"seed": 1}], "grid needs distinct points"),
        ({"seed": [np.zeros(2)]}, r"grid\['seed'\] needs numbers.* got ndarray"),
        ({"seed": "abc"}, "seed needs a sequence of values, got str 'abc'"),
        ({"seed": 3}, "seed needs a sequence of values, got int 3"),
        ("abc", "grid needs axes, or a sequence of points"),
        (3, "grid needs axes, or a sequence of points"),
        ([1, 2], "grid needs a Mapping, got int 1"),
    ],
)
def test_bad_grids_are_refused_with_the_reason(grid, message):
    with pytest.raises((ValueError, TypeError), match=message):
        sweep.sweep(draw, grid)


def test_columns_that_hide_a_parameter_are_an_error_of_the_point():
    table = sweep.sweep(lambda seed: {"seed": seed}, {"seed": [1]})
    assert "not taken" in table.loc[0, "failure"]
    assert "need a mapping" in sweep.sweep(lambda seed: 3.0, {"seed": [1]}).loc[0, "failure"]


def scaled(a, offset=0):
    return {"value": FACTOR * shifted(a) + offset}


def shifted(a):
    return a + SHIFT


FACTOR, SHIFT = 10, 1


def values(path, function=scaled, **options):
    return sweep.sweep(function, {"a": [1, 2]}, path=path, **options)["value"].tolist()


def test_a_stored_point_holds_only_for_the_arguments_it_was_computed_with(tmp_path):
    path = tmp_path / "partial.jsonl"
    assert values(path) == [20, 30]
    for offset in (1, 1.5, np.float64(2)):
        with pytest.warns(UserWarning, match="2 points in .* are computed again"):
            assert values(path, fixed={"offset": offset}) == [20 + offset, 30 + offset]
    assert values(path) == [20, 30] and len(path.read_text().splitlines()) == 8


@pytest.mark.parametrize("what, value, expected", [("FACTOR", 100, [200, 300]), ("SHIFT", 0, [10, 20])])
def test_a_stored_point_holds_only_for_the_code_and_constants_behind_it(
    tmp_path, monkeypatch, what, value, expected
):
    path = tmp_path / "partial.jsonl"
    assert values(path) == [20, 30]
    monkeypatch.setitem(globals(), what, value)
    with pytest.warns(UserWarning, match="2 points in .* are computed again"):
        assert values(path) == expected
    monkeypatch.undo()
    monkeypatch.setattr(shifted, "__code__", (lambda a: a - 1).__code__)
    with pytest.warns(UserWarning, match="2 points in .* are computed again"):
        assert values(path) == [0, 10]


def test_a_stored_point_holds_only_for_the_library_it_was_computed_with(tmp_path, monkeypatch):
    path = tmp_path / "partial.jsonl"
    values(path)
    multiply.calls.clear()
    monkeypatch.setattr(fingerprint, "library", lambda: "another")
    with pytest.warns(UserWarning, match="the library or fixed was another"):
        assert values(path) == [20, 30]


def test_two_lambdas_of_one_line_do_not_share_their_values(tmp_path):
    path = tmp_path / "partial.jsonl"
    one, two = (lambda a: {"value": a}), (lambda a: {"value": -a})
    assert values(path, one) == [1, 2]
    with pytest.warns(UserWarning, match="computed again"):
        assert values(path, two) == [-1, -2]
    assert values(path, one) == [1, 2]
    for k in (3, 4):  # the same text, closed over another value
        with pytest.warns(UserWarning, match="computed again"):
            assert values(path, lambda a, k=k: {"value": k * a}) == [k, 2 * k]


def test_generators_are_refused_as_common_arguments():
    with pytest.raises(TypeError, match="fixed needs no generator, got 'rng'"):
        sweep.sweep(draw, {"seed": [0]}, fixed={"rng": np.random.default_rng(0)})


def test_a_point_that_calls_exit_is_a_failed_point():
    for status in (0, 1, "enough"):
        table = sweep.sweep(lambda a: sys.exit(status) if a == 2 else {"b": a}, {"a": [1, 2, 3]})  # noqa: B023
        assert (
            table["failure"].notna().tolist() == [False, True, False] and "SystemExit" in table["failure"][1]
        )


@pytest.mark.parametrize(
    "damage, line",
    [
        (lambda lines: [lines[0], "{", *lines[1:]], 2),
        (lambda lines: [lines[0], '{"function": "x"}', *lines[1:]], 2),
        (lambda lines: ["[1, 2]", *lines], 1),
        (lambda lines: [*lines, "words"], 4),
        (lambda lines: [*lines[:2], lines[2][:30]], 3),
    ],
)
def test_a_bad_line_of_a_partial_file_is_named_and_the_file_left_as_it_is(tmp_path, damage, line):
    path = tmp_path / "partial.jsonl"
    sweep.sweep(scaled, {"a": [1, 2, 3]}, path=path)
    path.write_text("\n".join(damage(path.read_text().splitlines())) + "\n")
    before = path.read_bytes()
    with pytest.raises(ValueError, match=f"partial.jsonl, line {line}, needs a record of a sweep"):
        values(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("text", ["my notes", '{"parameters": 1}', "{", "\0\1", "\u00e9"])
def test_a_file_of_something_else_is_never_written_to(tmp_path, text):
    path = tmp_path / "notes.txt"
    path.write_text(text)
    if text == "{":  # this much could be a cut line
        values(path)
        return
    with pytest.raises(ValueError, match="notes.txt, line 1, needs a record of a sweep"):
        values(path)
    assert path.read_text() == text


@pytest.mark.parametrize("cut", [1, 5, 12, 13, 40, -1])
def test_a_line_cut_anywhere_is_computed_again(tmp_path, cut):
    path = tmp_path / "partial.jsonl"
    values(path)
    whole = path.read_text().splitlines(keepends=True)
    path.write_text(whole[0] + whole[1][:cut])
    assert values(path) == [20, 30]
    assert [json.loads(line)["point"] for line in path.read_text().splitlines()] == [{"a": 1}, {"a": 2}]


def test_a_path_that_cannot_be_written_is_found_before_the_first_point(tmp_path):
    (tmp_path / "file").write_text("")
    multiply.calls.clear()
    for path in (tmp_path, tmp_path / "file" / "partial.jsonl"):
        with pytest.raises(OSError):
            sweep.sweep(multiply, {"a": [1], "b": [2]}, path=path)
    with pytest.raises(TypeError, match="path needs a str"):
        sweep.sweep(multiply, {"a": [1], "b": [2]}, path=3)
    assert multiply.calls == []


def test_a_second_sweep_on_one_file_is_refused_while_the_first_runs(tmp_path):
    path = tmp_path / "partial.jsonl"

    def inner(a):
        return {"value": len(values(path))} if a == 2 else {"value": a}

    with pytest.warns(
        UserWarning, match="BlockingIOError: .*partial.jsonl is being written by another sweep"
    ):
        table = sweep.sweep(inner, {"a": [1, 2]}, path=path)
    assert table["value"][0] == 1 and len(path.read_text().splitlines()) == 2


def test_storing_a_point_takes_as_long_whatever_is_stored(tmp_path):
    def seconds(n):
        start = time.perf_counter()
        sweep.sweep(lambda a: {"text": "x" * 20_000}, {"a": list(range(n))}, path=tmp_path / f"{n}.jsonl")
        return time.perf_counter() - start

    seconds(10)
    few, many = seconds(100), seconds(800)
    assert many < 5 * 8 * few  # a store that reads what it holds takes 64 times as long


def test_points_after_a_dead_worker_still_run_in_parallel(tmp_path):
    def where(a):
        if a == 2:
            os._exit(1)
        time.sleep(0.05)
        return {"process": os.getpid()}

    table = sweep.sweep(where, {"a": list(range(24))}, n_jobs=2).set_index("a")
    assert table["failure"].notna().tolist() == [a == 2 for a in range(24)]
    assert table["process"].iloc[-8:].nunique() == 2


def test_a_backend_that_waits_for_dead_workers_is_refused():
    with (
        joblib.parallel_config(backend="multiprocessing"),
        pytest.raises(ValueError, match="n_jobs needs a backend"),
    ):
        sweep.sweep(die_at_two, {"a": [1, 2]}, n_jobs=2)
    for wrong, error in ((0, ValueError), (2.5, TypeError), ("2", TypeError)):
        with pytest.raises(error, match="n_jobs needs"):
            sweep.sweep(die_at_two, {"a": [1]}, n_jobs=wrong)


@pytest.mark.slow
def test_the_same_call_runs_on_a_dask_cluster(tmp_path):
    distributed = pytest.importorskip("distributed")
    grid = {"a": [1, 2, 3]}
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster),
        joblib.parallel_config(backend="dask"),
    ):
        table = sweep.sweep(fail_at_two, grid, path=tmp_path / "partial.jsonl")
    here = sweep.sweep(fail_at_two, grid)
    assert table.drop(columns="seconds").equals(here.drop(columns="seconds"))


@pytest.fixture
def cluster(request):
    distributed = pytest.importorskip("distributed")
    import dask

    with (
        dask.config.set({"distributed.scheduler.allowed-failures": getattr(request, "param", 3)}),
        distributed.LocalCluster(n_workers=2, threads_per_worker=2, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
        joblib.parallel_config(backend="dask"),
    ):
        yield cluster, client


def die_later_at_two(a):
    if a == 2:
        time.sleep(2)  # a worker that dies while it starts may be lost to its nanny for good
    time.sleep(0.2)
    return die_at_two(a)


def slow_double(a):
    time.sleep(0.1)
    return {"double": 2 * a}


@pytest.mark.slow
@pytest.mark.parametrize(
    "cluster", [0], indirect=True
)  # every point on a dying worker is given up, the innocent too
def test_a_dead_dask_worker_costs_its_own_row_only(cluster):
    table = sweep.sweep(die_later_at_two, {"a": list(range(12))}).set_index("a")
    assert "worker died" in table.loc[2, "failure"]
    np.testing.assert_array_equal(table["double"].drop(2), [2 * a for a in range(12) if a != 2])


@contextlib.contextmanager
def after_a_point(path, action):
    """Do something to the cluster as soon as the file holds a point."""

    def wait():
        while not (path.is_file() and path.stat().st_size):
            time.sleep(0.01)
        action()

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    yield
    thread.join(5)


@pytest.mark.slow
def test_a_sweep_survives_a_restart_of_its_dask_cluster(cluster, tmp_path):
    path = tmp_path / "partial.jsonl"
    with after_a_point(path, lambda: cluster[1].restart(wait_for_workers=False)):
        table = sweep.sweep(slow_double, {"a": list(range(40))}, path=path)
    assert table["failure"].isna().all() and table["double"].tolist() == [2 * a for a in range(40)]


@pytest.mark.slow
def test_a_dask_cluster_without_workers_ends_the_sweep_in_words_and_the_file_keeps_what_was_done(
    cluster, tmp_path, monkeypatch
):
    monkeypatch.setattr(sweep, "_PATIENCE", 2.0)
    path = tmp_path / "partial.jsonl"
    with after_a_point(path, lambda: cluster[0].scale(0)):
        with pytest.raises(RuntimeError, match="no worker for 2 seconds"):
            sweep.sweep(slow_double, {"a": list(range(100))}, path=path)
    n_done = len(path.read_text().splitlines())
    assert 0 < n_done < 100
    with joblib.parallel_config(backend="threading"):
        assert sweep.sweep(slow_double, {"a": list(range(100))}, path=path, n_jobs=8)["failure"].isna().all()
    assert len(path.read_text().splitlines()) == 100


class Cluster:
    """A Dask client whose cluster has lost its workers, or its scheduler."""

    def __init__(self, status="running"):
        self.status = status

    def scheduler_info(self, n_workers):
        return {"workers": {}}


class Lost:
    """A future whose result went with the worker that held it."""

    def result(self, timeout):
        raise TimeoutError


class LostOnTheWay:
    """A future whose scheduler goes while it is asked, and comes back."""

    def __init__(self):
        self.answers = [ConnectionError("closed"), TimeoutError(), {"key": "a"}]

    def result(self, timeout):
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def test_a_result_is_asked_for_again_where_the_scheduler_was_lost_on_the_way():
    future = LostOnTheWay()
    assert sweep._Watch(Cluster()).result(future) == {"key": "a"} and not future.answers


@pytest.mark.parametrize("status, words", [("running", "no worker for 0 seconds"), ("closed", "is closed")])
def test_nobody_waits_for_a_cluster_that_is_gone(monkeypatch, status, words):
    monkeypatch.setattr(sweep, "_PATIENCE", 0.1)
    watch = sweep._Watch(Cluster(status))
    with pytest.raises(RuntimeError, match=words):
        watch.next(queue.SimpleQueue())
    with pytest.raises(RuntimeError, match=words):
        watch.result(Lost())

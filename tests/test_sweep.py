import os

import joblib
import numpy as np
import pytest

from gdln import sweep

CALLS = []


def multiply(a, b, scale=1.0):
    CALLS.append((a, b))
    return {"product": scale * a * b}


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
    CALLS.clear()
    table = sweep.sweep(multiply, {"b": [3], "a": [1, 2, 4]}, path=path)
    assert CALLS == [(2, 3), (4, 3)]
    np.testing.assert_array_equal(table["product"], [3, 6, 12])
    CALLS.clear()
    sweep.sweep(multiply, {"a": [1, 2, 4], "b": [3]}, path=path)
    assert CALLS == []


def test_failed_points_are_run_again(tmp_path, monkeypatch):
    path = tmp_path / "partial.jsonl"
    broken = {"a": [1, 2]}
    assert sweep.sweep(fail_at_two, broken, path=path)["failure"].notna().sum() == 1
    repaired = fail_at_two.__code__
    monkeypatch.setattr(fail_at_two, "__code__", (lambda a: {"double": 2 * a}).__code__)
    table = sweep.sweep(fail_at_two, broken, path=path)
    assert repaired is not fail_at_two.__code__ and table["failure"].isna().all()


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
        ({"seed": []}, "at least one point"),
        ([{"seed": 1}, {"seed": 1}], "distinct points"),
        ({"seed": [np.zeros(2)]}, "got ndarray"),
    ],
)
def test_bad_grids_are_refused_with_the_reason(grid, message):
    with pytest.raises(ValueError, match=message):
        sweep.sweep(draw, grid)


def test_columns_that_hide_a_parameter_are_an_error_of_the_point():
    table = sweep.sweep(lambda seed: {"seed": seed}, {"seed": [1]})
    assert "not taken" in table.loc[0, "failure"]
    assert "need a mapping" in sweep.sweep(lambda seed: 3.0, {"seed": [1]}).loc[0, "failure"]


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

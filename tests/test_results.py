import pytest

from gdln import results


def test_what_was_saved_is_loaded_with_settings_and_versions(tmp_path):
    path = results.save("run", {"seeds": [0, 1]}, {"error": [0.25]}, folder=tmp_path)
    record = results.load("run", folder=tmp_path)
    assert path.parent == tmp_path
    assert record["parameters"] == {"seeds": [0, 1]} and record["results"] == {"error": [0.25]}
    assert set(record["versions"]) == {"python", "numpy", "scipy"}


def test_a_missing_result_names_the_script_that_makes_it(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"scripts/make_run\.py"):
        results.load("run", folder=tmp_path)


def test_a_result_that_is_not_a_number_is_not_saved(tmp_path):
    with pytest.raises(ValueError):
        results.save("run", {}, {"error": float("nan")}, folder=tmp_path)
    assert not (tmp_path / "run.json").exists()


def test_an_unknown_package_is_refused(tmp_path):
    with pytest.raises(ValueError, match="'no-such-package' is not installed"):
        results.save("run", {}, {}, packages=("no-such-package",), folder=tmp_path)

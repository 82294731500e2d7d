import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gdln import results

ROOT = Path(__file__).resolve().parent.parent


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


@pytest.mark.slow
def test_a_library_installed_from_a_wheel_or_a_source_archive_has_every_module_and_every_stored_result(
    tmp_path,
):
    shutil.copytree(ROOT / "gdln", tmp_path / "tree" / "gdln", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "book" / "data", tmp_path / "tree" / "book" / "data")
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path / "tree")
    build = "import sys; from setuptools import build_meta as b; print(getattr(b, 'build_' + sys.argv[1])(sys.argv[2]))"

    def run(*command, cwd):
        return subprocess.run(command, cwd=cwd, check=True, capture_output=True, text=True).stdout

    run(sys.executable, "-c", build, "sdist", tmp_path, cwd=tmp_path / "tree")
    (archive,) = tmp_path.glob("*.tar.gz")
    shutil.unpack_archive(archive, tmp_path, filter="data")
    unpacked = tmp_path / archive.name.removesuffix(".tar.gz")
    run(sys.executable, "-c", build, "wheel", tmp_path, cwd=unpacked)
    (wheel,) = tmp_path.glob("*.whl")
    shutil.unpack_archive(wheel, tmp_path / "installed", "zip")

    def listed(folder, pattern):
        return sorted(str(path.relative_to(folder)) for path in folder.rglob(pattern))

    assert listed(tmp_path / "installed" / "gdln", "*.py") == listed(ROOT / "gdln", "*.py")
    assert listed(tmp_path / "installed" / "gdln" / "stored", "*") == listed(ROOT / "book" / "data", "*.json")
    code = "import sys; sys.path.insert(0, sys.argv[1]); from gdln import results; print(results.__file__)"
    code += "; print(len(results.load('kernel_fixtures')['results']))"
    file, count = run(sys.executable, "-c", code, tmp_path / "installed", cwd="/").split()
    assert file.startswith(str(tmp_path)) and int(count) == len(results.load("kernel_fixtures")["results"])

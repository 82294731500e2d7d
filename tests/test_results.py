import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
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
    with pytest.raises(FileNotFoundError, match=r"no result .run. in .*; book/large_experiments\.md says"):
        results.load("run", folder=tmp_path)


@pytest.mark.parametrize(
    "wrong, error, where",
    [
        (
            {"error": [1.0, float("nan")]},
            ValueError,
            r"results\['error'\]\[1\] needs finite numbers, got float nan",
        ),
        ({"error": {"x": float("inf")}}, ValueError, r"results\['error'\]\['x'\] needs finite"),
        ({1: 2, "1": 3}, TypeError, "results needs text for keys, got int 1"),
        ({"a": {None: 3}}, TypeError, r"results\['a'\] needs text for keys, got None"),
        (
            [{"error": np.zeros(2)}],
            TypeError,
            r"results\[0\]\['error'\] needs numbers.*got an array of shape \(2,\)",
        ),
        ({"error": np.float32(1)}, TypeError, r"results\['error'\] needs numbers.* got float32 1.0"),
        ({"seeds": {1, 2}}, TypeError, r"results\['seeds'\] needs numbers"),
        ("text", TypeError, "results needs a Mapping or a list or a tuple, got str 'text'"),
    ],
)
def test_what_json_cannot_hold_is_refused_where_it_stands_and_the_old_file_stays(
    tmp_path, wrong, error, where
):
    path = results.save("run", {}, {"error": [0.5]}, folder=tmp_path)
    before = path.read_bytes()
    with pytest.raises(error, match=where):
        results.save("run", {}, wrong, folder=tmp_path)
    if isinstance(wrong, dict):
        with pytest.raises(error, match="^parameters"):
            results.save("run", wrong, {}, folder=tmp_path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("step", ["write", "fsync", "replace"])
def test_a_full_disk_or_a_crash_leaves_the_old_file_and_no_other(tmp_path, monkeypatch, step):
    path = results.save("run", {}, {"error": [0.5]}, folder=tmp_path)
    before = path.read_bytes()

    def fail(*arguments, **options):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(*((type(path), "open") if step == "write" else (os, step)), fail)
        with pytest.raises(OSError, match="No space left"):
            results.save("run", {}, {"error": [0.25]}, folder=tmp_path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["../x", "a/b", "..", ".hidden", "", "/x", "a b", "x\\y", "-x", "x\n"])
def test_names_that_leave_the_folder_are_refused(tmp_path, name):
    for act in (
        lambda: results.save(name, {}, {}, folder=tmp_path),
        lambda: results.load(name, folder=tmp_path),
    ):
        with pytest.raises(ValueError, match="name needs letters, digits"):
            act()
    assert not list(tmp_path.iterdir())
    with pytest.raises(TypeError, match="name needs a str"):
        results.load(3)


def test_a_damaged_result_is_refused_with_its_name(tmp_path):
    for data in (b"", b"{", b"\xff"):
        (tmp_path / "run.json").write_bytes(data)
        with pytest.raises(ValueError, match="run.json is a damaged result"):
            results.load("run", folder=tmp_path)


def test_an_unknown_package_is_refused(tmp_path):
    with pytest.raises(ValueError, match="'no-such-package' is not installed"):
        results.save("run", {}, {}, packages=("no-such-package",), folder=tmp_path)


@pytest.mark.slow
def test_a_library_installed_from_a_wheel_or_a_source_archive_has_every_module_result_and_claim(
    tmp_path,
):
    shutil.copytree(ROOT / "gdln", tmp_path / "tree" / "gdln", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("data", "claims"):
        shutil.copytree(ROOT / "book" / name, tmp_path / "tree" / "book" / name)
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path / "tree")
    build = "import sys; from setuptools import build_meta as b; print(getattr(b, 'build_' + sys.argv[1])(sys.argv[2]))"

    def run(*command, cwd):
        return subprocess.run(command, cwd=cwd, check=True, capture_output=True, text=True).stdout

    run(sys.executable, "-c", build, "sdist", tmp_path, cwd=tmp_path / "tree")
    (archive,) = tmp_path.glob("*.tar.gz")
    shutil.unpack_archive(archive, tmp_path)
    unpacked = tmp_path / archive.name.removesuffix(".tar.gz")
    run(sys.executable, "-c", build, "wheel", tmp_path, cwd=unpacked)
    (wheel,) = tmp_path.glob("*.whl")
    shutil.unpack_archive(wheel, tmp_path / "installed", "zip")

    def listed(folder, pattern):
        return sorted(str(path.relative_to(folder)) for path in folder.rglob(pattern))

    assert listed(tmp_path / "installed" / "gdln", "*.py") == listed(ROOT / "gdln", "*.py")
    assert listed(tmp_path / "installed" / "gdln" / "stored", "*") == listed(ROOT / "book" / "data", "*.json")
    assert listed(tmp_path / "installed" / "gdln" / "rows", "*.yml") == listed(
        ROOT / "book" / "claims", "*.yml"
    )
    code = "import sys; sys.path.insert(0, sys.argv[1]); from gdln import results; print(results.__file__)"
    code += "; print(len(results.load('kernel_fixtures')['results']))"
    file, count = run(sys.executable, "-c", code, tmp_path / "installed", cwd="/").split()
    assert file.startswith(str(tmp_path)) and int(count) == len(results.load("kernel_fixtures")["results"])

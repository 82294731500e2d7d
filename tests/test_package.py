"""The wheel and the source archive work outside the checkout, with all the data and claims of the book inside."""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PARTS = ("gdln", "book/data", "book/claims", "pyproject.toml", "setup.py", "README.md", "LICENSE")
BUILD_SDIST = "from setuptools import build_meta; print(build_meta.build_sdist('.'))"

pytestmark = pytest.mark.slow


def wheel(source, folder):
    """Build a wheel of a folder or an archive, as `make dist` does."""
    pip = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "-q",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        folder,
        source,
    ]
    done = subprocess.run(pip, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """Return a copy of what the package is made of."""
    folder = tmp_path_factory.mktemp("package") / "a tree"
    for name in PARTS:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, target)
    return folder


@pytest.fixture(scope="module")
def built(tree):
    return wheel(tree, tree.parent / "wheel")


@pytest.fixture(scope="module")
def installed(built, tree):
    """Return the folder that a wheel was installed into."""
    folder = tree.parent / "installed"
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--target", folder, built]
    subprocess.run(pip, check=True, capture_output=True)
    return folder


def run(python, code, installed, folder, **environment):
    kept = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "GDLN_DATA", "GDLN_RESULTS")}
    kept |= {"PYTHONPATH": str(installed), "XDG_CACHE_HOME": str(folder), "HOME": str(folder)} | environment
    code = f"import gdln; assert gdln.__file__.startswith({str(installed)!r}), gdln.__file__\n{code}"
    return subprocess.run([python, "-c", code], cwd=folder, env=kept, capture_output=True, text=True)


def test_the_wheel_holds_every_module_result_and_claim_and_nothing_else(built):
    with zipfile.ZipFile(built) as file:
        held = {name for name in file.namelist() if ".dist-info/" not in name}
    wanted = {path.relative_to(ROOT).as_posix() for path in (ROOT / "gdln").rglob("*.py")}
    wanted |= {f"gdln/stored/{path.name}" for path in (ROOT / "book" / "data").glob("*.json")}
    claims = ROOT / "book" / "claims"
    wanted |= {f"gdln/rows/{path.relative_to(claims).as_posix()}" for path in claims.rglob("*.yml")}
    assert held == wanted


def test_a_wheel_made_from_the_source_archive_is_the_same(tree, built):
    done = subprocess.run([sys.executable, "-c", BUILD_SDIST], cwd=tree, capture_output=True, text=True)
    archive = tree / done.stdout.split()[-1]
    other = wheel(archive, tree.parent / "again")
    with zipfile.ZipFile(built) as one, zipfile.ZipFile(other) as two:
        assert sorted(one.namelist()) == sorted(two.namelist())
        held = [name for name in one.namelist() if not name.endswith("RECORD")]
        assert [name for name in held if one.read(name) != two.read(name)] == []


def test_the_code_of_the_readme_runs_from_an_installed_wheel(bare, installed, tmp_path):
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    done = run(bare, code, installed, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_an_installed_wheel_reads_every_result_and_claim_and_the_digits(bare, installed, tmp_path):
    names = sorted(path.stem for path in (ROOT / "book" / "data").glob("*.json"))
    code = f"""
from gdln import claims, results
from gdln.data import images
for name in {names}:
    assert results.load(name)["results"]
print(len(claims.rows()), images.load("digits").X.shape)
"""
    done = run(bare, code, installed, tmp_path)
    assert done.returncode == 0, done.stderr
    rows = sum(
        len(re.findall(r"^- ", p.read_text(), re.M)) for p in (ROOT / "book" / "claims").rglob("*.yml")
    )
    assert done.stdout.startswith(f"{rows} (")


def test_data_that_an_installed_wheel_does_not_have_is_one_sentence(bare, installed, tmp_path):
    code = "from gdln.data import images\nimages.load('mnist')"
    done = run(bare, code, installed, tmp_path)
    assert done.returncode and "FileNotFoundError" in done.stderr.splitlines()[-1]
    assert "GDLN_DATA" in done.stderr.splitlines()[-1]
    done = run(bare, "from gdln import results\nresults.load('race_nothing')", installed, tmp_path)
    assert "no result 'race_nothing'" in done.stderr.splitlines()[-1]

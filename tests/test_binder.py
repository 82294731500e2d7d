"""Binder makes the environment that environment.yml names, and each page's button opens the page's notebook in it.

What Binder would do is asked of repo2docker itself, which is installed in an environment of its own; where it cannot be
had, those tests say so and are skipped.
"""

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import nbformat
import pytest
import yaml

from tests.test_book import CHAPTERS, HTML, ROOT

sys.path.insert(0, str(ROOT / "scripts"))
from environment import Unmade, aside  # noqa: E402
from make_lock import environment  # noqa: E402

REPO2DOCKER = "jupyter-repo2docker==2026.4.0"
PROBE = """\
import json
from repo2docker.app import Repo2Docker
packs = (pack("buildpack-deps:24.04") for pack in Repo2Docker().buildpacks)
pack = next(pack for pack in packs if pack.detect())
pack.platform = "linux/amd64"
print(json.dumps({
    "pack": type(pack).__name__, "python": pack.python_version, "specification": pack.binder_path("environment.yml"),
    "assemble": pack.get_assemble_scripts(), "before": pack.get_preassemble_scripts(),
    "after": pack.get_post_build_scripts(), "start": pack.get_start_script(), "dockerfile": pack.render(),
}))
"""


@pytest.fixture(scope="session")
def repo2docker(tmp_path_factory):
    """Return an interpreter that has repo2docker."""
    lock = tmp_path_factory.mktemp("repo2docker") / "requirements.lock"
    lock.write_text(f"{REPO2DOCKER}\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIP_RETRIES", "1")
        patch.setenv("PIP_DEFAULT_TIMEOUT", "20")
        try:
            return aside(ROOT / "_build" / "repo2docker", lock) / "python"
        except Unmade as error:
            pytest.skip(f"{REPO2DOCKER} cannot be installed: {str(error).splitlines()[-1]}")


@pytest.fixture
def tree(tmp_path):
    """Return a folder with the files that repo2docker could read a specification from."""
    for name in ("environment.yml", "pyproject.toml", "setup.py", "requirements.lock", "Makefile"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def ask(python, folder):
    done = subprocess.run([python, "-c", PROBE], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def text(page):
    path = HTML / f"{page}.html"
    assert path.is_file(), f"{path} is missing: run `make book` before the tests"
    return path.read_text(encoding="utf-8")


def test_nothing_at_the_root_stands_in_the_way_of_environment_yml():
    others = (
        "binder",
        ".binder",
        "Dockerfile",
        "apt.txt",
        "postBuild",
        "start",
        "runtime.txt",
        "requirements.txt",
    )
    assert not [name for name in others if (ROOT / name).exists()]
    assert (ROOT / "environment.yml").is_file()


@pytest.mark.slow
def test_binder_takes_environment_yml_and_installs_the_library_where_its_sources_lie(repo2docker, tree):
    found = ask(repo2docker, tree)
    assert (found["pack"], found["python"], found["specification"]) == (
        "CondaBuildPack",
        "3.11",
        "environment.yml",
    )
    ((user, script),) = found["assemble"]
    assert user == "${NB_USER}" and '--file "environment.yml"' in script  # as the user who opens notebooks
    assert found["before"] == found["after"] == [] and found["start"] is None
    lines = found["dockerfile"].splitlines()
    where = {
        word: max(i for i, line in enumerate(lines) if re.search(word, line) and not line.startswith("#"))
        for word in (r"^WORKDIR \$\{REPO_DIR\}", r"^COPY .*src/ \$\{REPO_DIR\}", "env update")
    }
    # the working folder is the repository and its files are there when `-e .` is installed
    assert list(where.values()) == sorted(where.values()), where
    (pip,) = (
        part["pip"]
        for part in yaml.safe_load((tree / "environment.yml").read_text())["dependencies"]
        if isinstance(part, dict)
    )
    assert pip == ["-e ."]


@pytest.mark.slow
def test_a_binder_folder_would_hide_environment_yml(repo2docker, tree):
    (tree / "binder").mkdir()
    (tree / "binder" / "requirements.txt").write_text("numpy\n")
    assert ask(repo2docker, tree)["pack"] != "CondaBuildPack"


@pytest.mark.parametrize("page", CHAPTERS)
def test_the_button_of_a_page_opens_its_notebook_in_jupyterlab(page):
    (address,) = set(re.findall(r'href="(https://mybinder\.org[^"]+)"', text(page)))
    parts = urlsplit(address)
    assert re.fullmatch(r"/v2/gh/[^/]+/[^/]+/.+", parts.path)
    (opened,) = parse_qs(parts.query)["urlpath"]
    assert opened == f"lab/tree/{page}.ipynb"  # a .md would be shown as text
    notebook = nbformat.read(ROOT / opened.removeprefix("lab/tree/"), as_version=4)
    assert any(cell.cell_type == "code" for cell in notebook.cells)


def test_a_page_without_code_has_no_button():
    for path in sorted(Path(HTML, "book").rglob("*.html")):
        page = path.relative_to(HTML).with_suffix("").as_posix()
        assert ("mybinder.org/v2" in text(page)) is (page in CHAPTERS), page


def test_environment_yml_is_what_the_lock_makes_of_it():
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    pins = dict(line.split("==") for line in lock if "==" in line)
    assert (ROOT / "environment.yml").read_text(encoding="utf-8") == environment(pins)


def test_all_that_the_library_needs_stands_in_the_environment_of_binder():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    setup = nbformat.read(ROOT / f"{CHAPTERS[0]}.ipynb", as_version=4).cells[0].source
    extras = re.search(r'"gdln\[([\w,]+)\] @', setup)[1].split(",")
    needed = sum((project["optional-dependencies"][extra] for extra in extras), project["dependencies"])
    names = {"pytorch-cpu": "torch", "matplotlib-base": "matplotlib"}
    listed = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    listed = {
        names.get(name, name) for name in (part.partition("=")[0] for part in listed if isinstance(part, str))
    }
    assert {re.match(r"[\w-]+", need)[0] for need in needed} <= listed
    assert "ipykernel" in listed

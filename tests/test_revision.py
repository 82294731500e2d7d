"""A published book and its notebooks name the commit or tag they were made from."""

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "book" / "_ext"))
from revision import resolve  # noqa: E402


def commands(name):
    """Return what the steps of a workflow run."""
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / f"{name}.yml").read_text())["jobs"]
    return [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]


def test_head_is_the_commit_of_the_checkout_and_any_other_revision_stays_as_it_is(tmp_path):
    git = ["git", "-C", tmp_path, "-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "one"], check=True)
    assert re.fullmatch(r"[0-9a-f]{40}", resolve("HEAD", tmp_path))
    assert [resolve(name, tmp_path) for name in ("", "v1.0", "main", "a/b")] == ["", "v1.0", "main", "a/b"]


@pytest.mark.parametrize("revision", ["-x", "a b", "v1;ls", "a'b", "@"])
def test_what_cannot_be_a_revision_is_refused_in_one_sentence(revision, tmp_path):
    with pytest.raises(SystemExit, match="REVISION needs a commit or a tag, got"):
        resolve(revision, tmp_path)


def test_head_without_git_is_refused_in_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(SystemExit, match="REVISION=HEAD needs a git checkout"):
        resolve("HEAD", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SystemExit, match="REVISION=HEAD needs git"):
        resolve("HEAD", tmp_path)


def test_the_notebooks_of_a_release_install_that_release(tmp_path):
    script, page = ROOT / "scripts" / "make_notebooks.py", ROOT / "book" / "foundations" / "one_mode.md"
    command = [sys.executable, script, "--revision", "v9.8", "--zip", tmp_path / "all.zip", page]
    subprocess.run(command, check=True)
    with zipfile.ZipFile(tmp_path / "all.zip") as file:
        (name,) = file.namelist()
        assert name == "book/foundations/one_mode.ipynb" and "@v9.8" in file.read(name).decode()
    assert "@v9.8" not in page.with_suffix(".ipynb").read_text(encoding="utf-8")


def test_what_is_published_is_built_with_its_revision():
    assert "make site REVISION=HEAD" in commands("pages")
    assert 'make dist REVISION="$GITHUB_REF_NAME"' in commands("release")

"""What the public host runs are the targets that everybody has."""

import json
import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_every_step_of_a_workflow_is_a_make_target_or_the_hosts_own(path):
    jobs = yaml.safe_load(path.read_text())["jobs"]
    steps = [step for job in jobs.values() for step in job["steps"]]
    called = [name for step in steps for name in re.findall(r"\bmake ([a-z-]+)", step.get("run", ""))]
    assert called and set(called) <= TARGETS
    for step in steps:
        assert re.fullmatch(r"actions/[\w-]+@v\d+", step["uses"]) if "uses" in step else step["run"]


def test_the_four_ways_to_publish_are_there_and_test_the_declared_versions():
    assert [path.stem for path in WORKFLOWS] == ["pages", "release", "test", "weekly"]
    matrix = yaml.safe_load((ROOT / ".github" / "workflows" / "test.yml").read_text())["jobs"]["test"][
        "strategy"
    ]["matrix"]
    oldest = re.search(r'requires-python = ">=([\d.]+)"', (ROOT / "pyproject.toml").read_text())[1]
    assert matrix["python"][0] == oldest and len(matrix["os"]) == 2


def test_a_codespace_builds_the_book():
    container = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text())
    assert "make book" in container["onCreateCommand"]

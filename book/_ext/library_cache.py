"""Key the cache of executed chapters by the library, the committed results and the versions they ran with.

A page must never show numbers of another version of the code, so a changed line in ``gdln/`` gives another
cache folder, and every chapter runs again. ``{build-info}`` prints what the key is made of.
"""

import hashlib
import platform
import shutil
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

PACKAGES = (
    "numpy",
    "scipy",
    "scikit-learn",
    "matplotlib",
    "pandas",
    "torch",
    "jupyter-book",
    "myst-nb",
    "Sphinx",
)


def versions():
    """Return the versions a result depends on, by package name."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "absent"
    return found


def library_hash(root):
    """Hash the library's code, the committed results and the versions."""
    digest = hashlib.sha256()
    for path in sorted([*root.joinpath("gdln").rglob("*.py"), *root.joinpath("book", "data").glob("*")]):
        digest.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes())
    digest.update(repr(versions()).encode())
    return digest.hexdigest()[:12]


def _set_cache(app, config):
    key = library_hash(Path(app.srcdir))
    caches = Path(app.outdir).parent / ".jupyter_cache"
    for other in caches.glob("*"):
        if other.name != key:
            shutil.rmtree(other, ignore_errors=True)
    config.nb_execution_cache_path = str(caches / key)
    config.gdln_library_hash = key


class BuildInfo(SphinxDirective):
    """Definition list of the versions and the library hash of this build."""

    def run(self):
        items = {"hash of library, results and versions": self.config.gdln_library_hash, **versions()}
        listing = nodes.bullet_list()
        for name, value in items.items():
            listing += nodes.list_item(
                "", nodes.paragraph("", "", nodes.Text(f"{name}: "), nodes.literal("", value))
            )
        return [listing]


def setup(app):
    """Register the cache key and the directive."""
    app.add_config_value("gdln_library_hash", "", "env")
    app.add_directive("build-info", BuildInfo)
    app.connect("config-inited", _set_cache, priority=100)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

"""What pyproject.toml cannot say: the results and claims of ``book/`` travel inside the library."""

from pathlib import Path

from setuptools import find_packages, setup

CLAIMS = Path("book", "claims")
PARTS = [f"gdln.rows.{path.name}" for path in sorted(CLAIMS.iterdir()) if path.is_dir()]

setup(
    packages=[*find_packages(include=["gdln", "gdln.*"]), "gdln.stored", "gdln.rows", *PARTS],
    package_dir={"gdln.stored": "book/data", "gdln.rows": CLAIMS.as_posix()},
    package_data={"gdln.stored": ["*.json"], "gdln.rows": ["*.yml"], **{part: ["*.yml"] for part in PARTS}},
)

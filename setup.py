"""What pyproject.toml cannot say: the results and claims of ``book/`` travel inside the library."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["gdln", "gdln.*"]), "gdln.stored", "gdln.rows"],
    package_dir={"gdln.stored": "book/data", "gdln.rows": "book/claims"},
    package_data={"gdln.stored": ["*.json"], "gdln.rows": ["**/*.yml"]},
)

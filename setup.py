"""What pyproject.toml cannot say: the results of ``book/data`` travel inside the library, as ``gdln/stored``."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["gdln", "gdln.*"]), "gdln.stored"],
    package_dir={"gdln.stored": "book/data"},
    package_data={"gdln.stored": ["*.json"]},
)

"""A small problem set that the tests of the machinery share."""

from pathlib import Path

import pytest

from course import sources


@pytest.fixture(scope="session")
def sample():
    """A set of ten automatic points with a function, an error to raise and a number."""
    return sources.load("sample", Path(__file__).parent / "sets")

"""The browser tests find a browser wherever one usually is, and say which is missing where there is none."""

import pytest

from tests import chromium


def install(folder, name):
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("name", chromium.NAMES)
def test_a_browser_on_the_path_is_found_by_each_of_its_usual_names(tmp_path, name):
    wanted = install(tmp_path / "bin", name)
    assert chromium.find({"PATH": str(tmp_path / "bin")}, places=()) == str(wanted)


def test_a_mac_without_any_on_the_path_has_it_among_its_applications(tmp_path):
    wanted = install(tmp_path / "Google Chrome.app", "Google Chrome")
    assert chromium.find({"PATH": str(tmp_path)}, places=(str(tmp_path / "none"), str(wanted))) == str(wanted)
    assert any(place.startswith("/Applications/") for place in chromium.PLACES)


def test_the_named_browser_is_taken_and_no_other_where_it_is_missing(tmp_path):
    install(tmp_path / "bin", "chromium")
    own = install(tmp_path / "my browsers", "own")
    path = {"PATH": str(tmp_path / "bin")}
    assert chromium.find({**path, "CHROMIUM": str(own)}) == str(own)
    assert chromium.find({**path, "CHROMIUM": "none"}) is None
    assert chromium.missing({"CHROMIUM": "none"}) == "CHROMIUM=none names no browser"


def test_where_there_is_none_the_reason_says_what_to_do(tmp_path):
    assert chromium.find({"PATH": str(tmp_path)}, places=()) is None
    assert "CHROMIUM=" in chromium.missing({})

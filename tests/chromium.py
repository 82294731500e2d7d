"""Which browser the browser tests use."""

import os
import shutil
from pathlib import Path

#: Commands and places under which a system has Chromium, or Chrome, which is built on it.
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")
PLACES = (
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "C:/Program Files/Google/Chrome/Application/chrome.exe",
    "C:/Program Files (x86)/Microsoft/Edge/Application/msedge.exe",
)


def find(environment=os.environ, places=PLACES):
    """Return the path of a browser, or None: the one that CHROMIUM names and no other, else the first usual one."""
    if named := environment.get("CHROMIUM"):
        return shutil.which(named, path=environment.get("PATH"))
    found = (shutil.which(name, path=environment.get("PATH")) for name in NAMES)
    return next(filter(None, [*found, *(place for place in places if Path(place).is_file())]), None)


def missing(environment=os.environ):
    """Return why the browser tests are skipped where there is no browser."""
    if named := environment.get("CHROMIUM"):
        return f"CHROMIUM={named} names no browser"
    return (
        "no Chromium or Chrome found (Debian: apt install chromium), or name one: CHROMIUM=/path/to/chromium"
    )


if __name__ == "__main__" and find() is None:
    print(f"The browser tests are skipped: {missing()}")

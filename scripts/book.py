#!/usr/bin/env python
"""Build the book strictly in ``_build``, with a line a chapter, and say where it is.

    .venv/bin/python -X utf8 scripts/book.py              what `make book` runs, once the environment is there
    .venv/bin/python -X utf8 scripts/book.py --verbose    with all that Jupyter Book and Sphinx say

The same as ``jupyter-book build . -W -n --keep-going -q``, less the frame that it prints however quiet it is asked to
be. A chapter takes one thread unless OMP_NUM_THREADS says otherwise.
"""

import argparse
import os
import sys
import time
from pathlib import Path

import click
from jupyter_book.cli import main as cli

ROOT = Path(__file__).resolve().parent.parent


def main():
    """Build, and leave with Jupyter Book's own status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-v", "--verbose", action="store_true", help="show all that the build says")
    verbose, start, build = parser.parse_args().verbose, time.monotonic(), ROOT / "_build"
    try:
        build.mkdir(exist_ok=True)
        (build / ".writable").touch()
        (build / ".writable").unlink()
    except OSError as error:
        sys.exit(f"{build} cannot be written ({error.strerror}): build in a copy that you may write to")
    os.chdir(ROOT)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    if not verbose:
        click.echo = click.secho = cli._message_box = lambda text="", *arguments, **options: text
    run(["build", ".", "-W", "-n", "--keep-going", *([] if verbose else ["-q"])], verbose)
    print(f"The book is at {build / 'html' / 'index.html'} ({time.monotonic() - start:.0f} s)")


def run(arguments, verbose):
    """Run Jupyter Book; leave where it fails or is stopped."""
    try:
        cli.main(arguments, prog_name="jupyter-book", standalone_mode=False)
    except (KeyboardInterrupt, click.Abort):
        sys.exit("Stopped. Chapters that have run are kept: the next build goes on from here.")
    except RuntimeError as error:  # what Sphinx raised it has shown already, in its own words
        if isinstance(error.__cause__, KeyboardInterrupt):
            sys.exit("Stopped. Chapters that have run are kept: the next build goes on from here.")
        if verbose or error.__cause__ is None:
            raise
        sys.exit(1)


if __name__ == "__main__":
    main()

#!/usr/bin/env python
"""Write the README's figure from the cells of the book's first page."""

from pathlib import Path

import jupytext
import matplotlib

ROOT = Path(__file__).resolve().parent.parent


def main():
    """Run the cells and save the figure they leave."""
    matplotlib.use("Agg")
    scope = {}
    for cell in jupytext.read(ROOT / "book" / "index.md", fmt="md:myst").cells:
        if cell.cell_type == "code":
            exec(cell.source, scope)
    scope["fig"].savefig(ROOT / "book" / "_static" / "two_paths.png", dpi=110)


if __name__ == "__main__":
    main()

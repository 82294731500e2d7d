"""Tables that an extension makes itself, what the environment remembers between builds, and the order of the book."""

from pathlib import Path

import yaml
from docutils import nodes


def table_of(head, rows, classes, widths=None):
    """Return a table.

    Parameters
    ----------
    head : sequence of str
        Names of the columns.
    rows : iterable of nodes.row
        See :func:`row_of`.
    classes : list of str
        Classes of the table.
    widths : sequence of int, optional
        Widths of the columns, relative to each other; equal unless given.
    """
    specs = [nodes.colspec(colwidth=width) for width in widths or [1] * len(head)]
    group = nodes.tgroup("", *specs, cols=len(head))
    group += nodes.thead("", row_of([[nodes.Text(name)] for name in head]))
    group += nodes.tbody("", *rows)
    return nodes.table("", group, classes=classes)


def row_of(cells):
    """Return a row of cells, each of inline nodes."""
    return nodes.row("", *[nodes.entry("", nodes.paragraph("", "", *cell)) for cell in cells])


def kept(env, name):
    """Return what the environment remembers between builds under a name: a dictionary, by page."""
    if not hasattr(env, name):
        setattr(env, name, {})
    return getattr(env, name)


def chapter_numbers(env):
    """Return the numbered pages, which are the chapters, in their order, with their numbers."""
    found = {page: numbers.get("") for page, numbers in env.toc_secnumbers.items()}
    return dict(sorted(((page, n[0]) for page, n in found.items() if n), key=lambda pair: pair[1]))


def parts_of(srcdir):
    """Return caption and folder of every part that has numbered chapters, from the table of contents."""
    contents = yaml.safe_load(Path(srcdir, "_toc.yml").read_text(encoding="utf-8"))
    parts = [part for part in contents["parts"] if part.get("numbered")]
    return [(part["caption"], part["chapters"][0]["file"].split("/")[-2]) for part in parts]

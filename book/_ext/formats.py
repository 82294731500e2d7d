"""``{formats}``: links to the book in other formats, to those that ``make formats`` has made.

The files lie in ``_build/formats`` and go into the built book beside its pages. A build that finds none says how they
are made, so that no link of a page leads nowhere. The button that downloads a chapter gives its reader's notebook.
"""

import shutil
from pathlib import Path

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

#: Each file and what a reader gets with it.
FORMATS = {
    "gdln.pdf": "the whole book to print or to read away from a screen, solutions at its end",
    "notebooks.zip": "all chapters as notebooks, in the book's folders",
}


def folder(app):
    """Return where the other formats of this build lie."""
    return Path(app.outdir).parent / "formats"


def size(path):
    """Return a file's size as a reader wants it."""
    megabytes = path.stat().st_size / 1e6
    return f"{megabytes:.1f} MB" if megabytes >= 0.1 else f"{megabytes * 1e3:.0f} kB"


class Formats(SphinxDirective):
    """List of the other formats; on paper their names, since the links lie on the web."""

    def run(self):
        self.env.metadata[self.env.docname]["formats"] = "listed"
        listing = nodes.bullet_list()
        for name, what in FORMATS.items():
            path = folder(self.env.app) / name
            if self.env.app.builder.format != "html":
                said = [nodes.literal("", name), nodes.Text(f": {what}.")]
            elif path.is_file():
                link = nodes.raw("", f'<a href="{name}">{name}</a>', format="html")
                said = [link, nodes.Text(f" ({size(path)}): {what}.")]
            else:
                continue
            listing += nodes.list_item("", nodes.paragraph("", "", *said))
        if not len(listing):
            made = nodes.paragraph("", "", nodes.Text("A PDF and a zip of all notebooks are made by "))
            made += [nodes.literal("", "make formats"), nodes.Text(", before the book.")]
            return [made]
        return [listing]


def _read_again(app, env, *_pages):
    """Have the pages with a list read in every build: files come and go without a word in a source."""
    return [docname for docname, known in env.metadata.items() if known.get("formats")]


def _copy(app, error):
    if error is None and app.builder.format == "html":
        for name in FORMATS:
            if (folder(app) / name).is_file():
                shutil.copy(folder(app) / name, app.outdir)


def _readable(app, error):
    """Give the download button of a chapter the reader's notebook: the executed source holds Sphinx's directives."""
    if error is None and app.builder.format == "html":
        for downloaded in Path(app.outdir, "_sources").rglob("*.ipynb"):
            written = Path(app.srcdir, downloaded.relative_to(Path(app.outdir, "_sources")))
            if written.is_file():
                shutil.copy(written, downloaded)


def setup(app):
    """Register the directive and what it needs."""
    app.add_directive("formats", Formats)
    app.connect("env-get-outdated", _read_again)
    app.connect("build-finished", _copy)
    app.connect("build-finished", _readable)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

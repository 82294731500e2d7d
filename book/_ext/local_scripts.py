"""Put plotly's script, from the installed package, at ``vendor/plotly.min.js``: no page asks another host for it.

Pages with an interactive figure load it themselves (:func:`gdln.plotting.interactive`), others do not. Flaws of the
pages as Sphinx writes them, which a browser or a screen reader stumbles over, are mended here too.
"""

import os
import shutil
from pathlib import Path

import plotly


def _announce_book(app, config):
    os.environ["GDLN_BOOK"] = "1"


def _copy(app, error):
    if error is None and app.builder.format == "html":
        target = Path(app.outdir) / "vendor" / "plotly.min.js"
        if not target.is_file():
            target.parent.mkdir(exist_ok=True)
            shutil.copy(Path(plotly.__file__).parent / "package_data" / "plotly.min.js", target)


def _say_once(app, pagename, templatename, context, doctree):
    """Drop repeated inline scripts: sphinx-thebe declares its constants twice, which browsers report as an error."""
    bodies, kept = set(), []
    for script in context.get("script_files", []):
        body = getattr(script, "attributes", {}).get("body")
        if body is None or body not in bodies:
            kept.append(script)
            bodies.add(body)
    context["script_files"] = kept


def _name_list_items(app, pagename, templatename, context, doctree):
    """Sphinx puts citations in a list whose entries are no list items, so a screen reader announces an empty list."""
    body = context.get("body", "")
    if 'class="citation-list"' in body:
        context["body"] = body.replace('role="doc-biblioentry"', 'role="listitem"')


def _name_folds(app, pagename, templatename, context, doctree):
    """The sidebar's folds are a bare arrow: say what it opens."""
    tree = context.get("generate_toctree_html")
    if tree is not None:
        context["generate_toctree_html"] = lambda *arguments, **options: str(
            tree(*arguments, **options)
        ).replace(
            '<span class="toctree-toggle" role="presentation">',
            '<span class="sr-only">Pages of this section</span><span class="toctree-toggle">',
        )


def setup(app):
    """Register the hooks."""
    app.connect("html-page-context", _name_folds, priority=900)
    app.connect("html-page-context", _say_once, priority=900)
    app.connect("html-page-context", _name_list_items)
    app.connect("config-inited", _announce_book)
    app.connect("build-finished", _copy)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

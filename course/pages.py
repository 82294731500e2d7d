"""Pages for lecturers and students: they stand by themselves, and load nothing from another host."""

import html
import importlib.util
import shutil
from pathlib import Path

from markdown_it import MarkdownIt
from mdit_py_plugins.amsmath import amsmath_plugin
from mdit_py_plugins.dollarmath import dollarmath_plugin

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .3rem .6rem; border-bottom: 1px solid #ccc; }
td:last-child { overflow-wrap: anywhere; }
td.number { text-align: right; min-width: 5em; }
.answer, .rubric, .solution { border-left: 4px solid #0072b2; padding-left: 1rem; }
.rubric, .solution { border-color: #e69f00; }
pre { overflow-x: auto; background: #f4f4f4; padding: .5rem; }
mjx-container[display] { overflow-x: auto; overflow-y: hidden; }
.note { color: #8a3b00; }
"""
#: MathJax, with links and styles in a student's formulas switched off.
MATHJAX = """
<script>window.MathJax = {{loader: {{load: ["ui/safe"]}}, options: {{enableMenu: false}}}};</script>
<script src="{folder}/tex-svg-full.js" defer></script>
"""
#: What of MathJax the pages need.
FILES = ("tex-svg-full.js", "ui/safe.js")


def page(title, body, mathjax=""):
    """Return a whole page.

    Parameters
    ----------
    title : str
        Its heading.
    body : str
        HTML.
    mathjax : str, optional
        Folder of MathJax, relative to the page; formulas stay as they are written unless given.
    """
    script = MATHJAX.format(folder=mathjax) if mathjax else ""
    head = "<meta charset='utf-8'><meta name='viewport' content='width=device-width, initial-scale=1'>"
    head += f"<title>{html.escape(title)}</title><style>{STYLE}</style>{script}"
    heading = f"<h1>{html.escape(title)}</h1>"
    return f"<!doctype html><html lang='en'><head>{head}</head><body>{heading}{body}</body></html>\n"


def markdown(text):
    """Return text as HTML, with the formulas that Jupyter shows; HTML stays as written, pictures are left out."""
    renderer = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
    renderer.use(dollarmath_plugin, renderer=formula, double_inline=True)
    return renderer.use(amsmath_plugin, renderer=html.escape).render(text)


def formula(text, options):
    """Return a formula as its source, between the marks that MathJax looks for."""
    shown = html.escape(text)
    return f"\\[{shown}\\]" if options["display_mode"] else f"\\({shown}\\)"


def code(text):
    """Return a cell of code as HTML."""
    return f"<pre><code>{html.escape(text)}</code></pre>"


def copy_mathjax(folder):
    """Put MathJax into ``mathjax/`` of a folder, from the package that serves the book."""
    origin = Path(importlib.util.find_spec("sphinx-mathjax-offline").origin).parent / "static" / "mathjax"
    for name in FILES:
        target = Path(folder) / "mathjax" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(origin / name, target)

"""What runs in the reader's own browser: which chapters can, the button that opens them there, and the Try-it boxes.

The site of notebooks (``make lite``) is published beside the book; ``jupyterlite_url`` in ``_config.yml`` says where,
relative to the book's root. Chapters that train networks in torch do not run there, show no button and say so.
``{try-it}`` puts a few lines of code on a page that the reader can change and run; nothing is loaded before that. The
runtime's address stands in ``_config.yml``, the library's wheel lies in the book's ``vendor`` folder.
"""

import ast
import contextlib
import functools
import html
import io
import os
import re
import shutil
import tempfile
import tomllib
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.util.docutils import SphinxDirective
from sphinx.util.nodes import set_source_info

#: What ``setup.py`` makes the wheel of.
SOURCES = ("gdln", "book/data", "book/claims", "pyproject.toml", "setup.py", "README.md", "LICENSE")
#: Loaded by the first run of a box, whatever it imports.
PACKAGES = ("numpy", "scipy", "matplotlib")
#: Where the site of notebooks carries the runtime, relative to the book's root.
CARRIED = "lite/static/pyodide/"
#: Title of the box at the head of every chapter.
HEAD = "Before you start"
HERE = "runs in this browser, without an account or a server, and in Binder or Colab (the rocket above)."
NOT_HERE = (
    "in Binder or Colab (the rocket above) and on your machine; it needs PyTorch, which no browser runs."
)


@functools.cache  # every chapter comes to the same modules of the library
def modules(text):
    """Return the names of all modules that Python text imports, inside functions too."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(found)


def cells(text):
    """Return the code of a chapter's cells as one text, without lines that only a notebook understands."""
    found = re.findall(r"^```\{code-cell\}[^\n]*\n(.*?)^```", text, re.M | re.S)
    found = [re.sub(r"\A(---\n.*?^---\n|(:[\w-]+:[^\n]*\n)+)", "", cell, flags=re.M | re.S) for cell in found]
    return "\n".join(line for cell in found for line in cell.splitlines() if not line.startswith("%"))


def needed(root, text):
    """Return the modules of the library, and the packages, that Python text comes to import, at any depth."""
    packages, seen, left = set(), set(), set(modules(text))
    while left:
        name = left.pop()
        if not name.startswith("gdln"):
            packages.add(name.partition(".")[0])
            continue
        path = root.joinpath(*name.split("."))
        for file in (path.with_suffix(".py"), path / "__init__.py"):
            if file.is_file() and file not in seen:
                seen.add(file)
                left |= modules(file.read_text(encoding="utf-8"))
    return packages


def runs_in_a_browser(root, text):
    """Whether a chapter comes to import nothing that a browser cannot have."""
    return "torch" not in needed(root, cells(text))


def wheel_name(root):
    """Return the file name of the library's wheel."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return f"{project['name']}-{project['version']}-py3-none-any.whl"


def build_wheel(root, folder):
    """Build the library's wheel from a copy of its sources, so that neither it nor the tree holds what is left over."""
    from setuptools import build_meta

    with tempfile.TemporaryDirectory() as place:
        for name in SOURCES:
            source, target = root / name, Path(place, name)
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, target)
        said = io.StringIO()
        with contextlib.chdir(place), contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            name = build_meta.build_wheel(place)
        folder.mkdir(parents=True, exist_ok=True)
        return Path(shutil.move(Path(place, name), folder / name))


class try_it(nodes.General, nodes.Element):
    """A box of code that runs in the page; where there is no page, its code."""


class TryIt(SphinxDirective):
    """``{try-it} Title`` with ``:figure:``, what the figure shows, ``:packages:`` beyond the usual, and the code."""

    required_arguments = 1
    final_argument_whitespace = True
    has_content = True
    option_spec = {"figure": directives.unchanged_required, "packages": directives.unchanged}

    def run(self):
        if "figure" not in self.options:
            raise self.error("try-it needs :figure:, what the figure shows before anything is changed")
        code = "\n".join(self.content)
        node = try_it(
            "",
            nodes.literal_block(code, code, language="python"),
            title=self.arguments[0],
            code=code,
            figure=self.options["figure"],
            packages=[*PACKAGES, *self.options.get("packages", "").split()],
            number=self.env.new_serialno("try-it"),
        )
        set_source_info(self, node)
        return [node]


BOX = """\
<section class="try-it" id="{id}" aria-labelledby="{id}-title" data-runtime="{runtime}" data-packages="{packages}">
<p class="try-it-title" id="{id}-title"><strong>Try it.</strong> {title}</p>
<label for="{id}-code">Python code, yours to change</label>
<textarea id="{id}-code" rows="{rows}" spellcheck="false" autocapitalize="off" autocomplete="off">{code}</textarea>
<p class="try-it-buttons" hidden>
<button type="button" class="try-it-run">Run</button>
<button type="button" class="try-it-stop" disabled>Stop</button>
<button type="button" class="try-it-reset">Reset</button>
</p>
<p class="try-it-state" role="status"></p>
<noscript><p>Without JavaScript this box shows its code only.</p></noscript>
<pre class="try-it-text" tabindex="0" aria-label="what the code printed" hidden></pre>
<div class="try-it-figures" data-alt="{figure}"></div>
</section>
"""


def _visit_html(self, node):
    if self.builder.name == "epub":
        return
    runtime = self.config.gdln_runtime
    if "://" not in runtime:
        runtime = "../" * self.builder.current_docname.count("/") + runtime
    box = {
        "id": f"try-it-{node['number']}",
        "runtime": runtime,
        "packages": " ".join(node["packages"]),
        "title": node["title"],
        "code": node["code"],
        "figure": node["figure"],
    }
    rows = len(node["code"].splitlines())
    # a line feed after the tag is not part of a textarea's text, one within it is
    self.body.append(BOX.format(rows=rows, **{name: html.escape(value) for name, value in box.items()}))
    raise nodes.SkipNode


def _pass(self, node):
    pass


def _choose_runtime(app, config):
    """Take the runtime from the site beside the book where that carries it: ``PYODIDE`` is named, no network needed."""
    if os.environ.get("PYODIDE"):
        config.gdln_runtime = CARRIED


def _say_where_it_runs(app, doctree, docname):
    """End the box at the head of a chapter with where the chapter can be run."""
    source = Path(app.env.doc2path(docname)).read_text(encoding="utf-8")
    box = next((box for box in doctree.findall(nodes.admonition) if box[0].astext() == HEAD), None)
    if app.builder.format != "html" or box is None:
        return
    free = runs_in_a_browser(Path(app.srcdir), source)
    lead = nodes.strong("", "Run it:")
    if not free:
        box += nodes.paragraph("", "", lead, nodes.Text(f" {NOT_HERE}"))
        return
    address = _lite(app, docname)
    link = nodes.reference("", "this chapter", refuri=address, internal=False)
    box += nodes.paragraph("", "", lead, nodes.Text(" "), link, nodes.Text(f" {HERE}"))


def _lite(app, page):
    """Address of a page's notebook in the site of notebooks, as seen from the page."""
    address = app.config.html_theme_options.get("launch_buttons", {}).get("jupyterlite_url", "")
    if not re.match(r"\w+://|/", address):
        address = "../" * page.count("/") + address
    return f"{address}?path={page}.ipynb"


def _set_button(app, pagename, templatename, context, doctree):
    """Point the theme's button to the site beside the book, or take it away where the chapter does not run there."""
    source = Path(app.env.doc2path(pagename))
    for group in context.get("header_buttons", []):
        if group.get("label") != "launch-buttons":
            continue
        free = source.is_file() and runs_in_a_browser(Path(app.srcdir), source.read_text(encoding="utf-8"))
        group["buttons"] = [b for b in group["buttons"] if free or b.get("text") != "JupyterLite"]
        for button in group["buttons"]:
            if button.get("text") == "JupyterLite":
                button |= {"text": "This browser", "url": _lite(app, pagename)}
                button["tooltip"] = "Run in this browser, without a server"


def _load_scripts(app, pagename, templatename, context, doctree):
    """Load the boxes' script on the pages that have one; what it loads waits for a click."""
    if doctree is None or not any(True for _ in doctree.findall(try_it)):
        return
    app.add_js_file("try_it.js", loading_method="defer")
    root = Path(app.srcdir)
    wheel = f"{'../' * pagename.count('/')}vendor/{wheel_name(root)}?{app.config.gdln_library_hash}"
    context["metatags"] = (
        context.get("metatags", "") + f'<meta name="gdln-wheel" content="{html.escape(wheel)}" />'
    )
    app.gdln_boxes = True


def _put_wheel(app, error):
    """Put the library where the boxes load it from, unless this very one lies there."""
    if error is not None or app.builder.format != "html" or not getattr(app, "gdln_boxes", False):
        return
    root, folder = Path(app.srcdir), Path(app.outdir, "vendor")
    mark, key = Path(app.outdir).parent / ".wheel", app.config.gdln_library_hash
    if not (folder / wheel_name(root)).is_file() or not mark.is_file() or mark.read_text() != key:
        build_wheel(root, folder)
        mark.write_text(key)


def setup(app):
    """Register the directive and the hooks."""
    app.setup_extension("library_cache")
    app.add_config_value("gdln_runtime", "", "html")
    app.add_node(try_it, html=(_visit_html, _pass), latex=(_pass, _pass), text=(_pass, _pass))
    app.add_directive("try-it", TryIt)
    app.connect("config-inited", _choose_runtime)
    app.connect("doctree-resolved", _say_where_it_runs)
    # after the theme has made its buttons
    app.connect("html-page-context", _set_button, priority=800)
    app.connect("html-page-context", _load_scripts)
    app.connect("build-finished", _put_wheel)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": False}

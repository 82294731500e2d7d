"""Figures that a reader moves: ``{explore} race`` puts the figure of ``_static/explore/race.js`` on a page.

It needs a title (``:title:``, its accessible name) and its static twin on the page (``:twin:``, the label of a figure
that makes the same point); what stands in it is the caption. Scripts and style are loaded on the pages that have such a
figure. Without scripts, and in a page opened from a file, which may load no module, the caption and a reference to the
twin are left; in print, where there is no page, the title and that reference.
"""

from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import directives
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective
from sphinx.util.nodes import set_source_info

#: Where the modules stand, below the folder of static files.
FOLDER = "explore"
STILL = (
    "This figure moves on a page that is served and runs scripts; {{numref}}`{twin}` makes the same point."
)


class explore_figure(nodes.General, nodes.Element):
    """A figure to move, with its caption."""


class explore_still(nodes.General, nodes.Element):
    """What stands in the figure's place until its script runs."""


class explore_caption(nodes.General, nodes.Element):
    """The caption."""


class Explore(SphinxDirective):
    """``{explore} module`` with ``:title:`` and ``:twin:``, and the caption."""

    required_arguments = 1
    has_content = True
    option_spec = {"title": directives.unchanged_required, "twin": directives.unchanged_required}

    def run(self):
        name = self.arguments[0]
        for option in self.option_spec:
            if option not in self.options:
                raise self.error(f"explore needs :{option}:")
        if not (Path(self.env.srcdir) / "book" / "_static" / FOLDER / f"{name}.js").is_file():
            raise self.error(f"explore needs book/_static/{FOLDER}/{name}.js")
        if not self.content:
            raise self.error("explore needs a caption that says what to try")
        anchor = f"explore-{name.replace('_', '-')}"
        figure = explore_figure(module=name, title=self.options["title"], ids=[anchor])
        set_source_info(self, figure)
        for part, text in (
            (explore_still(), StringList([STILL.format(twin=self.options["twin"])], self.env.docname)),
            (explore_caption(), self.content),
        ):
            self.state.nested_parse(text, self.content_offset, part)
            figure += part
        return [figure]


def _open_figure(self, node):
    anchor, title = node["ids"][0], self.encode(node["title"])
    self.body.append(
        f'<figure class="explore" id="{anchor}" aria-labelledby="{anchor}-title" data-explore="{node["module"]}">\n'
        f'<p class="explore-title" id="{anchor}-title"><strong>Explore.</strong> {title}</p>\n'
    )


def _close_figure(self, node):
    self.body.append("</figure>\n")


def _open_still(self, node):
    self.body.append('<div class="explore-place">')


def _close_still(self, node):
    self.body.append("</div>\n")


def _open_caption(self, node):
    self.body.append("<figcaption>")


def _close_caption(self, node):
    self.body.append("</figcaption>\n")


def _print(app, doctree, docname):
    """Where there is no page, leave the title and the reference to the twin."""
    if app.builder.format == "html" and app.builder.name != "epub":
        return
    for figure in list(doctree.findall(explore_figure)):
        (still,) = figure[0].children
        figure.replace_self(
            nodes.paragraph("", "", nodes.strong("", figure["title"] + "."), nodes.Text(" "), *still)
        )


def _load(app, pagename, templatename, context, doctree):
    """Load scripts and style where a figure stands, and nowhere else."""
    if (
        doctree is None
        or app.builder.name == "epub"
        or not any(True for _ in doctree.findall(explore_figure))
    ):
        return
    app.add_css_file("explore.css")
    app.add_js_file(f"{FOLDER}/mount.js", type="module")


def setup(app):
    """Register the directive and the hooks."""
    app.add_node(explore_figure, html=(_open_figure, _close_figure))
    app.add_node(explore_still, html=(_open_still, _close_still))
    app.add_node(explore_caption, html=(_open_caption, _close_caption))
    app.add_directive("explore", Explore)
    app.connect("doctree-resolved", _print)
    app.connect("html-page-context", _load)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}

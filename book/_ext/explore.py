"""Figures that a reader moves: ``{explore} race`` puts the figure of ``_static/explore/race.js`` on a page.

It needs a title (``:title:``, its accessible name) and its static twin on the page (``:twin:``, the label of a figure
that makes the same point); what stands in it is the caption. Scripts and style are loaded on the pages that have such a
figure. Without scripts, and in a page opened from a file, which may load no module, the caption and a reference to the
twin are left; in print, where there is no page, the title and that reference. ``{explore-list}`` lists all of them.
"""

from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import directives
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective
from sphinx.util.nodes import set_source_info
from tables import kept

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


class explore_list(nodes.General, nodes.Element):
    """Stands for the list of all figures until every page is read."""


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
        kept(self.env, "gdln_explore").setdefault(self.env.docname, []).append(
            (anchor, self.options["title"])
        )
        return [figure]


class ExploreList(SphinxDirective):
    """``{explore-list}`` lists the figures of the book, chapter by chapter."""

    def run(self):
        kept(self.env, "gdln_explore_lists").setdefault(self.env.docname, True)
        return [explore_list()]


def _purge(app, env, docname):
    for name in ("gdln_explore", "gdln_explore_lists"):
        kept(env, name).pop(docname, None)


def _merge(app, env, docnames, other):
    for name in ("gdln_explore", "gdln_explore_lists"):
        kept(env, name).update({page: v for page, v in kept(other, name).items() if page in docnames})


def _outdated(app, env, added, changed, removed):
    """Write the list again whenever a page was read."""
    return list(kept(env, "gdln_explore_lists")) if added or changed or removed else []


def _list(app, doctree, docname):
    """Put the list in its place, in the order of the chapters."""
    env = app.env
    for place in list(doctree.findall(explore_list)):
        items = []
        for page in sorted(
            kept(env, "gdln_explore"), key=lambda p: env.toc_secnumbers.get(p, {}).get("", (0,))
        ):
            for anchor, title in env.gdln_explore[page]:
                uri = app.builder.get_relative_uri(docname, page) + f"#{anchor}"
                link = nodes.reference("", title, internal=True, refuri=uri)
                chapter = nodes.Text(f", in {env.titles[page].astext()}")
                items.append(nodes.list_item("", nodes.paragraph("", "", link, chapter)))
        place.replace_self(nodes.bullet_list("", *items))


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
    app.add_node(explore_list)
    app.add_directive("explore", Explore)
    app.add_directive("explore-list", ExploreList)
    app.connect("env-purge-doc", _purge)
    app.connect("env-merge-info", _merge)
    app.connect("env-get-outdated", _outdated)
    app.connect("doctree-resolved", _list)
    app.connect("doctree-resolved", _print)
    app.connect("html-page-context", _load)
    return {"version": "1", "env_version": 1, "parallel_read_safe": True, "parallel_write_safe": True}

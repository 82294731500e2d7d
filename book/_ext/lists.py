"""Lists of the whole book: ``{theorem-list}`` and ``{figure-list}``, chapter by chapter, with the numbers of the pages.

A figure is listed by a small picture, its number and its caption, each a link to where it stands.
"""

from copy import deepcopy

from docutils import nodes
from ledger import quoted_claim, shown
from sphinx import addnodes
from sphinx.util.docutils import SphinxDirective
from tables import chapter_numbers, kept


class listing(nodes.General, nodes.Element):
    """Stands for a list until all pages have their numbers."""


class List(SphinxDirective):
    """``{theorem-list}`` and ``{figure-list}``."""

    def run(self):
        kept(self.env, "gdln_listings").setdefault(self.env.docname, True)
        return [listing(what=self.name)]


def theorems_of(doctree):
    """Return kind, counter, address and title of the theorems and propositions of a page that have a label."""
    found = []
    for node in doctree.findall(lambda n: isinstance(n, nodes.Element) and "realtype" in n.attributes):
        if node["realtype"] != "proof" and node["ids"] and isinstance(node[0], nodes.title):
            title = [part.deepcopy() for part in node[0].children]
            found.append((node["realtype"].capitalize(), node["countertype"], node["ids"][0], title))
    return found


def figures_of(doctree):
    """Return address, picture and caption of the figures of a page."""
    found = []
    for figure in doctree.findall(nodes.figure):
        image = next(figure.findall(nodes.image), None)
        caption = next(figure.findall(nodes.caption), None)
        if image is not None and caption is not None and figure["ids"]:
            found.append((figure["ids"][0], image.deepcopy(), [part.deepcopy() for part in caption.children]))
    return found


def _read(app, doctree):
    env = app.env
    kept(env, "gdln_theorems")[env.docname] = theorems_of(doctree)
    kept(env, "gdln_figures")[env.docname] = figures_of(doctree)
    if any(True for _ in doctree.findall(listing)):  # formulas come later, and MathJax must come with them
        env.get_domain("math").data["has_equations"][env.docname] = True


def _purge(app, env, docname):
    for name in ("gdln_theorems", "gdln_figures", "gdln_listings"):
        kept(env, name).pop(docname, None)


def _outdated(app, env, added, changed, removed):
    """Write the lists again whenever a page was read."""
    return list(kept(env, "gdln_listings")) if added or changed or removed else []


def _resolve(app, doctree, docname):
    for place in list(doctree.findall(listing)):
        entry = _theorems if place["what"] == "theorem-list" else _figures
        name = "gdln_theorems" if place["what"] == "theorem-list" else "gdln_figures"
        parts, numbers = [], chapter_numbers(app.env)
        for page in sorted(kept(app.env, name), key=lambda page: numbers.get(page, 0)):
            rows = kept(app.env, name)[page]
            if not rows:
                continue
            uri = app.builder.get_relative_uri(docname, page)
            title = (f"{numbers[page]}. " if page in numbers else "") + app.env.titles[page].astext()
            link = nodes.reference("", title, internal=True, refuri=uri)
            parts.append(nodes.paragraph("", "", nodes.strong("", "", link)))
            items = [entry(app.env.toc_fignumbers.get(page, {}), uri, *row) for row in rows]
            parts.append(nodes.bullet_list("", *items, classes=[place["what"]]))
        for part in parts:
            _lead(app, docname, part)
        place.replace_self(parts)


def _lead(app, docname, part):
    """Resolve references and quoted claims that came with titles and captions of other pages."""
    for node in list(part.findall(addnodes.pending_xref)):
        domain, words = app.env.get_domain(node.get("refdomain") or "std"), node[0].deepcopy()
        found = domain.resolve_xref(
            app.env, docname, app.builder, node["reftype"], node["reftarget"], node, words
        )
        node.replace_self(found if found is not None else words)
    for node in list(part.findall(quoted_claim)):
        node.replace_self(nodes.inline("", "", *shown(node["quoted"])))


def _number(numbers, counter, label):
    return ".".join(map(str, numbers.get(counter, {}).get(label, ())))


def _theorems(numbers, uri, kind, counter, label, title):
    words = f"{kind} {_number(numbers, counter, label)}".strip()
    link = nodes.reference("", words, internal=True, refuri=f"{uri}#{label}")
    return nodes.list_item("", nodes.paragraph("", "", link, *[part.deepcopy() for part in title]))


def _figures(numbers, uri, label, image, caption):
    number = _number(numbers, "figure", label)
    link = nodes.reference("", f"Figure {number}".strip(), internal=True, refuri=f"{uri}#{label}")
    small = deepcopy(image)
    for name in ("width", "height", "scale"):
        small.attributes.pop(name, None)
    small["alt"], small["classes"] = f"Figure {number}".strip(), ["thumbnail"]
    picture = nodes.reference(
        "", "", small, internal=True, refuri=f"{uri}#{label}", classes=["thumbnail-link"]
    )
    words = nodes.paragraph("", "", link, nodes.Text(". "), *[part.deepcopy() for part in caption])
    return nodes.list_item("", nodes.paragraph("", "", picture), words)


def setup(app):
    """Register the directives and the hooks; lists are filled before images are collected for the page."""
    app.setup_extension("ledger")
    app.add_node(listing)
    app.add_directive("theorem-list", List)
    app.add_directive("figure-list", List)
    app.connect("doctree-read", _read)
    app.connect("env-purge-doc", _purge)
    app.connect("env-get-outdated", _outdated)
    app.connect("doctree-resolved", _resolve)
    return {"version": "1", "env_version": 2, "parallel_read_safe": False}

"""What a search engine or a shared link says of a page: its title, and the first sentences of its text."""

from html import escape

from docutils import nodes

#: Characters that such places show, and fewest that say anything.
LONGEST, SHORTEST = 200, 40


def described(doctree):
    """Return the first sentences of a page in plain words, up to a length or to the first formula; empty if none."""
    for paragraph in doctree.findall(nodes.paragraph):
        if not isinstance(paragraph.parent, nodes.section):
            continue
        parts = paragraph.children
        plain = next((k for k, node in enumerate(parts) if any(node.findall(nodes.math))), len(parts))
        words = " ".join("".join(node.astext() for node in parts[:plain]).split())
        if plain < len(parts):  # whole sentences only
            words = words[: max(words.rfind(end) for end in ".?!") + 1]
        if len(words) >= SHORTEST:
            return words if len(words) <= LONGEST else words[: LONGEST - 1].rsplit(" ", 1)[0] + "\u2026"
    return ""


def _add(app, pagename, templatename, context, doctree):
    if doctree is None:
        return
    words = {
        "og:title": app.env.titles[pagename].astext(),
        "og:type": "article",
        "og:site_name": app.config.html_title,
    }
    tags = [f'<meta property="{name}" content="{escape(text, quote=True)}">' for name, text in words.items()]
    if text := escape(described(doctree), quote=True):
        tags += [
            f'<meta name="description" content="{text}">',
            f'<meta property="og:description" content="{text}">',
        ]
    context["metatags"] = context.get("metatags", "") + "\n".join(tags)


def setup(app):
    """Register the hook."""
    app.connect("html-page-context", _add)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}

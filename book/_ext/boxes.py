"""Marks by which the style sheet, and a screen reader, tell apart what Sphinx writes alike.

A proof looks like a theorem without a title, a claim that held like any printed text, all theorems have one content
of the same id, and all folds of code are called alike to the ear, whatever stands on them.
"""

import re

#: What Sphinx's extensions write, and what it becomes.
MARKS = (
    (
        r'<div class="proof admonition" id="proof">\s*<p>Proof\. ',
        '<div class="proof is-proof admonition"><p><span class="proof-word">Proof.</span> ',
    ),
    (r'<div class="proof admonition" id="proof">', '<div class="proof is-proof admonition">'),
    (r'<summary aria-label="Toggle hidden content">', "<summary>"),
    (r'(<section class="[\w-]+-content") id="(?:proof|exercise|solution)-content">', r"\1>"),
    (
        r'<div class="output text_plain (highlight[^"]*")(>\s*<div class="highlight"><pre><span></span>\u2713)',
        r'<div class="output text_plain is-claim \1\2',
    ),
)


def marked(body):
    """Return a page's body with the marks."""
    for found, made in MARKS:
        body = re.sub(found, made, body)
    return body


def _mark(app, pagename, templatename, context, doctree):
    if "body" in context:
        context["body"] = marked(context["body"])


def setup(app):
    """Register the hook."""
    app.connect("html-page-context", _mark)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}

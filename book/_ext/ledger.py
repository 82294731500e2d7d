"""The ledger: what ``gdln.claims.claim`` measured in this build, beside the source of each claim.

``book/claims/*.yml`` lists the claims: key, source, origin, setting, tolerance. The value and the criterion come
from the executed notebooks, cached or not. A listed claim that nothing measured, and a measured claim that is not
listed, are warnings, so the strict build fails. A row with ``why`` is a result that cannot be had here.
"""

import json
import re
from pathlib import Path

import yaml
from docutils import nodes
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective
from sphinx.util.nodes import make_refnode

from gdln.claims import METADATA_KEY

logger = logging.getLogger(__name__)
HEADER = ("claim", "source", "setting", "needed (why this tolerance)", "measured", "chapter")


class ledger_table(nodes.General, nodes.Element):
    """Stands for the table of one file of claims until every chapter has run."""


class Ledger(SphinxDirective):
    """``{ledger} race.yml`` shows the claims of ``book/claims/race.yml``."""

    required_arguments = 1

    def run(self):
        path = Path(self.env.srcdir) / "book" / "claims" / self.arguments[0]
        self.env.note_dependency(str(path))
        return [ledger_table(rows=yaml.safe_load(path.read_text()) or [])]


class ClaimCount(SphinxDirective):
    """A sentence with the number of claims, counted in this build."""

    def run(self):
        return [ledger_table(rows=None)]


def _collect(app, doctree):
    """Read the claims out of the executed notebook of the page just read."""
    env = app.env
    executed = Path(app.outdir).parent / "jupyter_execute" / f"{env.docname}.ipynb"
    records = []
    if executed.is_file():
        for cell in json.loads(executed.read_text())["cells"]:
            for output in cell.get("outputs", []):
                if METADATA_KEY in output.get("metadata", {}):
                    records.append(output["metadata"][METADATA_KEY])
    _claims(env)[env.docname] = records


def _claims(env):
    if not hasattr(env, "gdln_claims"):
        env.gdln_claims = {}
    return env.gdln_claims


def _purge(app, env, docname):
    _claims(env).pop(docname, None)


def _check(app, env):
    """Compare what is listed with what was measured; have the ledger pages written anew."""
    listed = {}
    for path in sorted((Path(env.srcdir) / "book" / "claims").glob("*.yml")):
        for row in yaml.safe_load(path.read_text()) or []:
            if row["key"] in listed:
                logger.warning("claim %r is listed twice, in %s", row["key"], path.name)
            listed[row["key"]] = row
    measured = {}
    for docname, records in _claims(env).items():
        for record in records:
            if record["key"] in measured:
                logger.warning("claim %r is measured twice, in %s", record["key"], docname, location=docname)
            measured[record["key"]] = docname
            if record["key"] not in listed:
                logger.warning("claim %r is not listed in book/claims", record["key"], location=docname)
    for key, row in listed.items():
        if "why" not in row and key not in measured:
            logger.warning("claim %r is listed but was measured nowhere in this build", key)
        if "why" in row and key in measured:
            logger.warning("claim %r says why it cannot be had, yet was measured", key)
    return [doc for doc in env.found_docs if "ledger" in doc]


def _inline(text):
    """Text with ``$...$`` as mathematics."""
    parts = re.split(r"\$([^$]+)\$", str(text))
    return [nodes.math(p, p) if i % 2 else nodes.Text(p) for i, p in enumerate(parts) if p]


def _resolve(app, doctree, docname):
    measured = {r["key"]: (doc, r) for doc, records in _claims(app.env).items() for r in records}
    for node in list(doctree.findall(ledger_table)):
        if node["rows"] is None:
            text = f"{len(measured)} claims were asserted and held in this build."
            node.replace_self(nodes.paragraph(text, text))
            continue
        table = nodes.table(classes=["ledger"])
        group = nodes.tgroup(cols=len(HEADER))
        group += [nodes.colspec(colwidth=1) for _ in HEADER]
        group += nodes.thead("", _row([[nodes.Text(h)] for h in HEADER]))
        body = nodes.tbody()
        for entry in node["rows"]:
            body += _row(_cells(app, docname, entry, measured.get(entry["key"])))
        group += body
        table += group
        node.replace_self(nodes.container("", table, classes=["ledger-scroll"]))


def _cells(app, docname, entry, found):
    source = _inline(f"{entry['source']} ({entry['origin']})")
    if found is None:
        statement = _inline(entry.get("statement", entry["key"]))
        return [
            statement,
            source,
            _inline(entry.get("setting", "–")),
            _inline(entry.get("why", "–")),
            [_t("–")],
            [_t("–")],
        ]
    doc, record = found
    needed = record["criterion"] + (f" ({entry['tolerance']})" if "tolerance" in entry else "")
    title = app.env.titles[doc].astext()
    link = make_refnode(app.builder, docname, doc, None, nodes.Text(title))
    return [
        _inline(record["statement"]),
        source,
        _inline(entry.get("setting", "–")),
        _inline(needed),
        [_t(f"{record['measured']:.4g}")],
        [link],
    ]


def _t(text):
    return nodes.Text(text)


def _row(cells):
    return nodes.row("", *[nodes.entry("", nodes.paragraph("", "", *cell)) for cell in cells])


def setup(app):
    """Register directives and the hooks that carry claims from chapters to the ledger."""
    app.add_node(ledger_table)
    app.add_directive("ledger", Ledger)
    app.add_directive("claim-count", ClaimCount)
    app.connect("doctree-read", _collect)
    app.connect("env-purge-doc", _purge)
    app.connect("env-updated", _check)
    app.connect("doctree-resolved", _resolve)
    return {"version": "1", "env_version": 1, "parallel_read_safe": False}

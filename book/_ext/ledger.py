"""The ledger: what ``gdln.claims.claim`` measured in this build, beside the source of each claim.

``book/claims/<part>/*.yml`` lists the claims: key, source, origin, setting, tolerance. The value and the criterion come
from the executed notebooks, cached or not. A listed claim that nothing measured, and a measured claim that is not
listed, are warnings, so the strict build fails. A row with ``why`` is a result that cannot be had here.
"""

import json
import re
from pathlib import Path

import yaml
from docutils import nodes
from sphinx.util import logging
from sphinx.util.docutils import ReferenceRole, SphinxDirective
from sphinx.util.nodes import make_refnode

from gdln.claims import METADATA_KEY

logger = logging.getLogger(__name__)
COLUMNS = {
    "claim": 22,
    "measured": 15,
    "needed (why this tolerance)": 22,
    "setting": 22,
    "source (origin)": 19,
}
MISSING = {"result": 23, "why it is not here": 58, "source (origin)": 19}


class ledger_table(nodes.General, nodes.Element):
    """Stands for tables of claims, one a chapter, until every chapter has run."""


class Ledger(SphinxDirective):
    """``{ledger} race/race.yml race/routing.yml`` shows the claims of these files, chapter by chapter."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self):
        rows = []
        for name in self.arguments[0].split():
            path = Path(self.env.srcdir) / "book" / "claims" / name
            self.env.note_dependency(str(path))
            rows += yaml.safe_load(path.read_text()) or []
        return [ledger_table(rows=rows)]


class ClaimCount(SphinxDirective):
    """A sentence with the number of claims, counted in this build."""

    def run(self):
        return [ledger_table(rows=None)]


class quoted_claim(nodes.Inline, nodes.TextElement):
    """A number in the text, until the claim it quotes is measured."""


class Quote(ReferenceRole):
    """``{claim}`24.1 <race-sharing-100>` `` prints a number that must be what the claim measured in this build."""

    def run(self):
        node = quoted_claim(self.rawtext, key=self.target, quoted=self.title)
        self.set_source_info(node)
        return [node], []


QUOTED = re.compile(
    r"(?P<number>[-\u2212]?\d+(?:\.(?P<decimals>\d+))?)(?:e(?P<power>-?\d+))?(?P<percent> ?%)?"
)


def rounds_to(measured, quoted):
    """Whether a measured value rounds to a number as it is written, such as ``24.1``, ``4e-9`` or ``3.2 %``.

    A tenth of the last digit is allowed beyond half of it: on another machine a value on the edge may fall on either side.
    """
    found = QUOTED.fullmatch(quoted)
    if found is None:
        raise ValueError(f"a quoted claim needs a number such as 24.1, 4e-9 or 3.2 %, got {quoted!r}")
    power = int(found["power"] or 0) - (2 if found["percent"] else 0)
    unit = 10.0 ** (power - len(found["decimals"] or ""))
    return abs(measured - float(found["number"].replace("\u2212", "-")) * 10.0**power) <= 0.6 * unit


def shown(quoted):
    """Return a quoted number as the page shows it: a minus sign, and powers of ten raised."""
    number, _, power = quoted.partition("e")
    number = number.replace("-", "\u2212")
    if not power:
        return [nodes.Text(number.replace(" %", "\u00a0%"))]
    return [nodes.Text(f"{number} × 10"), nodes.superscript("", power.replace("-", "\u2212"))]


def _quote(app, doctree, measured):
    """Print the quoted claims of a page; warn where text and measured value part."""
    for node in list(doctree.findall(quoted_claim)):
        key, quoted = node["key"], node["quoted"]
        if key not in measured:
            logger.warning("the text quotes claim %r, which was not measured", key, location=node)
        else:
            value = measured[key][1]["measured"]
            try:
                if not rounds_to(value, quoted):
                    logger.warning(
                        "the text says %s for claim %r, measured %.6g", quoted, key, value, location=node
                    )
            except ValueError as error:
                logger.warning("claim %r: %s", key, error, location=node)
        node.replace_self(nodes.inline("", "", *shown(quoted), classes=["quoted-claim"]))


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
    for path in sorted((Path(env.srcdir) / "book" / "claims").rglob("*.yml")):
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
    _quote(app, doctree, measured)
    for node in list(doctree.findall(ledger_table)):
        if node["rows"] is None:
            text = f"{len(measured)} claims were asserted and held in this build."
            node.replace_self(nodes.paragraph(text, text))
            continue
        chapters, missing = {}, []
        for entry in node["rows"]:
            if entry["key"] in measured:
                doc, record = measured[entry["key"]]
                chapters.setdefault(doc, []).append(_held(entry, record))
            elif "why" in entry:
                source = _inline(f"{entry['source']} ({entry['origin']})")
                missing.append([_inline(entry["statement"]), _inline(entry["why"]), source])
        parts = []
        for doc, rows in chapters.items():
            title = app.env.titles[doc].astext()
            link = make_refnode(app.builder, docname, doc, None, nodes.strong(title, title))
            parts += [nodes.paragraph("", "", link), _table(COLUMNS, rows)]
        if missing:
            parts += [
                nodes.paragraph("", "", nodes.strong("", "Not to be had here")),
                _table(MISSING, missing),
            ]
        node.replace_self(parts)


def _held(entry, record):
    """Cells of a claim that was asserted in this build."""
    needed = record["criterion"] + (f" ({entry['reason']})" if "reason" in entry else "")
    return [
        _inline(record["statement"]),
        [nodes.Text(f"{record['measured']:.4g}")],
        _inline(needed),
        _inline(entry.get("setting", "–")),
        _inline(f"{entry['source']} ({entry['origin']})"),
    ]


def _table(columns, rows):
    group = nodes.tgroup(cols=len(columns))
    group += [nodes.colspec(colwidth=width) for width in columns.values()]
    group += nodes.thead("", _row([[nodes.Text(name)] for name in columns]))
    group += nodes.tbody("", *map(_row, rows))
    table = nodes.table("", group, classes=["ledger", "colwidths-given"])
    return nodes.container("", table, classes=["ledger-scroll"])


def _row(cells):
    return nodes.row("", *[nodes.entry("", nodes.paragraph("", "", *cell)) for cell in cells])


def setup(app):
    """Register directives and the hooks that carry claims from chapters to the ledger."""
    app.add_node(ledger_table)
    app.add_node(quoted_claim)
    app.add_role("claim", Quote())
    app.add_directive("ledger", Ledger)
    app.add_directive("claim-count", ClaimCount)
    app.connect("doctree-read", _collect)
    app.connect("env-purge-doc", _purge)
    app.connect("env-updated", _check)
    app.connect("doctree-resolved", _resolve)
    return {"version": "1", "env_version": 1, "parallel_read_safe": False}

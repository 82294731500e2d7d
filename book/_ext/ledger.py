"""The ledger: what ``gdln.claims.claim`` measured in this build, beside the source of each claim.

``{ledger-parts}`` gives every part of the book its section, from the table of contents and the folders of claims.
Every row has an address of its own, ``ledger.html#claim-<key>``, and says by its classes what it can be found by; the
script ``ledger.js`` filters and sorts them. The same rows are written to ``ledger.csv`` and ``ledger.json``.

``book/claims/<part>/*.yml`` lists the claims (see :func:`gdln.claims.rows`). The value comes from the outputs that
each page shows, run in this build or taken from the cache; a chapter that was run under another statement or criterion
than its row has now is run again. A listed claim that nothing measured, and a measured claim that is not listed, are
warnings, so the strict build fails. A row with ``why`` is a result that cannot be had here.
"""

import csv
import json
import re
from html import escape
from pathlib import Path

from docutils import nodes
from sphinx import addnodes
from sphinx.util import logging
from sphinx.util.docutils import ReferenceRole, SphinxDirective
from sphinx.util.nodes import make_refnode
from tables import chapter_numbers, kept, parts_of, row_of, table_of

from gdln.claims import METADATA_KEY, asserted, read

logger = logging.getLogger(__name__)
COLUMNS = {
    "claim": 22,
    "measured": 15,
    "needed (why this tolerance)": 22,
    "setting": 22,
    "source (origin)": 19,
}
MISSING = {"result": 23, "why it is not here": 58, "source (origin)": 19}


#: What stands on the page where the sections of the parts go.
PARTS = "```{ledger-parts}\n```"
#: The five papers by a word of their sources; what is the first of them to be named decides.
PAPERS = {
    "saxe": "Saxe et al. 2022",
    "li": "Li and Sompolinsky 2022",
    "littwin": "Littwin et al. 2021",
    "chen": "Chen et al. 2022",
    "boopathy": "Boopathy and Fiete 2022",
}


class ledger_table(nodes.General, nodes.Element):
    """Stands for tables of claims, one a chapter, until every chapter has run."""


class Ledger(SphinxDirective):
    """``{ledger} race/race.yml foundations/*.yml`` shows the claims of these files, chapter by chapter."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self):
        rows, folder = [], Path(self.env.srcdir) / "book" / "claims"
        for path in [
            p for name in self.arguments[0].split() for p in sorted(folder.glob(name)) or [folder / name]
        ]:
            self.env.note_dependency(str(path))
            try:
                rows += [row | {"part": _part(path)} for row in read(path)]
            except ValueError as error:
                logger.warning("book/claims: %s", error, location=self.get_location())
        kept(self.env, "gdln_ledgers").setdefault(self.env.docname, set()).update(row["key"] for row in rows)
        return [ledger_table(rows=rows)]


class LedgerTools(SphinxDirective):
    """Where the script puts its tools; it learns here what the papers are called."""

    def run(self):
        papers = escape(json.dumps(PAPERS), quote=True)
        return [nodes.raw("", f'<div class="ledger-tools" data-papers="{papers}"></div>', format="html")]


class ClaimCount(SphinxDirective):
    """A sentence with the number of claims, counted in this build."""

    def run(self):
        kept(self.env, "gdln_ledgers").setdefault(self.env.docname, set())
        return [ledger_table(rows=None)]


class quoted_claim(nodes.Inline, nodes.TextElement):
    """A number in the text, until the claim it quotes is measured."""


class Quote(ReferenceRole):
    """``{claim}`24.2 <race-sharing-100>` `` prints a number that must be what the claim measured in this build."""

    def run(self):
        node = quoted_claim(self.rawtext, key=self.target, quoted=self.title)
        self.set_source_info(node)
        kept(self.env, "gdln_quotes").setdefault(self.env.docname, set()).add(self.target)
        return [node], []


QUOTED = re.compile(
    r"(?P<number>[-\u2212]?\d+(?:\.(?P<decimals>\d+))?)(?:e(?P<power>-?\d+))?(?P<percent> ?%)?"
)


def rounds_to(measured, quoted):
    """Whether a measured value rounds to a number as it is written, such as ``24.1``, ``4e-9`` or ``3.2 %``.

    A tenth of the last digit is allowed beyond half of it: on another machine a value on the edge may fall on either
    side.
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


def _quote(app, doctree, docname, measured):
    """Print the quoted claims of a page, on the web as links to their rows; warn where text and measured value part."""
    rows = {key: page for page, keys in kept(app.env, "gdln_ledgers").items() for key in keys}
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
        node.replace_self(_linked(app, docname, rows.get(key), key, quoted))


def _linked(app, docname, page, key, quoted):
    if page is None or app.builder.format != "html":
        return nodes.inline("", "", *shown(quoted), classes=["quoted-claim"])
    row = f"{app.builder.get_relative_uri(docname, page)}#claim-{key}"
    words = nodes.inline("", "", *shown(quoted))
    return nodes.reference(
        "", "", words, internal=True, refuri=row, reftitle="what was measured", classes=["quoted-claim"]
    )


def _purge(app, env, docname):
    for name in ("gdln_claims", "gdln_quotes", "gdln_ledgers"):
        kept(env, name).pop(docname, None)


def _part(path):
    """The part of the book that a file of claims belongs to: its folder, or ``front`` for those outside of any."""
    return "front" if path.parent.name == "claims" else path.parent.name


def _sections(app, docname, source):
    """Give every part of the book its section of the ledger."""
    if PARTS not in source[0]:
        return
    folder = Path(app.srcdir) / "book" / "claims"
    app.env.note_dependency(str(Path(app.srcdir) / "_toc.yml"))
    parts = [
        ("The front page", "*.yml"),
        *((caption, f"{part}/*.yml") for caption, part in parts_of(app.srcdir)),
    ]
    shown = [
        f"## {caption}\n\n```{{ledger}} {files}\n```" for caption, files in parts if any(folder.glob(files))
    ]
    source[0] = source[0].replace(PARTS, "\n\n".join(shown))


def _read_rows(app):
    """Before any chapter runs: read every file of claims, or say in a sentence each what is wrong with it."""
    app.gdln_rows, problems = {}, []
    folder = Path(app.srcdir) / "book" / "claims"
    for path in sorted(folder.rglob("*.yml")):
        try:
            found = read(path)
        except ValueError as error:
            problems.append(f"book/claims: {error}")
            continue
        for row in found:
            if row["key"] in app.gdln_rows:
                problems.append(f"book/claims: {path.relative_to(folder)} repeats the key {row['key']!r}")
            app.gdln_rows[row["key"]] = row | {"part": _part(path)}
    if problems:
        raise SystemExit("\n".join(problems))


def _records(notebook):
    """Return the claims in the outputs of a notebook."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    records = [output.get("metadata", {}).get(METADATA_KEY) for output in outputs]
    return [record for record in records if record]


def _changed(app, records):
    """Whether a claim was asserted under another statement or criterion than its row has now."""
    rows = app.gdln_rows
    return any(r["key"] not in rows or r["row"] != asserted(rows[r["key"]]) for r in records)


def _outdated(app, env, added, changed, removed):
    """Have pages read again whose claims have other rows now."""
    return [page for page, records in kept(env, "gdln_claims").items() if _changed(app, records)]


def _stale(app, page, notebook):
    """Whether the cached outputs of a chapter hold claims that have other rows now."""
    return _changed(app, _records(notebook))


def _collect(app, page, notebook):
    """Take the claims out of a chapter as its page shows it."""
    kept(app.env, "gdln_claims")[page] = _records(notebook)


def _check(app, env):
    """Compare what is listed with what was measured; have pages written anew that show or quote what changed."""
    listed, measured, values = app.gdln_rows, {}, {}
    for docname, records in kept(env, "gdln_claims").items():
        for record in records:
            if record["key"] in measured:
                logger.warning("claim %r is measured twice, in %s", record["key"], docname, location=docname)
            measured[record["key"]], values[record["key"]] = docname, record["measured"]
            if record["key"] not in listed:
                logger.warning("claim %r is not listed in book/claims", record["key"], location=docname)
    for key, row in listed.items():
        if "why" not in row and key not in measured:
            logger.warning("claim %r is listed but was measured nowhere in this build", key)
        if "why" in row and key in measured:
            logger.warning("claim %r says why it cannot be had, yet was measured", key)
    before = getattr(env, "gdln_values", {})
    moved = {key for key in before.keys() | values.keys() if before.get(key) != values.get(key)}
    env.gdln_values = values
    quoting = {page for page, keys in kept(env, "gdln_quotes").items() if keys & moved}
    return sorted((quoting | set(kept(env, "gdln_ledgers"))) & env.found_docs)


def _inline(text):
    """Text with ``$...$`` as mathematics."""
    parts = re.split(r"\$([^$]+)\$", str(text))
    return [nodes.math(p, p) if i % 2 else nodes.Text(p) for i, p in enumerate(parts) if p]


def _resolve(app, doctree, docname):
    claims = kept(app.env, "gdln_claims")
    measured = {r["key"]: (doc, r) for doc, records in claims.items() for r in records}
    _quote(app, doctree, docname, measured)
    for node in list(doctree.findall(ledger_table)):
        if node["rows"] is None:
            text = f"{len(measured)} claims were asserted and held in this build."
            node.replace_self(nodes.paragraph(text, text))
            continue
        chapters, missing = {}, []
        for entry in node["rows"]:
            if entry["key"] in measured:
                doc, record = measured[entry["key"]]
                chapters.setdefault(doc, []).append((_held(entry, record), entry))
            elif "why" in entry:
                source = _inline(f"{entry['source']} ({entry['origin']})")
                missing.append(([_inline(entry["statement"]), _inline(entry["why"]), source], entry))
        parts, numbers = [], chapter_numbers(app.env)
        for doc, rows in sorted(chapters.items(), key=lambda pair: numbers.get(pair[0], 0)):
            title = app.env.titles[doc].astext()
            link = make_refnode(app.builder, docname, doc, None, nodes.strong(title, title))
            parts += _chapter(link, _table(COLUMNS, rows), len(rows))
        if missing:
            words = nodes.strong("", "Not to be had here")
            parts += _chapter(words, _table(MISSING, missing), len(missing))
        node.replace_self(parts)


def _chapter(head, table, count):
    """A head and a table that folds; open as written, so that nothing is hidden where no script runs."""
    says = f"{count} claim{'s' if count > 1 else ''}"
    opening = f'<details class="ledger-fold" open><summary>{says}</summary>'
    return [
        nodes.paragraph("", "", head, classes=["ledger-chapter"]),
        nodes.raw("", opening, format="html"),
        table,
        nodes.raw("", "</details>", format="html"),
    ]


def paper(source):
    """Return the short name of the paper that a source names first, or ``"other"``."""
    named = [(source.find(words), name) for name, words in PAPERS.items() if words in source]
    return min(named)[1] if named else "other"


def _held(entry, record):
    """Cells of a claim that was asserted in this build."""
    measured = [nodes.Text(f"{record['measured']:.4g}")]
    if record.get("used") is not None:
        share = min(100, round(100 * record["used"]))
        words = f"{share} % of what is allowed is used"
        says = f'style="--used: {share}%" role="img" aria-label="{words}" title="{words}"'
        bar = f'<span class="ledger-used" {says}></span>'
        measured.append(nodes.raw("", bar, format="html"))
    needed = record["criterion"] + (f" ({entry['reason']})" if "reason" in entry else "")
    return [
        _inline(record["statement"]),
        measured,
        _inline(needed),
        _inline(entry.get("setting", "–")),
        _inline(f"{entry['source']} ({entry['origin']})"),
    ]


def _table(columns, rows):
    rows = [_row(cells, entry) for cells, entry in rows]
    found = table_of(columns, rows, ["ledger", "colwidths-given"], list(columns.values()))
    return nodes.container("", found, classes=["ledger-scroll"])


def _row(cells, entry):
    """A row that can be found: by its address, and by its classes."""
    found, anchor = row_of(cells), f"claim-{entry['key']}"
    found["ids"].append(anchor)
    held = "missing" if "why" in entry else "held"
    found["classes"] += [f"part-{entry['part']}", f"paper-{paper(entry['source'])}"]
    found["classes"] += [f"origin-{entry['origin']}", f"status-{held}"]
    link = f'<a class="ledger-link" href="#{anchor}" aria-label="Link to this claim"></a>'
    found[0][0] += nodes.raw("", link, format="html")
    # found by a search for the key, but not in the printed index, which a thousand keys would bury
    found[0][0] += addnodes.index(entries=[("single", entry["key"], anchor, "main", None)])
    return found


def _download(app, error):
    """Write all rows, with what was measured and where, as CSV and JSON beside the ledger."""
    if error is not None or app.builder.format != "html" or not kept(app.env, "gdln_ledgers"):
        return
    claims = kept(app.env, "gdln_claims")
    measured = {r["key"]: (doc, r) for doc, records in claims.items() for r in records}
    rows = []
    for key, row in app.gdln_rows.items():
        doc, record = measured.get(key, (None, {}))
        found = {"key": key, "statement": row["statement"], "measured": record.get("measured")}
        found |= {
            "needed": record.get("criterion"),
            "used": record.get("used"),
            "page": doc,
            "part": row["part"],
        }
        found |= {name: row.get(name) for name in ("reason", "why", "source", "origin", "setting")}
        rows.append(found | {"paper": PAPERS.get(paper(row["source"]))})
    for page in kept(app.env, "gdln_ledgers"):
        folder = (Path(app.outdir) / page).parent
        (folder / "ledger.json").write_text(json.dumps(rows, indent=1, ensure_ascii=False), encoding="utf-8")
        with (folder / "ledger.csv").open("w", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, rows[0] if rows else ["key"])
            table.writeheader()
            table.writerows(rows)


def _script(app, pagename, templatename, context, doctree):
    """Load the script where a ledger stands, and nowhere else."""
    if pagename in kept(app.env, "gdln_ledgers"):
        app.add_js_file("ledger.js", loading_method="defer")


def setup(app):
    """Register directives and the hooks that carry claims from chapters to the ledger."""
    app.add_node(ledger_table)
    app.add_node(quoted_claim)
    app.add_role("claim", Quote())
    app.add_directive("ledger", Ledger)
    app.add_directive("claim-count", ClaimCount)
    app.add_directive("ledger-tools", LedgerTools)
    app.connect("source-read", _sections)
    app.setup_extension("chapters")
    app.connect("builder-inited", _read_rows)
    app.connect("env-get-outdated", _outdated)
    app.connect("chapter-cached", _stale)
    app.connect("chapter-outputs", _collect)
    app.connect("env-purge-doc", _purge)
    app.connect("env-updated", _check)
    app.connect("doctree-resolved", _resolve)
    app.connect("html-page-context", _script)
    app.connect("build-finished", _download)
    return {"version": "1", "env_version": 4, "parallel_read_safe": False}

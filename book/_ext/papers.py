"""What each of the five papers shows, figure by figure, and what became of it here: ``{paper-table} saxe``.

``book/papers.yml`` is the one home of these rows; its head says what a row is. Where a figure or a section stands is a
reference like any other, so one that leads nowhere stops the build. So does a status that the ledger does not bear
out: a figure is *reproduced* only if all the claims that its row names were held in this very build.
"""

from pathlib import Path

import yaml
from docutils import nodes
from ledger import PAPERS
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective
from tables import kept, row_of, table_of

logger = logging.getLogger(__name__)
STATUSES = ("reproduced", "scaled down", "not found", "not here", "drawing")
COLUMNS = {"in the paper": 16, "what it shows": 36, "here": 26, "where": 22}


def problems(row, held, missing):
    """Return what is wrong with a row, a sentence each.

    Parameters
    ----------
    row : dict
        One row of ``book/papers.yml``.
    held, missing : set of str
        Keys of the claims that were held, and of those that say why they cannot be had.
    """
    found, claims = [], row.get("claims", [])
    unknown = [name for name in row if name not in ("item", "shows", "status", "why", "where", "claims")]
    if unknown or not all(row.get(name) for name in ("item", "shows", "status")):
        found.append("needs item, shows and status, and beside them only why, where and claims")
    if row.get("status") not in STATUSES:
        return [*found, f"needs one of {', '.join(STATUSES)}, got {row.get('status')!r}"]
    found += [
        f"names the claim {key!r}, which is not in the ledger" for key in claims if key not in held | missing
    ]
    status, asserted = row["status"], [key for key in claims if key in held]
    if ("why" in row) != (status in ("scaled down", "not found", "not here")):
        found.append(f"is {status} and {'needs no' if 'why' in row else 'does not say'} why")
    if status in ("reproduced", "scaled down", "not found") and not asserted:
        found.append(f"is {status}, but none of its claims was held")
    if status == "reproduced" and set(claims) & missing:
        found.append(f"is reproduced, but {sorted(set(claims) & missing)} cannot be had")
    if status == "not here" and asserted:
        found.append(f"is not here, but {asserted} were held")
    if status != "not here" and not row.get("where"):
        found.append(f"is {status} and does not say where")
    return found


class claim_link(nodes.Inline, nodes.Element):
    """Stands for a link to a row of the ledger until it is known where that is."""


class PaperTable(SphinxDirective):
    """``{paper-table} saxe`` shows the rows of a paper."""

    required_arguments = 1

    def run(self):
        path = Path(self.env.srcdir, "book", "papers.yml")
        self.env.note_dependency(str(path))
        papers = {entry["paper"]: entry for entry in yaml.safe_load(path.read_text(encoding="utf-8"))}
        name = self.arguments[0]
        if name not in papers or name not in PAPERS:
            raise self.error(f"book/papers.yml has no paper {name!r}; there are {', '.join(papers)}")
        entry = papers[name]
        kept(self.env, "gdln_papers").setdefault(self.env.docname, []).extend(entry["rows"])
        rows = []
        for row in entry["rows"]:
            status = row["status"] + (f": {row['why']}" if "why" in row else "")
            mark = nodes.inline(
                "", "", *self.inline(status), classes=[f"status-{row['status'].replace(' ', '-')}"]
            )
            cells = [self.inline(row["item"]), self.inline(row["shows"]), [mark], self.places(row)]
            rows.append(row_of(cells))
        words = self.inline(f"{{cite:t}}`{entry['cite']}`. {entry['read']}")
        found = [row["status"] for row in entry["rows"]]
        counts = ", ".join(f"{found.count(status)} {status}" for status in STATUSES if status in found)
        total = f" {len(rows)} rows: {counts}."
        table = table_of(COLUMNS, rows, ["paper-table", "colwidths-given"], list(COLUMNS.values()))
        head = nodes.paragraph("", "", *words, nodes.Text(total))
        return [head, nodes.container("", table, classes=["ledger-scroll"])]

    def inline(self, text):
        """Return nodes of a line of MyST."""
        found, messages = self.state.inline_text(text, self.lineno)
        return found

    def places(self, row):
        """Return references to figures and sections, and links to claims."""
        found = []
        for label in row.get("where", []):
            role = "numref" if label.startswith(("fig-", "ex-")) else "ref"
            found += [nodes.Text(" · ")] * bool(found) + self.inline(f"{{{role}}}`{label}`")
        claims = row.get("claims", [])
        for number, key in enumerate(claims, 1):
            word = "claims " if len(claims) > 1 else "claim "
            found.append(nodes.Text(" · " if number > 1 else f"; {word}" if found else word))
            found.append(claim_link(key=key, number=number))
        return found


def _purge(app, env, docname):
    kept(env, "gdln_papers").pop(docname, None)


def _check(app, env):
    """Warn of every row whose status the ledger does not bear out."""
    held = {record["key"] for records in kept(env, "gdln_claims").values() for record in records}
    missing = {key for key, row in app.gdln_rows.items() if "why" in row}
    for page, rows in kept(env, "gdln_papers").items():
        for row in rows:
            for problem in problems(row, held, missing):
                logger.warning("book/papers.yml: %s %s", row.get("item"), problem, location=page)


def _resolve(app, doctree, docname):
    for place in list(doctree.findall(claim_link)):
        key, ledger = place["key"], next(iter(kept(app.env, "gdln_ledgers")), None)
        if ledger is None:
            place.replace_self(nodes.Text(str(place["number"])))
            continue
        uri = app.builder.get_relative_uri(docname, ledger) + f"#claim-{key}"
        link = nodes.reference("", str(place["number"]), internal=True, refuri=uri, reftitle=key)
        place.replace_self(link)


def setup(app):
    """Register the directive and the hooks."""
    app.setup_extension("ledger")
    app.add_node(claim_link)
    app.add_directive("paper-table", PaperTable)
    app.connect("env-purge-doc", _purge)
    app.connect("env-check-consistency", _check)
    app.connect("doctree-resolved", _resolve)
    return {"version": "1", "env_version": 1, "parallel_read_safe": False}

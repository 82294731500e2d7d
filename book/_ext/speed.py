"""``{speed-table}``, ``{device-table}``, ``{cost-table}``, ``{regression-table}``, ``{saddle-table}``: measurements.

``{speed}`job: what` `` prints one of the numbers in a sentence.
"""

import json
from pathlib import Path

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.util.docutils import SphinxDirective, SphinxRole
from tables import row_of, table_of


def shown(value, digits=2):
    """Return a number with so many significant digits, or a dash where there is none."""
    if value is None:
        return "–"
    text = f"{value:.{digits}g}"
    return f"{float(text):,.0f}" if "e" in text or float(text) >= 10 else text


def marked(text):
    """Return inline nodes of text with mathematics between dollars."""
    pieces = text.split("$")
    return [
        nodes.math(piece, piece) if i % 2 else nodes.Text(piece) for i, piece in enumerate(pieces) if piece
    ]


def percent(share):
    """Return a share as text, or a dash where there is none."""
    return "–" if share is None else f"{100 * share:.0f}\N{NO-BREAK SPACE}%"


def read(env, file):
    """Return the content of a file of results; the page is read again when it changes."""
    path = Path(env.srcdir, "book", "data", file)
    env.note_dependency(str(path))
    return json.loads(path.read_text(encoding="utf-8"))


def quoted(rows, name):
    """Return as text what is named ``job: what``, where what is ``faster``, ``share`` or one of the job's parts."""
    job, _, what = name.rpartition(": ")
    found = next((row for row in rows if row["job"] == job), None)
    if found is None:
        raise ValueError(f"no job {job!r} is stored; there are {', '.join(row['job'] for row in rows)}")
    numbers = {"faster": found["faster"], "share": found["share"], **found["parts"]}
    if numbers.get(what) is None:
        raise ValueError(f"{job!r} has no {what!r}; it has {', '.join(numbers)}")
    return shown(numbers[what]) if what == "faster" else percent(numbers[what])


class Quoted(SphinxRole):
    """One stored number of a job, with the digits of the table."""

    def run(self):
        try:
            return [nodes.Text(quoted(read(self.env, SpeedTable.file)["results"], self.text))], []
        except ValueError as error:
            message = self.inliner.reporter.error(str(error), line=self.lineno)
            return [self.inliner.problematic(self.rawtext, self.rawtext, message)], [message]


class Stored(SphinxDirective):
    """What the directives share: a file of results that a page is made of."""

    file = ""

    def stored(self):
        """Return the file's content."""
        return read(self.env, self.file)

    def module(self, name):
        """Return a link to a module's place in the reference of the library."""
        options = {
            "refdomain": "py",
            "reftype": "mod",
            "reftarget": name,
            "refexplicit": True,
            "refwarn": True,
        }
        link = pending_xref("", nodes.literal("", name.removeprefix("gdln.")), **options)
        link["refdoc"] = self.env.docname
        return link

    def measured_on(self, stored, versions=()):
        """Return a sentence on the machine and the versions."""
        about = stored["parameters"]
        words = f"Measured on one thread of {about['machine']}"
        words += "".join(f", {name} {version}" for name, version in dict(versions).items())
        return nodes.paragraph("", words + ".")


class SpeedTable(Stored):
    """A row a job: time, what one would use instead and how many times slower it is, limit and share, growth."""

    file = "speed.json"

    def run(self):
        stored = self.stored()
        head = ("job", "size", "ms", "instead", "times faster", "limit", "share of it", "growth")
        rows = [
            row_of(
                [
                    [nodes.Text(job["job"] + ", "), self.module(job["module"])],
                    [nodes.Text(f"{job['at']} {job['size']}")],
                    [nodes.Text(shown(job["milliseconds"]))],
                    [nodes.Text(job["instead"] or "–")],
                    [nodes.Text(shown(job["faster"]))],
                    [nodes.Text(job["limit"] or "–")],
                    [nodes.Text(percent(job["share"]))],
                    [nodes.Text(f"{job['growth']:.1f}")],
                ]
            )
            for job in stored["results"]
        ]
        return [
            table_of(head, rows, ["speed-table"], (30, 12, 7, 20, 8, 14, 8, 8)),
            self.measured_on(stored, stored["versions"] | stored["parameters"]["peers"]),
        ]


class DeviceTable(Stored):
    """A row a job: seconds on the CPU and on another device; a sentence where none was at hand."""

    file = "device.json"

    def run(self):
        if not Path(self.env.srcdir, "book", "data", self.file).is_file():
            self.env.note_reread()  # the file may be there the next time
            words = "No graphics card was at hand when the numbers of this book were stored, so there is no table yet."
            return [nodes.paragraph("", words)]
        stored = self.stored()
        about = stored["parameters"]
        head = ("job", "size", "CPU, s", f"{about['device']}, s", "times faster", "relative difference")
        rows = [
            row_of(
                [
                    [nodes.Text(job["job"] + ", "), self.module(job["module"])],
                    [nodes.Text(f"{job['at']:,} {job['size']}")],
                    [nodes.Text(shown(job["cpu"]))],
                    [nodes.Text(shown(job["device"]))],
                    [nodes.Text(shown(job["faster"]))],
                    [nodes.Text("–" if job["difference"] is None else f"{job['difference']:.0e}")],
                ]
            )
            for job in stored["results"]
        ]
        words = f"Measured on {about['threads']} threads of {about['machine']}, and on {about['device']}."
        return [table_of(head, rows, ["device-table"]), nodes.paragraph("", words)]


class CostTable(Stored):
    """A row an experiment: what grows, exponents measured and on paper, the largest measured, where 64 GB end."""

    file = "costs.json"

    def run(self):
        stored = self.stored()
        head = (
            "work",
            "results made of it",
            "what grows",
            "time",
            "memory",
            "at the largest",
            "64 GB end at",
        )
        rows = [
            row_of(
                [
                    [nodes.Text(row["work"])],
                    [nodes.Text(row["results"])],
                    [*marked(row["size"]), nodes.Text(": " + ", ".join(map(str, row["sizes"])))],
                    [nodes.Text(f"{row['time']:.1f} (on paper {row['time on paper']:g})")],
                    [nodes.Text(f"{row['memory']:.1f} (on paper {row['memory on paper']:g})")],
                    [nodes.Text(f"{shown(row['seconds'][-1])} s, {shown(row['megabytes'][-1], 3)} MB")],
                    [nodes.Text("about " + shown(row["ends"], 1))],
                ]
            )
            for row in stored["results"]
        ]
        return [
            table_of(head, rows, ["cost-table"], (24, 20, 18, 12, 12, 12, 10)),
            self.measured_on(stored),
        ]


class RegressionTable(Stored):
    """A row a size and kernel of the regression that needs no dense matrix."""

    file = "kernel_regression.json"

    def run(self):
        stored = self.stored()
        head = (
            "samples",
            "kernel",
            "kept in memory",
            "products",
            "residual",
            "distance from the dense solution",
            "test error",
            "CPU time",
        )
        rows = [
            row_of(
                [
                    [nodes.Text(f"{row['n']:,}")],
                    [nodes.Text(row["kernel"].upper())],
                    [nodes.Text(f"{shown(row['stored gigabytes'])} GB")],
                    [nodes.Text(str(row["products"]))],
                    [nodes.Text(f"{row['residual']:.0e}")],
                    [nodes.Text("–" if row["difference"] is None else f"{row['difference']:.0e}")],
                    [nodes.Text(f"{100 * row['error']:.1f} %")],
                    [nodes.Text(f"{shown(row['seconds'])} s")],
                ]
            )
            for row in stored["results"]
        ]
        return [table_of(head, rows, ["regression-table"])]


class SaddleTable(Stored):
    """A row a size and way of the saddle point: by the matrix of samples, or by features."""

    file = "saddle_point.json"

    def run(self):
        head = (
            "samples",
            "by",
            "evaluations",
            "most memory",
            "distance from the other way",
            "test error",
            "CPU time",
        )
        rows = [
            row_of(
                [
                    [nodes.Text(f"{row['n']:,}")],
                    [nodes.Text(way)],
                    [nodes.Text(str(row[way]["evaluations"]))],
                    [nodes.Text(f"{shown(row[way]['gigabytes'])} GB")],
                    [nodes.Text(f"{max(row['differences'].values()):.0e}" if "differences" in row else "–")],
                    [nodes.Text(f"{100 * row[way]['error']:.1f} %")],
                    [nodes.Text(f"{shown(row[way]['seconds'])} s")],
                ]
            )
            for row in self.stored()["results"]
            for way in ("samples", "features")
            if way in row
        ]
        return [table_of(head, rows, ["saddle-table"])]


def setup(app):
    """Register the directives."""
    app.add_role("speed", Quoted())
    app.add_directive("speed-table", SpeedTable)
    app.add_directive("device-table", DeviceTable)
    app.add_directive("cost-table", CostTable)
    app.add_directive("regression-table", RegressionTable)
    app.add_directive("saddle-table", SaddleTable)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

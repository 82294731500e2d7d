#!/usr/bin/env python
"""Write the notebook beside each chapter: what Binder, Colab and Jupyter open.

The MyST source is the only one edited. Jupyter renders no Sphinx directives, so theorems, exercises, citations
and references become plain Markdown here, and solutions are folded. ``--check`` writes nothing and fails when a
notebook is out of step with its source, or has none in the table of contents.
"""

import argparse
import os
import re
import sys
import zipfile
from pathlib import Path
from urllib.parse import quote

import jupytext
import nbformat
import yaml
from pybtex.backends.markdown import Backend
from pybtex.database import parse_file
from pybtex.richtext import Text
from pybtex.style.formatting.unsrt import Style

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "book" / "_ext"))
import exercises  # noqa: E402
from revision import resolve  # noqa: E402

FENCE = re.compile(r"^(?P<fence>`{3,}|:{3,})\{(?P<name>[\w:-]+)\}\s*(?P<argument>.*?)\s*$")
OPTION = re.compile(r"^:(?P<key>[\w-]+):\s*(?P<value>.*)$")
KINDS = {"theorem": "Theorem", "proposition": "Proposition", "lemma": "Lemma", "corollary": "Corollary",
         "definition": "Definition", "remark": "Remark", "assumption": "Assumption", "algorithm": "Algorithm",
         "example": "Example", "observation": "Observation", "property": "Property", "conjecture": "Conjecture",
         "criterion": "Criterion", "axiom": "Axiom"}  # fmt: skip
ADMONITIONS = {
    "note",
    "tip",
    "warning",
    "important",
    "hint",
    "caution",
    "attention",
    "seealso",
    "danger",
    "error",
}


def address():
    """Return the repository's public address, which stands once, in ``_config.yml``."""
    return yaml.safe_load((ROOT / "_config.yml").read_text())["repository"]["url"]


def published():
    """Return the address where the book is published, from ``_config.yml``; None before."""
    return yaml.safe_load((ROOT / "_config.yml").read_text())["html"].get("baseurl")


def branch():
    """Return the repository's branch, from ``_config.yml``."""
    return yaml.safe_load((ROOT / "_config.yml").read_text())["repository"]["branch"]


def chapters():
    """Return the sources of all pages with code cells, in the order of the table of contents."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text())
    names = [toc["root"], *[chapter["file"] for part in toc["parts"] for chapter in part["chapters"]]]
    sources = [ROOT / f"{name}.md" for name in names]
    return [path for path in sources if "```{code-cell}" in path.read_text()]


def chapter_numbers():
    """Return the number of every chapter, by its source: those of the numbered parts, counted through the book."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text())
    names = [chapter["file"] for part in toc["parts"] if part.get("numbered") for chapter in part["chapters"]]
    return {ROOT / f"{name}.md": number for number, name in enumerate(names, 1)}


def sections(text):
    """Return where the headings of a page stand, as ``(offset, title)``; a comment in a cell is none."""
    found, offset, fence = [], 0, None
    for line in text.splitlines(keepends=True):
        if fence is None and (opened := re.match(r"`{3,}", line)):
            fence = opened[0]
        elif fence is not None and re.fullmatch(rf"{fence}`*\s*", line):
            fence = None
        elif fence is None and (heading := re.match(r"#+ (.+)", line)):
            found.append((offset, heading[1].strip()))
        offset += len(line)
    return found


def anchor(title):
    """Return the address that Jupyter gives a heading, or None where it is not the text alone (mathematics, a role)."""
    return None if re.search(r"[$`{\\]", title) else "#" + quote(title.replace(" ", "-"))


def parse_blocks(text):
    """Split text into ``str`` lines and ``(name, argument, options, body)`` directives, one level deep."""
    lines, blocks = text.split("\n"), []
    i = 0
    while i < len(lines):
        match = FENCE.match(lines[i])
        if match is None:
            plain = re.match(r"^(`{3,})[^`]*$", lines[i])
            blocks.append(lines[i])
            i += 1
            if plain:  # an ordinary code fence is copied as it stands
                while i < len(lines) and not lines[i].startswith(plain[1]):
                    blocks.append(lines[i])
                    i += 1
                if i < len(lines):
                    blocks.append(lines[i])
                    i += 1
            continue
        fence = match["fence"]
        closing = re.compile(rf"^{re.escape(fence[0])}{{{len(fence)},}}\s*$")
        j, depth = i + 1, []
        while j < len(lines):
            inner = FENCE.match(lines[j])
            if inner and inner["fence"][0] == fence[0] and len(inner["fence"]) <= len(fence):
                depth.append(inner["fence"])
            elif closing.match(lines[j]):
                if not depth:
                    break
                depth.pop()
            j += 1
        else:
            raise ValueError(f"directive {match['name']!r} is never closed")
        body, options = lines[i + 1 : j], {}
        while body and (option := OPTION.match(body[0])):
            options[option["key"]] = option["value"]
            body = body[1:]
        blocks.append((match["name"], match["argument"], options, "\n".join(body).strip("\n")))
        i = j + 1
    return blocks


def without_solutions(text):
    """Return a MyST page with a place to write instead of each solution, code and all."""
    kept, inside, closing = [], False, None
    for line in text.split("\n"):
        match = FENCE.match(line)
        if closing is not None:  # the end of a solution is a directive of its own
            if re.match(rf"^{closing}\s*$", line):
                inside, closing = False, None
        elif match and match["name"] in ("solution-start", "solution"):
            kept += ["+++", "", PLACE, "", "+++"]
            inside = True
            closing = match["fence"] if match["name"] == "solution" else None
        elif match and match["name"] == "solution-end":
            closing = match["fence"]
        elif not inside:
            kept.append(line)
    if inside:
        raise ValueError("a solution is never closed")
    return "\n".join(kept)


#: What stands in a student's notebook where the book has a solution.
PLACE = "*Your solution here.*"
SETUP = """\
# On Colab, and wherever the library is missing: install it from the book's repository.
import importlib.util
import subprocess
import sys

if importlib.util.find_spec("gdln") is None:
    source = "{source}"
    if "/OWNER/" in source:
        raise RuntimeError(
            "This copy of the book is not published, so there is no address to install gdln from: "
            "run `pip install -e '.[train,exact,interactive]'` in the folder of the book."
        )
    print("Installing gdln and what it needs: a minute or two ...")
    pip = [sys.executable, "-m", "pip", "install", "-q", source]
    if subprocess.run(pip).returncode:
        raise RuntimeError("gdln could not be installed; pip says why above. Nothing below can run.")\
"""


def setup_cell(revision):
    """Return the cell that installs the library where it is missing."""
    source = f"gdln[train,exact,interactive] @ git+{address()}@{revision}"
    return nbformat.v4.new_code_cell(SETUP.format(source=source), metadata={"tags": ["setup"]})


def surname(person):
    """Return a person's last name, with accents in place of LaTeX's commands."""
    return str(Text.from_latex(" ".join(person.prelast_names + person.last_names)))


class Labels:
    """Where every label of the book stands and what a reader sees for it, on the page and in the notebook.

    Links go to the pages in ``reachable`` only, to all of them unless given: elsewhere a page is named.
    """

    def __init__(self, sources, reachable=None):
        self.where, self.reachable, self.chapters = {}, reachable, chapter_numbers()
        self.anchors = {}  # of the heading above each label
        self.bibliography = parse_file(str(ROOT / "book" / "references.bib")).entries
        self.style = Style()  # made once: it looks for its plugins among all that is installed
        for source in sources:
            self._scan(source)

    def _scan(self, source):
        text = source.read_text()
        title = re.search(r"^# (.+)$", text, re.M)[1]
        known = set(self.where)
        self.where[str(source.relative_to(ROOT).with_suffix(""))] = (source, title)
        for label, heading in re.findall(r"^\(([\w-]+)\)=\n+#+ (.+)$", text, re.M):
            self.where[label] = (source, heading)
            self.anchors[label] = anchor(self._titled(source, heading, title))
        equations = re.findall(r"\$\$\s*\(([\w-]+)\)\s*$|```\{math\}\n:label: ([\w-]+)", text, re.M)
        for number, pair in enumerate(equations, 1):
            self.where["".join(pair)] = (source, f"({self._within(source, number)})")
        self._number(source, r"\{prf:(\w+)\}[^\n]*\n(?::[\w-]+:[^\n]*\n)*?:label: ([\w-]+)", text, KINDS)
        self._number(
            source,
            r"\{(exercise)(?:-start)?\}[^\n]*\n(?::[\w-]+:[^\n]*\n)*?:label: ([\w-]+)",
            text,
            {"exercise": "Exercise"},
        )
        figures = re.findall(
            r"^\s*name: (fig-[\w-]+)|\{figure\}[^\n]*\n(?::[\w-]+:[^\n]*\n)*?:name: (fig-[\w-]+)", text, re.M
        )
        for number, pair in enumerate(figures, 1):
            self.where["".join(pair)] = (source, f"Figure {self._within(source, number)}")
        headings = sections(text)
        for label in set(self.where) - known - set(self.anchors):
            place = re.search(rf"(?:label:|name:|\$\$ ?\() ?{re.escape(label)}\b", text)
            above = [heading for offset, heading in headings if place and offset < place.start()]
            self.anchors[label] = anchor(self._titled(source, above[-1], title)) if above else None

    def _number(self, source, pattern, text, kinds):
        counts = {}
        for kind, label in re.findall(pattern, text):
            if kind in kinds:
                counts[kind] = counts.get(kind, 0) + 1
                self.where[label] = (source, f"{kinds[kind]} {self._within(source, counts[kind])}")

    def _titled(self, source, heading, title):
        """Return a heading as the notebook shows it: the page's own has the chapter's number in front."""
        number = self.chapters.get(source) if heading == title else None
        return f"{number}. {heading}" if number else heading

    def _within(self, source, number):
        """Return a number as the pages show it: with its chapter's in front, where the chapter has one."""
        return f"{self.chapters[source]}.{number}" if source in self.chapters else str(number)

    def text(self, label):
        """Return what a label is called on its own page."""
        if label not in self.where:
            raise ValueError(f"label {label!r} stands in no chapter")
        return self.where[label][1]

    def link(self, label, here, text=None):
        """Return Markdown that points to a label: to its page, or to the heading above it on this one."""
        if label.startswith("/"):
            label = label[1:]
        elif label not in self.where:
            relative = os.path.normpath(here.parent.relative_to(ROOT) / label)
            label = relative if relative in self.where else label
        shown = text or self.text(label)
        source = self.where[label][0]
        if source == here:
            return f"[{shown}]({self.anchors[label]})" if self.anchors.get(label) else shown
        target = source.with_suffix(".ipynb") if "```{code-cell}" in source.read_text() else source
        if self.reachable is not None and source not in self.reachable:
            return shown
        return f"[{shown}]({os.path.relpath(target, here.parent)})"

    def cite(self, keys, style):
        """Return author and year of comma-separated citation keys, with a link to the list at the notebook's end."""
        shown = []
        for key in (k.strip() for k in keys.split(",")):
            if key not in self.bibliography:
                raise ValueError(f"citation {key!r} is not in book/references.bib")
            entry = self.bibliography[key]
            names = [surname(person) for person in entry.persons["author"]]
            who = (
                names[0]
                if len(names) == 1
                else " and ".join(names)
                if len(names) == 2
                else f"{names[0]} et al."
            )
            year = entry.fields["year"]
            shown.append(
                f"[{who} ({year})](#References)" if style == "t" else f"[{who}, {year}](#References)"
            )
        return ", ".join(shown) if style == "t" else f"({'; '.join(shown)})"

    def references(self, keys):
        """Return the list of the works with these keys, by their first author's name."""
        entries = [self.bibliography[key] for key in sorted(keys)]
        return "## References\n\n" + "\n".join(
            "- " + " ".join(entry.text.render(Backend()).split())
            for entry in self.style.format_entries(entries)
        )


class Converter:
    """Turns one chapter into its notebook."""

    def __init__(self, source, labels, setup, student=False):
        self.source, self.labels, self.setup, self.student = source, labels, setup, student
        self.in_solution = False  # between solution-start and solution-end, across cells
        self.fold_open = False  # inside <details>, which HTML cannot carry across cells
        self.cited = set()

    def notebook(self):
        """Return the reader's notebook."""
        text = self.source.read_text()
        notebook = jupytext.reads(without_solutions(text) if self.student else text, fmt="md:myst")
        cells = [self.setup]
        for cell in notebook.cells:
            if cell.cell_type == "markdown":
                text = self._markdown(cell.source)
                if text:
                    cells.append(nbformat.v4.new_markdown_cell(text))
            else:
                cells += self._code(cell)
        if self.cited:
            cells.append(nbformat.v4.new_markdown_cell(self.labels.references(self.cited)))
        for number, cell in enumerate(cells):
            cell["id"] = f"cell-{number:03d}"
        kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
        return nbformat.v4.new_notebook(cells=cells, metadata={**kernel, "language_info": {"name": "python"}})

    def _code(self, cell):
        metadata = {key: cell.metadata[key] for key in ("tags",) if key in cell.metadata}
        if self.in_solution:
            metadata["jupyter"] = {"source_hidden": True, "outputs_hidden": True}
        elif "hide-input" in metadata.get("tags", ()):  # plots and claims: the page folds them too
            metadata["jupyter"] = {"source_hidden": True}
        cells = [nbformat.v4.new_code_cell(cell.source, metadata=metadata)]
        figure = cell.metadata.get("mystnb", {}).get("figure", {})
        if "caption" in figure:
            name = self.labels.text(figure["name"]) if "name" in figure else "Figure"
            cells.append(
                nbformat.v4.new_markdown_cell(f"*{name}.* {self._inline(figure['caption']).strip()}")
            )
        return cells

    def _markdown(self, text):
        opening = ""
        if self.in_solution and not text.lstrip().startswith("```{solution-end}"):
            opening, self.fold_open = "<details><summary>Solution, continued</summary>\n\n", True
        text = opening + self._blocks(text)
        if number := self.labels.chapters.get(self.source):
            text = re.sub(r"^# ", f"# {number}. ", text, count=1, flags=re.M)
        if self.fold_open:
            text, self.fold_open = text.rstrip() + "\n\n</details>", False
        return re.sub(r"\n{3,}", "\n\n", text).strip()

    def _blocks(self, text):
        shown = [self._line(b) if isinstance(b, str) else self._directive(*b) for b in parse_blocks(text)]
        return self._display_math(self._inline("\n".join(shown)))

    def _line(self, line):
        if re.match(r"^\{\.[\w-]+\}\s*$", line):  # how the next block looks on a page
            return ""
        return f'<a id="{line.strip()[1:-2]}"></a>\n' if re.match(r"^\([\w-]+\)=\s*$", line) else line

    def _display_math(self, text):
        def tag(match):
            return f"$${match[1].rstrip()} \\tag{{{self.labels.text(match[2])[1:-1]}}}$$"

        return re.sub(r"\$\$((?:(?!\$\$).)+?)\$\$[ \t]*\(([\w-]+)\)[ \t]*$", tag, text, flags=re.S | re.M)

    def _inline(self, text):
        here, labels = self.source, self.labels

        def role(match):
            name, content = match[1], match[2]
            split = re.match(r"^(.*?)\s*<([^<>]+)>$", content, re.S)
            shown, target = (split[1], split[2]) if split else (None, content)
            if name in ("eq", "numref", "prf:ref"):
                return labels.link(target, here, None if name != "prf:ref" else shown)
            if name in ("ref", "doc"):
                return labels.link(target, here, shown)
            if name in ("cite:t", "cite:p", "cite"):
                self.cited |= {key.strip() for key in target.split(",")}
                return labels.cite(target, "t" if name == "cite:t" else "p")
            if name == "math":
                return f"${content}$"
            if name == "claim":
                return shown
            if name.removeprefix("py:") in ("func", "mod", "class", "meth", "attr", "data", "obj"):
                return f"`{content.lstrip('~')}`"
            raise ValueError(f"{here.name}: no plain Markdown known for the role {name!r}")

        return re.sub(r"\{([\w:]+)\}`([^`]+)`", role, text)  # content may run over a line

    def _directive(self, name, argument, options, body):
        argument = self._inline(argument)
        if name == "math":
            label = f" ({options['label']})" if "label" in options else ""
            return f"$$\n{body}\n$${label}"
        if name == "prf:proof":
            return f"*Proof.* {self._blocks(body)} ∎\n"
        if name.startswith("prf:"):
            title = f" ({argument})" if argument else ""
            shown = self.labels.text(options["label"]) if "label" in options else KINDS[name[4:]]
            return f"**{shown}**{title}**.** {self._blocks(body)}\n"
        if name in ("exercise-start", "exercise"):
            title = f" ({argument})" if argument else ""
            what = exercises.sentence(*exercises.described(options.get("class", "").split()))
            return f"**{self.labels.text(options['label'])}**{title}**.** *{what}*\n\n{self._blocks(body)}"
        if name in ("solution-start", "solution"):
            self.in_solution = self.fold_open = name == "solution-start"
            end = "" if self.in_solution else f"{self._blocks(body)}\n\n</details>"
            return f"<details><summary>Solution of {self.labels.text(argument)}</summary>\n\n{end}"
        if name == "solution-end":
            closing = "</details>\n" if self.fold_open else ""
            self.in_solution = self.fold_open = False
            return closing
        if name == "exercise-end":
            return ""
        if name == "admonition" or name in ADMONITIONS:
            title = argument if name == "admonition" else name.capitalize()
            if "dropdown" in options.get("class", ""):
                return f"<details><summary>{title}</summary>\n\n{self._blocks(body)}\n\n</details>\n"
            return f"**{title}.** {self._blocks(body)}\n"
        if name in ("figure", "image"):
            return f"![{options.get('alt', '')}]({argument})\n\n{self._blocks(body)}"
        if name == "dropdown":
            return f"<details><summary>{argument}</summary>\n\n{self._blocks(body)}\n\n</details>\n"
        if name == "explore":
            return self._explore(argument, options)
        if name in ("bibliography", "try-it", "formats"):  # its's cells can be changed and run as they are
            return ""
        raise ValueError(f"{self.source.name}: no plain Markdown known for the directive {name!r}")

    def _explore(self, module, options):
        """Return a sentence that leads to a figure which moves on the page only; a link once the book is published."""
        title = options["title"]
        if base := published():
            page = self.source.relative_to(ROOT).with_suffix(".html").as_posix()
            title = f"[{title}]({base.rstrip('/')}/{page}#explore-{module.replace('_', '-')})"
        twin = self.labels.text(options["twin"])
        return f"*A figure to move, on this chapter's page:* {title}. {twin} makes the same point.\n"


def write(source, labels, setup, student=False):
    """Return the text of a chapter's notebook with this first cell, for students without the exercises' solutions."""
    return nbformat.writes(Converter(source, labels, setup, student).notebook()) + "\n"


def pack(archive, notebooks):
    """Write notebooks, by the source they come from, into a zip with the folders of the book."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for source, text in notebooks.items():
            file.writestr(source.with_suffix(".ipynb").relative_to(ROOT).as_posix(), text)


def main():
    """Write, or with ``--check`` compare, the notebooks of all chapters or of those named."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--check", action="store_true", help="write nothing; fail when a notebook is out of step"
    )
    parser.add_argument(
        "--revision",
        default=branch(),
        help="commit or tag that the notebooks install, HEAD for this checkout's; the branch unless given",
    )
    parser.add_argument(
        "--zip", type=Path, help="write all notebooks into this archive and leave the tree alone"
    )
    parser.add_argument(
        "--students",
        type=Path,
        help="write notebooks without solutions into this folder and leave the tree alone",
    )
    parser.add_argument("sources", nargs="*", type=Path, help="chapters; all of _toc.yml unless given")
    options = parser.parse_args()
    listed = chapters()
    wanted = [path.resolve() for path in options.sources] or listed
    pages = [path for path in (ROOT / "book").rglob("*.md") if path.parent.name != "_ext"]
    labels, stale, setup = Labels(pages), [], setup_cell(resolve(options.revision, ROOT))
    if options.zip:
        pack(options.zip, {path: write(path, labels, setup) for path in wanted})
        return
    if options.students:
        for source in wanted:
            target = options.students / source.with_suffix(".ipynb").relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(write(source, labels, setup, student=True))
        print(f"{len(wanted)} notebooks without solutions: {options.students}")
        return
    for source in wanted:
        text = write(source, labels, setup)
        target = source.with_suffix(".ipynb")
        if target.is_file() and target.read_text() == text:
            continue
        stale.append(str(target.relative_to(ROOT)))
        if not options.check:
            target.write_text(text)
    sources = {path.with_suffix(".ipynb") for path in listed}
    orphans = [path for path in sorted((ROOT / "book").rglob("*.ipynb")) if path not in sources]
    orphans = [str(path.relative_to(ROOT)) for path in orphans if ".ipynb_checkpoints" not in path.parts]
    if options.check and orphans:
        sys.exit("without a chapter in _toc.yml (remove them, or add the chapter): " + ", ".join(orphans))
    if options.check and stale:
        sys.exit("out of step with their sources (run `make notebooks`): " + ", ".join(stale))
    print(f"{len(wanted)} notebooks in step" + (f", {len(stale)} rewritten" if stale else ""))


if __name__ == "__main__":
    main()

#!/usr/bin/env python
"""Put one sentence a line in the prose of the book, so that a changed sentence is a changed line in a diff.

Only line breaks within a paragraph move, which a page does not show: code (fenced, or set off by its indentation),
mathematics, tables and headings stay as they are. ``--check`` writes nothing and fails when a page is out of step.
"""

import argparse
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FENCE = re.compile(r"^\s*(`{3,}|:{3,})(\{[\w:.-]+\})?")
# Directives whose body is prose; the body of any other fence is copied.
PROSE = re.compile(
    r"^\{(admonition|prf:\w+|exercise[\w-]*|solution[\w-]*|note|tip|warning|important|seealso|dropdown|figure|margin)\}$"
)
OPTION = re.compile(r"^\s*:[\w-]+:")
ITEM = re.compile(r"^(\s*)([-*+]|\d+[.)])(\s+)")
KEPT = re.compile(r"^\s*(#|\||\(\S+\)=$|>|%|<)|^\s*$|^\s*---+\s*$")
# Mathematics, code and links hold full stops that end no sentence.
ATOM = re.compile(r"\{[\w:]+\}`[^`]*`|`+[^`]*`+|\$[^$]+\$|\]\([^)]*\)")
END = re.compile(r"[.!?][\"'”’)*_\]]*\s+(?=[\"'“‘(*_\[{]*(?:[A-Z0-9$`{]|\0))")
ABBREVIATION = re.compile(
    r"(?:^|[\s(])(?:e\.g|i\.e|cf|vs|al|App|Apps|Eq|Eqs|Fig|Figs|Sec|Secs|Ch|Prop|Thm|Lem|No|St|approx|resp|"
    r"Suppl|Ref|Refs|[A-Z])\.$"
)
BLOCK = re.compile(r"^([-+*]\s|\d+[.)]\s|#|>|\||:::|```|\$\$|=+$|-+$|\()")


def sentences(text):
    """Split a paragraph given as one line into its sentences."""
    masked = ATOM.sub(lambda m: "\0" + "x" * (len(m[0]) - 1), text)
    found, start = [], 0
    for match in END.finditer(masked):
        stop = match.end()
        head = masked[start : match.start() + 1]
        if ABBREVIATION.search(head) or BLOCK.match(text[stop:]):
            continue
        found.append(text[start:stop].rstrip())
        start = stop
    return [*found, text[start:]]


def reflow(text):
    """Return a MyST page with one sentence a line."""
    lines, out = text.split("\n"), []
    paragraph, indent, hang = [], "", ""
    opened = []  # fences of directives whose body is prose
    copied = None  # the fence whose body is copied
    in_math = in_head = False
    content = 0  # column at which the text of the list item above begins; four more make a block of code

    def flush():
        nonlocal paragraph
        if paragraph:
            first, *rest = sentences(" ".join(paragraph))
            out.append(indent + first)
            out.extend(hang + line for line in rest)
        paragraph = []

    for number, line in enumerate(lines):
        if line == "---" and (number == 0 or in_head):
            in_head = not in_head
            out.append(line)
            continue
        if in_head:
            out.append(line)
            continue
        if copied:
            out.append(line)
            if re.match(rf"^\s*{copied}\s*$", line):
                copied = None
            continue
        if in_math or line.strip().startswith("$$"):
            flush()
            out.append(line)
            if in_math:
                in_math = "$$" not in line
            else:
                in_math = line.count("$$") == 1
            continue
        fence = FENCE.match(line)
        if fence:
            flush()
            out.append(line)
            if fence[2] and PROSE.match(fence[2]):
                opened.append(fence[1])
            elif fence[2] is None and opened and opened[-1] == fence[1]:
                opened.pop()
            else:
                copied = fence[1]
            continue
        item = ITEM.match(line)
        column = len(line) - len(line.lstrip())
        if line.strip() and not paragraph:
            content = min(content, column)
        if line.strip() and not paragraph and column >= content + 4:
            out.append(line)  # a block of code, set off by its indentation
        elif OPTION.match(line) or KEPT.match(line):
            flush()
            out.append(line)
        elif item:
            flush()
            indent, hang = item[0], " " * len(item[0])
            content = len(hang)
            paragraph = [line[len(item[0]) :].strip()]
        elif paragraph:
            paragraph.append(line.strip())
        else:
            indent = hang = re.match(r"^\s*", line)[0]
            paragraph = [line.strip()]
    flush()
    return "\n".join(out)


def pages():
    """Return the prose sources of the book and of the problem sets."""
    pages = [*(ROOT / "book").rglob("*.md"), *(ROOT / "assignments").glob("*.md")]
    return sorted(path for path in pages if "_ext" not in path.parts)


def main():
    """Rewrite, or with ``--check`` only compare."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a page is out of step")
    parser.add_argument("sources", nargs="*", type=Path, help="pages; the whole book unless given")
    options = parser.parse_args()
    stale = []
    for path in options.sources or pages():
        before = path.read_text()
        after = reflow(before)
        if after != before:
            stale.append(str(path.resolve().relative_to(ROOT)))
            if not options.check:
                path.write_text(after)
    if options.check and stale:
        sys.exit("more or less than one sentence a line (run `make format`): " + ", ".join(stale))


if __name__ == "__main__":
    main()

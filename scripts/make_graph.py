"""Draw who imports whom in the library: a box a package, an arc a module, a line between packages with its number.

Writes ``book/_static/imports.svg`` from the code alone, the same bytes wherever it runs. ``--check`` only says whether
the picture is in step. Lines to the ground are left out, for nearly every module uses it.
"""

import argparse
import ast
import sys
from collections import Counter
from graphlib import TopologicalSorter
from pathlib import Path
from xml.sax.saxutils import escape

ROOT = Path(__file__).resolve().parent.parent
PICTURE = ROOT / "book" / "_static" / "imports.svg"
#: Packages by floor, top floor first; the ground has no folder.
FLOORS = (
    ("diagnosis",),
    ("race", "renormalization", "bottleneck", "convergence", "alignment", "synthesis"),
    ("linear", "kernels", "nets", "data"),
    ("ground",),
)
WIDTH, BOX, ROW, HEAD, GAP = 1120, 200, 19, 30, 84
COLOURS = ("#D55E00", "#0072B2", "#009E73", "#595959")  # those of the figures, one a floor


def modules(root):
    """Modules by package, and what each imports of the library, absolute imports only."""
    files = {}
    for path in sorted(root.joinpath("gdln").rglob("*.py")):
        parts = path.relative_to(root / "gdln").with_suffix("").parts
        if parts[-1] != "__init__":
            files[".".join(parts)] = path
    used = {}
    for name, path in files.items():
        found = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "gdln":
                stem = node.module.removeprefix("gdln").lstrip(".")
                whole = {f"{stem}.{alias.name}".lstrip(".") for alias in node.names}
                found |= (whole & set(files)) or {stem}
            elif isinstance(node, ast.Import):
                found |= {a.name.removeprefix("gdln.") for a in node.names if a.name.startswith("gdln.")}
        used[name] = sorted(found & set(files))
    packages = {}
    for name in files:
        packages.setdefault(home(name), []).append(name)
    return packages, used


def home(module):
    """Package of a module; the ground for those at the top of the library."""
    return module.split(".")[0] if "." in module else "ground"


def ordered(names, used):
    """Modules of a package, the imported before the importers, else by name."""
    sorter = TopologicalSorter({n: [m for m in used[n] if m in names] for n in names})
    sorter.prepare()
    order = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready())
        order += ready
        sorter.done(*ready)
    return order


def draw(root):
    """The picture as the text of an SVG file."""
    packages, used = modules(root)
    unknown = set(packages) - {package for floor in FLOORS for package in floor}
    if unknown:
        raise ValueError(f"packages without a floor in the picture: {sorted(unknown)}")
    boxes, parts, top = {}, [], 16
    for floor, names in enumerate(FLOORS):
        tallest = 0
        for k, package in enumerate(names):
            wide = package == "ground"
            width = WIDTH - 40 if wide else BOX
            lines = 1 if wide else len(packages[package])
            x = 20 if wide else (k + 0.5) * WIDTH / len(names) - BOX / 2
            boxes[package] = x, top, width, HEAD + ROW * lines + 10, COLOURS[floor]
            tallest = max(tallest, boxes[package][3])
        top += tallest + GAP
    height = top - GAP + 16
    between = Counter()
    for module, others in used.items():
        between.update((home(module), home(m)) for m in others if home(m) not in (home(module), "ground"))
    for (a, b), count in sorted(between.items()):
        parts += _line(boxes[a], boxes[b], count, a, b)
    for package, (x, y, width, tall, colour) in boxes.items():
        parts.append(
            f'<rect x="{x:.0f}" y="{y}" width="{width}" height="{tall}" rx="6" fill="#ffffff" stroke="{colour}" '
            'stroke-width="1.5"/>'
        )
        parts.append(_text(x + 12, y + 20, package, colour, "bold"))
        order = ordered(packages[package], used)
        if package == "ground":
            parts.append(_text(x + 12, y + HEAD + 14, "   ·   ".join(order), "#222222"))
            continue
        level = {name: y + HEAD + ROW * i + 14 for i, name in enumerate(order)}
        for name in order:
            parts.append(_text(x + 50, level[name], name.split(".")[1], "#222222"))
            for other in used[name]:
                if other in level:
                    parts.append(_arc(x + 46, level[name] - 4, level[other] - 4, colour))
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
        'aria-label="Import graph of the library" font-family="sans-serif" font-size="13">\n'
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="9" markerHeight="9" '
        'markerUnits="userSpaceOnUse" orient="auto">'
        '<path d="M0 0 8 4 0 8z" fill="context-stroke"/></marker></defs>\n'
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>\n{body}\n</svg>\n'
    )


def _text(x, y, words, colour, weight="normal"):
    return (
        f'<text x="{x:.0f}" y="{y:.0f}" fill="{colour}" font-weight="{weight}" xml:space="preserve">'
        f"{escape(words)}</text>"
    )


def _arc(x, start, end, colour):
    """From an importer up to the module it imports, wider for more distant ones."""
    bend = x - 7 - 26 * (1 - 1 / (1 + abs(start - end) / 60))
    return (
        f'<path d="M{x} {start:.0f}C{bend:.1f} {start:.0f} {bend:.1f} {end:.0f} {x} {end:.0f}" fill="none" '
        f'stroke="{colour}" stroke-opacity="0.6" marker-end="url(#tip)"/>'
    )


def _line(source, target, count, name, other):
    """From a package down to one it uses, thicker for more imports; sideways on one floor."""
    x, y, width, tall, colour = source
    u, v, w, h, _ = target
    if y == v:
        start, end = (x + width, y + 20), (u, v + 20)
        if x > u:
            start, end = (x, y + 20), (u + w, v + 20)
    else:
        share = 0.2 + 0.6 * (u + w / 2) / WIDTH
        start, end = (x + width * share, y + tall), (u + w * (0.1 + 0.8 * (x + width / 2) / WIDTH), v)
    middle = 0.7 * start[0] + 0.3 * end[0], 0.7 * start[1] + 0.3 * end[1]
    return [
        f'<path d="M{start[0]:.0f} {start[1]:.0f}L{end[0]:.0f} {end[1]:.0f}" stroke="{colour}" '
        f'stroke-width="{1 + 0.3 * count:.1f}" marker-end="url(#tip)">'
        f"<title>{name} imports {other}: {count}</title></path>",
        _text(middle[0] + 4, middle[1], str(count), colour),
    ]


def main():
    """Write the picture, or check it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--check", action="store_true", help="only say whether the picture is in step")
    text = draw(ROOT)
    if not parser.parse_args().check:
        PICTURE.write_text(text, encoding="utf-8")
    elif not PICTURE.is_file() or PICTURE.read_text(encoding="utf-8") != text:
        sys.exit("book/_static/imports.svg is not in step with the imports: run `make graph`")


if __name__ == "__main__":
    main()

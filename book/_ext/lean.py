"""Pages that load only what they use: of the theme's styles the rules that some page needs, of its icons those shown.

The theme brings a style sheet for every component it knows, an icon library of 1.5 MB, and scripts for widgets that no
page has. Here each page loads the scripts whose elements it holds, the style sheets are cut to the selectors that can
match, icons become masks in a sheet of a few KB, and of MathJax the builds that no page asks for are left out.
"""

import json
import re
import shutil
from pathlib import Path
from urllib.parse import quote

#: Scripts that serve an element, and what a page holds that needs them.
NEEDS = {
    "design-tabs.js": "sd-tab-set",
    "togglebutton.js": "dropdown",
    "copybutton.js": "highlight",
    "clipboard.min.js": "highlight",
    "mathjax/tex-chtml.js": 'class="math',
    "window.MathJax": 'class="math',
}
#: Scripts and inline scripts that no page needs: code runs in the Try-it boxes and in notebooks.
DROPPED = ("thebe",)
#: Style sheets of our own; all others are cut to what can match.
OURS = ("book.css", "explore.css", "icons.css")
#: First words of a style sheet that has been cut.
MARK = '@charset "UTF-8";/* cut to what the pages use */'
#: A page without scripts says ``auto``; it gets the light colours.
BARE, BARE_OR_AUTO = "html:not([data-theme])", "html:is(:not([data-theme]),[data-theme=auto])"
#: Parts of MathJax that some page, or its menu, can ask for beside the one script that holds the others.
MATHJAX = (
    "tex-chtml.js",
    "input/tex/extensions/",
    "input/mml",
    "output/chtml/fonts/woff-v2/",
    "a11y/",
    "sre/",
    "ui/",
)
#: Parts among them that the one script holds already, or that read what no page is written in.
HELD = (
    "input/tex/extensions/all-packages.js",
    "input/mml/extensions/",
    "ui/menu.js",
    "a11y/assistive-mml.js",
)
#: What a screen reader is given of a formula: in the book's language, and in Braille.
SPEECH = ("base", "en", "nemeth")


def rules(text):
    """Yield ``(prelude, body)`` of each rule in style-sheet text; a statement without a block has no body."""
    start, place, depth, opened = 0, 0, 0, 0
    for token in re.finditer(r'"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'|url\([^"\'()]*\)|[{};]', text):
        mark, place = token[0], token.end()
        if mark == "{":
            depth += 1
            if depth == 1:
                opened = place
        elif mark == "}":
            depth -= 1
            if depth == 0:
                yield text[start : opened - 1].strip(), text[opened : place - 1]
                start = place
        elif mark == ";" and depth == 0:
            yield text[start : place - 1].strip(), None
            start = place


def _can_match(selector, words):
    bare = re.sub(r"\[[^\]]*\]", "", selector)
    while (
        plain := re.sub(r":[\w-]+\([^()]*\)", "", bare)
    ) != bare:  # what :not() and :is() hold need not be there
        bare = plain
    return all(name.replace("\\", "") in words for name in re.findall(r"[.#]((?:\\.|[\w-])+)", bare))


def _selectors(prelude):
    parts, depth, start = [], 0, 0
    for place, mark in enumerate(prelude):
        depth += (mark in "([") - (mark in ")]")
        if mark == "," and depth == 0:
            parts.append(prelude[start:place])
            start = place + 1
    return [*parts, prelude[start:]]


def cut(text, words):
    """Return style-sheet text without the rules that match no class or id among the words, and without icon fonts."""
    kept = []
    for prelude, body in rules(re.sub(r"/\*.*?\*/", "", text, flags=re.S)):
        if body is None:
            kept.append(f"{prelude};" if not prelude.startswith("@charset") else "")
        elif prelude.startswith(("@media", "@supports", "@layer")):
            if inner := cut(body, words):
                kept.append(f"{prelude}{{{inner}}}")
        elif prelude.startswith("@font-face"):
            if "Font Awesome" not in body and "FontAwesome" not in body:
                kept.append(f"{prelude}{{{body}}}")
        elif prelude.startswith("@"):
            kept.append(f"{prelude}{{{body}}}")
        elif left := [part for part in _selectors(prelude) if _can_match(part, words)]:
            kept.append(f"{','.join(left)}{{{body}}}")
    return "".join(kept)


def _glyphs(library):
    """Return each icon as ``{name: (width, height, outline)}``; of several styles the last, solid, stays."""
    entry = r'"?([a-z0-9-]+)"?:\[(\d+),(\d+),\[([^\]]*)\],"[0-9a-f]+",("[^"]*")\]'
    glyphs = {}
    for name, width, height, others, outline in re.findall(entry, library):
        for called in (name, *re.findall(r'"([^"]*)"', others)):
            glyphs[called] = width, height, json.loads(outline)
    return glyphs


def icons(names, library):
    """Return a style sheet that draws the named icons of a library as masks, in the colour of the text."""
    glyphs = _glyphs(library)
    lines = [
        '[class^="fa-"]::before,[class*=" fa-"]::before{content:"";display:inline-block;width:1.1em;height:1em;'
        "vertical-align:-.125em;"
        "background:currentColor;--mask:var(--icon) center/contain no-repeat;-webkit-mask:var(--mask);mask:var(--mask)}"
    ]
    for name in sorted(set(names) & set(glyphs)):
        width, height, outline = glyphs[name]
        drawing = f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {height}'><path d='{outline}'/></svg>"
        lines.append(f'.fa-{name}{{--icon:url("data:image/svg+xml,{quote(drawing, safe=_PLAIN)}")}}')
    return "\n".join(lines) + "\n"


_PLAIN = " =:/'"


def _templates(app, config):
    config.templates_path.append(str(Path(__file__).resolve().parent.parent / "_templates"))


def _choose_scripts(app, pagename, templatename, context, doctree):
    body, kept = context.get("body", ""), []
    for script in context.get("script_files", []):
        name, inline = (
            str(getattr(script, "filename", "") or ""),
            str(getattr(script, "attributes", {}).get("body") or ""),
        )
        if any(word in (name + inline).lower() for word in DROPPED):
            continue
        if all(need in body for key, need in NEEDS.items() if name.endswith(key) or inline.startswith(key)):
            kept.append(script)
    context["script_files"] = kept
    context["css_files"] = [
        sheet
        for sheet in context.get("css_files", [])
        if not any(word in str(getattr(sheet, "filename", sheet)) for word in DROPPED)
    ]


def _finish(app, error):
    if error is not None or app.builder.name != "html":
        return
    out, static = Path(app.outdir), Path(app.outdir, "_static")
    pages = "\n".join(page.read_text("utf-8") for page in out.rglob("*.html"))
    words = {word for value in re.findall(r'\b(?:class|id)="([^"]*)"', pages) for word in value.split()}
    shown = {word[3:] for word in words if word.startswith("fa-")}
    for script in static.glob("**/*.js"):
        if "mathjax" not in script.parts and "vendor" not in script.parts and script.name != "fontawesome.js":
            words |= set(re.findall(r"[\w-]+", script.read_text("utf-8")))
    for sheet in static.rglob("*.css"):
        name = sheet.relative_to(static).as_posix()
        if name not in OURS and "mathjax" not in sheet.parts and "vendor" not in sheet.parts:
            sheet.write_text(
                MARK + cut(_original(app, name).replace(BARE, BARE_OR_AUTO), words), encoding="utf-8"
            )
    library = _original(app, "scripts/fontawesome.js")
    (static / "icons.css").write_text(icons(shown | {"xmark"}, library), encoding="utf-8")
    _leave_out(static)
    for picture in out.glob("_images/*"):  # of an earlier build
        if picture.name not in pages:
            picture.unlink()


def _original(app, name):
    """Return the text of a static file as it was copied: what lies in the book may be cut by an earlier build."""
    here, kept = Path(app.outdir, "_static", name), Path(app.doctreedir, "originals", name)
    if here.is_file() and not (text := here.read_text("utf-8")).startswith(MARK):
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(text, encoding="utf-8")
    return kept.read_text("utf-8")


def _leave_out(static):
    """Remove what no page loads."""
    for path in [
        static / "scripts" / "fontawesome.js",
        static / "vendor" / "fontawesome",
        static / "webpack-macros.html",
        static / "locales",
    ]:
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    for path in static.rglob("*.map"):
        path.unlink()
    mathjax = static / "mathjax"
    for path in (mathjax / "sre" / "mathmaps").glob("*.json"):
        if path.stem not in SPEECH:
            path.unlink()
    for path in list(mathjax.rglob("*")):
        name = path.relative_to(mathjax).as_posix()
        if path.is_file() and (name.startswith(HELD) or not name.startswith(MATHJAX)):
            path.unlink()


def setup(app):
    """Register the hooks: scripts after all others have added theirs, the rest when all is written."""
    app.connect("config-inited", _templates)
    app.connect("html-page-context", _choose_scripts, priority=950)
    app.connect("build-finished", _finish, priority=900)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}

"""Words and symbols that explain themselves: the first use of each in a chapter is a link that shows its definition.

Words are those of the glossary (``{glossary}`` in ``book/glossary.md``), symbols those of the tables of
``book/notation.md``, whose rows become addresses. A word is marked in running text alone, never in a heading, a
caption, code or a link; a symbol where a formula in the text is that symbol and nothing more. A chapter knows the
symbols of the table *All parts* and of those whose heading names its part. Greek symbols can be searched by letter and
by name.

The definitions used on a page travel with it, and ``definitions.js`` shows them; without the script they are links.
"""

import json
import re
import unicodedata

from docutils import nodes
from sphinx import addnodes
from tables import chapter_numbers, parts_of

#: Where words and symbols are defined.
GLOSSARY, NOTATION = "book/glossary", "book/notation"
#: The table whose symbols keep their meaning through the book.
EVERYWHERE = "All parts"
#: Beginnings of words that say nothing of what a text is about.
COMMON = set(
    "that this from with each over same their them wher when whic into only than then case line firs seco last othe "
    "befo afte".split()
)
#: What a word is never marked in.
APART = (
    nodes.title, nodes.literal, nodes.literal_block, nodes.reference, nodes.math, nodes.math_block, nodes.caption,
    nodes.legend, nodes.raw, nodes.term, nodes.rubric, nodes.strong, addnodes.pending_xref,
)  # fmt: skip


def parts_of_text(nodes_found):
    """Return text and formulas as pairs of a kind, ``text`` or ``math``, and a string."""
    found = []
    for node in nodes_found:
        for leaf in node.findall(lambda n: isinstance(n, (nodes.Text, nodes.math))):
            if isinstance(leaf, nodes.math):
                found.append(("math", leaf.astext()))
            elif not isinstance(leaf.parent, nodes.math):
                found.append(("text", leaf.astext()))
    return found


def plain_text(parts):
    """Return the text of a definition without its formulas."""
    return "".join(part for kind, part in parts if kind == "text")


def sentence(paragraph, formula):
    """Return the text, formulas left out, of the sentence of a paragraph in which a formula stands."""
    before, after, reached = "", "", False
    for leaf in paragraph.findall(lambda n: isinstance(n, (nodes.Text, nodes.math))):
        if leaf is formula:
            reached = True
        elif isinstance(leaf, nodes.Text) and not isinstance(leaf.parent, nodes.math):
            before, after = (before, after + leaf.astext()) if reached else (before + leaf.astext(), after)
    end = r"[.?!]\s"
    return re.split(end, before)[-1] + " " + re.split(end, after)[0]


def same(latex):
    """Return a formula without the spaces that do not change it."""
    return re.sub(r"\s+|\\[,;!]", "", latex)


def greek(latex):
    """Return letter and name of the Greek letter that a symbol begins with, or None.

    ``\\hat\\varkappa_i`` gives ``("κ", "kappa")``.
    """
    for name in re.findall(r"\\([A-Za-z]+)", latex):
        kind = "CAPITAL" if name[0].isupper() else "SMALL"
        plain = name.removeprefix("var").upper()
        try:
            return unicodedata.lookup(
                f"GREEK {kind} LETTER {'LAMDA' if plain == 'LAMBDA' else plain}"
            ), plain.lower()
        except KeyError:
            continue
    return None


def words_of(doctree):
    """Return what a page's glossary defines: by word, its address, first name, definition and the parts it links to.

    The definition ends where ``; see`` leads to chapters.
    """
    found = {}
    for glossary in doctree.findall(addnodes.glossary):
        for item in glossary.findall(nodes.definition_list_item):
            terms = [child for child in item.children if isinstance(child, nodes.term)]
            said = item.children[-1].astext().partition("; see ")[0].rstrip(".")
            links = [node["reftarget"] for node in item.children[-1].findall(addnodes.pending_xref)]
            homes = {target.split("/")[-2] for target in links if "/" in target}
            for term in terms:
                name, shown = terms[0].astext(), [("text", f"{said}.")]
                found[term.astext()] = term["ids"][0], name, shown, homes
    return found


def symbols_of(doctree):
    """Give every row of the page's tables an address, and return what they define: by table and symbol, rows."""
    found = {}
    for section in doctree.findall(nodes.section):
        head = section[0].astext()
        for table in [child for child in section.children if isinstance(child, nodes.table)]:
            for row in table[0][-1].children:
                symbols = [node.astext() for node in row[0].findall(nodes.math)]
                if not symbols:
                    continue
                anchor = nodes.make_id(f"symbol-{head}-{symbols[0]}")
                while anchor in doctree.ids:
                    anchor += "-2"
                row["ids"].append(anchor)
                doctree.ids[anchor] = row
                text, code = parts_of_text(row[1].children), row[3].astext() if len(row) > 3 else ""
                names = []  # a row of several symbols says of which, for it lists their meanings in that order
                for symbol in symbols if len(symbols) > 1 else ():
                    names += [
                        ("math", symbol),
                        ("text", ": " if len(names) == 2 * len(symbols) - 2 else ", "),
                    ]
                for symbol in symbols:
                    found.setdefault(head, {}).setdefault(same(symbol), []).append(
                        (anchor, text, code, names)
                    )
    return found


def _read(app, doctree):
    """Take the definitions out of the two pages that have them."""
    env = app.env
    if env.docname == GLOSSARY:
        env.gdln_words = words_of(doctree)
    elif env.docname == NOTATION:
        env.gdln_symbols = symbols_of(doctree)
        index = env.get_domain("index").entries.setdefault(NOTATION, [])  # a node would come too late here
        for symbols in env.gdln_symbols.values():
            for symbol, rows in symbols.items():
                if letter := greek(symbol):
                    for anchor, text, _, _ in rows:
                        meaning = plain_text(text).strip(" ,")
                        entry = ("single", f"{letter[1]}; {letter[0]}, {meaning}", anchor, "", None)
                        index.append(entry)


def _outdated(app, env):
    """Have every page written again when a definition has changed."""
    now = getattr(env, "gdln_words", {}), getattr(env, "gdln_symbols", {})
    before, env.gdln_defined = getattr(env, "gdln_defined", None), now
    return sorted(env.found_docs) if before != now else []


def known(symbols, caption):
    """Return the symbols of a part: those of all parts, and of the tables whose headings name it."""
    found = {}
    for head, table in symbols.items():
        if head == EVERYWHERE or caption.lower() in head.lower():
            for symbol, rows in table.items():
                found.setdefault(symbol, []).extend(rows)
    return found


def fitting(words, part):
    """Return the words to mark in a part: plain ones such as *path* mean something else in other parts than their own.

    Those of the foundations, of several words, with a hyphen or with capitals inside mean the same everywhere.
    """
    return {
        word: found
        for word, found in words.items()
        if {part, "foundations"} & found[3] or not re.fullmatch(r"[A-Z]?[a-z]+", word)
    }


def pattern(words):
    """Return what finds any of these words, the longest first, with a capital letter or none."""

    def either(word):
        return f"[{word[0].upper()}{word[0].lower()}]{re.escape(word[1:])}".replace(r"\ ", r"\s+")

    return re.compile(rf"(?<![\w-])({'|'.join(map(either, sorted(words, key=len, reverse=True)))})(?![\w-])")


def _apart(node):
    """Whether a text stands where nothing is marked."""
    while node is not None:
        if isinstance(node, APART) or "tip" in getattr(node, "attributes", {}).get("classes", ()):
            return True
        node = node.parent
    return False


def mark_words(doctree, words, address):
    """Mark the first use of each word, and return the definitions of those found, by address."""
    if not words:
        return {}
    finder, plain, used = pattern(words), {" ".join(w.split()).lower(): w for w in words}, {}
    for paragraph in list(doctree.findall(nodes.paragraph)):
        for text in list(paragraph.findall(nodes.Text)):
            if _apart(text.parent):
                continue
            parts, last = [], 0
            for match in finder.finditer(text):
                anchor, name, definition, _ = words[plain[" ".join(match[1].split()).lower()]]
                uri = f"{address}#{anchor}"
                if any(shown == name for shown, _ in used.values()):
                    continue
                used[uri] = name, [definition]
                link = nodes.reference("", match[1], internal=True, refuri=uri, classes=["defined"])
                parts += [nodes.Text(text[last : match.start()]), link]
                last = match.end()
            if parts:
                parts.append(nodes.Text(text[last:]))
                text.parent.replace(text, [part for part in parts if part.astext()])
    return {uri: definitions for uri, (_, definitions) in used.items()}


def stems(text):
    """Return what the longer words of a text begin with."""
    return {word[:4].lower() for word in re.findall(r"[A-Za-z]{4,}", text)} - COMMON


def mark_symbols(doctree, symbols, address):
    """Mark the first formula that is one of the symbols, for each of them, and return the definitions, by address.

    A letter can mean something else for a few lines: a row is taken only where the sentence shares a word with it.
    """
    used, seen = {}, set()
    for paragraph in list(doctree.findall(nodes.paragraph)):
        for formula in list(paragraph.findall(nodes.math)):
            symbol = same(formula.astext())
            if symbol not in symbols or symbol in seen or _apart(formula.parent):
                continue
            here = stems(sentence(paragraph, formula))
            rows = [row for row in symbols[symbol] if here & stems(plain_text(row[1]))]
            if not rows:
                continue
            seen.add(symbol)
            uri = f"{address}#{rows[0][0]}"
            used[uri] = [names + text + ([("code", code)] if code else []) for _, text, code, names in rows]
            link = nodes.reference("", "", internal=True, refuri=uri, classes=["defined", "symbol"])
            formula.replace_self(link)
            link += formula
    return used


def _resolve(app, doctree, docname):
    """Mark words and symbols in a chapter; make Greek symbols findable on their own page."""
    env, builder = app.env, app.builder
    if builder.format != "html" or builder.name == "epub":
        return
    if docname == NOTATION:
        entries = []
        for symbols in getattr(env, "gdln_symbols", {}).values():
            for symbol, rows in symbols.items():
                for name in greek(symbol) or ():
                    entries.append(("single", name, rows[0][0], "main", None))
        doctree.append(addnodes.index(entries=entries))
    if docname not in chapter_numbers(env):
        return
    part = docname.split("/")[-2]
    captions = {folder: caption for caption, folder in parts_of(app.srcdir)}
    symbols = known(getattr(env, "gdln_symbols", {}), captions[part])
    used = mark_symbols(doctree, symbols, builder.get_relative_uri(docname, NOTATION))
    words = fitting(getattr(env, "gdln_words", {}), part)
    used |= mark_words(doctree, words, builder.get_relative_uri(docname, GLOSSARY))
    app.gdln_used = getattr(app, "gdln_used", {}) | {docname: used}


def _send(app, pagename, templatename, context, doctree):
    """Put the definitions of a page, and the script that shows them, into it."""
    used = getattr(app, "gdln_used", {}).get(pagename)
    if used:
        data = json.dumps(used, ensure_ascii=False).replace("</", "<\\/")
        context["body"] += f'<script type="application/json" id="definitions">{data}</script>'
        app.add_js_file("definitions.js", loading_method="defer")


def setup(app):
    """Register the hooks; marking comes after references are resolved."""
    app.connect("doctree-read", _read)
    app.connect("env-updated", _outdated)
    app.connect("doctree-resolved", _resolve, priority=800)
    app.connect("html-page-context", _send)
    return {"version": "1", "env_version": 4, "parallel_read_safe": False, "parallel_write_safe": False}

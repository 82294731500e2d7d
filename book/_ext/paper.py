"""The printed book: what the LaTeX builder gets where a page of the web cannot be printed as it stands.

Chapters bear the numbers of the web; pages before and after them bear none. Theorems, proofs and exercises are set
without Sphinx's boxes, each chapter's solutions stand at the book's end. The ledger, the reference of the library and
the versions of the build are pages to look things up in: a sentence says where they are. ``make pdf`` runs it.
"""

import json
from pathlib import Path

from docutils import nodes
from sphinx import addnodes
from sphinx.builders.latex.nodes import thebibliography
from sphinx.util.texescape import escape
from sphinx_exercise.nodes import (
    exercise_enumerable_node,
    exercise_latex_number_reference,
    exercise_node,
    solution_node,
)
from sphinx_proof.nodes import NODE_TYPES, proof_node

#: Pages that are looked things up in, not read, by the beginning of their names.
ON_THE_WEB = ("book/ledger", "book/api", "book/execution", "book/run", "book/finding", "book/lists")
STATEMENTS = tuple(NODE_TYPES.values())


def latex(text):
    """Return a node of LaTeX as it stands."""
    return nodes.raw("", text, format="latex")


def label(docname, name):
    """Return the LaTeX of a target that Sphinx's references find."""
    return rf"\phantomsection\label{{\detokenize{{{docname}:{name}}}}}"


def number(app, docname, kind, name):
    """Return what the page of the web prints before the title of a theorem or an exercise."""
    found = app.env.toc_fignumbers.get(docname, {}).get(kind, {}).get(name, ())
    return ".".join(map(str, found))


def formula(node):
    """Return the LaTeX of mathematics in a title; in the outline beside the pages its letters and digits."""
    plain = "".join(c for c in node.astext().replace("\\", " ") if c.isalnum() or c in " =+-").strip()
    return rf"\texorpdfstring{{\({node.astext()}\)}}{{{plain}}}"


def in_latex(node):
    """Return the LaTeX of a title, mathematics and all."""
    parts = []
    for child in node.children:
        if isinstance(child, nodes.math):
            parts.append(formula(child))
        elif isinstance(child, nodes.raw):
            parts.append(child.astext())
        else:
            parts.append(escape(child.astext(), "xelatex"))
    return "".join(parts)


def enclosed(environment, argument, inside, before=""):
    """Return nodes of an environment around others."""
    opening = rf"{before}\begin{{{environment}}}" + (f"{{{argument}}}" if argument is not None else "")
    return [latex(opening), *inside, latex(rf"\end{{{environment}}}")]


def files(app, tree):
    """Return the subtree of each page in the assembled book; parts are none."""
    return [page for page in tree.findall(addnodes.start_of_file) if page["docname"] in app.env.found_docs]


def print_page(app, tree, _docname):
    """Turn the assembled book into what is printed."""
    if app.builder.name != "latex":
        return
    for node in tree.findall(
        nodes.Element
    ):  # the parts were put together without saying whose child is whose
        for child in node.children:
            child.parent = node
    for node in list(tree.findall(nodes.literal_block)):  # what is left of a figure that only a browser draws
        if node.astext().startswith("<IPython.core.display."):
            node.parent.remove(node)
    for node in list(tree.findall(nodes.container)):
        if "cell_output" in node["classes"]:
            one_block(node)
    for table in list(tree.findall(nodes.table)):  # a list: the tree changes on the way
        widths_by_content(table)
    for node in list(tree.findall(nodes.literal)):
        if not isinstance(node.parent, nodes.title):
            node.replace_self(latex(breakable(node.astext())))
    for title in tree.findall(nodes.title):
        for node in list(title.findall(nodes.math)):
            node.replace_self(latex(formula(node)))
    numbered = set(
        app.env.toc_secnumbers and [d for d, n in app.env.toc_secnumbers.items() if any(n.values())]
    )
    solutions, printed = [], {}
    for page in files(app, tree):
        docname = page["docname"]
        if docname.startswith(ON_THE_WEB):
            only_named(app, page)
        if docname == "book/bibliography":  # LaTeX gives the list a title of its own
            page[:] = list(page.findall(thebibliography))
        depth = 0 if docname in numbered else -1
        page.insert(0, latex(rf"\setcounter{{secnumdepth}}{{{depth}}}"))
        found = boxes(app, page, docname, printed)
        if found:
            solutions.append((docname, found))
    references(app, tree)
    if solutions:
        append_solutions(app, tree, solutions)
    Path(app.outdir, "numbers.json").write_text(json.dumps(printed, indent=1))


def one_block(output):
    """Join what a cell said, a claim a line, to one block."""
    said = [child for child in output.children if isinstance(child, nodes.literal_block)]
    for first, second in zip(said[-2::-1], said[:0:-1], strict=True):
        if output.index(second) == output.index(first) + 1 and first["classes"] == second["classes"]:
            text = f"{first.astext().rstrip()}\n{second.astext()}"
            output.remove(second)
            first.rawsource, first[:] = text, [nodes.Text(text)]


def breakable(code):
    """Return the LaTeX of code in a line, which may break behind a dot, an underscore or a slash."""
    text = escape(code, "xelatex").replace("-", r"\sphinxhyphen{}")
    for mark in (r"\_", ".", "/", "="):
        text = text.replace(mark, mark + r"\allowbreak{}")
    return rf"\sphinxcode{{\sphinxupquote{{{text}}}}}"


def widths_by_content(table):
    """Give the columns of a table widths by what stands in them, so that no table leaves the page."""
    longest = None
    for row in table.findall(nodes.row):
        lengths = [max((len(line) for line in entry.astext().split("\n")), default=0) for entry in row]
        longest = lengths if longest is None else [max(pair) for pair in zip(longest, lengths, strict=False)]
    if not longest:
        return
    shares = [min(max(length, 4), 60) for length in longest]
    columns = "".join(rf"\X{{{share}}}{{{sum(shares)}}}" for share in shares)
    table.parent.insert(table.parent.index(table), addnodes.tabular_col_spec(spec=columns))


def only_named(app, page):
    """Leave of a page its title and where to find it; references to what stood there name it."""
    section = next(page.findall(nodes.section))
    address = f"{app.config.gdln_site}/{page['docname']}.html" if app.config.gdln_site else None
    where = nodes.paragraph("", "This page is one to look things up in, and stands in the book on the web")
    where += (
        [nodes.Text(": "), nodes.reference("", address, refuri=address), nodes.Text(".")]
        if address
        else [nodes.Text(".")]
    )
    section[:] = [section.children[0], where]


def boxes(app, page, docname, printed):
    """Set theorems, proofs and exercises of a page, and take its solutions out; return these."""
    for node in list(page.findall(proof_node)):
        node.replace_self(enclosed("gdlnproof", None, node.children[0].children))
    for node in list(page.findall(lambda n: isinstance(n, STATEMENTS))):
        shown = number(app, docname, node["countertype"], node["label"])
        title = in_latex(node.children[0])
        head = f"{node['realtype'].title()} {shown}".strip() + (f" {title.strip()}" if title.strip() else "")
        node.replace_self(
            enclosed("gdlnstatement", head, node.children[1].children, label(docname, node["label"]))
        )
    taken = []
    for node in list(page.findall(solution_node)):
        taken.append((node["target_label"], node.children[1:]))
        pointer = (
            rf"\noindent\hyperref[\detokenize{{solution:{node['target_label']}}}]{{\small Solution: page "
        )
        pointer += rf"\pageref{{\detokenize{{solution:{node['target_label']}}}}}}}\par"
        node.replace_self(latex(pointer))
    for node in list(page.findall(lambda n: isinstance(n, exercise_node | exercise_enumerable_node))):
        head = in_latex(node.children[0])
        name = rf"\phantomsection\label{{exercise:{node['label']}}}" + label(docname, node["label"])
        node.replace_self(enclosed("gdlnexercise", head, node.children[1:], name))
    for kind, pattern in (("displaymath", "equation:{}:{}"), ("figure", "{}:{}")):
        for name, digits in app.env.toc_fignumbers.get(docname, {}).get(kind, {}).items():
            name = name.removeprefix("equation-")
            printed[pattern.format(docname, name)] = ".".join(map(str, digits))
    return taken


def references(app, tree):
    """Turn references to what is not printed into their words, and give exercises their numbers."""
    for node in list(tree.findall(exercise_latex_number_reference)):
        name = node["refid"]
        shown = number(app, app.env.sphinx_exercise_registry[name]["docname"], "exercise", name)
        node.replace_self(latex(rf"\hyperref[exercise:{name}]{{Exercise {shown}}}"))
    for node in list(tree.findall(nodes.reference)):
        target = node.get("refuri", "").lstrip("%")
        docname, _, name = target.partition("#")
        if not node.get("internal") or not name:
            continue
        if target.startswith(ON_THE_WEB) or name.startswith("explore-"):  # what moves is not on paper
            node.replace_self(node.children)
        elif name.startswith("equation-"):  # a link of our own, where Sphinx's carry the label of LaTeX
            shown = "".join(child.astext() for child in node.children)
            label = f"equation:{docname}:{name.removeprefix('equation-')}"
            node.replace_self(latex(rf"\hyperref[\detokenize{{{label}}}]{{{escape(shown, 'xelatex')}}}"))


def append_solutions(app, tree, solutions):
    """Put the solutions behind the last chapter, by chapter and exercise, each with the way back."""
    titles = app.env.titles
    inside = [latex(r"\setcounter{secnumdepth}{-1}\chapter{Solutions}")]
    for docname, found in solutions:
        page = addnodes.start_of_file(docname=docname)  # so that references find what stands on the same page
        page += latex(rf"\section{{{in_latex(titles[docname])}}}")
        for name, children in found:
            head = rf"\hyperref[exercise:{name}]{{Exercise {number(app, docname, 'exercise', name)}}}"
            where = rf"\phantomsection\label{{\detokenize{{solution:{name}}}}}"
            page += enclosed("gdlnsolution", head, children, where)
        keep_numbers(app, page)
        inside.append(page)
    numbered = [page for page in files(app, tree) if page["docname"] == solutions[-1][0]]
    numbered[-1].parent.insert(numbered[-1].parent.index(numbered[-1]) + 1, inside)


def keep_numbers(app, page):
    """Give figures and equations that moved the numbers they have on their page."""
    for node in list(page.findall(lambda n: isinstance(n, nodes.figure | nodes.math_block))):
        kind, counter = (
            ("figure", "figure") if isinstance(node, nodes.figure) else ("displaymath", "equation")
        )
        shown = [number(app, page["docname"], kind, name) for name in node["ids"]]
        if any(shown):
            place = node.parent.index(node)
            node.parent.insert(place, latex(rf"\renewcommand{{\the{counter}}}{{{max(shown)}}}"))


def setup(app):
    """Register what is done before the book is printed."""
    app.add_config_value("gdln_site", "", "env")
    app.connect("doctree-resolved", print_page, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

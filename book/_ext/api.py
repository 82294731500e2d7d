"""The reference: a page a package, with its story, summaries, headings, and at each function the chapters that use it.

A page of the reference holds ``{package} gdln.race`` and nothing more: before it is parsed, that line becomes the
package's docstring, a summary of what the package itself exports, a section a module in the order in which the
docstring names them, and the constants at the end. Only what a module defines, documents and does not mark as its own
with an underscore is shown. A package without a page and a page without a package are warnings, so the strict build
fails. ``{packages}`` lists all pages of the reference.

Which chapters use a function is read from the code of their cells: names, attributes of what they import, and methods
of objects that they make from a class.
"""

import ast
import importlib
import inspect
import pkgutil
import re
from pathlib import Path

from browser import cells
from docutils import nodes
from sphinx.pycode import ModuleAnalyzer
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective
from sphinx.util.nodes import make_refnode
from tables import chapter_numbers, kept

logger = logging.getLogger(__name__)
LIBRARY = "gdln"
PACKAGE = re.compile(r"^```\{package\} (\S+)\n```$", re.M)


def modules_of(package):
    """Return the modules of a package in the order its docstring names them, those it does not name at the end.

    The library itself has those modules that are no packages.
    """
    found = importlib.import_module(package)
    names = sorted(m.name for m in pkgutil.iter_modules(found.__path__) if not (m.ispkg or m.name[0] == "_"))
    words = re.findall(r"``(\w+)``", found.__doc__ or "")
    order = {name: words.index(name) if name in words else len(words) for name in names}
    return [f"{package}.{name}" for name in sorted(names, key=order.get)]


def packages():
    """Return the library and its packages."""
    found = importlib.import_module(LIBRARY)
    return [LIBRARY, *(f"{LIBRARY}.{m.name}" for m in pkgutil.iter_modules(found.__path__) if m.ispkg)]


def members(module):
    """Return what a module defines for others, as pairs of a kind and a name, in the order of its source.

    The kinds are autodoc's: ``class``, ``exception``, ``function``, and ``data`` for a constant with a comment ``#:``.
    """
    found, here = importlib.import_module(module), []
    comments = {name for scope, name in ModuleAnalyzer.for_module(module).find_attr_docs() if not scope}
    for name, value in vars(found).items():
        if name.startswith("_"):
            continue
        if getattr(value, "__module__", None) == module and callable(value) and value.__doc__:
            error = isinstance(value, type) and issubclass(value, BaseException)
            here.append(("exception" if error else "class" if isinstance(value, type) else "function", name))
        elif name in comments:
            here.append(("data", name))
    return here


def exported(package):
    """Return the full names of what a package's own namespace offers, where each is defined."""
    found = importlib.import_module(package)
    values = [getattr(found, name) for name in getattr(found, "__all__", [])]
    return [f"{value.__module__}.{value.__qualname__}" for value in values if hasattr(value, "__qualname__")]


def page_of(package):
    """Return the MyST text that shows a package."""
    parts, constants = [_rst(f".. automodule:: {package}")], []
    if names := exported(package):
        links = ", ".join(f"{{py:obj}}`~{name}`" for name in names)
        parts.append(f"`{package}` itself offers, to start with: {links}.")
    for module in modules_of(package):
        found = members(module)
        constants += [f"{module}.{name}" for kind, name in found if kind == "data"]
        shown = [(kind, name) for kind, name in found if kind != "data"]
        parts += [f"## {module.rpartition('.')[2]}", _rst(f".. automodule:: {module}")]
        if shown:
            names = "\n".join(f"   {name}" for _, name in shown)
            within = {"class": "\n   :members:", "exception": "\n   :members:"}
            parts += [
                _rst(f".. py:currentmodule:: {module}\n.. autosummary::\n   :nosignatures:\n\n{names}"),
                _rst(
                    "\n".join(
                        f".. auto{kind}:: {module}.{name}{within.get(kind, '')}" for kind, name in shown
                    )
                ),
            ]
    if constants:
        lines = (f".. autodata:: {name}\n   :no-value:" for name in constants)
        parts += ["## Constants", _rst("\n".join(lines))]
    return "\n\n".join(parts)


def _rst(text):
    return f"```{{eval-rst}}\n{text}\n```"


def defined(dotted):
    """Return the full names of the classes, functions and constants that a dotted path leads through, where defined.

    ``gdln.race.GatedGraph.gradient`` gives the class and its method, under the module that defines them.
    """
    parts = dotted.split(".")
    value, found = importlib.import_module(parts[0]), []
    for k, name in enumerate(parts[1:], 2):
        parent = value
        try:
            value = getattr(parent, name)
        except AttributeError:
            try:
                value = importlib.import_module(".".join(parts[:k]))
            except ImportError:
                break
        if inspect.ismodule(value):
            continue
        if isinstance(parent, type):
            owner = next((c for c in parent.__mro__ if name in vars(c)), parent)
            found.append(f"{owner.__module__}.{owner.__qualname__}.{name}")
        elif hasattr(value, "__qualname__"):
            found.append(f"{value.__module__}.{value.__qualname__}")
        elif inspect.ismodule(parent):
            found.append(f"{parent.__name__}.{name}")
        else:
            break
    return found


def uses(text):
    """Return the full names of what of the library Python text uses."""
    tree, names, found = ast.parse(text), {}, set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                names[alias.asname or alias.name.partition(".")[0]] = (
                    alias.name if alias.asname else alias.name.partition(".")[0]
                )
        elif isinstance(node, ast.ImportFrom):
            names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    names = {name: path for name, path in names.items() if path.partition(".")[0] == LIBRARY}

    def path(node):
        """Dotted path of an expression: a name, an attribute, or an object made from a class."""
        if isinstance(node, ast.Name):
            return names.get(node.id)
        if isinstance(node, ast.Attribute):
            base = path(node.value)
            return base and f"{base}.{node.attr}"
        if isinstance(node, ast.Call):
            base = path(node.func)
            return base if base and _is_class(base) else None
        return None

    for node in ast.walk(tree):  # objects by the classes they are made from
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            made = path(node.value)
            for target in node.targets if made else ():
                if isinstance(target, ast.Name):
                    names.setdefault(target.id, made)
    for node in ast.walk(tree):
        if isinstance(node, (ast.Name, ast.Attribute)) and (dotted := path(node)):
            found |= set(defined(dotted))
    return {name for name in found if name.partition(".")[0] == LIBRARY}


def _is_class(dotted):
    module, _, name = dotted.rpartition(".")
    found = defined(dotted)
    if not found:
        return False
    module, _, name = found[-1].rpartition(".")
    try:
        return isinstance(getattr(importlib.import_module(module), name), type)
    except (ImportError, AttributeError):
        return False  # a method


class used_in(nodes.General, nodes.Element):
    """Stands for the chapters that use a function until all are read."""


class UsedIn(SphinxDirective):
    """``.. used-in:: gdln.race.graph.GatedGraph``, put at the end of every docstring."""

    required_arguments = 1

    def run(self):
        return [used_in(name=self.arguments[0])]


class package_list(nodes.General, nodes.Element):
    """Stands for the list of packages until their pages are read."""


class Packages(SphinxDirective):
    """``{packages}`` lists the pages of the reference below this one."""

    def run(self):
        kept(self.env, "gdln_api_pages")[self.env.docname] = None
        return [package_list()]


def _fill(app, docname, source):
    """Put a package in the place of the line that asks for it."""

    def shown(match):
        if match[1] not in packages():
            logger.warning("api: there is no package %r", match[1], location=docname)
            return ""
        kept(app.env, "gdln_api_pages")[docname] = match[1]
        return page_of(match[1])

    source[0] = PACKAGE.sub(shown, source[0])


def _outdated(app, env, added, changed, removed):
    """Have the pages of the reference read again when the library has changed."""
    pages = kept(env, "gdln_api_pages")
    before, env.gdln_api_hash = getattr(env, "gdln_api_hash", None), app.config.gdln_library_hash
    return [page for page in pages if before != env.gdln_api_hash]


def _skip(app, what, name, found, skip, options):
    """Leave out methods that a class has from other libraries."""
    home = getattr(found, "__module__", None)
    return True if inspect.isroutine(found) and not str(home).startswith(LIBRARY) else None


def _end(app, what, name, found, options, lines):
    """End a docstring with the chapters that use what it describes."""
    if what != "module":
        lines += ["", f".. used-in:: {name}", ""]


def _purge(app, env, docname):
    kept(env, "gdln_api_pages").pop(docname, None)


def _count(app, env):
    """Find out which chapters use what, and have the reference written again where that has changed."""
    pages, found = kept(env, "gdln_api_pages"), {}
    if not pages:
        return []
    for page in sorted(env.found_docs):
        code = cells(Path(env.doc2path(page)).read_text(encoding="utf-8"))
        for name in sorted(uses(code)):
            found.setdefault(name, []).append(page)
    before, env.gdln_uses = getattr(env, "gdln_uses", None), found
    for package in sorted(set(packages()) - set(pages.values())):
        logger.warning("api: package %r has no page in book/api", package)
    return sorted(set(pages) & env.found_docs) if before != found else []


def _resolve(app, doctree, docname):
    env = app.env
    if app.builder.format != "html":  # on paper the library is named only
        for place in [*doctree.findall(package_list), *doctree.findall(used_in)]:
            place.parent.remove(place)
        return
    for place in list(doctree.findall(package_list)):
        place.replace_self(_list(app, docname))
    numbers = chapter_numbers(env)
    for place in list(doctree.findall(used_in)):
        pages = sorted(env.gdln_uses.get(place["name"], []), key=lambda page: numbers.get(page, 0))
        if not pages:
            place.parent.remove(place)
            continue
        words = []
        for page in pages:
            title = (f"{numbers[page]}. " if page in numbers else "") + env.titles[page].astext()
            link = make_refnode(app.builder, docname, page, None, nodes.inline("", title))
            words += [nodes.Text(" · ")] * bool(words) + [link]
        place.replace_self(nodes.paragraph("", "", nodes.Text("Used in "), *words, classes=["used-in"]))


def _list(app, docname):
    """The packages with their pages, the first sentence of their story, and how much there is."""
    entries = []
    for page in app.env.toctree_includes.get(docname, []):
        package = kept(app.env, "gdln_api_pages")[page]
        title = app.env.titles[page].astext()
        link = make_refnode(app.builder, docname, page, None, nodes.inline("", title))
        found = [kind for module in modules_of(package) for kind, _ in members(module)]
        classes = found.count("class") + found.count("exception")
        size = f"{len(modules_of(package))} modules, {found.count('function')} functions, {classes} classes."
        story = importlib.import_module(package).__doc__.partition("\n")[0]
        term = nodes.term("", "", link, nodes.Text(" "), nodes.literal("", package))
        words = nodes.definition("", nodes.paragraph("", f"{story} {size}"))
        entries.append(nodes.definition_list_item("", term, words))
    return nodes.definition_list("", *entries)


def setup(app):
    """Register directives and hooks; docstrings are ended after napoleon has read them, at 500."""
    app.setup_extension("library_cache")
    app.setup_extension("sphinx.ext.autodoc")
    app.add_node(used_in)
    app.add_node(package_list)
    app.add_directive("used-in", UsedIn)
    app.add_directive("packages", Packages)
    app.connect("source-read", _fill)
    app.connect("env-get-outdated", _outdated)
    app.connect("autodoc-skip-member", _skip)
    app.connect("autodoc-process-docstring", _end, priority=900)
    app.connect("env-purge-doc", _purge)
    app.connect("env-updated", _count)
    app.connect("doctree-resolved", _resolve)
    return {"version": "1", "env_version": 1, "parallel_read_safe": False}

"""The foot of each page: how to cite it, which version it is, where to mend it.

Authors, year and version stand in ``CITATION.cff``, the address of the repository in ``_config.yml``.
"""

import re
from pathlib import Path
from urllib.parse import quote

import yaml

#: What BibTeX would read as a command.
SPECIAL = re.compile(r"([&%$#_{}])")


def authors(citation):
    """Return the authors of a CITATION file as BibTeX writes them: families first, a group in braces of its own."""
    names = []
    for author in citation["authors"]:
        whole = "family-names" in author
        names.append(
            ", ".join(author[key] for key in ("family-names", "given-names") if key in author)
            if whole
            else f"{{{author['name']}}}"
        )
    return " and ".join(names)


def cited(citation, page, title, book, url):
    """Return how to cite a page: a sentence and a BibTeX entry.

    Parameters
    ----------
    citation : dict
        What CITATION.cff says: ``authors``, ``version``, ``date-released`` and perhaps ``doi``.
    page, title, book, url : str
        The page's name, its title, the book's title, and the page's address.
    """
    year, by = str(citation["date-released"])[:4], authors(citation)
    fields = {
        "author": by,
        "title": SPECIAL.sub(r"\\\1", title),
        "booktitle": SPECIAL.sub(r"\\\1", book),
        "year": year,
        "note": f"Version {citation['version']}",
        "doi": citation.get("doi"),
        "url": url,
    }
    lines = ",\n".join(f"  {name:<9} = {{{value}}}" for name, value in fields.items() if value)
    named = by.replace("{", "").replace("}", "")
    words = f"{named} ({year}). {title}. In: {book}, version {citation['version']}. {url}"
    key = "gdln-" + page.removeprefix("book/").replace("/", "-")
    return {"words": words, "bibtex": f"@incollection{{{key},\n{lines}\n}}"}


def _add(app, pagename, templatename, context, doctree):
    if doctree is None:
        return
    citation = yaml.safe_load(Path(app.confdir, "CITATION.cff").read_text(encoding="utf-8"))
    options, source = (
        app.config.html_theme_options,
        Path(app.env.doc2path(pagename)).relative_to(app.srcdir).as_posix(),
    )
    repository, branch = options["repository_url"].rstrip("/"), options["repository_branch"]
    base = app.config.html_baseurl.rstrip("/")
    url = f"{base}/{pagename}.html" if base else f"{repository}/blob/{branch}/{source}"
    title = app.env.titles[pagename].astext()
    context["cite"] = cited(citation, pagename, title, app.config.html_title, url) | {
        "version": citation["version"],
        "library": app.config.gdln_library_hash[:12],
        "edit": f"{repository}/edit/{branch}/{source}",
        "issue": f"{repository}/issues/new?title={quote(f'{title} ({pagename})')}",
    }


def setup(app):
    """Register the hook; the hash is the execution cache's."""
    app.setup_extension("library_cache")
    app.connect("html-page-context", _add)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}

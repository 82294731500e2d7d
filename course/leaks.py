"""Hold what students get against what they must not see, token by token and line by line."""

import json
import re
import zipfile
from html.parser import HTMLParser

#: A region that no student may see, however it was taken out.
REGION = re.compile(r"### BEGIN (SOLUTION|HIDDEN TESTS)(.*?)### END \1", re.S)
TOKEN = re.compile(r"\d+(?:\.\d*)?(?:e[+-]?\d+)?|\.\d+|\w+")
#: Shorter tokens and lines tell nothing.
SHORT, SHORT_LINE = 3, 12


def secrets(problem_set):
    """Return the tokens and the lines that stand in solutions, hidden tests or rubrics and nowhere else in a set."""
    hidden, public = [], []
    for cell in problem_set.cells:
        hidden += [match[2] for match in REGION.finditer(cell.text)]
        public.append(REGION.sub("", cell.text))
    told, seen = "\n".join(hidden), "\n".join(public)
    tokens = {t for t in set(TOKEN.findall(told)) - set(TOKEN.findall(seen)) if len(t) >= SHORT}
    lines = {flat(line) for line in told.splitlines()} - {flat(line) for line in seen.splitlines()}
    return tokens, {line for line in lines if len(line) >= SHORT_LINE and line not in flat(seen)}


def flat(text):
    """Return text with single spaces."""
    return " ".join(text.split())


def strings(value):
    """Yield every text in JSON, keys too."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from strings(item)
    elif isinstance(value, list):
        if value and all(isinstance(item, str) for item in value):
            yield "".join(value)  # lines of a cell
        else:
            for item in value:
                yield from strings(item)
    else:
        yield str(value)


def text_of(path):
    """Return name and all text of a file; of a zip, of everything in it."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            inside = [f"{name}\n{plain(name, archive.read(name))}" for name in archive.namelist()]
            comments = [archive.comment.decode(errors="replace")]
            for item in archive.infolist():
                comments += [item.comment.decode(errors="replace"), item.extra.decode(errors="replace")]
            return "\n".join([*inside, *comments])
    return plain(path.name, path.read_bytes())


class Page(HTMLParser):
    """All that a page holds but the names of its tags."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.held = []
        self.feed(text)
        self.close()

    def handle_data(self, data):
        """Keep what is shown, and scripts and styles."""
        self.held.append(data)

    def handle_comment(self, data):
        """Keep comments."""
        self.held.append(data)

    def handle_starttag(self, tag, attrs):
        """Keep names and values of attributes."""
        self.held += [f" {text} " for pair in attrs for text in pair if text]


def plain(name, data):
    """Return the text of a file's bytes."""
    text = data.decode("utf-8", errors="replace")
    if name.endswith(".ipynb"):
        return "\n".join(strings(json.loads(text)))
    return "".join(Page(text).held) if name.endswith(".html") else text


def found(problem_set, path, format_words=""):
    """Return what a student's file gives away, as a sorted list of tokens and lines.

    Parameters
    ----------
    problem_set : ProblemSet
        Solutions and hidden tests included.
    path : path
        Of a notebook, a page, or a zip of both.
    format_words : str, optional
        Text of such a file for a set without any secret: its words belong to the format.
    """
    tokens, lines = secrets(problem_set)
    text = text_of(path)
    given = set(TOKEN.findall(text)) - set(TOKEN.findall(format_words))
    return sorted(tokens & given) + sorted(line for line in lines if line in flat(text))

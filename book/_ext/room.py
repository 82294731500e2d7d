r"""Room for mathematics: how wide and how high a formula will be, so that the page does not move when it is typeset.

MathJax typesets in the reader's browser. Until then a formula takes the room estimated here: the sum of its glyphs'
widths, a subscript above a superscript counted once, and for displays the rows, of which those with a fraction or a
sum are taller. The style sheet reads both from the element, as ``--wide`` and ``--rows``.
"""

import html
import re

#: Width of MathJax's text against the letters around it, in em.
SCALE = 1.3
#: Widths of what is no single letter, in em before the scale.
WIDTHS = {
    **dict.fromkeys(
        r"= + - < > \le \leq \ge \geq \to \approx \sim \simeq \propto \in \pm \cdot \times \ll \gg \equiv \ne \neq "
        r"\mapsto \odot \otimes \circ \Rightarrow \rightarrow \mid \perp \succeq \subset".split(),
        1.2,
    ),
    **dict.fromkeys(r"\sum \prod \int".split(), 1.2),
    **dict.fromkeys(r"\dots \ldots \cdots".split(), 1.3),
    **dict.fromkeys(r"\{ \} \|".split(), 0.5),
    **dict.fromkeys("()[]|/!,;:", 0.4),
    **dict.fromkeys(
        r"{ } $ & ~ \left \right \big \Big \bigl \bigr \Bigl \Bigr \bigg \rm \mathbf \mathcal \mathbb".split(),
        0,
    ),
    **dict.fromkeys(
        r"\boldsymbol \bm \hat \tilde \bar \vec \dot \ddot \widehat \widetilde \overline \bf \sf".split(), 0
    ),
    **dict.fromkeys(
        r"\displaystyle \textstyle \limits \nonumber \notag \underbrace \cal \langle \rangle".split(), 0
    ),
    r"\langle": 0.4,
    r"\rangle": 0.4,
    r"\sqrt": 0.85,
    r"\,": 0.17,
    r"\;": 0.25,
    r"\:": 0.25,
    r"\ ": 0.3,
    r"\!": -0.17,
    r"\quad": 1,
    r"\qquad": 2,
    ".": 0.28,
}
#: Operators set in upright letters.
UPRIGHT = set(
    "exp log ln tanh arctan cos sin max min arg det tr lim sup inf erf Pr rank diag cosh sinh dim".split()
)
#: Commands whose argument is text.
TEXT = {r"\text", r"\mathrm", r"\operatorname", r"\mathsf", r"\textbf"}
#: How much smaller the parts of a fraction, and what stands above or below the line, are.
SMALL = 0.7
#: Heights of a row and of what makes it taller, and of the space around, in em.
ROW, TALLER, AROUND = 2.05, 1.6, 0.4
TALL = re.compile(r"\\(d?frac|sum|int|prod|binom|bigcup|underbrace|overbrace)(?![A-Za-z])")

#: An inline formula with a bracket before it, or a mark behind it, which no line may part.
FORMULA = r'<span class="math notranslate nohighlight"[^>]*>\\\((?:(?!</span>).)*\\\)</span>'
MARKED = re.compile(rf"[(\[\u201c]{FORMULA}[.,;:!?)\]\u2019\u201d]*|{FORMULA}[.,;:!?)\]\u2019\u201d]+", re.S)


def _end(tokens, start):
    """Return where the group, or the one token, that begins at a place ends."""
    depth = 0
    for place in range(start, len(tokens)):
        depth += (tokens[place] == "{") - (tokens[place] == "}")
        if depth == 0:
            return place + 1
    return len(tokens)


def _width(tokens):
    total, place = 0.0, 0
    while place < len(tokens):
        token, place = tokens[place], place + 1
        end = _end(tokens, place)
        if token in ("^", "_"):
            script = _width(tokens[place:end])
            if end < len(tokens) and tokens[end] in ("^", "_"):
                place, end = end + 1, _end(tokens, end + 1)
                script = max(script, _width(tokens[place:end]))
            total, place = total + SMALL * script, end
        elif token in (r"\frac", r"\tfrac", r"\dfrac", r"\binom"):
            below = _end(tokens, end)
            total += 0.25 + SMALL * max(_width(tokens[place:end]), _width(tokens[end:below]))
            place = below
        elif token in TEXT:
            total, place = total + 0.46 * max(0, end - place - 2), end
        elif token in (r"\begin", r"\end"):
            place = end
        elif token in WIDTHS:
            total += WIDTHS[token]
        elif token.startswith("\\"):
            total += 0.5 * len(token) - 0.35 if token[1:] in UPRIGHT else 0.58
        else:
            total += 0.75 if token.isupper() else 0.52
    return total


def width(tex):
    """Return the estimated width of an inline formula, in em of the text around it."""
    return max(0.3, SCALE * _width(re.findall(r"\\[A-Za-z]+|\\.|\S", tex)))


def height(tex):
    """Return the estimated height of a displayed formula, in em of the text around it."""
    rows = re.split(r"\\\\(?![A-Za-z])", tex)
    return ROW * len(rows) + TALLER * sum(bool(TALL.search(row)) for row in rows) + AROUND


#: Where mathematics stands in a page: an inline formula, a displayed one.
INLINE = re.compile(r'(<span class="math notranslate nohighlight"[^>]*)>\\\((.*?)\\\)</span>', re.S)
DISPLAY = re.compile(r'(<div class="(?:amsmath )?math notranslate nohighlight"[^>]*)>(.*?)</div>', re.S)


def _inline(match):
    return f'{match[1]} style="--wide:{width(html.unescape(match[2])):.1f}">\\({match[2]}\\)</span>'


def _display(match):
    return f'{match[1]} style="--rows:{height(html.unescape(match[2])):.1f}">{match[2]}</div>'


def with_room(body):
    """Return a page's body in which each formula says how much room it takes, and keeps the comma behind it."""
    body = MARKED.sub(r'<span class="with-mark">\g<0></span>', body)
    return DISPLAY.sub(_display, INLINE.sub(_inline, body))


def _keep(app, pagename, templatename, context, doctree):
    if "body" in context:
        context["body"] = with_room(context["body"])


def setup(app):
    """Register the hook."""
    app.connect("html-page-context", _keep)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}

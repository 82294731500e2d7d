"""Pictures that belong to the page: transparent ground, a second variant for the dark mode, room kept while they load.

Each picture that a cell draws is written twice, without its white ground. On a dark page black becomes light, and the
colours of :data:`gdln.plotting.CYCLE` become their counterparts in :data:`COUNTERPARTS`; the sequential map stays what
it is; all other colours, such as the diverging map's, fade to the ground where they faded to white. Pictures of twice
the resolution are shown at the size at which they were drawn.
"""

import hashlib
import posixpath
from html import escape
from pathlib import Path

import numpy as np
from docutils import nodes
from matplotlib import colormaps
from PIL import Image
from scipy.spatial import cKDTree
from sphinx.writers.html5 import HTML5Translator

#: Resolution at which a figure of ``gdln.plotting`` has its size on the page.
DPI = 110
#: What a colour on white becomes on a dark page: black, then the cycle, each at 4.5:1 or more against the ground.
COUNTERPARTS = {
    "#000000": "#e8e8e8",
    "#0072B2": "#4ba3e3",
    "#D55E00": "#f0824a",
    "#009E73": "#2fbf93",
    "#CC79A7": "#dd9bbf",
    "#E69F00": "#eeb13c",
    "#56B4E9": "#7cc8f2",
}
#: Sine of the angle between a pixel's and a counterpart's direction from white, from which on they are strangers.
STRANGE = 0.12
#: Distance from the sequential map's colours, within which a pixel is one of them.
NEAR_MAP = 0.02


def _rgb(colour):
    return np.array([int(colour[k : k + 2], 16) for k in (1, 3, 5)]) / 255


def _by_colour(rule, picture):
    """Return the picture in which a rule, from n colours on white to n colours with alpha, has replaced each colour."""
    ground = Image.new("RGBA", picture.size, "white")
    ground.alpha_composite(picture.convert("RGBA"))
    pixels = np.asarray(ground.convert("RGB"), dtype=np.uint32) @ np.array(
        [1 << 16, 1 << 8, 1], dtype=np.uint32
    )
    packed, place = np.unique(pixels, return_inverse=True)
    colours = (packed[:, None] >> np.array([16, 8, 0]) & 255) / 255
    made = np.rint(255 * rule(colours).clip(0, 1)).astype(np.uint8)
    return Image.fromarray(made[place.reshape(pixels.shape)], "RGBA")


def _light(colours):
    away = 1 - colours
    alpha = away.max(axis=1, keepdims=True)
    return np.hstack([1 - away / np.maximum(alpha, 1 / 255), alpha])


def _dark(colours):
    away = 1 - colours
    length = np.linalg.norm(away, axis=1)
    share, total = np.zeros((len(colours), 4)), np.zeros((len(colours), 1))
    for name, counterpart in COUNTERPARTS.items():
        direction = 1 - _rgb(name)
        along = away @ direction / (direction @ direction)
        rest = np.linalg.norm(away - np.outer(along, direction), axis=1)
        near = ((2 - 2 * rest / np.maximum(STRANGE * length, 1e-6)).clip(0, 1) * (along < 1.1))[:, None]
        total += near
        share += near * np.column_stack([np.tile(_rgb(counterpart), (len(colours), 1)), along.clip(0, 1)])
    made = share / np.maximum(total, 1) + (1 - total).clip(0) * _light(colours)
    apart, _ = cKDTree(colormaps["viridis"].colors).query(colours)
    kept = (2 - apart / NEAR_MAP).clip(0, 1)[:, None]
    return kept * np.column_stack([colours, np.ones(len(colours))]) + (1 - kept) * made


def light(picture):
    """Return a picture whose white has become transparent: on white it looks as before."""
    return _by_colour(_light, picture)


def dark(picture):
    """Return a picture for a dark ground: what fades to white fades to the ground, each colour its counterpart."""
    return _by_colour(_dark, picture)


def size_on_page(picture):
    """Return width and height in pixels of the page: a figure has the size at which it was drawn."""
    shrunk = max(DPI, round(picture.info.get("dpi", (DPI, DPI))[0])) / DPI
    return tuple(round(side / shrunk) for side in picture.size)


def _visit(self, node):
    """Show a picture that a cell drew as its two variants; all others as Sphinx shows them."""
    drawn, uri = Path(self.builder.outdir).parent / "jupyter_execute", node["uri"]
    path = Path(self.builder.srcdir, uri)
    if drawn.resolve() not in path.resolve().parents or path.suffix != ".png":
        HTML5Translator.visit_image(self, node)
        return
    self.builder.images.pop(uri, None)
    made_of = path.read_bytes() + Path(__file__).read_bytes()
    name, folder = hashlib.sha256(made_of).hexdigest()[:16], Path(self.builder.outdir, "_images")
    with Image.open(path) as picture:
        width, height = size_on_page(picture)
        for variant, make in (("light", light), ("dark", dark)):
            file = f"{name}-{variant}.png"
            if not (folder / file).is_file():
                folder.mkdir(parents=True, exist_ok=True)
                small = make(picture).quantize(256, method=Image.Quantize.FASTOCTREE)
                small.save(folder / file, optimize=True)
            address = escape(posixpath.join(self.builder.imgpath, file), quote=True)
            alt = escape(node.get("alt", ""), quote=True)
            self.body.append(
                f'<img class="picture in-{variant}" src="{address}" alt="{alt}" width="{width}" height="{height}" '
                'loading="lazy" decoding="async" />\n'
            )


def _depart(self, node):
    pass


def setup(app):
    """Show images by our own rule, in pages only."""
    app.add_node(nodes.image, override=True, html=(_visit, _depart))
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}

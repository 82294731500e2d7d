"""The one place where figures get their look."""

import os

import matplotlib.pyplot as plt
import numpy as np
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from gdln import checks

#: Okabe-Ito colours, in the order the book uses them.
CYCLE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")

#: Markers in the same order, so that colour never carries meaning alone.
MARKERS = ("o", "s", "^", "D", "v", "P", "X")


def use_style():
    """Set the book's matplotlib defaults; call it once, in a chapter's import cell."""
    plt.rcParams.update(
        {
            "figure.figsize": (6.4, 3.8),
            "figure.dpi": 110,
            "figure.constrained_layout.use": True,
            "font.size": 11,
            "axes.prop_cycle": cycler(color=CYCLE),
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.titlesize": 11,
            "legend.frameon": False,
            "legend.fontsize": 9.5,
            "lines.linewidth": 1.8,
            "lines.markersize": 4.5,
            "image.cmap": "viridis",
            "savefig.bbox": "standard",
        }
    )
    if "inline" in plt.get_backend():  # a notebook: twice the resolution, shown at the same size
        from matplotlib_inline.backend_inline import set_matplotlib_formats

        set_matplotlib_formats("retina")


def theory_and_simulation(ax, x, theory, x_sim, simulation, *, color, label=None, marker="o", every=1):
    """Draw a theory as a line and its simulation as markers of the same colour.

    Parameters
    ----------
    ax : Axes
        Where to draw.
    x, theory : array_like, shape (n,)
        The line.
    x_sim, simulation : array_like, shape (m,)
        The markers.
    color : str
        Colour of both.
    label : str, optional
        Legend entry of the line.
    marker : str, optional
        Matplotlib marker.
    every : int, optional
        Show each ``every``-th marker.
    """
    _check_look(ax, label), checks.instance("marker", marker, str)
    lines = {"x": x, "theory": theory, "x_sim": x_sim, "simulation": simulation}
    # what is not finite is a gap in the figure
    lines = {name: checks.array(name, line, ndim=(1, 2), finite=False) for name, line in lines.items()}
    x, theory, x_sim, simulation = lines.values()
    checks.need(len(theory) == len(x), "theory", f"{len(x)} points, as x has", theory)
    checks.need(len(simulation) == len(x_sim), "simulation", f"{len(x_sim)} points, as x_sim has", simulation)
    every = checks.count("every", every)
    ax.plot(x, theory, color=color, label=label)
    ax.plot(x_sim[::every], simulation[::every], marker, color=color, mfc="none")


def seed_band(ax, x, runs, *, color, label=None, marker="o"):
    """Draw the mean over seeds as markers and the spread (one standard deviation) as a band.

    Parameters
    ----------
    ax : Axes
        Where to draw.
    x : array_like, shape (n,)
        Abscissa.
    runs : array_like, shape (n_seeds, n)
        One row a seed.
    color : str
        Colour of markers and band.
    label : str, optional
        Legend entry.
    marker : str, optional
        Matplotlib marker.
    """
    _check_look(ax, label), checks.instance("marker", marker, str)
    x = checks.array("x", x, ndim=1, finite=False)
    runs = checks.array("runs", runs, shape=("n_seeds", len(x)), finite=False)
    mean, spread = runs.mean(axis=0), runs.std(axis=0, ddof=1) if len(runs) > 1 else np.zeros(runs.shape[1])
    ax.plot(x, mean, marker + "-", color=color, mfc="none", lw=0.8, label=label)
    ax.fill_between(x, mean - spread, mean + spread, color=color, alpha=0.2, lw=0)


def heatmap(ax, matrix, *, label, diverging=False, colorbar=True):
    """Show a matrix with a labelled colour bar; rows and columns count from one, as in the text.

    Parameters
    ----------
    ax : Axes
        Where to draw.
    matrix : array_like, shape (n, m)
        Values.
    label : str
        Words and symbol for the colour bar.
    diverging : bool, optional
        Use ``RdBu_r`` between minus and plus the largest absolute value, so that white is zero.
    colorbar : bool, optional
        Draw the colour bar.

    Returns
    -------
    image : AxesImage
        The drawn image.
    """
    _check_look(ax, label)
    diverging, colorbar = checks.flag("diverging", diverging), checks.flag("colorbar", colorbar)
    matrix = checks.array("matrix", matrix, ndim=2)
    options = {}
    if diverging:
        bound = np.abs(matrix).max()
        options = {"cmap": "RdBu_r", "vmin": -bound, "vmax": bound}
    image = ax.imshow(matrix, interpolation="nearest", **options)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MaxNLocator("auto", integer=True))
        axis.set_major_formatter(lambda place, _: f"{place + 1:g}")
    if colorbar:
        ax.figure.colorbar(image, ax=ax, label=label, shrink=0.85)
    return image


def _check_look(ax, label):
    checks.instance("ax", ax, Axes)
    if label is not None:
        checks.instance("label", label, str)


def interactive(figure):
    """Wrap a plotly figure so that it moves without a kernel, in the built book as in a live notebook.

    Parameters
    ----------
    figure : plotly.graph_objects.Figure
        Labels in plain text or Unicode: plotly's LaTeX needs a script from another host.

    Returns
    -------
    html : IPython.display.HTML
        In the book (``GDLN_BOOK`` is set) it loads the local copy of plotly at the book's root; elsewhere it
        carries plotly with it.
    """
    from IPython.display import HTML

    checks.need(hasattr(figure, "to_html"), "figure", "a figure of plotly", figure)
    if not os.environ.get("GDLN_BOOK"):
        return HTML(figure.to_html(include_plotlyjs=True, full_html=False))
    body = figure.to_html(include_plotlyjs=False, full_html=False)
    return HTML('<script src="../../vendor/plotly.min.js"></script>' + body)

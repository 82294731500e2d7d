"""What was measured on one network, and what follows: in words, as a table, as a figure, as a page."""

import base64
import html
import io
import textwrap
from dataclasses import dataclass

import numpy as np

from gdln.diagnosis import verdict as table

#: Words for the measures, in the order of the report.
WORDS = {
    "movement": "movement of the tangent kernel",
    "alignment": "alignment of the tangent kernel with its start, scale removed",
    "trained_gap": "gap to the linearised network, trained as long",
    "weight_gap": "gap to the linearisation at the trained weights",
    "smallest_cosine": "smallest alignment of a layer's weight change",
    "drift": "drift of the weights over the second half",
    "memory": "cosine of the weights with their start",
    "stationary": "loss of the last quarter over the quarter before",
    "sharpness_start": "rate times largest eigenvalue at the start (stable below 2)",
    "sharpness_end": "rate times largest eigenvalue at the end",
    "mode_spread": "half-time of the slowest mode over that of the fastest",
    "process": "distance from the NNGP's mean",
    "nngp_gap": "distance of the trained outputs from the NNGP's mean",
    "ntk_gap": "distance of the trained outputs from the infinite network's",
    "readout_scale": "scale of the read-out over its prior",
    "samples_per_unit": "samples over units of the last hidden layer, P/N",
    "width_exponent": "power of the width in the kernel's movement",
}

#: What a measurement on one network cannot say, whatever comes out.
LIMITS = (
    "Thresholds come from fully connected and convolutional networks of up to 2048 units under full-batch gradient "
    "descent, far on either side: near a threshold the verdict is a convention.",
    "Nothing here says whether the network generalises: test accuracy was the same in all regimes.",
    "Momentum, Adam, weight decay and minibatch noise were not calibrated; noise may look like a posterior.",
)
EVIDENCE = (
    "Thresholds and evidence: chapter “Which theory describes my network?”, book/synthesis/which_theory.md"
)

#: Characters of a line of the report, as many as the book has room for.
WIDTH = 84
#: Characters of the column of names in its tables.
NAME_WIDTH = 28


@dataclass(frozen=True)
class Diagnosis:
    """Measurements of one network with their verdict; prints as a report.

    Attributes
    ----------
    verdict : Verdict
        Kind, theory and reasons.
    measures : dict of str to float
        What was measured, by the names in :data:`WORDS`.
    missing : dict of str to str
        What was not, and why.
    layers : tuple of LayerChange
        Change of every weight.
    features : dict of str to float
        Movement of the kernel of each layer's inputs.
    imbalance : dict of str to tuple of float
        Imbalance of neighbouring layers, before and after.
    course : ModeCourse or None
        Strengths of the modes.
    times, losses : ndarray, shape (n_records,)
        Training loss at every checkpoint; times are numbers of checkpoints where none were given.
    facts : dict of str to object
        Sizes of network and data, and what was used.
    notes : tuple of str
        Warnings about this very run.
    """

    verdict: table.Verdict
    measures: dict
    missing: dict
    layers: tuple
    features: dict
    imbalance: dict
    course: object
    times: np.ndarray
    losses: np.ndarray
    facts: dict
    notes: tuple

    def __str__(self):
        f = self.facts
        lines = [
            f"Verdict: {self.verdict.kind.replace('_', ' ')}",
            f"  {self.verdict.theory}.",
            *(f"  because {reason}" for reason in self.verdict.reasons),
            "",
            f"Network: {f['n_parameters']:,} trained parameters ({f['n_frozen']:,} frozen), {f['n_outputs']} outputs, "
            f"{f['dtype']}; {f['n_samples']} training samples.",
            f"Training: {len(self.times)} checkpoints, {f['loss']} loss from {self.losses[0]:.3g} to "
            f"{self.losses[-1]:.3g}.",
            "",
            "Measured:",
            *(f"  {WORDS[name]:<66} {value: .4g}" for name, value in self.measures.items()),
        ]
        if self.layers:
            lines += [
                "",
                "Layers: moved; cosine with frozen prediction, shuffled and error-blind control; rank",
            ]
            for layer in self.layers:
                cosines = [_number(value) for value in (layer.cosine, layer.shuffled, layer.blind)]
                lines += _row(layer.name, f"{layer.moved:8.3g}", *cosines, f"{layer.rank:6.1f}")
        if self.features:
            lines += ["", "Feature kernels of the inputs of each layer moved by"]
            for name, value in self.features.items():
                lines += _row(name, f"{value:8.3g}")
        if self.notes:
            lines += ["", "Beware:", *(f"  {note}" for note in self.notes)]
        lines += ["", "What this cannot tell:"]
        lines += [f"  {WORDS[name]}: {why}" for name, why in self.missing.items()]
        lines += [f"  {limit}" for limit in LIMITS]
        return "\n".join(_wrapped(line) for line in [*lines, "", EVIDENCE + "."])

    def to_frame(self):
        """Every number in a tidy table.

        Returns
        -------
        frame : DataFrame
            Columns ``measure``, ``where``, ``value`` (NaN where not measured) and ``note``.
        """
        import pandas as pd

        rows = [(name, "", value, WORDS[name]) for name, value in self.measures.items()]
        rows += [(name, "", np.nan, why) for name, why in self.missing.items()]
        for layer in self.layers:
            for name in ("moved", "cosine", "shuffled", "blind", "rank"):
                value = getattr(layer, name)
                rows.append((f"layer_{name}", layer.name, np.nan if value is None else value, ""))
        rows += [("feature_movement", name, value, "") for name, value in self.features.items()]
        for name, (before, after) in self.imbalance.items():
            rows += [("imbalance_start", name, before, ""), ("imbalance_end", name, after, "")]
        if self.course is not None:
            for k, (s, half) in enumerate(
                zip(self.course.correlation, self.course.half_times, strict=True), 1
            ):
                rows += [("mode_correlation", f"mode {k}", s, ""), ("mode_half_time", f"mode {k}", half, "")]
        return pd.DataFrame(rows, columns=["measure", "where", "value", "note"])

    def figure(self):
        """One figure: distances against their thresholds, alignment of the layers, loss and modes.

        Returns
        -------
        figure : Figure
            Of matplotlib.
        """
        import matplotlib.pyplot as plt

        from gdln.plotting import CYCLE, MARKERS

        figure, (left, middle, right) = plt.subplots(1, 3, figsize=(10.5, 3.6), layout="constrained")
        self._draw_distances(left, CYCLE)
        for k, (name, marker) in enumerate(zip(("cosine", "shuffled", "blind"), MARKERS, strict=False)):
            at = [i for i, layer in enumerate(self.layers, 1) if getattr(layer, name) is not None]
            label = {
                "cosine": "frozen prediction",
                "shuffled": "errors shuffled",
                "blind": "error-blind (Gram)",
            }[name]
            middle.plot(
                at, [getattr(self.layers[i - 1], name) for i in at], marker, color=CYCLE[k], label=label
            )
        middle.axhline(table.THRESHOLDS.cosine, color="k", ls="--", lw=0.8)
        middle.set(xlabel="weight, from the input on", ylabel="alignment of its change", ylim=(-0.6, 1.05))
        middle.set_xticks(range(1, len(self.layers) + 1))
        middle.legend(loc="lower left", fontsize=8)
        time = self.times - self.times[0]
        right.plot(time, self.losses / self.losses[0], "k-", label="loss / first loss")
        if self.course is not None:
            for k, a in enumerate(self.course.strength.T[:3]):
                right.plot(time, a, "--", color=CYCLE[k], label=f"mode {k + 1}")
        right.set(xlabel=f"time ({self.facts['time_unit']})", ylabel="loss, strength", ylim=(-0.1, 1.3))
        if len(time) > 3 and time[-1] > 0:
            right.set_xscale("symlog", linthresh=max(time[1], 1e-12))
            right.set_xlim(left=0)
        right.legend(fontsize=8)
        return figure

    def _draw_distances(self, ax, colours):
        t = table.THRESHOLDS
        bars = [
            ("kernel", self.measures.get("movement"), t.lazy_movement, t.rich_movement),
            ("trained\ngap", self.measures.get("trained_gap"), t.lazy_gap, t.rich_gap),
            ("weight\ngap", self.measures.get("weight_gap"), t.lazy_gap, t.rich_gap),
            *(
                (f"input of\n{name[-9:]}", value, None, None)
                for name, value in list(self.features.items())[1:][-2:]
            ),
        ]
        bars = [bar for bar in bars if bar[1] is not None]
        for x, (_, value, low, high) in enumerate(bars):
            ax.plot(x, max(value, 1e-4), "o", color=colours[0])
            if low is not None:
                ax.plot([x, x], [low, high], color=colours[1], lw=5, alpha=0.35, solid_capstyle="butt")
        ax.set(yscale="log", ylabel="distance from the start (bars: crossover)", xlim=(-0.5, len(bars) - 0.5))
        ax.set_xticks(range(len(bars)), [bar[0] for bar in bars], fontsize=8)

    def to_html(self):
        """A page that stands alone: report, table and figure, no script and nothing from elsewhere.

        Returns
        -------
        page : str
            HTML.
        """
        import matplotlib.pyplot as plt

        figure, picture = self.figure(), io.BytesIO()
        try:
            figure.savefig(picture, format="png", dpi=130)
        finally:
            plt.close(figure)
        data = base64.b64encode(picture.getvalue()).decode()
        rows = "".join(
            f"<tr><td>{html.escape(r.measure)}</td><td>{html.escape(r.where)}</td><td>{r.value:.4g}</td>"
            f"<td>{html.escape(r.note)}</td></tr>"
            for r in self.to_frame().itertuples()
        )
        title = f"Diagnosis: {self.verdict.kind.replace('_', ' ')}"
        return (
            f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>\n'
            "<style>body{font:16px/1.5 sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem}"
            "pre{white-space:pre-wrap;font-size:.85rem}img{max-width:100%}table{border-collapse:collapse}"
            "td,th{border-bottom:1px solid #ccc;padding:.2rem .6rem;text-align:left}</style></head>\n"
            f"<body><h1>{html.escape(title)}</h1>\n"
            f'<img alt="{html.escape(self._alt())}" src="data:image/png;base64,{data}">\n'
            f"<pre>{html.escape(str(self))}</pre>\n"
            "<h2>All numbers</h2>\n<table><thead><tr><th>measure</th><th>where</th><th>value</th><th>note</th></tr>"
            f"</thead><tbody>{rows}</tbody></table></body></html>\n"
        )

    def _alt(self):
        said = [f"{WORDS[name]} {self.measures[name]:.3g}" for name in list(self.measures)[:3]]
        return f"Left, {', '.join(said)}; middle, alignment of {len(self.layers)} weights; right, the loss over time."


def _wrapped(line):
    """A line as one or several that fit, the later ones indented by two more; no word is broken."""
    words = line.lstrip(" ")
    indent = line[: len(line) - len(words)]
    return textwrap.fill(
        words,
        WIDTH,
        initial_indent=indent,
        subsequent_indent=indent + "  ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _row(name, *numbers):
    """A row of a table; a name that is too long for its column stands on a line of its own above."""
    start = [] if len(name) <= NAME_WIDTH else [f"  {name}"]
    return [*start, " ".join((f"  {'' if start else name:<{NAME_WIDTH}}", *numbers))]


def _number(value):
    return "   -  " if value is None else f"{value:6.2f}"

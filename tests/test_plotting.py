import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pytest

from gdln import plotting


@pytest.fixture
def ax():
    with matplotlib.rc_context():
        plotting.use_style()
        figure, ax = plt.subplots()
        yield ax
        plt.close(figure)


def test_the_style_cycles_through_the_colours_of_the_book(ax):
    lines = [ax.plot([0, 1])[0].get_color() for _ in plotting.CYCLE]
    assert tuple(lines) == plotting.CYCLE
    assert len(plotting.MARKERS) == len(plotting.CYCLE)


def test_theory_is_a_line_and_simulation_markers_of_the_same_colour(ax):
    x = np.arange(10.0)
    plotting.theory_and_simulation(ax, x, x, x, x, color=plotting.CYCLE[1], every=3)
    line, markers = ax.lines
    assert line.get_linestyle() == "-" and markers.get_linestyle() == "None"
    assert line.get_color() == markers.get_color() and len(markers.get_xdata()) == 4


def test_the_band_over_seeds_is_one_standard_deviation_wide(ax):
    plotting.seed_band(ax, [0, 1], [[1.0, 2.0], [3.0, 2.0]], color="k")
    assert np.allclose(ax.lines[0].get_ydata(), [2, 2])
    vertices = ax.collections[0].get_paths()[0].vertices
    assert np.isclose(vertices[:, 1].max(), 2 + np.sqrt(2)) and np.isclose(
        vertices[:, 1].min(), 2 - np.sqrt(2)
    )


def test_a_diverging_map_is_centred_on_zero(ax):
    image = plotting.heatmap(ax, [[-1.0, 0.0], [3.0, 1.0]], label="value", diverging=True)
    assert image.get_clim() == (-3.0, 3.0)


def test_a_heat_map_counts_rows_and_columns_from_one(ax):
    plotting.heatmap(ax, np.eye(3), label="value")
    ax.figure.canvas.draw()
    labels = {label.get_position()[0]: label.get_text() for label in ax.get_xticklabels()}
    assert [labels[place] for place in (0, 1, 2)] == ["1", "2", "3"]


def test_an_interactive_figure_carries_plotly_except_in_the_book(monkeypatch):
    graph_objects = pytest.importorskip("plotly.graph_objects")
    figure = graph_objects.Figure(graph_objects.Scatter(x=[0, 1], y=[0, 1]))
    monkeypatch.delenv("GDLN_BOOK", raising=False)
    assert len(plotting.interactive(figure).data) > 1e6
    monkeypatch.setenv("GDLN_BOOK", "1")
    html = plotting.interactive(figure).data
    assert len(html) < 1e5 and html.startswith('<script src="../../vendor/plotly.min.js">')

"""The report says what was measured and what was not, in words, in a table, in a figure, on a page."""

import dataclasses
import re

import matplotlib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gdln.diagnosis import known, report
from gdln.diagnosis.measure import diagnose
from tests.diagnosis.test_networks import normal, small

matplotlib.use("agg")


@pytest.fixture(scope="module")
def found():
    model, X, Y = small(widths=(3, 12, 2)), normal(8, 3), normal(8, 2, seed=1)
    run = known.descend(model, X, Y, n_steps=60)
    return diagnose(
        model, run.checkpoints, (X, Y), rng=np.random.default_rng(0), test=normal(5, 3, seed=2), lr=run.lr
    )


def words(text):
    """The words of a text, however its lines are broken."""
    return " ".join(text.split())


def test_the_words_hold_the_verdict_its_reasons_every_measure_and_every_gap(found):
    text = words(str(found))
    assert text.startswith(f"Verdict: {found.verdict.kind}")
    for part in (*found.verdict.reasons, *found.missing.values(), *report.LIMITS, report.EVIDENCE):
        assert words(part) in text
    for name in found.measures:
        assert report.WORDS[name] in text
    assert all(layer.name in text for layer in found.layers)


any_name = st.integers(1, 90).map(lambda length: ("layer-wise." * 9)[:length])
said = st.lists(any_name, min_size=1, max_size=20).map(" ".join)


@given(said, said, said, said, any_name, st.floats(0, 1e300), st.floats(0.5, 5e3))
def test_no_line_of_a_report_is_wide_but_a_single_word_and_no_word_is_broken_or_lost(
    found, theory, reason, why, note, name, moved, rank
):
    layer = dataclasses.replace(found.layers[0], name=name, moved=moved, rank=rank, cosine=None)
    stated = dataclasses.replace(found.verdict, theory=theory, reasons=(reason, reason))
    text = str(
        dataclasses.replace(
            found,
            verdict=stated,
            missing={"process": why},
            notes=(note, note),
            layers=(*found.layers, layer),
            features={name: moved, "last": moved},
        )
    )
    for line in text.splitlines():
        assert len(line) <= 84 or len(line.split()) == 1, line
        assert line == line.rstrip()
    in_order = [theory + ".", "because " + reason, "because " + reason, "Measured:", f"{name} {moved:.3g} - "]
    in_order += [f"{name} {moved:.3g} last", "Beware:", note, note, f"{report.WORDS['process']}: {why}"]
    found_at = 0
    for part in (*in_order, *report.LIMITS, report.EVIDENCE + "."):
        found_at = words(text).index(words(part), found_at) + len(words(part))


@pytest.mark.parametrize("length", [1, 28, 29, 82, 83, 200])
def test_a_layer_of_any_name_has_its_numbers_below_those_of_the_others(found, length):
    name = "n" * length
    layers = (dataclasses.replace(found.layers[1], name=name), found.layers[1])
    lines = str(dataclasses.replace(found, layers=layers, features={})).splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("Layers:"))
    rows = lines[start + 1 : lines.index("", start)]
    assert rows[0].split()[0] == name and len(rows) == (2 if length <= 28 else 3)
    assert rows[-2][30:] == rows[-1][30:]


def test_every_measure_and_every_missing_one_has_words_and_none_is_both(found):
    assert set(found.measures) | set(found.missing) == set(report.WORDS)
    assert not set(found.measures) & set(found.missing)


def test_the_table_holds_every_number(found):
    frame = found.to_frame()
    assert list(frame.columns) == ["measure", "where", "value", "note"]
    whole = frame[frame["where"] == ""].set_index("measure")["value"]
    assert all(whole[name] == value for name, value in found.measures.items())
    assert whole[list(found.missing)].isna().all()
    cosines = frame[frame["measure"] == "layer_cosine"]["value"]
    assert list(cosines) == [layer.cosine for layer in found.layers]
    assert (frame["measure"] == "mode_half_time").sum() == 2


def test_the_figure_has_three_panels_with_words(found):
    figure = found.figure()
    assert len(figure.axes) == 3 and all(ax.get_ylabel() for ax in figure.axes)
    matplotlib.pyplot.close(figure)


def test_the_page_stands_alone_and_escapes_names(found):
    layers = (dataclasses.replace(found.layers[0], name="<script>alert(1)</script>"), *found.layers[1:])
    before = matplotlib.pyplot.get_fignums()
    page = dataclasses.replace(found, layers=layers).to_html()
    assert matplotlib.pyplot.get_fignums() == before
    assert "<script" not in page and "&lt;script&gt;" in page
    assert not re.search(r"(src|href)=\"(?!data:)", page) and 'alt="' in page
    assert page.count("<tr>") == 1 + len(found.to_frame())

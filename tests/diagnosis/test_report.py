"""The report says what was measured and what was not, in words, in a table, in a figure, on a page."""

import re

import matplotlib
import numpy as np
import pytest

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


def test_the_words_hold_the_verdict_its_reasons_every_measure_and_every_gap(found):
    text = str(found)
    assert text.startswith(f"Verdict: {found.verdict.kind}")
    for part in (*found.verdict.reasons, *found.missing.values(), *report.LIMITS, report.EVIDENCE):
        assert part in text
    for name in found.measures:
        assert report.WORDS[name] in text
    assert all(layer.name in text for layer in found.layers)


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
    import dataclasses

    layers = (dataclasses.replace(found.layers[0], name="<script>alert(1)</script>"), *found.layers[1:])
    before = matplotlib.pyplot.get_fignums()
    page = dataclasses.replace(found, layers=layers).to_html()
    assert matplotlib.pyplot.get_fignums() == before
    assert "<script" not in page and "&lt;script&gt;" in page
    assert not re.search(r"(src|href)=\"(?!data:)", page) and 'alt="' in page
    assert page.count("<tr>") == 1 + len(found.to_frame())

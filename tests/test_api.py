"""Which functions of the library a chapter uses, and what of a module its page shows."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "book" / "_ext"))
import api  # noqa: E402

GRAPH = "gdln.race.graph."


@pytest.mark.parametrize(
    "text, names",
    [
        ("from gdln.race import graph\ngraph.loss(g)", {GRAPH + "loss"}),
        ("from gdln.race import graph as g\ng.loss(x)", {GRAPH + "loss"}),
        ("from gdln.race.graph import loss\nloss(x)", {GRAPH + "loss"}),
        ("import gdln.race.graph\ngdln.race.graph.loss(x)", {GRAPH + "loss"}),
        ("import gdln.race.graph as g\nf = g.loss", {GRAPH + "loss"}),
        ("from gdln.race import path_gates\npath_gates", {GRAPH + "path_gates"}),
        ("from gdln import race\nrace.path_gates", {GRAPH + "path_gates"}),
        ("def late():\n    from gdln.race.graph import loss\n    return loss", {GRAPH + "loss"}),
        ("from gdln.race.graph import loss", set()),
        ("from gdln.race import graph\nloss = 1\nloss", set()),
        ("from numpy import linalg\nlinalg.norm(1)", set()),
        ("x.loss(graph.loss)", set()),
        ("from gdln import plotting\nplotting.CYCLE[0]", {"gdln.plotting.CYCLE"}),
        (
            "from gdln.race.graph import GatedGraph\ng = GatedGraph({}, [])\ng.ends(0)",
            {GRAPH + "GatedGraph", GRAPH + "GatedGraph.ends"},
        ),
        (
            "from gdln.race import GatedGraph\nGatedGraph({}, []).shape('e')",
            {GRAPH + "GatedGraph", GRAPH + "GatedGraph.shape"},
        ),
        (
            "from gdln.renormalization import GatedKernel\nGatedKernel.from_inputs(X)",
            {
                "gdln.renormalization.kernels.GatedKernel",
                "gdln.renormalization.kernels.GatedKernel.from_inputs",
            },
        ),
    ],
)
def test_what_a_text_uses_is_named_where_it_is_defined(text, names):
    assert api.uses(text) == names


def test_what_a_function_returns_is_not_taken_for_an_object_of_a_class():
    text = "from gdln.race import graph\nc = graph.correlations(g)\nc.loss"
    assert api.uses(text) == {GRAPH + "correlations"}


def test_a_module_shows_what_it_defines_and_documents_and_nothing_it_imports():
    shown = dict(reversed(pair) for pair in api.members("gdln.plotting"))
    assert shown["CYCLE"] == "data" and shown["use_style"] == "function"
    assert not {"np", "plt", "os", "checks", "cycler", "Axes", "MaxNLocator"} & set(shown)
    assert dict(reversed(pair) for pair in api.members("gdln.checks"))["Diverged"] == "exception"
    assert dict(reversed(pair) for pair in api.members("gdln.claims"))["rows"] == "function"  # behind a cache
    assert not [
        name
        for module in ("gdln.sweep", "gdln.data.images")
        for _, name in api.members(module)
        if name[0] == "_"
    ]


def test_modules_stand_in_the_order_in_which_their_package_tells_of_them_and_others_at_the_end():
    for package in api.packages():
        names = [name.rpartition(".")[2] for name in api.modules_of(package)]
        story = __import__(package, fromlist=["_"]).__doc__
        places = [story.find(f"``{name}``") if f"``{name}``" in story else len(story) for name in names]
        assert places == sorted(places), package


def test_constants_stand_apart_from_functions():
    text = api.page_of("gdln")
    before, _, after = text.partition("## Constants")
    assert "gdln.plotting.CYCLE" in after and "autodata" not in before and "autofunction" not in after

"""Figures that a reader moves: their numbers are the library's, and keys alone move all of them."""

import io
import itertools
import json
import re
import sys

import numpy as np
import pytest

from gdln.activations import ACTIVATIONS
from gdln.bottleneck import linear as bottleneck
from gdln.convergence import certificates, flow
from gdln.data import tasks
from gdln.linear import modes, riccati
from gdln.linear.simulation import simulate_chain
from gdln.race import routing
from gdln.race.graph import GatedGraph, correlations
from gdln.race.reduction import Reduction, reduce_flow
from gdln.renormalization import scalar
from gdln.synthesis import network, theories
from tests import chromium
from tests.serving import served
from tests.test_book import PAGES, ROOT
from tests.test_browser import FLAGS

STATIC = ROOT / "book" / "_static"
#: The page of each figure, by its module.
FIGURES = {
    name: page
    for page in PAGES
    for name in re.findall(r"^```\{explore\} (\w+)$", (ROOT / f"{page}.md").read_text(), re.M)
}
PAGE = """<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>A figure</title>
<meta name="viewport" content="width=device-width"><link rel="icon" href="data:,">
<link rel="stylesheet" href="explore.css"><script type="module" src="explore/mount.js"></script></head>
<body><main>{figures}</main></body></html>"""
FIGURE = """<figure class="explore" id="explore-{name}" aria-label="{name}" data-explore="{name}">
<div class="explore-place"><p>still</p></div><figcaption>A caption.</figcaption></figure>"""

#: What a figure draws with every control at either of its ends, in short.
CORNERS = """async (name) => {
    const { default: figure } = await import(`/explore/${name}.js`);
    const { initial } = await import("/explore/mount.js");
    const bound = (b, v) => (typeof b === "function" ? b(v) : b);
    const ends = (c, v) => (c.choices ? c.choices.map((_, i) => i) : [bound(c.min, v), bound(c.max, v)]);
    let corners = [initial(figure)];
    for (const c of figure.controls)
        corners = corners.flatMap((v) => ends(c, v).map((x) => ({ ...v, [c.name]: x })));
    return corners.map((values) => {
        const { panels, says } = figure.draw(values);
        const lines = panels.flatMap((panel) => panel.marks.filter((mark) => mark.line));
        const fewest = Math.min(...lines.map((mark) => mark.line[1].filter(Number.isFinite).length), 9);
        const axes = panels.flatMap((panel) => [panel.x, panel.y]);
        return { values, says, fewest, ends: axes.every((a) => a.to > a.from && Number.isFinite(a.to + a.from)) };
    });
}"""

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(chromium.find() is None, reason=chromium.missing()),
]


@pytest.fixture(scope="module")
def site():
    with served(STATIC) as address:
        yield address


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium.find(), args=FLAGS)
        yield browser
        browser.close()


def opened(browser, site, name, **options):
    """Open a page that holds one figure; returns it with the list of what went wrong on it."""
    tab, wrong = browser.new_page(**options), []
    tab.set_default_timeout(60_000)
    page = PAGE.format(figures=FIGURE.format(name=name))
    tab.route(f"{site}/figure.html", lambda route: route.fulfill(body=page, content_type="text/html"))
    tab.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    tab.on("pageerror", lambda error: wrong.append(str(error)))
    tab.goto(f"{site}/figure.html")
    if options.get("java_script_enabled", True):
        tab.wait_for_selector("figure[data-ready]")
    return tab, wrong


@pytest.fixture(scope="module")
def call(browser, site):
    """Return a function that calls a function of a figure's module, in the browser."""
    tab = browser.new_page()
    tab.goto(f"{site}/explore.css")

    def called(module, function, *args):
        script = """async ([module, name, args]) => {
            const found = (await import(`/explore/${module}.js`))[name];
            return found(...args);
        }"""
        return tab.evaluate(
            script, [module, function, json.loads(json.dumps(args, default=np.ndarray.tolist))]
        )

    yield called
    tab.close()


def drawn(tab):
    """All that a figure shows beside its controls."""
    return (
        tab.evaluate("document.querySelector('.explore-plots').innerHTML")
        + tab.locator(".explore-says").inner_text()
    )


def settled(tab):
    """Wait until what was changed is drawn."""
    tab.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def test_every_figure_stands_on_one_page_and_every_module_has_one():
    shared = {"plot", "mount", "integrate", "random"}
    assert {path.stem for path in (STATIC / "explore").glob("*.js")} - shared == set(FIGURES)
    named = [
        n
        for page in PAGES
        for n in re.findall(r"^```\{explore\} (\w+)", (ROOT / f"{page}.md").read_text(), re.M)
    ]
    assert len(named) == len(set(named))


@pytest.mark.parametrize("name", FIGURES)
def test_a_figures_twin_stands_on_its_page(name):
    text = (ROOT / f"{FIGURES[name]}.md").read_text()
    twin = re.search(rf"^```\{{explore\}} {name}\n:title: \S.*\n:twin: (fig-[\w-]+)\n\n", text, re.M)[1]
    assert re.search(rf"^\s*(:?name:) {twin}$", text, re.M)


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_with_all_it_loads_is_light(name):
    folder = STATIC / "explore"
    loaded, left = set(), [folder / "mount.js", folder / f"{name}.js"]
    while left:
        path = left.pop()
        loaded.add(path)
        left += {folder / f for f in re.findall(r'"\./([\w.]+)"', path.read_text())} - loaded
    assert sum(path.stat().st_size for path in loaded) < 200_000
    assert (folder / "plot.js").stat().st_size < 12_000


@pytest.mark.parametrize("name", FIGURES)
def test_keys_alone_move_every_slider_and_every_point(browser, site, name):
    tab, wrong = opened(browser, site, name)
    for control in tab.locator(".explore-control :is(input, select)").all():
        if control.is_disabled():
            continue
        control.focus()
        assert control.evaluate("e => e.labels.length") == 1
        before, key = drawn(tab), "ArrowLeft"
        if control.get_attribute("max") is not None and control.input_value() == control.get_attribute("min"):
            key = "ArrowRight"
        if control.evaluate("e => e.tagName") == "SELECT":
            key = "ArrowDown"
        tab.keyboard.press(key)
        settled(tab)
        assert drawn(tab) != before, control.get_attribute("name")
        tab.get_by_role("button", name="Reset").press("Enter")
        settled(tab)
    for handle in tab.locator(".handle").all():
        handle.focus()
        before = drawn(tab)
        tab.keyboard.press("ArrowLeft")
        settled(tab)
        assert drawn(tab) != before
        assert handle.evaluate("e => e === document.activeElement")
        assert handle.get_attribute("aria-label") and handle.get_attribute("aria-valuetext")
        tab.keyboard.press("Home")
        settled(tab)
        least = drawn(tab)
        tab.keyboard.press("End")
        settled(tab)
        assert drawn(tab) != least
    assert not wrong
    tab.close()


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_says_each_value_once_and_no_ticks(browser, site, name):
    tab, _ = opened(browser, site, name)
    heard = tab.locator("figure").aria_snapshot()
    assert heard.count("status:") == 1, (
        heard
    )  # what the figure says; the value of a slider is said by the slider
    for panel in tab.locator(".explore-panel > svg").all():
        has_handle = panel.locator(".handle").count() > 0
        assert panel.get_attribute("role") == ("group" if has_handle else "img")
        assert panel.get_attribute("aria-label")
        assert panel.locator("text").evaluate_all("all => all.every(e => e.closest('[aria-hidden=true]'))")
    tab.close()


def test_a_figure_that_plays_is_silent_until_it_stands(browser, site):
    tab, _ = opened(browser, site, "two_paths")
    spoken = tab.locator(".explore-says")
    tab.get_by_role("button", name="Play").click()
    assert spoken.get_attribute("aria-live") == "off"
    tab.get_by_role("button", name="Stop").click()
    assert spoken.get_attribute("aria-live") == "polite"
    tab.close()


def test_a_start_is_dragged_or_set_by_mouse_and_finger_and_stays_where_a_finger_scrolls(browser, site):
    def moved(tab, act):
        handle, before = (
            tab.locator(".handle").bounding_box(),
            tab.locator(".handle").get_attribute("aria-valuetext"),
        )
        act(handle["x"] + handle["width"] / 2, handle["y"] + handle["height"] / 2)
        settled(tab)
        return tab.locator(".handle").get_attribute("aria-valuetext") != before

    tab, wrong = opened(browser, site, "phase", viewport={"width": 800, "height": 900}, has_touch=True)

    def drag(x, y):
        tab.mouse.move(x, y)
        tab.mouse.down()
        tab.mouse.move(x + 60, y + 30, steps=3)
        tab.mouse.up()

    assert moved(tab, drag)
    assert tab.evaluate("document.activeElement.getAttribute('class')") == "handle"
    assert moved(tab, lambda x, y: tab.mouse.click(x + 70, y + 20))
    assert moved(tab, lambda x, y: tab.touchscreen.tap(x + 20, y))
    assert moved(tab, lambda x, y: tab.touchscreen.tap(x - 90, y + 60))

    def scroll(x, y):
        fingers = tab.context.new_cdp_session(tab)
        for name, shift in (
            ("touchStart", 0),
            *(("touchMove", 8 * k) for k in range(1, 12)),
            ("touchEnd", None),
        ):
            points = [] if shift is None else [{"x": x + 90, "y": y - shift}]
            fingers.send("Input.dispatchTouchEvent", {"type": name, "touchPoints": points})

    assert not moved(tab, scroll)
    assert not wrong
    tab.close()


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_drawn_at_the_ends_of_all_its_sliders(browser, site, name):
    tab, wrong = opened(browser, site, name)
    found = tab.evaluate(CORNERS, name)
    assert len(found) >= 2
    for corner in found:
        assert corner["fewest"] >= 1 and corner["ends"], corner
        assert corner["says"] and not re.search(r"NaN|undefined|Infinity|–", corner["says"]), corner
    assert not wrong
    tab.close()


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_fits_a_narrow_phone_and_stands_still_without_scripts(browser, site, name):
    tab, wrong = opened(browser, site, name, viewport={"width": 320, "height": 700}, reduced_motion="reduce")
    assert tab.evaluate("document.documentElement.scrollWidth") <= 320
    assert tab.get_by_role("button", name="Play").count() == 0
    assert not wrong
    tab.close()
    tab, _ = opened(browser, site, name, java_script_enabled=False)
    assert tab.get_by_text("still").is_visible()
    tab.close()


@pytest.mark.parametrize("name", FIGURES)
def test_axe_finds_no_barrier_and_print_shows_no_slider(browser, site, name):
    from axe_playwright_python.sync_playwright import Axe

    tab, _ = opened(browser, site, name)
    options = {"rules": {"color-contrast": {"enabled": False}}}  # the theme's colours are not on this page
    found = Axe().run(tab, context="figure", options=options).response["violations"]
    assert not [(v["id"], v["nodes"][0]["html"][:160]) for v in found]
    tab.emulate_media(media="print")
    assert not tab.locator(".explore-tools").is_visible() and tab.locator(".explore-plots").is_visible()
    tab.close()


def test_the_strength_of_one_mode_is_the_librarys(call):
    rng = np.random.default_rng(0)
    for depth, a0 in itertools.product((1, 2, 3, 5), (1e-6, 1e-3, 0.3)):
        t, s = rng.uniform(0, 60), rng.uniform(0.7, 3)
        found = call("one_mode", "depthStrength", t, s, a0, depth)
        assert found == pytest.approx(float(modes.depth_strength(t, s, a0, depth)), abs=1e-9)
        wanted = float(modes.depth_time(s / 2, s, a0, depth))
        assert call("one_mode", "depthTime", s / 2, s, a0, depth) == pytest.approx(wanted, rel=1e-9)
    for a0, q, s in itertools.product((1e-6, 0.0, 0.3, -0.2), (-8.0, 0.0, 1e-3, 8.0), (-0.6, 1.0)):
        t = rng.uniform(0, 20)
        found = call("one_mode", "unbalancedStrength", t, s, a0, q)
        assert found == pytest.approx(float(modes.mode_strength_unbalanced(t, s, a0, q)), abs=1e-9)


def test_gradient_descent_on_a_chain_is_the_librarys(call):
    for depth, a0, q in ((1, 0.01, 0.0), (2, 1e-3, 4.0), (2, 1e-6, 0.0), (4, 0.1, 0.0)):
        start = call("one_mode", "startWeights", depth, a0, q)
        assert np.prod(start) == pytest.approx(a0) and len(start) == depth
        if depth == 2:
            assert start[0] ** 2 - start[1] ** 2 == pytest.approx(q)
        found = call("one_mode", "descend", start, 1.0, 0.01, 700)
        assert np.abs(found - simulate_chain(start, 1.0, 0.01, 700).strength).max() < 1e-9


def test_two_layers_wait_twice_and_three_layers_ten_times_as_long(call):
    waits = {L: [call("one_mode", "depthTime", 0.5, 1, a0, L) for a0 in (1e-3, 1e-6)] for L in (2, 3)}
    assert waits[2][1] / waits[2][0] == pytest.approx(2, rel=0.01)
    assert waits[3][1] / waits[3][0] == pytest.approx(10, rel=0.1)


def test_the_race_with_a_path_for_all_routes_is_the_librarys(call):
    times = np.linspace(0, 60, 31)
    for M, b0, S, D in ((2, 0.3, 3.4, 0.25), (3, 0.1, 3.0, 1.0), (6, 0.5, 1.0, 1.0)):
        wanted = routing.solve_shared_and_dedicated(S, D, M, b0, times)
        found = call("race", "race", S, D, M, M**2, b0, b0, times)
        assert np.abs(np.array(found["shared"]) - wanted.shared[:, 0]).max() < 1e-6
        assert np.abs(np.array(found["dedicated"]) - wanted.dedicated[:, 0]).max() < 1e-6
    for M, P in ((6, 4), (12, 36), (10, 1)):
        wanted = routing.solve_sharing(3.0, 1.0, M, P, 0.3, times).strength[:, 0]
        assert (
            np.abs(np.array(call("race", "race", 3, 1, M, P, 0.3, 0, times)["shared"]) - wanted).max() < 1e-6
        )
        assert call("race", "speedUp", P) == pytest.approx(float(routing.speed_up(P)), rel=1e-12)


def test_the_race_with_a_path_for_some_routes_is_that_of_the_graph(call):
    M, P, S, D, b0 = 4, 4, 3.0, 1.0, 0.2
    hidden = [(f"s{i // 2}{j // 2}", f"d{i}{j}") for i in range(M) for j in range(M)]
    routes = [(f"x{k // M}", f"y{k % M}", name) for k, names in enumerate(hidden) for name in names]
    edges = (
        {(x, f"{h}a") for x, _, h in routes}
        | {(f"{h}a", f"{h}b") for *_, h in routes}
        | {(f"{h}b", y) for _, y, h in routes}
    )
    net = GatedGraph({v: 1 for edge in edges for v in edge}, sorted(edges))
    wanted = {(x, h, y) for x, y, h in routes}
    ends = [(*net.ends(k), net.edges[path[0]][1].rstrip("a")) for k, path in enumerate(net.paths)]
    trained = np.array([(x, h, y) in wanted for x, y, h in ends])
    pairs = [
        (j, p)
        for j, p in itertools.product(range(len(ends)), repeat=2)
        if ends[j][:2] == ends[p][:2] and trained[j] and trained[p]
    ]
    reduction = Reduction(
        net, np.where(trained, S, 0)[:, None] / M**2, pairs, np.full((len(pairs), 1), D / M**2)
    )
    times = np.linspace(0, 80, 21)
    run = reduction.solve(b0, times).paths[..., 0]
    found = call("race", "race", S, D, M, P, b0, b0, times)
    shared = np.array([h.startswith("s") for *_, h in ends])
    assert np.abs(np.array(found["shared"])[:, None] - run[:, trained & shared]).max() < 1e-6
    assert np.abs(np.array(found["dedicated"])[:, None] - run[:, trained & ~shared]).max() < 1e-6


def test_the_share_of_the_own_path_falls_a_thousandfold_for_every_tenth_of_the_start(call):
    for M, P in ((6, 4), (6, 36), (10, 25)):
        shares = [call("race", "dedicatedShare", 3, 1, M, P, b, b) for b in (0.01, 0.1)]
        assert shares[1] / shares[0] == pytest.approx(1000, rel=0.15)
    assert call("race", "dedicatedShare", 3, 1, 6, 1, 0.1, 0.1) == pytest.approx(0.5)


def test_the_plane_of_two_weights_is_the_librarys(call):
    rng = np.random.default_rng(1)
    for b1, b2 in [
        (0.05, 0.15),
        (-1.6, 1.4),
        (1.7, -0.6),
        (-0.4, -0.05),
        (-1.5, 1.5),
        (0.0, 0.3),
        *rng.normal(size=(6, 2)),
    ]:
        t, s = rng.uniform(0, 15), rng.uniform(0.2, 2)
        found = call("phase", "chainWeights", t, s, b1, b2)
        assert found == pytest.approx(np.array(modes.chain_weights(t, s, b1, b2)).tolist(), abs=1e-9)
        path = np.array(call("phase", "descend", b1, b2, s, 0.01, 500))
        assert np.abs(path - simulate_chain([b1, b2], s, 0.01, 500).weights).max() < 1e-9


def test_the_way_from_lazy_to_rich_is_the_librarys(call):
    strengths, times = np.array([1.5, 1.0, 0.5]), np.linspace(0, 16, 9)
    frames = [np.linalg.qr(np.random.default_rng(k).standard_normal((3, 3)))[0] for k in range(2)]
    sigma = frames[0] * strengths @ frames[1].T
    for imbalance, a0 in itertools.product((-6.0, -0.3, 0.0, 1e-3, 4.0), (1e-3, 0.1, 3.0)):
        weights = riccati.lambda_balanced_weights(frames, imbalance, a0, 3, np.random.default_rng(2))
        wanted = riccati.solve(weights, sigma, times)
        found = np.array([call("lazy_to_rich", "flow", t, a0, imbalance) for t in times])
        inside = np.einsum("oa,toi,ia->ta", frames[0], wanted.maps, frames[1])
        assert np.abs(found.prod(axis=2) - inside).max() < 1e-8
        turned = [call("lazy_to_rich", "kernelDistance", w, found[0]) for w in found]
        assert np.abs(turned - riccati.kernel_distance(wanted)).max() < 1e-8


def test_at_no_imbalance_the_kernel_turns_equally_far_from_every_start_and_at_six_hardly(call):
    def end(a0, imbalance):
        return call(
            "lazy_to_rich",
            "kernelDistance",
            *(call("lazy_to_rich", "flow", t, a0, imbalance) for t in (1000, 0)),
        )

    assert [end(a0, 0) for a0 in (1e-3, 0.1, 3)] == pytest.approx([end(1.0, 0)] * 3, rel=1e-6)
    assert end(0.01, 6) < 0.001 < 0.03 < end(0.01, 0)


def test_the_scale_of_a_kernel_is_the_librarys(call):
    rng = np.random.default_rng(3)
    for depth in (1, 2, 7, 20):
        for alpha, r0, sigma2 in 10 ** rng.uniform([-2, -1, -0.6], [2, 1, 0.6], (8, 3)):
            found = call("kernel_scale", "layerScale", alpha, r0, sigma2, depth)
            assert found == pytest.approx(scalar.layer_scale(alpha, r0, sigma2, depth), rel=1e-9)
            limit = call("kernel_scale", "depthLimit", alpha, r0, sigma2)
            assert limit == pytest.approx(scalar.depth_limit(alpha, r0, sigma2), rel=1e-9)


def test_narrow_networks_take_the_scale_of_the_labels_and_wide_ones_keep_the_priors(call):
    for r0, sigma2, depth in ((0.3, 2.0, 1), (3.0, 0.5, 3)):
        ends = [
            call("kernel_scale", "layerScale", alpha, r0, sigma2, depth) ** depth for alpha in (1e4, 1e-5)
        ]
        assert ends == pytest.approx([r0, sigma2**depth], rel=0.01)


def test_modes_behind_a_bottleneck_are_the_librarys(call):
    rng = np.random.default_rng(4)
    for c_g, c_f in ((1, 3), (2, 2), (3, 1)):
        for S, d, t in np.stack(
            [rng.uniform(0.15, 24, 6), 10 ** rng.uniform(0, 3, 6), rng.uniform(0, 0.6, 6)], 1
        ):
            wanted = float(bottleneck.mode_strength(t, S, d, c_g, c_f))
            assert call("bottleneck_modes", "modeStrength", t, S, d, c_g, c_f) == pytest.approx(
                wanted, rel=1e-8
            )
            assert call("bottleneck_modes", "simulate", S, d, c_g, c_f, [0, t])[1] == pytest.approx(
                wanted, rel=1e-6
            )
            time = float(bottleneck.mode_time(S / 2, S, d, c_g, c_f))
            assert call("bottleneck_modes", "modeTime", S / 2, S, d, c_g, c_f) == pytest.approx(
                time, rel=1e-9
            )
            rho = float(bottleneck.acceleration(S, d, c_g, c_f))
            assert call("bottleneck_modes", "acceleration", S, d, c_g, c_f) == pytest.approx(rho, rel=1e-12)


def test_width_and_labels_count_only_as_the_ratio_of_square_and_width(call):
    rho = [call("bottleneck_modes", "acceleration", S, d, 2, 2) for S, d in ((6, 4), (12, 16), (3, 1))]
    assert rho == pytest.approx([rho[0]] * 3)


@pytest.fixture(scope="module")
def tables():
    """The script that makes the tables."""
    sys.path.insert(0, str(ROOT / "scripts"))
    import make_explore

    yield make_explore
    sys.path.remove(str(ROOT / "scripts"))


def stored(name):
    return json.loads((STATIC / "explore" / f"{name}.json").read_text())


def test_the_two_paths_of_the_front_page_are_those_of_the_graph(call):
    items, features = tasks.hierarchical()
    times = np.linspace(0, 8, 17)
    for hidden, start in ((1, 0.5), (2, 0.3), (4, 1.2)):
        nodes = ["item", *(f"b{k}" for k in range(hidden)), "feature"]
        edges = [("item", "a"), ("a", "feature"), *itertools.pairwise(nodes)]
        net = GatedGraph({"item": 4, "feature": 7, "a": 8} | {v: 8 for v in nodes[1:-1]}, edges)
        theory = reduce_flow(correlations(net, {"item": items}, {"feature": features}))
        run, short = theory.solve(start, times).paths, [len(path) == 2 for path in net.paths].index(True)
        if hidden == 1:
            assert np.ptp(run, axis=1).max() < 1e-9
        for mode in range(3):
            S = call("two_paths", "slope", [0, 1], 1, 0, 1)[1] * [np.sqrt(185), np.sqrt(41), 3][mode] / 4
            found = call("two_paths", "twoPaths", S, 1 / 4, hidden, start, times)
            assert np.abs(np.array(found["short"]) - run[:, short, mode]).max() < 1e-6
            assert np.abs(np.array(found["long"]) - run[:, 1 - short, mode]).max() < 1e-6


def test_less_is_left_for_the_long_path_from_a_smaller_start(call):
    def share(start, hidden):
        run = call("two_paths", "twoPaths", np.sqrt(185) / 4, 1 / 4, hidden, start, [0, 8])
        return run["long"][1] / (run["long"][1] + run["short"][1])

    for hidden in (2, 3, 5):
        assert np.diff([share(start, hidden) for start in (0.03, 0.1, 0.3, 0.6)]).min() > 0
    assert share(0.3, 1) == pytest.approx(0.5)


def test_the_shape_of_a_kernel_is_the_librarys(call, tables):
    widths, priors, temperatures = tables.WIDTHS, tables.PRIORS, tables.TEMPERATURES
    for i, j in ((0, 0), (5, 1), (8, 5)):
        U, aligned = tables.shape_path(priors[i], temperatures[j])
        for k in (0, 4, 9):
            found = np.array(call("kernel_shape", "orderParameter", i, j, k))
            assert np.abs(found - U[k]).max() < 1e-6 * np.abs(U[k]).max()
            assert call("kernel_shape", "aligned", i, j, k) == pytest.approx(aligned[k], abs=1e-6)
    assert stored("kernel_shape")["parameters"] | {"seed": 0} == {
        "widths": widths, "priors": priors, "temperatures": temperatures, "seed": 0
    }  # fmt: skip


def test_gate_two_grows_in_narrow_networks_and_less_so_at_temperature_one():
    table = stored("kernel_shape")["results"]
    U, aligned = np.array(table["U"]), np.array(table["aligned"])
    lead = U[..., 3] / np.maximum(U[..., 0], U[..., 5])
    assert np.diff(lead, axis=2).min() > 0 and np.diff(aligned, axis=2).min() > 0
    assert (lead[:, -1, -1] < lead[:, 0, -1]).all()
    middle = lead[5, :, -1]
    assert (
        middle[0] > middle[-1]
        and np.abs(U[5, -1, -1, [0, 3, 5]] - U[5, -1, -1, [0, 3, 5]].mean()).max() < 0.7
    )


def test_neurons_in_the_plane_move_as_the_librarys(call):
    X, y = np.array([[1, 0], [-1, 0], [0, 1], [0, -1]]) / np.sqrt(2), np.array([1.0, 1, -1, -1])
    times = np.array([0.0, 1, 5, 20])
    for activation, scaling, size, m in (
        ("softplus", "mean_field", 4.0, 8),
        ("softplus", "ntk", 2.0, 20),
        ("tanh", "mean_field", 1.0, 6),
    ):
        draw = call("neurons", "drawUnits", m, 1, size)
        z, c = np.array(draw["z"]).reshape(m, 2), np.array(draw["c"])
        assert (
            (z[: m // 2] == z[m // 2 :]).all()
            and (c[: m // 2] == size).all()
            and (c[m // 2 :] == -size).all()
        )
        exact = {"rtol": 1e-11, "atol": 1e-13}
        wanted = flow.flow(X @ X.T, z @ X.T, c, y, activation, times, scaling=scaling, **exact)
        states = call("neurons", "flow", draw["z"], draw["c"], activation, scaling, times)
        for k, state in enumerate(states):
            assert np.abs(np.reshape(state, (m, 2)) @ X.T - wanted.features(k)).max() < 1e-6
            found = call("neurons", "loss", state, draw["c"], activation, scaling)
            assert found == pytest.approx(wanted.loss[k], abs=1e-6)


def test_random_numbers_are_normal_and_differ_by_seed(call):
    z = np.array(call("random", "normals", 4000, 1))
    assert abs(z.mean()) < 4 / np.sqrt(4000) and abs(z.var() - 1) < 4 * np.sqrt(2 / 4000)
    assert abs(np.mean(z**4) - 3) < 4 * np.sqrt(96 / 4000)
    other = np.array(call("random", "normals", 4000, 2))
    assert abs(np.corrcoef(z, other)[0, 1]) < 4 / np.sqrt(4000) and (z[:1999:2] != z[1:2000:2]).all()


def test_neurons_turn_to_the_axis_of_their_sign_or_stay_in_ntk_scaling_or_with_tanh(call):
    draw = call("neurons", "drawUnits", 60, 1, 4)
    start = np.array(draw["z"]).reshape(60, 2)

    def end(activation, scaling):
        state = call("neurons", "flow", draw["z"], draw["c"], activation, scaling, [0, 30])[1]
        return np.reshape(state, (60, 2)), call("neurons", "loss", state, draw["c"], activation, scaling)

    moving, loss = end("softplus", "mean_field")
    assert (np.abs(moving[:30, 0]) > np.abs(moving[:30, 1])).mean() > 0.8
    assert (np.abs(moving[30:, 1]) > np.abs(moving[30:, 0])).mean() > 0.8
    staying, other = end("softplus", "ntk")
    distance = [np.sqrt(np.square(ends - start).sum(axis=1).mean()) for ends in (moving, staying)]
    assert loss < 0.01 and other < 0.01 and distance[1] < distance[0] / 4
    assert np.abs(end("tanh", "mean_field")[0] - start).max() < 1e-9


def test_a_promise_for_two_inputs_is_the_librarys_and_is_kept(call):
    times = np.linspace(0, 8, 9)
    for angle, size, y in ((1.2, 1.0, [1.0, -1]), (2.9, 1.7, [1.0, -1]), (0.4, 0.6, [1.0, 1.0])):
        begun = call("certificate", "start", angle, size)
        c, h0 = np.array(begun["c"]), np.reshape(begun["h0"], (len(begun["c"]), 2))
        G = np.array([[1, np.cos(angle)], [np.cos(angle), 1]])
        assert call("certificate", "smallestEigenvalue", angle) == pytest.approx(np.linalg.eigvalsh(G)[0])
        promise = certificates.certify(G, h0, c, y, ACTIVATIONS["sine"])
        rate = call("certificate", "promisedRate", angle, size)
        assert promise.theorem == "A" and rate == pytest.approx(promise.rate, rel=1e-12)
        wanted = flow.flow(G, h0, c, y, "sine", times, rtol=1e-11, atol=1e-13).loss
        found = np.array(call("certificate", "losses", angle, size, y, begun["h0"], begun["c"], times))
        assert np.abs(found - wanted).max() < 1e-6
        assert (found <= found[0] * np.exp(-rate * times) + 1e-9).all()


def test_without_an_angle_opposite_labels_are_never_learned_and_equal_ones_as_fast_as_before(call):
    def fall(degrees, y):
        begun = call("certificate", "start", np.radians(degrees), 1)
        losses = call("certificate", "losses", np.radians(degrees), 1, y, begun["h0"], begun["c"], [0, 4])
        return losses[1] / losses[0]

    assert fall(0, [1, -1]) == pytest.approx(1, abs=1e-6)
    assert fall(0, [1, 1]) < fall(70, [1, 1]) < 0.01


def test_frozen_signals_and_training_in_the_page_are_the_librarys(call):
    import torch

    from gdln.alignment import scores, theory
    from gdln.nets.mlp import MLP
    from gdln.nets.training import gradient_descent

    gains = [1.0, np.sqrt(2.0)]
    for width, scale, lr in ((4, 1.0, 0.2), (16, 3.0, 0.1)):
        data, net = call("frozen_signals", "task", scale), call("frozen_signals", "initial", width)
        X, Y = np.array(data["X"]), np.array(data["y"])[:, None]
        initial = [np.array(net["W"]), np.array([net["a"]])]
        found = call("frozen_signals", "train", net, data["X"], data["y"], lr, [1, 40])
        model = MLP([4, width, 1], "relu", "ntk", gains, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            for W, values in zip(model.weights, initial, strict=True):
                W.copy_(torch.tensor(values))
        E, done = np.zeros_like(Y), 0
        for k, steps in enumerate((1, 40)):
            run = gradient_descent(
                model, "squared", torch.tensor(X), torch.tensor(Y), lr, steps - done, record=("outputs",)
            )
            E, done = E + lr * (run.outputs[:-1] - Y).sum(axis=0), steps
            predicted = theory.predicted_changes(initial, gains, X, E)
            for layer, (W, before) in enumerate(zip(model.weights, initial, strict=True)):
                change = W.detach().numpy() - before
                score = scores.gram_score(scores.gram(change), scores.gram(predicted[layer]))
                assert found["scores"][k][layer] == pytest.approx(score, abs=1e-9)
                moved = np.linalg.norm(change) / np.linalg.norm(before)
                assert found["moved"][k][layer] == pytest.approx(moved, rel=1e-9)
            assert found["loss"][k] == pytest.approx(run.loss[-1], abs=1e-9)


def test_frozen_signals_score_higher_in_wide_networks_and_lower_for_large_labels(call):
    def end(width, scale):
        data, net = call("frozen_signals", "task", scale), call("frozen_signals", "initial", width)
        run = call("frozen_signals", "train", net, data["X"], data["y"], 0.2, [300])
        return np.array([run["scores"][0], run["moved"][0]])

    narrow, wide, larger = end(16, 1), end(256, 1), end(256, 4)
    assert (wide[0] > narrow[0]).all() and (wide[1] < narrow[1]).all()
    assert (larger[0] < wide[0]).all() and (larger[1] > wide[1]).all()


def test_alignment_scores_are_the_librarys(call, tables):
    gram, blind, loss = tables.network_scores(32, 1, (1, 3, 10))
    results = stored("alignment_scores")["results"]
    assert np.abs(np.array(results["gram"][0][1][:3]) - gram).max() < 1e-6
    assert np.abs(np.array(results["blind"][0][1][:3]) - blind).max() < 1e-6
    assert np.abs(np.array(results["loss"][0][1][:3]) / loss - 1).max() < 1e-6
    wanted = np.mean([run[6][2] for run in results["gram"][3]])
    assert call("alignment_scores", "score", "gram", 3, 6, 2) == pytest.approx(wanted)


def test_alignment_falls_with_time_and_rises_with_width_and_can_lose_against_the_control():
    results = stored("alignment_scores")["results"]
    gram, blind = (np.mean(results[kind], axis=1) for kind in ("gram", "blind"))
    assert np.diff(gram, axis=1).max() < 1e-3
    assert (gram[-1, 2:] > gram[0, 2:]).all()
    assert (blind[:, 0] < gram[:, 0]).all() and blind[0, -1, 0] > gram[0, -1, 0] + 0.1


def test_a_bottleneck_from_a_random_start_is_the_librarys(call):
    times = np.array([0.0, 0.3, 1.0, 3.0])
    for d, n, c_g, c_f in ((1, 6, 1, 1), (4, 3, 2, 1), (16, 6, 1, 3)):
        state = call("bottleneck_starts", "start", d, n, 5)
        A, B, target = np.array(state[:d])[None], np.reshape(state[d:], (d, n)), np.arange(1.0, n + 1)
        wanted = bottleneck.flow(A, B, target[None], np.eye(n), c_g, c_f, times, rtol=1e-11, atol=1e-13)
        states = call("bottleneck_starts", "flow", state, target, d, c_g, c_f, times)
        for k, v in enumerate(states):
            assert np.abs(call("bottleneck_starts", "map", v, d, n) - wanted.W[k][0]).max() < 1e-6
            rate = c_g * wanted.P[k][0, 0] + c_f * wanted.Q[k][0, 0]
            assert call("bottleneck_starts", "rate", v, d, n, c_g, c_f) == pytest.approx(rate, abs=1e-6)


def test_weak_targets_make_most_bottlenecks_slow_and_strong_ones_fast_the_narrow_most(call):
    times = np.linspace(0, 6, 601)

    def median_time(d, S):
        reached = []
        for seed in (1, 2, 3, 4, 5):
            target = [S, 0, 0, 0, 0, 0]
            start = call("bottleneck_starts", "start", d, 6, seed)
            run = bottleneck.flow(
                [start[:d]], np.reshape(start[d:], (d, 6)), [target], np.eye(6), 1, 1, times / 2
            )
            below = np.square(run.W[:, 0] - target).sum(axis=1) < 0.01 * S**2
            reached.append(times[below.argmax()] if below.any() else np.inf)
        return np.median(reached)

    infinite = np.log(100) / 2
    assert all(median_time(d, 2) > infinite for d in (1, 4, 32))
    strong = [median_time(d, 8) for d in (1, 4, 32)]
    assert strong == sorted(strong) and strong[-1] < infinite


def written(folder, builder, text):
    """Build a page that holds a figure with a name and this text; returns what was written, and the warnings."""
    from sphinx.application import Sphinx

    (folder / "book" / "_static" / "explore").mkdir(parents=True)
    (folder / "book" / "_static" / "explore" / "race.js").write_text("")
    path, extensions = str(ROOT / "book" / "_ext"), ["myst_parser", "explore"]
    (folder / "conf.py").write_text(
        f"import sys\nsys.path.insert(0, {path!r})\nextensions, numfig = {extensions}, True\n"
    )
    (folder / "twin.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>')
    (folder / "index.md").write_text(
        f"# Page\n\n```{{figure}} twin.svg\n:name: fig-twin\n\nIt stands.\n```\n\n{text}\n"
    )
    said, out = io.StringIO(), folder / "out"
    Sphinx(folder, folder, out, folder / "doctrees", builder, status=None, warning=said).build()
    return next(
        out.glob({"text": "*.txt", "latex": "*.tex", "html": "index.html"}[builder])
    ).read_text(), said.getvalue()


@pytest.mark.parametrize("builder", ["text", "latex"])
def test_on_paper_a_figure_is_its_title_and_its_twin(tmp_path, builder):
    text, said = written(
        tmp_path, builder, "```{explore} race\n:title: A race\n:twin: fig-twin\n\n*Try:* drag it.\n```"
    )
    assert "A race." in text and "makes the same point" in text and "drag it" not in text
    assert "explore needs" not in said and "unknown node" not in said


def test_the_list_leads_to_every_figure(tmp_path):
    explore = (
        "```{explore} race\n:title: A race\n:twin: fig-twin\n\n*Try:* drag it.\n```\n\n```{explore-list}\n```"
    )
    text, said = written(tmp_path, "html", explore)
    assert (
        '<a class="reference internal" href="#explore-race">A race</a>, in Page' in text
        and "explore needs" not in said
    )


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("race\n:title: A race\n\nA caption.", "explore needs :twin:"),
        ("race\n:twin: fig-twin\n\nA caption.", "explore needs :title:"),
        ("race\n:title: A race\n:twin: fig-twin\n", "explore needs a caption"),
        ("walk\n:title: A walk\n:twin: fig-twin\n\nA caption.", "explore needs book/_static/explore/walk.js"),
        ("race\n:title: A race\n:twin: fig-other\n\nA caption.", "fig-other"),
    ],
)
def test_a_figure_without_title_twin_caption_or_module_is_a_warning(tmp_path, text, missing):
    assert missing in written(tmp_path, "html", f"```{{explore}} {text}\n```")[1]


def test_the_map_of_one_network_is_the_stored_one_and_its_curves_are_the_librarys(call):
    sigma = network.digits_questions(300, 16, np.random.default_rng(0)).sigma
    s = np.linalg.svd(sigma, compute_uv=False)
    for theory, gamma in itertools.product(("mean_field", "frozen", "race", "align_ada"), (0.01, 0.3, 5.0)):
        if theory == "race" and gamma > s[-1]:
            continue
        times = np.array([1e-3, 0.05, 0.4, 3.0])
        wanted = theories.strengths(times, s, gamma, theory)
        found = [[call("one_network", "strength", t, x, gamma, theory) for x in s] for t in times]
        assert np.abs(found - wanted).max() < 1e-9
        wanted = ((s - wanted[2]) ** 2).sum() / (s**2).sum()
        # a part of the loss at the start, whose square root is a difference known to sixteen digits
        assert call("one_network", "loss", 0.4, gamma, theory) == pytest.approx(wanted, rel=1e-6, abs=1e-24)


def test_the_table_of_the_map_is_made_from_the_stored_result(call, tables):
    parameters, table = tables.one_network()
    assert stored("one_network")["parameters"] == parameters
    assert stored("one_network")["results"] == table
    k = parameters["theories"].index("empirical")
    assert call("one_network", "best", "what", 5, 7) == ["empirical", table["what"][-1][k]]


def test_the_race_knows_when_and_the_own_kernel_what(call):
    """As the caption says, at scale 0.1 and 64 units."""
    assert call("one_network", "best", "when", 1, 3)[0] == "race"
    assert call("one_network", "best", "what", 1, 3)[0] == "empirical"

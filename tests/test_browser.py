"""Every page in a real browser without a network: nothing missing, mathematics typeset, nothing wider than a phone."""

from pathlib import Path

import pytest

from tests import chromium
from tests.serving import served
from tests.test_book import CHAPTERS, HTML, PAGES

CHROMIUM = chromium.find()
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]  # fmt: skip

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason=chromium.missing()),
]


@pytest.fixture(scope="module")
def site():
    with served(HTML) as address:
        yield address


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


def open_page(browser, site, page, width):
    """Open a page with every other host blocked; return it and the list of what went wrong."""
    tab = browser.new_page(viewport={"width": width, "height": 900})
    tab.set_default_timeout(240_000)  # much mathematics, and perhaps a busy machine
    wrong = []

    def route(request):
        if request.request.url.startswith(site):
            return request.continue_()
        wrong.append(f"asked for {request.request.url}")
        return request.abort()

    tab.route("**/*", route)
    tab.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    tab.on("pageerror", lambda error: wrong.append(str(error)))
    tab.on(
        "response",
        lambda response: (
            wrong.append(f"{response.status} {response.url}") if response.status >= 400 else None
        ),
    )
    tab.goto(f"{site}/{page}.html", wait_until="load")
    tab.wait_for_function("!window.MathJax || (MathJax.startup && MathJax.startup.promise)")
    tab.evaluate("window.MathJax && MathJax.startup.promise")
    return tab, wrong


@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_whole_without_a_network(browser, site, page):
    tab, wrong = open_page(browser, site, page, 1280)
    assert not wrong
    assert tab.locator("mjx-merror, .MathJax_Error").count() == 0
    untypeset = tab.evaluate(
        "[...document.querySelectorAll('article .math')].filter(e => !e.querySelector('mjx-container')).length"
    )
    assert untypeset == 0
    broken = tab.evaluate(
        "Promise.all([...document.querySelectorAll('article img')].map(picture => {"
        "picture.loading = 'eager'; return picture.decode().then(() => '', () => picture.src); }))"
    )
    assert not any(broken)
    tab.close()


#: What the typesetter's menu and its macros load when they are asked for.
ASKED = [
    "a11y/explorer",
    "a11y/complexity",
    "ui/safe",
    "ui/lazy",
    "[tex]/cancel",
    "[tex]/physics",
    "[tex]/mathtools",
]


def test_what_the_typesetter_can_ask_for_later_is_there(browser, site):
    tab, wrong = open_page(browser, site, "book/foundations/one_mode", 1280)
    tab.evaluate("parts => MathJax.loader.load(...parts)", ASKED)
    spoken = tab.evaluate("Promise.all([...'en nemeth base'.split(' ')].map(name => fetch("
        "`${MathJax.config.loader.paths.mathjax}/sre/mathmaps/${name}.json`).then(answer => answer.ok)))")  # fmt: skip
    assert all(spoken)
    assert not wrong
    tab.close()


@pytest.mark.parametrize("page", PAGES)
def test_a_page_does_not_scroll_sideways_at_any_width(browser, site, page):
    tab, _ = open_page(browser, site, page, 768)
    found = {}
    for width in (768, 390, 360, 320):
        tab.set_viewport_size({"width": width, "height": 900})
        found[width] = tab.evaluate("document.documentElement.scrollWidth")
    assert all(wide <= width for width, wide in found.items()), found
    tab.close()


#: Of each formula with a number: whether the number ends where its box ends, and stands beside or below the formula.
NUMBERS = """[...document.querySelectorAll("div.math:has(> .eqno)")].map(box => {
  const [line, formula, number] = [box, box.querySelector("mjx-math"), box.querySelector(".eqno")]
    .map(part => part.getBoundingClientRect());
  const below = number.top >= formula.bottom - 1;
  return [Math.abs(number.right - line.right) < 2, below || number.left >= formula.right - 1];
})"""


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("page", ["book/race/routing", "book/synthesis/which_theory"])
def test_the_number_of_a_formula_stands_at_the_end_of_its_line_or_below(browser, site, page, width):
    tab, _ = open_page(browser, site, page, width)
    places = tab.evaluate(NUMBERS)
    assert len(places) > 5
    assert all(all(place) for place in places)
    tab.close()


#: Watches, from the first moment, by how much of the window what one reads is moved.
WATCH = """window.moved = 0;
new PerformanceObserver(list => { for (const entry of list.getEntries()) window.moved += entry.value; })
  .observe({ type: "layout-shift", buffered: true });"""


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("page", ["book/foundations/one_mode", "book/convergence/shallow"])
def test_nothing_jumps_when_mathematics_is_typeset(browser, site, page, width):
    tab = browser.new_page(viewport={"width": width, "height": 900})
    tab.set_default_timeout(240_000)
    tab.add_init_script(WATCH)
    tab.goto(f"{site}/{page}.html")
    tab.evaluate("MathJax.startup.promise")
    tab.wait_for_timeout(300)
    assert tab.evaluate("moved") < 0.01  # 0.1 is what browsers call good
    tab.close()


def test_a_page_can_be_read_and_worked_with_by_keyboard_alone(browser, site):
    tab, wrong = open_page(browser, site, "book/foundations/one_mode", 1280)
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.textContent") == "Skip to main content"
    tab.keyboard.press("Enter")
    assert tab.evaluate("location.hash") == "#main-content"
    fold = tab.locator("details.hide > summary").first
    fold.focus()
    tab.keyboard.press("Enter")
    assert fold.evaluate("summary => summary.parentElement.open")
    button = tab.locator(".solution button.toggle-button").first
    button.focus()
    tab.keyboard.press("Shift+Tab")
    tab.keyboard.press("Tab")
    assert button.evaluate("button => getComputedStyle(button).outlineStyle") == "solid"
    hidden = button.evaluate(
        "b => [...b.closest('.solution').children].at(-1).checkVisibility({visibilityProperty: true})"
    )
    tab.keyboard.press("Enter")
    shown = button.evaluate(
        "b => [...b.closest('.solution').children].at(-1).checkVisibility({visibilityProperty: true})"
    )
    assert (hidden, shown) == (False, True)
    assert tab.locator("mjx-container[tabindex='0']").count() == 0  # formulas are no stops
    assert not wrong
    tab.close()


def test_solutions_and_links_of_mathematics_have_names_of_their_own_and_output_no_copy_button(browser, site):
    tab, wrong = open_page(browser, site, "book/foundations/one_mode", 1280)
    tab.wait_for_function("document.querySelector('a.symbol[aria-label]')")
    folds = tab.eval_on_selector_all(
        ".solution .toggle-button", "all => all.map(e => e.getAttribute('aria-label'))"
    )
    assert folds == [f"Solution of Exercise 1.{k}" for k in range(1, len(folds) + 1)] and folds
    nameless = (
        "all => all.filter(e => !e.getAttribute('aria-label') && !e.getAttribute('title') && "
        "[...e.querySelectorAll('mjx-assistive-mml')].map(m => m.textContent).join(' ') === e.textContent.trim())"
    )
    assert tab.locator("article a.symbol").count() > 3
    assert not tab.eval_on_selector_all("article a:has(mjx-container)", nameless)
    assert tab.locator("button.copybtn").count() and not tab.locator(".output button.copybtn").count()
    assert not wrong
    tab.close()


def test_the_search_stays_in_sight_of_a_chapter_far_down_the_list(browser, site):
    tab, _ = open_page(browser, site, "book/synthesis/coding", 1280)
    tab.wait_for_function("document.querySelector('.bd-sidebar-primary').scrollTop > 300")
    assert tab.locator(".bd-sidebar-primary .search-button-field").bounding_box()["y"] >= 0
    tab.close()


def test_a_wide_picture_grows_at_a_tap_on_a_phone_and_shrinks_at_the_next(browser, site):
    tab, _ = open_page(browser, site, "book/foundations/one_mode", 390)
    picture = tab.locator("figure img.picture.in-light").first
    picture.scroll_into_view_if_needed()
    tab.wait_for_function("document.querySelector('figure img.picture.in-light').matches('.shrunk')")
    small = picture.bounding_box()["width"]
    picture.click()
    assert picture.bounding_box()["width"] == int(picture.get_attribute("width")) > small
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390
    picture.click(position={"x": 5, "y": 5})
    assert picture.bounding_box()["width"] == small
    tab.close()


@pytest.mark.parametrize("page", ["book/synthesis/one_network", "book/race/race"])
def test_the_number_of_an_equation_is_in_sight_on_a_phone(browser, site, page):
    tab, _ = open_page(browser, site, page, 390)
    beyond = tab.eval_on_selector_all(
        "div.math > .eqno",
        "all => all.filter(e => e.getBoundingClientRect().right > innerWidth).map(e => e.textContent)",
    )
    assert not beyond
    tab.close()


def test_what_scrolls_sideways_on_a_phone_is_a_stop_of_the_tab_key_and_nothing_else_is(browser, site):
    tab, _ = open_page(browser, site, "book/foundations/one_mode", 390)
    tab.wait_for_timeout(600)
    stops = tab.evaluate(
        "[...document.querySelectorAll('.bd-article pre, div.math')].map(box => "
        "[box.scrollWidth > box.clientWidth + 1, box.tabIndex === 0])"
    )
    assert stops and all(scrolls == stop for scrolls, stop in stops)
    assert any(stop for _, stop in stops)
    tab.close()


def test_nothing_moves_for_a_reader_who_asked_for_stillness(browser, site):
    tab = browser.new_page(reduced_motion="reduce")
    tab.goto(f"{site}/book/foundations/one_mode.html")
    moving = tab.evaluate(
        "[...document.querySelectorAll('*')].filter(e => getComputedStyle(e).transitionDuration !== '0s').length"
    )
    assert moving == 0
    tab.close()


@pytest.mark.parametrize("mode, shown", [("light", "in-light"), ("dark", "in-dark")])
def test_one_variant_of_a_picture_is_shown_on_a_screen_and_the_light_one_on_paper(browser, site, mode, shown):
    tab = browser.new_page(color_scheme=mode)
    tab.goto(f"{site}/book/index.html")
    pictures = tab.locator("article img.picture")
    visible = "all => all.filter(p => p.checkVisibility()).map(p => p.classList[1])"
    half = pictures.count() // 2
    assert pictures.evaluate_all(visible) == [shown] * half and half > 0
    tab.emulate_media(media="print")
    assert pictures.evaluate_all(visible) == ["in-light"] * half
    tab.close()


def test_a_page_without_scripts_has_colours_and_shows_its_formulas(browser, site):
    tab = browser.new_page(java_script_enabled=False, color_scheme="dark")
    tab.goto(f"{site}/book/foundations/one_mode.html")
    ground, text, formula = (
        tab.locator(place).first.evaluate(f"e => getComputedStyle(e).{what}")
        for place, what in (("body", "backgroundColor"), ("article p", "color"), ("span.math", "color"))
    )
    assert ground == "rgb(255, 255, 255)" and text == formula != ground
    tab.close()


def test_interactive_figures_draw_themselves(browser, site):
    pages = [
        page
        for page in CHAPTERS
        if "plotting.interactive(" in Path(HTML.parent.parent / f"{page}.md").read_text()
    ]
    for page in pages:
        tab, wrong = open_page(browser, site, page, 1280)
        tab.wait_for_selector(".plotly-graph-div .main-svg", state="attached")
        assert not wrong
        tab.close()


def test_the_ledger_finds_claims_by_words_paper_and_closeness(browser, site):
    tab, wrong = open_page(browser, site, "book/ledger", 1280)
    rows = tab.locator("table.ledger tbody tr")
    count, every = tab.locator(".ledger-count"), rows.count()
    assert count.inner_text() == f"{every} of {every} claims" and every > 500
    tab.locator("input[name=words]").fill("race-sharing-100")
    assert rows.locator("visible=true").count() == 1 and count.inner_text().startswith("1 of")
    tab.locator("input[name=words]").fill("")
    tab.locator("select[name=paper]").select_option("littwin")
    shown = rows.locator("visible=true")
    assert 0 < shown.count() < every
    assert all("Littwin" in text for text in shown.locator("td:last-child").all_inner_texts())
    tab.locator("select[name=paper]").select_option("")
    tab.locator("select[name=order]").select_option("used")
    shares = tab.evaluate(
        "[...document.querySelectorAll('table.ledger')].map(t => [...t.querySelectorAll('.ledger-used')]"
        ".map(b => parseFloat(b.style.getPropertyValue('--used'))))"
    )
    assert all(table == sorted(table, reverse=True) for table in shares)
    assert max(len(set(table)) for table in shares) > 5
    tab.locator("select[name=part]").select_option("alignment")
    heads = tab.locator("article section section:visible h2").all_inner_texts()
    assert [head.rstrip("#") for head in heads] == ["Input-weight alignment"]
    tab.locator("select[name=part]").select_option("")
    tab.locator("select[name=status]").select_option("missing")
    tab.evaluate("location.hash = '#claim-race-sharing-100'")
    tab.wait_for_function("document.getElementById('claim-race-sharing-100').offsetHeight > 0")
    assert not wrong
    tab.close()


def test_the_ledger_is_folded_until_something_is_asked_for(browser, site):
    tab, _ = open_page(browser, site, "book/ledger", 1280)
    assert tab.locator("table.ledger:visible").count() == 0
    assert tab.evaluate("document.documentElement.scrollHeight") < 8000
    fold = tab.locator("details.ledger-fold").first
    fold.locator("summary").focus()
    tab.keyboard.press("Enter")
    assert fold.locator("table.ledger").is_visible()
    tab.goto(f"{site}/book/papers.html")
    link = tab.locator("table.paper-table a[href*='#claim-']").first
    target = link.get_attribute("href").partition("#")[2]
    link.click()
    tab.wait_for_load_state("load")
    tab.wait_for_timeout(500)  # and it stays
    row = tab.locator(f"[id='{target}']").bounding_box()
    assert row is not None and 0 <= row["y"] < 900
    tab.close()


def test_who_comes_back_to_the_ledger_finds_the_words_and_what_they_find(browser, site):
    tab, _ = open_page(browser, site, "book/ledger", 390)
    tab.locator("input[name=words]").fill("race-sharing-100")
    assert tab.locator(".ledger-tools").bounding_box()["y"] < 200  # and what was found is in sight
    tab.goto(f"{site}/book/glossary.html")
    tab.go_back(wait_until="load")
    tab.wait_for_function("document.querySelector('.ledger-count')?.textContent.startsWith('1 of ')")
    assert tab.locator("input[name=words]").input_value() == "race-sharing-100"
    tab.close()


def test_the_ledger_can_be_read_without_scripts(browser, site):
    tab = browser.new_page(java_script_enabled=False)
    tab.goto(f"{site}/book/ledger.html")
    assert tab.locator("table.ledger tbody tr").locator("visible=true").count() > 500
    assert not tab.locator(".ledger-tools").is_visible()
    tab.close()

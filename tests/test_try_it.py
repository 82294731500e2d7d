"""The Try-it boxes: their code runs; in a browser a box says what it does, loads nothing too early, and can fail."""

import base64
import json
import re
import subprocess
import sys
import zipfile

import pytest

from tests import chromium
from tests.serving import served
from tests.test_book import PAGES, ROOT, TOC
from tests.test_browser import FLAGS
from tests.test_optional import BLOCK, BLOCKED

sys.path.insert(0, str(ROOT / "book" / "_ext"))
from browser import BOX, PACKAGES, build_wheel, wheel_name  # noqa: E402

STATIC = ROOT / "book" / "_static"
RUNTIME = ROOT / "_build" / "lite" / "static" / "pyodide"
BOXES = re.compile(r"^```\{try-it\} (?P<title>.+)\n(?P<options>(?::.*\n)+)\n(?P<code>(?:.*\n)*?)```", re.M)
FOUND = {page: found for page in PAGES if (found := list(BOXES.finditer((ROOT / f"{page}.md").read_text())))}
CODE = [pytest.param(box["code"], id=page) for page, boxes in FOUND.items() for box in boxes]


def run(*codes):
    """Run codes as boxes of one page do, with nothing installed but what a box loads; return what each would show."""
    lines = [
        BLOCK.format(blocked={*BLOCKED, "sklearn", "yaml"}),
        "import warnings; warnings.simplefilter('error', RuntimeWarning)",
        "import matplotlib; matplotlib.use('agg')",
        f"import sys; sys.path.insert(0, {str(STATIC)!r}); import try_it; try_it.prepare()",
        "from matplotlib import pyplot",
        *(f"pyplot.figure(); print(try_it.run_box({code!r}))" for code in codes),
    ]
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


FAILING = "print('before')\ndef f():\n    return 1 / 0\nf()"
#: Run in this order.
ENDED, WRONG, AFTER = (
    "import matplotlib.pyplot as plt\nplt.plot([1])\nraise SystemExit(3)",
    "a = = 1",
    "print(1)",
)


@pytest.fixture(scope="module")
def shown():
    """What every box of the book shows, and behind them what boxes with a reader's mistakes do."""
    codes = [box["code"] for boxes in FOUND.values() for box in boxes] + [FAILING, ENDED, WRONG, AFTER]
    return dict(zip(codes, run(*codes), strict=True))


def test_the_front_page_and_the_first_chapter_of_each_part_have_a_box():
    firsts = [part["chapters"][0]["file"] for part in TOC["parts"] if part.get("numbered")]
    assert list(FOUND) == [TOC["root"], *firsts]


@pytest.mark.parametrize("code", CODE)
def test_the_code_of_a_box_is_short_and_draws_its_figure_with_the_packages_a_box_loads(code, shown):
    assert 8 <= len(code.splitlines()) <= 16 and max(map(len, code.splitlines())) <= 84
    box = shown[code]
    assert box["error"] == "" and len(box["figures"]) == 1
    assert base64.b64decode(box["figures"][0]).startswith(b"\x89PNG")


def test_a_box_shows_what_was_printed_before_an_error_and_only_the_readers_own_lines(shown):
    box = shown[FAILING]
    assert box["text"] == "before\n"
    lines = box["error"].splitlines()
    assert lines[-1] == "ZeroDivisionError: division by zero" and "try_it.py" not in box["error"]
    assert box["error"].count("<the box>") == 2


def test_a_box_outlives_exit_and_a_syntax_error_and_keeps_no_figure_of_the_run_before(shown):
    ended, wrong, after = (shown[code] for code in (ENDED, WRONG, AFTER))
    assert "SystemExit: 3" in ended["error"] and "SyntaxError" in wrong["error"]
    assert after["figures"] == [] and after["text"] == "1\n"


def test_the_wheel_is_pure_and_holds_the_stored_results_and_the_claims(tmp_path):
    path = build_wheel(ROOT, tmp_path)
    assert path.name == wheel_name(ROOT)
    names = zipfile.ZipFile(path).namelist()
    assert not [name for name in names if name.endswith((".so", ".pyd", ".pyc"))]
    parts = {
        "gdln": ("gdln", "py"),
        "book/data": ("gdln/stored", "json"),
        "book/claims": ("gdln/rows", "yml"),
    }
    for folder, (inside, ending) in parts.items():
        for source in (ROOT / folder).rglob(f"*.{ending}"):
            assert f"{inside}/{source.relative_to(ROOT / folder).as_posix()}" in names


PAGE = """<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>A box</title>
<meta name="gdln-wheel" content="{wheel}"><script defer src="_static/try_it.js"></script></head>
<body><main>{box}</main></body></html>"""


@pytest.fixture
def page(tmp_path):
    """Return a function that serves a page with a box, in a browser that reaches nothing else."""
    from playwright.sync_api import sync_playwright

    if chromium.find() is None:
        pytest.skip(chromium.missing())
    (tmp_path / "_static").symlink_to(STATIC)
    with served(tmp_path) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium.find(), args=FLAGS)

        def serve(code, runtime, wheel="nothing.whl"):
            values = {"title": "A title", "code": code, "figure": "A line", "packages": " ".join(PACKAGES)}
            box = BOX.format(id="box", rows=12, runtime=runtime, **values)
            (tmp_path / "index.html").write_text(PAGE.format(wheel=wheel, box=box))
            tab = browser.new_page()
            tab.asked = []
            tab.on("request", lambda request: tab.asked.append(request.url))
            tab.context.route(lambda url: not url.startswith(address), lambda route: route.abort())
            tab.goto(f"{address}/index.html")
            return tab

        yield serve
        browser.close()


def said(tab, words, timeout=60_000):
    tab.wait_for_function(
        "words => document.querySelector('.try-it-state').textContent.includes(words)",
        arg=words,
        timeout=timeout,
    )


@pytest.mark.browser
def test_nothing_is_loaded_before_the_click_and_a_missing_network_is_told(page):
    tab = page("print(1)", "https://runtime.example/full/")
    said(tab, "Run loads Python")
    assert {url.rpartition("/")[2] for url in tab.asked} <= {"index.html", "try_it.js", "favicon.ico"}
    tab.get_by_role("button", name="Run").click()
    said(tab, "Nothing came from runtime.example: is there a network? Run tries again.")
    assert tab.get_by_role("button", name="Run").is_enabled()
    assert tab.get_by_role("button", name="Stop").is_disabled()


@pytest.mark.browser
def test_a_box_is_labelled_reset_and_worked_by_keys_alone(page):
    tab = page("print(1)", "https://runtime.example/full/")
    area = tab.get_by_label("Python code, yours to change")
    assert tab.get_by_role("region", name="Try it. A title").count() == 1
    area.focus()
    tab.keyboard.type("# changed")
    tab.keyboard.press("Tab")  # leaves the text, so nobody is caught in it
    assert tab.evaluate("document.activeElement.textContent") == "Run"
    tab.get_by_role("button", name="Reset").press("Enter")
    assert area.input_value() == "print(1)"
    area.press("Control+Enter")
    said(tab, "Nothing came from")


@pytest.mark.lite
@pytest.mark.skipif(not RUNTIME.is_dir(), reason="no runtime in the site: make test-lite")
def test_a_box_runs_in_the_page_stops_fails_and_runs_again(page, tmp_path):
    (tmp_path / "runtime").symlink_to(RUNTIME)
    wheel = build_wheel(ROOT, tmp_path).name
    code = next(iter(FOUND.values()))[0]["code"]
    tab = page(code, "runtime/", wheel)
    run_button = tab.get_by_role("button", name="Run")
    run_button.click()
    said(tab, "Loading Python")
    said(tab, "Done in", 240_000)
    assert tab.locator(".try-it-figures img").get_attribute("alt") == "A line"
    assert tab.evaluate("document.querySelector('.try-it-figures img').naturalWidth") > 300
    outside = [url for url in tab.asked if not url.startswith(("http://127.0.0.1", "data:"))]
    assert not outside
    area = tab.locator("textarea")
    area.fill("print('changed')\n1 / 0")
    asked = len(tab.asked)
    run_button.click()
    said(tab, "The code ended with an error")
    assert tab.locator(".try-it-text").inner_text().startswith("changed\nTraceback")
    assert len(tab.asked) == asked  # Python is there
    area.fill("while True: pass")
    run_button.click()
    said(tab, "Running")
    tab.get_by_role("button", name="Stop").click()
    said(tab, "Stopped")
    area.fill("print(2 + 2)")
    run_button.click()
    said(tab, "Done in", 240_000)
    assert tab.locator(".try-it-text").inner_text() == "4\n"

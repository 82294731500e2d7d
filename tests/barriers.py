"""What axe-core finds on built pages: all rules on a laptop and on a phone, and the contrast of all text in both modes.

Colours are the same at every width, so contrast, which takes most of the time, is measured at one of them.

A formula that is typeset is a hundred elements of one colour, and most of the time would go to them: the pages named as
``typeset`` are looked at as they are, on all others formulas stay as they are written, in the same place and colour.
"""

import asyncio
import contextlib
import threading
from pathlib import Path

import axe_playwright_python

#: By width, of a laptop and a phone, and by mode: what axe-core is told; all rules are on unless it says so.
LOOKS = {
    1280: {"light": {}, "dark": {"runOnly": ["color-contrast"]}},
    390: {"light": {"rules": {"color-contrast": {"enabled": False}}}},
}
#: Pages looked at at the same time.
TOGETHER = 2
AXE = Path(axe_playwright_python.__file__).with_name("axe.min.js")
RUN = """options => axe.run({resultTypes: ["violations"], selectors: false, ...options}).then(found =>
  found.violations.flatMap(rule => rule.nodes.map(node =>
    `${rule.id}: ${([...node.any, ...node.all, ...node.none][0] || {}).message}: ${node.html.slice(0, 160)}`)))"""

#: The page is laid out at the new width, and two frames of it are drawn.
DRAWN = """() => new Promise(drawn => requestAnimationFrame(() => requestAnimationFrame(drawn)))"""
SEEN = """() => ![...document.querySelectorAll("pre, table, div.math, div.cell_output, dl.py p")].some(box =>
  box.scrollWidth > box.clientWidth && /auto|scroll/.test(getComputedStyle(box).overflowX) && box.tabIndex)"""


async def _examine(context, address, typeset, gate):
    from playwright.async_api import TimeoutError

    async with gate:
        tab = await context.new_page()
        tab.set_default_timeout(240_000)
        if not typeset:
            await tab.route("**/mathjax/**", lambda route: route.abort())
        await tab.goto(address)
        if typeset:
            await tab.evaluate("window.MathJax && MathJax.startup.promise")
        else:
            await tab.evaluate("document.documentElement.classList.remove('scripted')")
        await tab.evaluate(f"{AXE.read_text(encoding='utf-8')};0")
        found = []
        for width in LOOKS:
            await tab.set_viewport_size({"width": width, "height": 900})
            await tab.evaluate(DRAWN)
            with contextlib.suppress(TimeoutError):  # until the page has seen what scrolls at this width
                await tab.wait_for_function(SEEN, timeout=20_000)
            for mode, options in LOOKS[width].items():
                await tab.evaluate("mode => { document.documentElement.dataset.theme = mode }", mode)
                found += [f"{width} {mode} {fault}" for fault in await tab.evaluate(RUN, options)]
        await tab.close()
        return found


async def _all(executable, flags, addresses, typeset):
    from playwright.async_api import async_playwright

    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=executable, args=flags)
        context = await browser.new_context(reduced_motion="reduce")
        gate = asyncio.Semaphore(TOGETHER)
        return await asyncio.gather(
            *(_examine(context, address, address in typeset, gate) for address in addresses)
        )


def barriers(executable, flags, addresses, typeset=()):
    """Return what axe-core finds at each address, in a browser of its own."""
    found = []
    # in a thread: the tests' own browser has this one's event loop
    thread = threading.Thread(
        target=lambda: found.extend(asyncio.run(_all(executable, flags, addresses, typeset)))
    )
    thread.start()
    thread.join()
    assert len(found) == len(addresses), "the browser stopped"
    return found

"""The site of notebooks runs in a browser that reaches nothing but the site: one chapter a part, to the end.

``make test-lite`` builds the site and runs this; it takes minutes. ``LITE_PAGES`` names other chapters, or ``all``.
"""

import contextlib
import json
import os
import time
from pathlib import Path

import pytest

from tests import chromium
from tests.serving import QuietHandler, served
from tests.test_book import ROOT
from tests.test_browser import FLAGS

SITE = ROOT / "_build" / "lite"
#: The first chapter of each part that has one without torch, and the front page.
PAGES = [
    "book/index",
    "book/foundations/one_mode",
    "book/race/routing",
    "book/renormalization/linear",
    "book/bottleneck/acceleration",
    "book/convergence/features",
]
#: Seconds a chapter may take on a machine that does other things too, and gigabytes of all the browser's processes.
SECONDS, GIGABYTES = 1800, 4.0
RECORDS = ROOT / "_build" / "lite-runs.json"

pytestmark = [
    pytest.mark.lite,
    pytest.mark.skipif(
        not (SITE / "static" / "pyodide").is_dir(), reason="no site with its runtime: make test-lite"
    ),
    pytest.mark.skipif(chromium.find() is None, reason=chromium.missing()),
]


def every_page():
    return sorted(
        path.relative_to(SITE / "files").with_suffix("").as_posix()
        for path in (SITE / "files").rglob("*.ipynb")
    )


def wanted():
    named = os.environ.get("LITE_PAGES", "").split()
    return every_page() if named == ["all"] else named or PAGES


def memory(root):
    """Gigabytes of the processes that a process has started, shared pages counted once; and seconds they computed."""
    parents, size, ticks = {}, 0, 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            parents[int(stat.parent.name)] = (int(fields[1]), int(fields[11]) + int(fields[12]))
    for pid in parents:
        above = pid
        while above in parents and above != root:
            above = parents[above][0]
        if above == root and pid != root:
            ticks += parents[pid][1]
            with contextlib.suppress(OSError):
                lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
                size += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return size / 2**20, ticks / os.sysconf("SC_CLK_TCK")


class SiteHandler(QuietHandler):
    """Serves the site, and in its settings asks JupyterLab to show itself to scripts."""

    def do_GET(self):
        if self.path.partition("?")[0] != "/jupyter-lite.json":
            return super().do_GET()
        settings = json.loads((SITE / "jupyter-lite.json").read_text())
        settings["jupyter-config-data"]["exposeAppInBrowser"] = True
        body = json.dumps(settings).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture(scope="module")
def address():
    with served(SITE, SiteHandler) as found:
        yield found


WIDGET = "jupyterapp.shell.currentWidget"
CELLS = f"() => {WIDGET}.content.widgets.map(cell => cell.model.toJSON())"


@pytest.mark.parametrize("page", wanted())
def test_a_chapter_runs_in_the_browser_and_all_its_claims_hold(address, page, tmp_path):
    from playwright.sync_api import sync_playwright

    start = time.monotonic()
    with sync_playwright() as playwright:
        # a profile of its own: nothing that another chapter has fetched, installed or left in memory
        context = playwright.chromium.launch_persistent_context(
            tmp_path, executable_path=chromium.find(), args=[*FLAGS, "--enable-precise-memory-info"]
        )
        outside = []
        context.on("request", lambda request: outside.append(request.url))
        context.route(lambda url: not url.startswith(address), lambda route: route.abort())
        tab = context.pages[0]
        tab.set_default_timeout(240_000)
        tab.goto(f"{address}/lab/index.html?path={page}.ipynb")
        tab.wait_for_function(f"window.jupyterapp && {WIDGET}?.content?.widgets?.length > 3")
        tab.wait_for_function(f"{WIDGET}.context.sessionContext.session?.kernel?.status === 'idle'")
        ready, (_, before) = time.monotonic() - start, memory(os.getpid())
        tab.evaluate("() => { jupyterapp.commands.execute('notebook:run-all-cells'); }")
        peak = 0.0
        while time.monotonic() - start < SECONDS:
            time.sleep(2)
            size, computed = memory(os.getpid())
            peak = max(peak, size)
            code = [cell for cell in tab.evaluate(CELLS) if cell["cell_type"] == "code"]
            failed = [o for cell in code for o in cell["outputs"] if o["output_type"] == "error"]
            if failed or all(cell["execution_count"] for cell in code if cell["source"]):
                break
        took = time.monotonic() - start
        context.close()
    assert not failed, "\n".join([failed[0]["ename"], failed[0]["evalue"], *failed[0]["traceback"]])
    ended = [bool(cell["execution_count"]) for cell in code]
    assert all(ended), f"{sum(ended)} of {len(ended)} cells have run in {took:.0f} s"
    claims = [o for cell in code for o in cell["outputs"] if "gdln_claim" in o.get("metadata", {})]
    assert claims or "claim(" not in "".join("".join(cell["source"]) for cell in code)
    record = {"seconds": round(took), "ready": round(ready), "computed": round(computed - before)}
    record |= {"gigabytes": round(peak, 2), "cells": len(code), "claims": len(claims)}
    known = json.loads(RECORDS.read_text()) if RECORDS.is_file() else {}
    RECORDS.write_text(json.dumps(known | {page: record}, indent=1, sort_keys=True))
    print(page, record)
    outside = [url for url in outside if not url.startswith((address, "data:", "blob:"))]
    assert not outside, outside[:5]
    assert peak < GIGABYTES

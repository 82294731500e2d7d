"""While chapters run: a quiet kernel that no user's settings reach, a line of progress, and the outputs a page shows.

The event ``chapter-outputs`` (page, notebook) carries every chapter as its page will show it, run now or taken from
the cache; before that, ``chapter-cached`` shows what the cache holds, and whoever returns true has it run again. A
chapter that failed or wrote to stderr is not kept, and after a build with warnings no page is: the next build reads all
again, so a fault cannot turn green by itself.
"""

import asyncio
import json
import os
import re
import subprocess
import time
from pathlib import Path

import myst_nb.sphinx_
from jupyter_cache import get_cache
from jupyter_core.utils import ensure_event_loop
from nbclient.exceptions import DeadKernelError
from sphinx.util.console import strip_colors

#: Variables through which a shell, a home or a locale would reach the kernel's output.
PERSONAL = ("PYTHONSTARTUP", "PYTHONWARNINGS", "PYTHONIOENCODING", "MPLBACKEND", "MATPLOTLIBRC")
#: What tells how much memory a process has held: by a path, as kernels know nothing of the problem sets.
MEASURE = Path(__file__).resolve().parents[2] / "course" / "memory.py"
KERNEL = """\
c.IPKernelApp.log_level = 50  # no word about its transport, nor about being stopped in the middle of a cell
c.HistoryManager.enabled = False  # the history is a database in the home, and locked or read-only ones complain
c.IPKernelApp.exec_files = [{memory!r}]
"""
#: Run by every kernel before a chapter: at its end it writes the most memory it had, in MB, where the system tells.
MEMORY = """\
def _write():
    import pathlib, runpy
    most = runpy.run_path({measure!r})["peak"]()
    if most is not None:
        pathlib.Path({file!r}).write_text(str(round(most)))

__import__("atexit").register(_write)
del _write
"""


def _isolate(app, config):
    """Give kernels a home of their own below ``_build``."""
    home = Path(app.outdir).parent / ".kernel"
    profile = home / "ipython" / "profile_default"
    profile.mkdir(parents=True, exist_ok=True)
    written = MEMORY.format(measure=str(MEASURE), file=str(home / "memory"))
    (home / "memory.py").write_text(written, encoding="utf-8")
    settings = KERNEL.format(memory=str(home / "memory.py"))
    (profile / "ipython_kernel_config.py").write_text(settings, encoding="utf-8")
    for name in PERSONAL:
        os.environ.pop(name, None)
    os.environ["PYTHONUTF8"] = "1"
    # Large blocks go back to the system when they are freed. Left to itself glibc keeps them, and as torch asks for
    # aligned ones it finds many of them too small again: one same chapter held 0.4 or 1.0 GB, by chance.
    os.environ.setdefault("MALLOC_MMAP_THRESHOLD_", str(2**22))
    folders = {"IPYTHONDIR": "ipython", "MPLCONFIGDIR": "matplotlib", "XDG_CACHE_HOME": "cache"}
    for name, folder in {**folders, "JUPYTER_RUNTIME_DIR": "runtime"}.items():
        (home / folder).mkdir(exist_ok=True)
        os.environ[name] = str(home / folder)
    if not any((home / "matplotlib").glob("fontlist*")):
        # matplotlib lists the fonts once a home, and says so on stderr where that takes longer than five seconds
        listing = [config.gdln_kernel, "-c", "import matplotlib.font_manager"]
        subprocess.run(listing, capture_output=True)


class Chapters:
    """The chapters this build reads, one after the other."""

    def __init__(self, app):
        self.app, self.total, self.done, self.start = app, 0, 0, 0.0
        self.create_client = myst_nb.sphinx_.create_client

    def count(self, app, env, docnames):
        """Before reading: count the chapters, and stand where myst-nb asks for their outputs."""
        texts = (Path(env.doc2path(docname)).read_text(encoding="utf-8") for docname in docnames)
        self.total, self.start = sum("{code-cell}" in text for text in texts), time.monotonic()
        myst_nb.sphinx_.create_client = self.watched

    def watched(self, *arguments, **options):
        """Return myst-nb's client of a chapter, which now tells what it did."""
        client = self.create_client(*arguments, **options)
        start = client.start_client
        client.start_client = lambda: self.run(client, start)
        return client

    def run(self, client, start):
        """Run a chapter or take it from the cache."""
        page, notebook, begin = self.app.env.docname, client.notebook, time.monotonic()
        report = Path(self.app.outdir, "reports", f"{page}.err.log")
        report.unlink(missing_ok=True)
        cached = _cached(client)
        if cached is not None and any(self.app.emit("chapter-cached", page, cached)):
            _forget(client)
        loop = ensure_event_loop()
        loop.add_signal_handler = _decline
        try:
            start()
        except KeyboardInterrupt:
            tasks = asyncio.all_tasks(loop)
            for task in tasks:
                task.cancel()
            loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))  # ends the kernel
            raise SystemExit(
                "Stopped. Chapters that have run are kept: the next build goes on from here."
            ) from None
        except DeadKernelError:
            raise SystemExit(
                f"{page}: the kernel died, most often for want of memory; run it alone to see"
            ) from None
        self.done += 1
        result = client.exec_metadata
        if client.notebook is notebook:  # run in place; outputs from the cache come with another notebook
            self.tell(page, time.monotonic() - begin)
            self.remember(page)
        if result is not None and not result["succeeded"]:
            self.explain(page, client.notebook, result)
        outputs = [o for cell in client.notebook.cells for o in cell.get("outputs", [])]
        if any(output.get("name") == "stderr" for output in outputs):
            _forget(client)
        self.app.emit("chapter-outputs", page, client.notebook)

    def tell(self, page, seconds):
        """Print which chapter has run, and how long the others may take."""
        left = (time.monotonic() - self.start) / self.done * (self.total - self.done)
        estimate = f"   about {left / 60:.0f} min left" if left > 90 else ""
        print(f"{self.done:3d} of {self.total}   {page}   {seconds:.0f} s{estimate}", flush=True)

    def remember(self, page):
        """Keep the most memory that a chapter's kernel had, in MB, in the kernel's home."""
        home = Path(self.app.outdir).parent / ".kernel"
        written, kept = home / "memory", home / "memory.json"
        if written.is_file():
            known = json.loads(kept.read_text()) if kept.is_file() else {}
            kept.write_text(json.dumps(known | {page: int(written.read_text())}, indent=1, sort_keys=True))
            written.unlink()

    @staticmethod
    def explain(page, notebook, result):
        """Print the cell that failed and its error, in about ten lines."""
        message, code = result["error"], ""
        for cell in notebook.cells:
            for output in cell.get("outputs", []):
                if output.output_type == "error":
                    message, code = f"{output.ename}: {strip_colors(output.evalue)}", cell.source
                    line = re.findall(r"^-+> (\d+) ", strip_colors("\n".join(output.traceback)), re.M)
                    first = max(0, int(line[0]) - 4) if line else 0
                    code = "\n".join(code.splitlines()[first : first + 7])
        print(f"{page} failed: {message[:500]}", *code.splitlines(), sep="\n    ", flush=True)

    @staticmethod
    def announce(app, env):
        """Print what comes after the chapters."""
        print(f"writing {len(env.found_docs)} pages", flush=True)

    def finish(self, app, error):
        """Leave nothing behind that a page does not show, and no page that the book does not have."""
        myst_nb.sphinx_.create_client = self.create_client
        if app._warncount:
            Path(app.doctreedir, "environment.pickle").unlink(missing_ok=True)
        if error is None and app.builder.format == "html":
            for path in Path(app.outdir, "book").rglob("*.html"):
                if path.relative_to(app.outdir).with_suffix("").as_posix() not in app.env.found_docs:
                    path.unlink()


def _decline(*arguments):
    """Stand in for an event loop's signal handlers: nbclient's end the kernel at Ctrl-C, but not the build."""
    raise RuntimeError("signals go to the build")


def _cached(client):
    """Return a chapter with the outputs that the cache holds, or None."""
    try:
        return get_cache(client.nb_config.execution_cache_path).merge_match_into_notebook(client.notebook)[1]
    except KeyError:
        return None


def _forget(client):
    """Take a chapter out of the cache."""
    cache = get_cache(client.nb_config.execution_cache_path)
    try:
        cache.remove_cache(cache.match_cache_notebook(client.notebook).pk)
    except KeyError:
        pass  # it failed, so it was not kept


def setup(app):
    """Register the event and the hooks."""
    app.setup_extension("library_cache")
    chapters = Chapters(app)
    app.add_event("chapter-cached")
    app.add_event("chapter-outputs")
    app.connect("config-inited", _isolate, priority=200)
    app.connect("env-before-read-docs", chapters.count)
    app.connect("env-check-consistency", chapters.announce)
    app.connect("build-finished", chapters.finish)
    return {"version": "1", "parallel_read_safe": False}

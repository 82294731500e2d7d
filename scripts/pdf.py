#!/usr/bin/env python
"""Print the book: LaTeX from the chapters' cached runs, then XeLaTeX; ``make pdf`` runs it.

    .venv/bin/python -X utf8 scripts/pdf.py             needs TeX, says which packages where it is missing
    .venv/bin/python -X utf8 scripts/pdf.py --if-tex    without TeX it says so and leaves

The PDF is kept only where every reference leads somewhere, no character is missing, no line of mathematics leaves the
page, and equations, figures and exercises have the numbers of the web.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "_build" / "latex"
PRINTED = ROOT / "_build" / "formats" / "gdln.pdf"
#: Debian's packages with all that the book needs of TeX.
PACKAGES = (
    "texlive-latex-recommended texlive-latex-extra texlive-fonts-recommended texlive-xetex texlive-science latexmk "
    "tex-gyre fonts-freefont-otf xindy"
)
#: What a line may leave the page by, in points: a third of a millimetre shows nowhere.
VISIBLE = 1.0


def missing(find=shutil.which):
    """Return the programs that printing needs and that are not installed."""
    return [name for name in ("xelatex", "latexmk", "xindy", "make") if find(name) is None]


def faults(log, aux, numbers):
    """Return what is wrong with a run of LaTeX, a sentence each: from its log, its labels and the web's numbers."""
    log = re.sub(r"(?<=.{79})\n", "", log)  # TeX breaks its lines there
    found = sorted(
        set(re.findall(r"(?:Reference|Citation|Hyper reference) `([^']+)' on page \d+ undefined", log))
    )
    found = [f"{name} is referred to and stands nowhere" for name in found]
    found += sorted(set(re.findall(r"Missing character: (There is no .+? in font \S+)", log)))
    labels = dict(re.findall(r"\\newlabel\{([^{}]+)\}\{\{([^{}]*)\}", aux))
    found += [
        f"{name} is {labels.get(name, 'nothing')} in the PDF and {number} on the web"
        for name, number in numbers.items()
        if labels.get(name) != number
    ]
    wide = re.findall(r"Overfull \\hbox \(([\d.]+)pt too wide\) detected at line (\d+)", log)  # in a display
    return found + [
        f"a formula at line {line} is {width} pt too wide" for width, line in wide if float(width) > VISIBLE
    ]


def main():
    """Print the book and say where it is, or what keeps it from being printed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--if-tex", action="store_true", help="leave without an error where TeX is missing")
    wanted, start = parser.parse_args(), time.monotonic()
    if names := missing():
        message = f"No PDF: {', '.join(names)} not found; on Debian: apt-get install make {PACKAGES}"
        if wanted.if_tex:
            print(message)
            return
        sys.exit(message)
    environment = {**os.environ, "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}
    shutil.rmtree(BUILD, ignore_errors=True)
    book = Path(sys.executable).with_name("jupyter-book")
    command = [book, "build", ".", "--builder", "latex", "-q", "-W", "-n", "--keep-going"]
    if subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL).returncode:
        sys.exit(1)
    command = ["make", "all-pdf", "LATEXMKOPTS=-interaction=nonstopmode -halt-on-error"]
    done = subprocess.run(command, cwd=BUILD, capture_output=True, text=True, errors="replace")
    log, pdf = BUILD / "gdln.log", BUILD / "gdln.pdf"
    if done.returncode or not pdf.is_file():
        sys.exit(f"LaTeX failed; its last words:\n{done.stdout[-2000:]}\nAll of them: {log}")
    numbers = json.loads((BUILD / "numbers.json").read_text())
    aux = (BUILD / "gdln.aux").read_text(errors="replace")
    if found := faults(log.read_text(errors="replace"), aux, numbers):
        sys.exit("\n".join(["The PDF is not as it should be:", *found[:20], f"{len(found)} faults in all"]))
    PRINTED.parent.mkdir(exist_ok=True)
    shutil.copy(pdf, PRINTED)
    print(f"The printed book is at {PRINTED} ({time.monotonic() - start:.0f} s)")


if __name__ == "__main__":
    main()

"""Runs the code of a Try-it box: in the page by a browser's Python, and in the tests."""

import base64
import contextlib
import io
import json
import traceback


def prepare():
    """Import what draws, in the book's style."""
    from gdln import plotting

    plotting.use_style()


def run_box(code):
    """Run code in a namespace of its own; return what it printed, how it failed, and its figures, as JSON."""
    from matplotlib import pyplot as plt

    plt.close("all")
    said, error, figures = io.StringIO(), "", []
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            exec(compile(code, "<the box>", "exec"), {"__name__": "__main__"})
            for number in plt.get_fignums():
                file = io.BytesIO()
                plt.figure(number).savefig(file, format="png", dpi=144, bbox_inches="tight")
                figures.append(base64.b64encode(file.getvalue()).decode())
        except BaseException as raised:  # code may call exit, too
            # the first frame is this one
            lines = traceback.format_exception(type(raised), raised, raised.__traceback__.tb_next)
            error = "".join(lines)
    return json.dumps({"text": said.getvalue(), "error": error, "figures": figures})

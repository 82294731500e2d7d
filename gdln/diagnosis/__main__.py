"""Diagnose a network from a shell: a saved module, its checkpoints, and data in a npz file.

    python -m gdln.diagnosis start.pt2 end.pt2 --data data.npz --html report.html

Modules are those of ``torch.jit.save`` (scripted) or ``torch.export.save`` (exported, ``.pt2``), the first before
training. Checkpoints after it are such modules or, ending in ``.pt`` or ``.pth``, dicts of parameters that
``torch.save(model.state_dict(), ...)`` wrote. The npz file holds ``X`` and ``y``, and, if there are any, inputs
``X_test`` that were not trained on. A time, steps times rate, follows a checkpoint behind an ``@``: ``late.pt@12.5``.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch

from gdln import checks
from gdln.diagnosis.measure import diagnose


def main(argv=None):
    """Read the arguments, diagnose, print. Returns the exit status: 2 where something cannot be diagnosed."""
    parser = argparse.ArgumentParser(
        prog="python -m gdln.diagnosis",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", help="module before training, scripted or exported")
    parser.add_argument("checkpoints", nargs="+", help="modules or parameters after it, in order; PATH@TIME")
    parser.add_argument("--data", required=True, help="npz file with X, y and perhaps X_test")
    parser.add_argument("--loss", default="squared", choices=("squared", "cross_entropy"))
    parser.add_argument("--lr", type=float, help="step of gradient descent")
    parser.add_argument(
        "--n-probe", type=int, default=100, help="samples on which kernels are compared (100)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the control with shuffled errors (0)")
    parser.add_argument("--html", metavar="FILE", help="write a page with table and figure")
    parser.add_argument("--csv", metavar="FILE", help="write all numbers as a table")
    chosen = parser.parse_args(argv)
    try:
        data = _arrays(chosen.data)
        found = diagnose(
            _module(chosen.model),
            [_checkpoint(text) for text in chosen.checkpoints],
            (data["X"], data["y"]),
            rng=np.random.default_rng(chosen.seed),
            test=data.get("X_test"),
            loss=chosen.loss,
            lr=chosen.lr,
            n_probe=chosen.n_probe,
        )
        print(found)
        if chosen.html:
            Path(chosen.html).write_text(found.to_html(), encoding="utf-8")
        if chosen.csv:
            found.to_frame().to_csv(chosen.csv, index=False)
    except (OSError, TypeError, ValueError) as error:
        print(f"cannot be diagnosed: {error}", file=sys.stderr)
        return 2
    return 0


def _module(path):
    checks.need(Path(path).is_file(), "model", "a file", path)
    try:
        if path.endswith(".pt2"):
            return torch.export.load(path).module()
        return torch.jit.load(path, map_location="cpu")
    except Exception as error:  # of a damaged file torch raises what its parts do
        words = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ValueError(
            f"{path} is no module that torch.jit.save or torch.export.save wrote: {words}"
        ) from error


def _checkpoint(text):
    path, _, time = text.rpartition("@") if "@" in text else (text, "", "")
    if time:
        try:
            time = float(time)
        except ValueError:
            raise ValueError(f"checkpoints needs a number behind the @, got {text!r}") from None
    checks.need(Path(path).is_file(), "checkpoints", "a file", path)
    state = None
    if path.endswith((".pt", ".pth")):
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
        except Exception:  # a scripted module, or a damaged file, which the next line says
            state = None
    item = state if isinstance(state, dict) else _module(path)
    return (time, item) if time != "" else item


def _arrays(path):
    try:
        with np.load(path, allow_pickle=False) as file:
            data = {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError) as error:
        raise ValueError(f"data needs a npz file, got {path!r}: {error}") from error
    missing = sorted({"X", "y"} - set(data))
    checks.need(not missing, "data", "arrays X and y", f"a file without {missing}")
    return data


if __name__ == "__main__":
    sys.exit(main())

"""Every public function of the ground and of the data refuses bad input by the argument's name, and at once."""

import gzip
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from gdln import activations, claims, fingerprint, integration, plotting, results, sweep
from gdln.data import images, regression, tasks
from tests import test_entrances as walk

MODULES = (
    activations, claims, fingerprint, integration, plotting, results, sweep, tasks, images, regression
)  # fmt: skip
#: Records, which keep what they are given; what fetches from a network; the axes of a grid, which have any name; what
#: reads the rows of the book's claims, which are refused by their key.
APART = {
    "Activation", "Record", "GatedTask", "RoutingTask", "Regression", "Task", "fetch", "points", "digits", "xor",
    "asserted", "check_criterion", "criterion", "read",
    "centred_rows",
}  # fmt: skip


FEW = images.digits().subset(slice(0, 12))


def draw(seed):
    return {"value": seed}


def decay(t, v):
    return -v


class Page:
    """What speaks for a figure of plotly: it gives its page."""

    def to_html(self, **options):
        return ""


def calls():
    """A good call of every public function: arguments by name. Files lie in the folder where it runs."""
    folder = Path.cwd()
    rng = np.random.default_rng(0)
    numbers = np.arange(6, dtype=np.uint8)
    data = bytes([0, 0, 8, 1]) + np.array([6], dtype=">u4").tobytes() + numbers.tobytes()
    (folder / "idx.gz").write_bytes(gzip.compress(data))
    (folder / "batch.bin").write_bytes(bytes(3073))
    results.save("run", {}, {}, folder=folder)
    X = rng.standard_normal((5, 3))
    ax = Figure().add_subplot()
    sizes = dict(n_samples=4, n_inputs=3, n_new=2, rng=rng)
    flow = dict(start=np.ones(2), times=np.array([0.0, 1.0]), rtol=1e-8, atol=1e-8)
    return {
        claims.claim: dict(key="race-xor-curve", measured=0.0, expected=None),
        claims.rows: {},
        fingerprint.content: dict(value=1, name="value"),
        fingerprint.code: dict(function=draw),
        fingerprint.library: {},
        fingerprint.name: dict(function=draw),
        plotting.use_style: {},
        plotting.theory_and_simulation: dict(
            ax=ax,
            x=np.arange(3.0),
            theory=np.ones(3),
            x_sim=np.arange(2.0),
            simulation=np.ones(2),
            color="k",
            label="theory",
            marker="o",
            every=1,
        ),
        plotting.seed_band: dict(
            ax=ax, x=np.arange(3.0), runs=np.ones((2, 3)), color="k", label="runs", marker="o"
        ),
        plotting.heatmap: dict(ax=ax, matrix=np.eye(2), label="matrix", diverging=True, colorbar=True),
        plotting.interactive: dict(figure=Page()),
        activations.named: dict(activation="tanh"),
        integration.integrate: dict(slope=decay, **flow),
        integration.record: dict(slope=decay, **flow, method="RK45", cut=True, stop=sum, max_steps=1000),
        integration.half_time: dict(times=np.arange(3.0), values=np.array([2.0, 1.5, 0.0]), end=0.0),
        results.load: dict(name="run", folder=folder),
        results.save: dict(
            name="run", parameters={"a": 1}, results={"b": 2}, packages=("numpy",), folder=folder
        ),
        sweep.sweep: dict(
            function=draw,
            grid={"seed": [1, 2]},
            fixed={},
            path=folder / "part.jsonl",
            n_jobs=1,
            progress=False,
        ),
        tasks.contextual: dict(n_samples=3, rng=rng, n_contexts=2),
        tasks.contextual_correlations: dict(n_contexts=2),
        tasks.hierarchical: dict(heights=np.array([3.0, 2.0])),
        tasks.routing: dict(mask=np.eye(2, dtype=bool), X=X, Y=X[:, :2]),
        tasks.circulant_mask: dict(n_domains=4, n_trained=2),
        tasks.consecutive_mask: dict(n_domains=4, n_trained=2),
        tasks.block_mask: dict(n_domains=4, n_blocks=2),
        tasks.random_mask: dict(n_domains=4, n_trained=2, rng=rng),
        tasks.mask_components: dict(mask=np.eye(2, dtype=bool)),
        tasks.sphere: dict(n=3, d=2, rng=rng),
        tasks.four_points: dict(n=3, d=2, rng=rng),
        tasks.add_task: dict(n_sequences=2, length=7, rng=rng),
        images.ImageSet: dict(X=X, labels=np.arange(5), shape=(3,)),
        images.centre: dict(X=X),
        images.whiten: dict(X=X, rtol=1e-10),
        images.one_hot: dict(labels=np.arange(5), n_classes=5, centred=True),
        images.read_idx: dict(source=folder / "idx.gz", most_bytes=100),
        images.read_cifar10: dict(source=folder / "batch.bin"),
        images.load: dict(name="digits", split="train", folder=folder, n_images=50),
        images.pixel_permutations: dict(n_domains=2, n_pixels=3, rng=rng),
        images.permuted_inputs: dict(images=FEW, orders=np.stack([np.arange(64), np.arange(64)[::-1]])),
        images.rotated_inputs: dict(images=FEW, n_domains=2, largest_angle=90.0),
        images.random_label_permutations: dict(n_domains=2, n_classes=3, rng=rng),
        images.lexicographic_label_permutations: dict(n_domains=2, n_classes=3),
        regression.relu_teacher: dict(**sizes, noise=0.1, width=2),
        regression.clustered_teacher: dict(**sizes, n_clusters=2, spread=0.5, noise=0.1, n_unlabelled=3),
        regression.even_odd: dict(images=FEW, n_samples=3, n_new=2, rng=rng),
        regression.permuted_even_odd: dict(images=FEW, n_tasks=2, n_samples=3, n_new=2, rng=rng),
        regression.parity: dict(image_set=FEW, n_train=3, n_test=2, rng=rng),
        regression.classes: dict(image_set=FEW, n_train=3, n_test=2, rng=rng),
        regression.subspace: dict(n_train=3, n_test=2, rng=rng, n_inputs=4),
    }


#: What comes of a value that is bad elsewhere and right here: beginnings of lines of :func:`walk.faults`.
RIGHT = {
    "fingerprint.content": ("value = ", "name = 'nonsense' passed"),
    "plotting.heatmap": ("label = None passed", "label = 'nonsense' passed"),
    # what is not finite is a gap in the figure, which can be seen
    **{
        f"plotting.{name}": (
            *(f"{argument} = {kind}" for argument in lines for kind in ("array([", "tensor([", "0  ")),
            *(f"{argument} = {kind}" for argument in tables for kind in ("array([", "tensor([", " ")),
            "color = None passed",
            "label = None passed",
            "label = 'nonsense' passed",
            "marker = 'nonsense': said 'nonsense",
        )
        for name, lines, tables in (
            ("seed_band", ("x",), ("runs",)),
            ("theory_and_simulation", ("x", "theory", "x_sim", "simulation"), ()),
        )
    },
    "claims.claim": (
        "key = 'nonsense': said claim 'nonsense' has no row",
        *(
            f"measured = {value}: AssertionError claim 'race-xor-curve' does not hold"
            for value in ("nan", "-inf", "inf")
        ),
        "measured = -1 passed",
        "expected = None passed",
    ),
    "integration.half_time": (
        "end = None passed",
        "end = -1 passed",
        "values = array([[[[2.",
    ),  # values may have any axes behind their times
    "integration.record": ("max_steps = None passed", "stop = None passed"),
    "results.load": ("name = 'nonsense': FileNotFoundError", "folder = None", "folder = 'text'"),
    "results.save": (
        "name = 'nonsense' passed",
        "folder = ",
        "parameters = {",
        "results = {",
        "results = [1.0] passed",
        "packages = [] passed",
        "packages = ('numpy', 'numpy'",
    ),
    "sweep.sweep": (
        "grid = {} passed",
        "fixed = None passed",
        "path = None passed",
        "path = 'text' passed",
        "n_jobs = None",
        "n_jobs = -1",
    ),
    "images.read_idx": ("source = 'text': FileNotFoundError",),
    "images.read_cifar10": ("source = 'text': FileNotFoundError",),
    "images.load": ("folder = None passed", "folder = 'text' passed", "n_images = None passed"),
    "images.rotated_inputs": ("largest_angle = -1 passed",),
}

pytestmark = pytest.mark.filterwarnings("ignore:.*points failed:UserWarning")
test_bad_values_are_refused_by_name, test_other_forms_change_nothing = walk.over(MODULES, calls, APART, RIGHT)

"""Scale of growth: what checking, scoring and training take at ten times as many patients, again.

Up to `rows` patients from ten thousand on, each size ten times the one before. Programs start, and
that costs the same for few as for many: so the slope that is judged is that of the last step.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import matplotlib as mpl
from known_model import write_model
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, NullLocator
from measured import CORES, MEGABYTE, Cost, Line, slope, spinecast
from scale_scoring import write_patients
from scale_training import shard_patients, train

from spinecast.drawing.canvas import BLUE, GREY, INK, STYLE, explain_signs, svg

FEWEST = 10_000
TREES, DEPTH = 150, 2
"""Of the model that scores."""
STEEPEST, FLAT = 1.05, 0.1
"""The powers of the rows by which time and memory may grow."""
TITLE = "Time and memory by number of patients"
LOOKS: tuple[dict[str, str], ...] = (
    {"marker": "o", "linestyle": "-", "color": INK},
    {"marker": "s", "linestyle": "--", "color": BLUE},
    {"marker": "^", "linestyle": ":", "color": GREY},
)

Grown = dict[str, list[Cost]]


def growth(folder: Path, rows: int, plot: Path | None = None) -> Iterator[Line]:
    """Each cost as it is measured, then by what power of the rows it grew; perhaps as a figure."""
    sizes = [FEWEST * 10**step for step in range(round(math.log10(rows / FEWEST)) + 1)]
    model = folder / "model-of-growth"
    write_model(model, TREES, DEPTH)
    found: Grown = {}
    for name, run in _runs(folder, model).items():
        for size in sizes:
            found.setdefault(name, []).append(run(size))
            yield Line(f"{name} {size:,} rows", str(found[name][-1]))
        yield _judged(name, sizes[-2:], found[name][-2:])
    if plot is not None:
        plot.write_text(_drawn(sizes, found), encoding="utf-8")


def _runs(folder: Path, model: Path) -> dict[str, Callable[[int], Cost]]:
    """What is measured, by name: of so many patients, written first where they are not there."""

    def patients(size: int) -> Path:
        there = folder / f"patients-{size}"
        write_patients(there, size)
        return there

    def checked(size: int) -> Cost:
        return spinecast("check", patients(size), "--processes", CORES, repeats=1)

    def scored(size: int) -> Cost:
        given = "--model", model, "--out", folder / "scores", "--replace"
        return spinecast("score", patients(size), *given, "--processes", CORES, repeats=1)

    def trained(size: int) -> Cost:
        shards = folder.absolute() / f"shards-{size}"
        shard_patients(shards, size)
        return train(shards)

    return {"check": checked, "score": scored, "train": trained}


def _judged(name: str, sizes: Sequence[int], costs: Sequence[Cost]) -> Line:
    time, memory = (slope(sizes, [getattr(cost, of) for cost in costs]) for of in ("cpu", "peak"))
    return Line(
        f"{name}: powers of the rows by which it grows at last",
        f"{time:.2f} of processor time, {memory:.2f} of memory",
        f"at most {STEEPEST} and {FLAT}",
        time <= STEEPEST and memory <= FLAT,
    )


# --- the figure ----------------------------------------------------------------------------------


def _drawn(sizes: Sequence[int], found: Grown) -> str:
    """Both costs of every command by number of patients, on logarithmic axes."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(5.6, 6.4), layout="constrained")
        figure.suptitle(TITLE, fontweight="bold")
        time, memory = figure.subplots(2, 1, sharex=True)
        for (name, costs), look in zip(found.items(), LOOKS, strict=True):
            time.loglog(sizes, [cost.cpu for cost in costs], label=name, **look)
            memory.loglog(sizes, [cost.peak / MEGABYTE for cost in costs], **look)
        time.set(ylabel="Processor seconds, start included", ylim=(1, 1_000))
        memory.set(xlabel="Patients", ylabel="Peak memory (MB)", ylim=(100, 10_000))
        memory.set_xticks(sizes, [f"{size:,}" for size in sizes])
        memory.xaxis.set_minor_locator(NullLocator())
        for axes in (time, memory):
            axes.yaxis.set_major_formatter("{x:,.0f}")
            axes.yaxis.set_minor_formatter(NullFormatter())
            axes.grid(visible=True, axis="y", linewidth=0.4)
        explain_signs(figure)
        said = [
            f"{name}, {size:,} patients: {cost}."
            for name, costs in found.items()
            for size, cost in zip(sizes, costs, strict=True)
        ]
        return svg(figure, TITLE, " ".join(said))

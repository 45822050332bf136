"""Plots of an evaluation and of a training run, for people to look at."""

import json
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from limner.training.vellum.evaluate import Evaluation

_WIDTH, _HEIGHT, _DPI = 8.0, 4.6, 100
_COLOURS = ("#3f6fd8", "#f2a541", "#5aa469")


def plot_evaluation(evaluation: Evaluation, target: Path) -> tuple[Path, ...]:
    """Plot the shares of each manner, and how near drawings lie to what they were trained on."""
    target.mkdir(parents=True, exist_ok=True)
    return (_shares(evaluation, target), _nearness(evaluation, target))


def plot_training(log: Path, target: Path) -> Path:
    """Plot the errors that a run's log tells, on held-out and on trained pictures.

    Where a run went on from an earlier checkpoint, only what led to its end is shown.
    """
    told = [json.loads(line) for line in log.read_text("utf-8").splitlines()]
    looked: list[dict[str, float]] = []
    for line in reversed(told):
        if "hold" in line and (not looked or line["samples"] < looked[-1]["samples"]):
            looked.append(line)
    looked.reverse()
    figure, axes = _sheet()
    for name, label, colour in (
        ("hold", "held out", _COLOURS[0]),
        ("seen", "trained", _COLOURS[1]),
    ):
        axes.plot(
            [line["samples"] / 1000 for line in looked],
            [line[name] for line in looked],
            label=label,
            color=colour,
            linewidth=2,
        )
    axes.set_yscale("log")
    axes.set_xlabel("thousands of pictures shown")
    axes.set_ylabel("mean square error in one step")
    axes.set_title("What training did")
    axes.grid(alpha=0.25, which="both")
    axes.legend(frameon=False)
    return _kept(figure, target / "training.png")


def _shares(evaluation: Evaluation, target: Path) -> Path:
    figure, axes = _sheet(height=6.4)
    rows = [found.rows() for found in evaluation.figures]
    names = list(rows[0])[::-1]
    thick = 0.8 / len(rows)
    for number, (manner, shares) in enumerate(zip(evaluation.manners, rows, strict=True)):
        axes.barh(
            [place + (len(rows) - 1 - number) * thick for place in range(len(names))],
            [shares[name] for name in names],
            height=thick,
            label=f"{manner.steps} steps",
            color=_COLOURS[number % len(_COLOURS)],
        )
    axes.set_yticks([place + 0.4 - thick / 2 for place in range(len(names))], names)
    axes.set_xlim(0, 1)
    axes.set_xlabel("share")
    axes.set_title("What a judge, trained on real pictures alone, says")
    axes.grid(alpha=0.25, axis="x")
    axes.legend(frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1.05), ncols=len(rows))
    return _kept(figure, target / "figures.png")


def _nearness(evaluation: Evaluation, target: Path) -> Path:
    figure, axes = _sheet()
    edges = [step / 10 for step in range(31)]
    for number, (manner, found) in enumerate(
        zip(evaluation.manners, evaluation.figures, strict=True)
    ):
        near = [min(one, edges[-1]) for one in found.nearness]
        axes.hist(
            near,
            edges,
            histtype="step",
            linewidth=2,
            label=f"{manner.steps} steps",
            color=_COLOURS[number % len(_COLOURS)],
        )
    axes.axvline(1, color="black", linewidth=1)
    axes.set_xlabel("distance to the training picture, in distances of its nearest real sibling")
    axes.set_ylabel("trained pairs")
    axes.set_title("How near drawings lie to what they were trained on")
    axes.legend(frameon=False)
    return _kept(figure, target / "nearness.png")


def _sheet(height: float = _HEIGHT) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(_WIDTH, height), dpi=_DPI, layout="constrained")
    return figure, figure.subplots()


def _kept(figure: Figure, path: Path) -> Path:
    figure.savefig(path, metadata={"Software": None})
    return path

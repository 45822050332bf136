"""What an evaluation says is written and drawn."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("matplotlib", reason="matplotlib comes with the extra [train]")

from limner.training.vellum.artist import Manner
from limner.training.vellum.evaluate import Evaluation, Figures
from limner.training.vellum.plots import plot_evaluation, plot_training

NAMES = [name for name in Figures.__dataclass_fields__ if name != "nearness"]


def figures(share: float) -> Figures:
    shares = dict.fromkeys(NAMES, share)
    return Figures(**shares, nearness=(0.5, 1.5, 9.0))


def evaluation() -> Evaluation:
    return Evaluation((Manner(), Manner(steps=4)), (figures(0.75), figures(0.5)))


def test_manners_stand_beside_each_other() -> None:
    lines = evaluation().table().splitlines()
    assert lines[0] == "| measure | 20 steps | 4 steps |"
    assert lines[2] == "| real top 1 | 0.75 | 0.50 |"
    assert len(lines) == 2 + len(NAMES)


def coloured(path: Path) -> float:
    """Return the share of a plot that is not grey."""
    pixels = np.asarray(Image.open(path).convert("RGB")).astype(int)
    return float((pixels.max(-1) - pixels.min(-1) > 40).mean())


def test_shares_and_nearness_are_plotted(tmp_path: Path) -> None:
    shares, nearness = plot_evaluation(evaluation(), tmp_path / "sheets")
    assert coloured(shares) > 0.05
    assert coloured(nearness) > 0.001


def test_the_errors_of_a_run_are_plotted(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    lines: list[dict[str, float]] = [{"minutes": 1, "samples": 100, "loss": 0.5}]
    lines += [
        {"minutes": turn, "samples": 1000 * turn, "hold": 0.1 / turn, "seen": 0.08 / turn}
        for turn in range(1, 9)
    ]
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert coloured(plot_training(log, tmp_path)) > 0.003

"""The upscaler: what it starts as, what is written of it, and that it learns."""

from pathlib import Path

import numpy as np
import pytest
import torch

from limner.families.crisp.facts import NETWORK, read_facts
from limner.training.vellum import upscaling
from limner.training.vellum.upscaling import (
    UPSCALER,
    UpscalerNetwork,
    UpscalingConfig,
    export_upscaler,
    read_upscaler,
    train_upscaler,
)


def test_it_starts_near_every_pixel_four_by_four_times() -> None:
    torch.manual_seed(0)
    small = torch.rand(1, 4, 6, 5) * 2 - 1
    large = UpscalerNetwork()(small)
    assert large.shape == (1, 4, 24, 20)
    plain = small.repeat_interleave(4, 2).repeat_interleave(4, 3)
    assert (large - plain).abs().mean() < 0.3


def test_training_mends_what_was_made_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = np.random.default_rng(0)
    blocks = random.integers(0, 255, (6, 4, 8, 8), np.uint8)
    large = blocks.repeat(16, 2).repeat(16, 3)
    small = (255 - large.reshape(6, 4, 32, 4, 32, 4).mean((3, 5))).astype(np.uint8)  # inverted
    monkeypatch.setattr(upscaling, "_pairs", lambda config: (small, large))
    config = UpscalingConfig(*(tmp_path,) * 5, run=tmp_path, minutes=0.05, crop=16, batch=4)
    first = train_upscaler(config)
    torch.manual_seed(0)
    before = upscaling._error(
        UpscalerNetwork()(upscaling._unit(small)), upscaling._unit(large)
    ).item()
    assert first < before
    network, seconds = read_upscaler(tmp_path / UPSCALER)
    assert seconds == pytest.approx(3, abs=2)
    train_upscaler(config)
    assert read_upscaler(tmp_path / UPSCALER)[1] > seconds
    assert isinstance(network, UpscalerNetwork)


def test_the_export_is_the_network(tmp_path: Path) -> None:
    torch.manual_seed(0)
    upscaling._save(tmp_path / UPSCALER, UpscalerNetwork(), 90.0)
    assert export_upscaler(tmp_path / UPSCALER, tmp_path / "weights") < 1e-5
    facts = read_facts(tmp_path / "weights")
    assert facts.minutes == 1.5
    assert facts.bytes == (tmp_path / "weights" / NETWORK).stat().st_size

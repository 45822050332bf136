"""The bench of the watermark, on pictures made for it."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from limner.app.bench_watermark import run_watermark_bench
from limner.domain.errors import InvalidOption


def save(path: Path, side: int, *, grain: int) -> None:
    path.parent.mkdir(exist_ok=True)
    drawn = np.random.RandomState(side + grain)
    coarse = drawn.randint(40, 200, (9, 9, 3)).astype(np.uint8)
    pixels = np.array(Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC))
    if grain:
        pixels += drawn.randint(0, grain, pixels.shape).astype(np.uint8)
    else:
        pixels[...] = 0
    Image.fromarray(pixels).save(path)


def test_pictures_in_a_folder_are_measured(tmp_path: Path) -> None:
    save(tmp_path / "one.png", 200, grain=20)
    save(tmp_path / "below" / "two.webp", 180, grain=10)
    save(tmp_path / "black.png", 160, grain=0)
    save(tmp_path / "small.png", 100, grain=20)
    (tmp_path / "broken.png").write_bytes(b"no picture")
    (tmp_path / "notes.txt").write_text("no picture either")
    told: list[str] = []
    figures = {one.name: one for one in run_watermark_bench(tmp_path, told.append)}
    assert told == ["two.webp", "black.png", "one.png"]
    assert figures["pictures"].value == 3
    assert figures["pictures"].note == "1 had too little to hide in"
    assert figures["ids found where there is none"].value == 0
    assert figures["PSNR"].value > 40
    assert figures["unchanged"].value == 100
    assert figures["unchanged"].note.startswith("2 of 2, certainty")
    assert figures["JPEG 75"].value == 100
    assert {"WebP 60", "half size and back", "15 % brighter"} <= set(figures)
    assert figures["10 % crop: 5 % off every side, JPEG 90"].unit == "%"


def test_where_no_picture_can_be_marked_no_share_is_given(tmp_path: Path) -> None:
    save(tmp_path / "black.png", 160, grain=0)
    figures = {one.name: one for one in run_watermark_bench(tmp_path, lambda _: None)}
    assert figures["pictures"].note == "1 had too little to hide in"
    assert "unchanged" not in figures


@pytest.mark.parametrize("name", [".", "not-here"])
def test_a_folder_without_pictures_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidOption, match=r"pictures"):
        list(run_watermark_bench(tmp_path / name, lambda _: None))

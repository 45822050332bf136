"""What the invisible watermark costs, and what it outlives, measured on pictures of one's own."""

import io
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, median
from types import MappingProxyType

import numpy as np
from PIL import Image

from limner.app.bench import Measure
from limner.domain.errors import InvalidImage, InvalidOption, storage_failure
from limner.domain.recipe import Size
from limner.families import raster
from limner.families.family import Pixels
from limner.provenance import watermark
from limner.provenance.intake import read_picture

_SUFFIXES = frozenset((".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".avif", ".gif", ".bmp"))
_MARKS = 0x9E3779B97F4A
"""Odd, so that its multiples modulo 2⁴⁸ are all different: one mark for each picture."""

_TIMED = 10
_TIMED_SIZE = Size(width=1024, height=1024)


def _saved(kind: str, quality: int) -> Callable[[Pixels], Pixels]:
    def save(pixels: Pixels) -> Pixels:
        file = io.BytesIO()
        Image.fromarray(raster.over(pixels)[..., :3]).save(file, kind, quality=quality)
        return np.array(Image.open(file).convert("RGBA"))

    return save


def _scaled(pixels: Pixels, factor: float) -> Pixels:
    height, width = pixels.shape[:2]
    smaller = Size(width=max(1, round(width * factor)), height=max(1, round(height * factor)))
    return raster.resize(pixels, smaller)


def _half_and_back(pixels: Pixels) -> Pixels:
    return raster.resize(_scaled(pixels, 0.5), raster.size_of(pixels))


def _brightened(factor: float) -> Callable[[Pixels], Pixels]:
    def brighten(pixels: Pixels) -> Pixels:
        changed = raster.over(pixels)
        changed[..., :3] = np.clip(np.rint(changed[..., :3] * factor), 0, 255)
        return changed

    return brighten


def _screenshot(pixels: Pixels) -> Pixels:
    return _saved("JPEG", 85)(_scaled(raster.over(pixels), 0.73))


def _cropped(share: float) -> Callable[[Pixels], Pixels]:
    def crop(pixels: Pixels) -> Pixels:
        height, width = pixels.shape[:2]
        down, across = round(height * share / 2), round(width * share / 2)
        return _saved("JPEG", 90)(pixels[down : height - down, across : width - across])

    return crop


def _cut(pixels: Pixels) -> Pixels:
    return _saved("JPEG", 90)(pixels[:, : round(pixels.shape[1] * 0.9)])


_TRIALS: MappingProxyType[str, Callable[[Pixels], Pixels]] = MappingProxyType(
    {
        "unchanged": raster.over,
        "JPEG 90": _saved("JPEG", 90),
        "JPEG 75": _saved("JPEG", 75),
        "JPEG 50": _saved("JPEG", 50),
        "WebP 80": _saved("WEBP", 80),
        "WebP 60": _saved("WEBP", 60),
        "half size and back": _half_and_back,
        "15 % brighter": _brightened(1.15),
        "15 % darker": _brightened(0.85),
        "screenshot: 0.73 of the size, JPEG 85": _screenshot,
        "10 % crop: 5 % off every side, JPEG 90": _cropped(0.1),
        "20 % crop: 10 % off every side, JPEG 90": _cropped(0.2),
        "10 % off one side, JPEG 90": _cut,
    }
)
"""What happens to pictures, by name."""


@dataclass
class _Tally:
    """What was seen on all pictures so far."""

    pictures: int = 0
    unmarked: int = 0
    strange: int = 0
    ratios: list[float] = field(default_factory=list)
    embedding: list[float] = field(default_factory=list)
    detecting: list[float] = field(default_factory=list)
    searching: list[float] = field(default_factory=list)
    certainties: dict[str, list[float]] = field(default_factory=lambda: {k: [] for k in _TRIALS})


def run_watermark_bench(folder: Path, tell: Callable[[str], None]) -> Iterator[Measure]:
    """Yield what the watermark costs and outlives, over all pictures in a folder.

    `tell` is told which picture is at work. A share counts pictures that could be marked; how
    many could not is a figure of its own. Raises InvalidOption for a folder without pictures.
    """
    tally = _Tally()
    for path, pixels in _pictures(folder):
        tell(path.name)
        _measure(pixels, tally)
    if not tally.pictures:
        raise InvalidOption(
            f"{folder} holds no pictures of {watermark.SMALLEST} pixels a side or more. "
            "Choose a folder of photographs or of other pictures."
        )
    yield Measure("pictures", tally.pictures, "", f"{tally.unmarked} had too little to hide in")
    yield Measure("ids found where there is none", tally.strange, "")
    yield Measure("detect, no mark", median(tally.searching), "s", "processor time")
    if tally.ratios:
        yield from _figures(tally)


def _figures(tally: _Tally) -> Iterator[Measure]:
    lowest = f"lowest {min(tally.ratios):.1f}"
    yield Measure("PSNR", fmean(tally.ratios), "dB", lowest)
    yield Measure("embed", median(tally.embedding), "s", f"processor time at {_TIMED_SIZE}")
    yield Measure("detect, marked", median(tally.detecting), "s", "processor time")
    for name, certainties in tally.certainties.items():
        found = [one for one in certainties if one > 0]
        note = f"{len(found)} of {len(certainties)}"
        if found:
            note += f", certainty {fmean(found):.2f}"
        yield Measure(name, 100 * len(found) / len(certainties), "%", note)


def _measure(pixels: Pixels, tally: _Tally) -> None:
    tally.pictures += 1
    mark = f"{tally.pictures * _MARKS % 2**48:012x}"
    began = time.process_time()
    tally.strange += watermark.detect(pixels) is not None
    tally.searching.append(time.process_time() - began)
    marked = watermark.embed(pixels, mark)
    if marked is pixels:
        tally.unmarked += 1
        return
    if len(tally.embedding) < _TIMED:
        square = raster.resize(pixels, _TIMED_SIZE)
        began = time.process_time()
        watermark.embed(square, mark)
        tally.embedding.append(time.process_time() - began)
    tally.ratios.append(_signal_to_noise(pixels, marked))
    for name, change in _TRIALS.items():
        changed = change(marked)
        began = time.process_time()
        found = watermark.detect(changed)
        seconds = time.process_time() - began
        known = found is not None and found.mark == mark
        tally.strange += found is not None and not known
        tally.certainties[name].append(found.certainty if found is not None and known else 0.0)
        if name == "unchanged":
            tally.detecting.append(seconds)


def _signal_to_noise(one: Pixels, other: Pixels) -> float:
    """Return the PSNR in dB of two pictures as they look on white."""
    difference = raster.over(one)[..., :3].astype(np.float32) - raster.over(other)[..., :3]
    return float(10 * np.log10(255**2 / np.mean(difference**2)))


def _pictures(folder: Path) -> Iterator[tuple[Path, Pixels]]:
    """Yield the pictures in a folder and those below it that are large enough to be marked."""
    if not folder.is_dir():
        raise InvalidOption(f"{folder} is not a folder. Name one that holds pictures.")
    for path in sorted(path for path in folder.rglob("*") if path.suffix.lower() in _SUFFIXES):
        try:
            pixels = read_picture(path.read_bytes()).pixels
        except InvalidImage:
            continue
        except OSError as error:
            raise storage_failure(error, path, "take it out of the folder") from error
        if min(pixels.shape[:2]) >= watermark.SMALLEST:
            yield path, pixels

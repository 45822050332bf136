"""Enlarging by 4 with a Real-ESRGAN network on ncnn: in tiles, with transparency.

Wang, Xie, Dong, Shan: Real-ESRGAN, 2021, https://arxiv.org/abs/2107.10833
"""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import pairwise, product
from pathlib import Path
from typing import Any, TypeAlias

import ncnn
import numpy as np
import numpy.typing as npt

from limner.domain.errors import InvalidRequest, WeightsRejected
from limner.domain.event import Step
from limner.domain.recipe import InputRole
from limner.families import raster
from limner.families.family import Order, Pixels, Watch
from limner.families.realesrgan.architecture import Architecture

SCALE = 4

Plane: TypeAlias = npt.NDArray[np.uint8]
"""Height × width × 3: the colours of a picture, or its alpha three times."""

_BORDER = 8
"""Pixels by which the picture's own edges are continued before they meet the network's zeros."""

_REDUCED_NUMBERS = (
    "use_fp16_packed",
    "use_fp16_storage",
    "use_fp16_arithmetic",
    "use_bf16_packed",
    "use_bf16_storage",
    "use_int8_inference",
    "use_int8_packed",
    "use_int8_storage",
    "use_int8_arithmetic",
    "use_vulkan_compute",
)


@dataclass(frozen=True)
class Tiling:
    """How a picture is cut, in pixels of the picture before enlarging.

    Each tile is a `core`, seen with `margin` more on every side. Over the `ramp` pixels that lie
    half on either side of a boundary one tile fades into the next; the rest of the margin is
    context and thrown away.
    """

    core: int
    margin: int
    ramp: int


def tiling_for(architecture: Architecture) -> Tiling:
    """Return the tiling that leaves no seams and keeps memory under a gigabyte.

    Up to 20 convolutions of 3 × 3 see no further than 20 pixels, so tiles agree exactly. Deep
    networks see hundreds; what lies beyond 16 pixels changes little, and fading hides it.
    """
    if architecture.convolutions <= 20:
        return Tiling(core=256, margin=20, ramp=8)
    return Tiling(core=72, margin=16, ramp=24)


@dataclass(frozen=True)
class Span:
    """One tile along one axis of a picture `length` long.

    Its core goes from `start` to `end`; the network sees from `first` to `last`, which may lie
    outside the picture.
    """

    start: int
    end: int
    first: int
    last: int
    length: int

    def kept(self, ramp: int) -> tuple[int, int]:
        """Return where the part that is drawn starts and ends: the core and half a ramp."""
        return max(self.start - ramp // 2, 0), min(self.end + ramp // 2, self.length)

    def fade(self, ramp: int) -> npt.NDArray[np.float32]:
        """Return the weights (0 to 1) of the drawn part against what was drawn before it."""
        start, end = self.kept(ramp)
        weights = np.ones((end - start) * SCALE, dtype=np.float32)
        if self.start > 0:
            rising = min(ramp * SCALE, len(weights))
            weights[:rising] = (np.arange(rising, dtype=np.float32) + 0.5) / (ramp * SCALE)
        return weights


def spans(length: int, tiling: Tiling) -> list[Span]:
    """Cut a length into tiles of about equal size, all seen in windows of one size.

    One size, because ncnn keeps the memory of every shape that it has met.
    """
    margin = tiling.margin
    if length + 2 * _BORDER <= tiling.core + 2 * margin:
        return [Span(0, length, -_BORDER, length + _BORDER, length)]
    count = -(-length // tiling.core)
    cuts = [round(index * length / count) for index in range(count + 1)]
    window = -(-length // count) + 2 * margin
    return [
        Span(start, end, start - margin, start - margin + window, length)
        for start, end in pairwise(cuts)
    ]


class Upscaler:
    """A Real-ESRGAN network in memory."""

    def __init__(self, architecture: Path, weights: Path, tiling: Tiling, threads: int) -> None:
        """Load the network; raises WeightsRejected for files that ncnn does not take."""
        self._net: Any = _load(architecture, weights, threads)
        self._tiling = tiling
        # Stored as 16-bit floats; in memory 32 bits, and transformed for Winograd (36 for 9).
        self._bytes = weights.stat().st_size * 2 * 5

    @property
    def bytes(self) -> int:
        """Memory the weights take, by estimate."""
        return self._bytes

    @property
    def libraries(self) -> tuple[tuple[str, str], ...]:
        """The libraries that decide the numbers."""
        return (("ncnn", version("ncnn")), ("numpy", np.__version__))

    @property
    def dtype(self) -> str:
        """The number format computed in."""
        return "float32"

    @property
    def device(self) -> str:
        """Where it computes."""
        return "cpu"

    @property
    def fitting(self) -> str:
        """How it was made to fit into memory: it needs little."""
        return ""

    def perform(self, orders: Sequence[Order], watch: Watch) -> list[Pixels]:
        """Return every order's init picture, 4 times as wide and as high."""
        return [self._enlarge(order, position, watch) for position, order in enumerate(orders)]

    def close(self) -> None:
        """Give the memory back."""
        self._net.clear()

    def _enlarge(self, order: Order, position: int, watch: Watch) -> Pixels:
        pixels = order.inputs.get(InputRole.INIT)
        if pixels is None:
            raise InvalidRequest("Enlarging needs a picture as init.")
        height, width = pixels.shape[:2]
        rows, columns = spans(height, self._tiling), spans(width, self._tiling)
        steps = len(rows) * len(columns)
        large = np.zeros((height * SCALE, width * SCALE, 4), dtype=np.uint8)
        for done, (row, column) in enumerate(product(rows, columns), start=1):
            watch.token.check()
            self._draw_tile(large, pixels, row, column)
            watch.tell(Step(watch.first + position, "upscale", done, steps))
        large[large[..., 3] == 0] = 0
        return large

    def _draw_tile(self, large: Pixels, pixels: Pixels, row: Span, column: Span) -> None:
        ramp = self._tiling.ramp
        tile = self._tile(_window(pixels, (row.first, row.last), (column.first, column.last)))
        (top, bottom), (left, right) = row.kept(ramp), column.kept(ramp)
        above, before = top - row.first, left - column.first
        tile = tile[
            above * SCALE : (above + bottom - top) * SCALE,
            before * SCALE : (before + right - left) * SCALE,
        ]
        place = large[top * SCALE : bottom * SCALE, left * SCALE : right * SCALE]
        weight = row.fade(ramp)[:, None, None] * column.fade(ramp)[None, :, None]
        _blend(place, tile, weight)

    def _tile(self, window: Pixels) -> Pixels:
        height, width = window.shape[:2]
        tile = np.zeros((height * SCALE, width * SCALE, 4), dtype=np.uint8)
        lowest, highest = _neighbourhood(window[..., 3])
        if not highest.any():
            return tile
        tile[..., :3] = self._run(raster.bleed(window)[..., :3])
        if lowest.min() == 255:
            tile[..., 3] = 255
            return tile
        alpha = self._run(np.repeat(window[..., 3:], 3, axis=2))
        tile[..., 3] = alpha.mean(axis=2) + 0.5
        # The network may leave a faint veil or pinholes where nothing changes: keep both clean.
        tile[..., 3][_larger(highest) == 0] = 0
        tile[..., 3][_larger(lowest) == 255] = 255
        return tile

    def _run(self, plane: Plane) -> Plane:
        values = np.ascontiguousarray(raster.to_unit(plane).transpose(2, 0, 1))
        extractor = self._net.create_extractor()
        extractor.input("data", ncnn.Mat(values))
        _, enlarged = extractor.extract("output")
        return raster.from_unit(np.array(enlarged).transpose(1, 2, 0))


def _load(architecture: Path, weights: Path, threads: int) -> Any:
    net = ncnn.Net()
    for option in _REDUCED_NUMBERS:
        setattr(net.opt, option, False)
    net.opt.num_threads = threads
    if net.load_param(str(architecture)) != 0 or net.load_model(str(weights)) != 0:
        raise WeightsRejected(
            f"{weights.name} is not an enlarging network that ncnn can read. Pull it again."
        )
    return net


def _window(pixels: Pixels, rows: tuple[int, int], columns: tuple[int, int]) -> Pixels:
    """Return a part of the picture; outside it, its edge pixels go on."""
    height, width = pixels.shape[:2]
    inside = [np.clip(np.arange(*rows), 0, height - 1), np.clip(np.arange(*columns), 0, width - 1)]
    return pixels[np.ix_(*inside)]


def _neighbourhood(alpha: npt.NDArray[np.uint8]) -> tuple[Plane, Plane]:
    """Return the lowest and the highest of each pixel and its eight neighbours."""
    height, width = alpha.shape
    padded = np.pad(alpha, 1, mode="edge")
    shifted = [
        padded[down : down + height, right : right + width]
        for down, right in product(range(3), repeat=2)
    ]
    return np.minimum.reduce(shifted), np.maximum.reduce(shifted)


def _larger(plane: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    return plane.repeat(SCALE, axis=0).repeat(SCALE, axis=1)


def _blend(place: Pixels, tile: Pixels, weight: npt.NDArray[np.float32]) -> None:
    place[...] = place + (tile.astype(np.float32) - place) * weight + np.float32(0.5)

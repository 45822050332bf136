"""From a coarse map of the subject to a cutout: soft edges that follow the picture, clean colours.

Edges: He, Sun: Fast Guided Filter, 2015, https://arxiv.org/abs/1505.00996
Colours: Forte: Approximate Fast Foreground Colour Estimation, ICIP 2021 (blur fusion, twice)
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from limner.domain.recipe import Size
from limner.families import raster
from limner.families.family import Pixels

Plane = npt.NDArray[np.float32]
"""Height × width, 0 to 1."""

_WORKING = 1_024
"""The longer side, in pixels, at which edges and colours are solved; larger ones are led by it."""

_BAND = 256
_FAINT, _SURE = 0.05, 0.92
"""Map values below count as background, above as subject."""

_GUIDED_SHARE = 1 / 200
_GUIDED_EPSILON = 1e-4
_FAR_SHARE = 0.09
_NEAR_RADIUS = 6
_LUMINANCE = np.array([0.299, 0.587, 0.114], dtype=np.float32)


@dataclass(frozen=True)
class _Fields:
    """What is solved at the working size: alpha = slope · luminance + offset; local colours."""

    slope: Plane
    offset: Plane
    front: tuple[Plane, ...]
    back: tuple[Plane, ...]


def cut(pixels: Pixels, coarse: Plane, check: Callable[[], None]) -> Pixels:
    """Return the picture with the subject kept and the rest transparent.

    `coarse` is the map of the subject at any size, 0 to 1; `check` is called between parts of
    the work and may raise to stop it. Alpha the picture had is kept where it is lower.
    """
    height, width = pixels.shape[:2]
    fields = _solve(pixels, coarse)
    check()
    finished = np.zeros_like(pixels)
    for top, bottom in _bands(height):
        check()
        rows = _Rows(top, bottom, height, width)
        colours = raster.to_unit(pixels[top:bottom, :, :3])
        alpha = rows.of(fields.slope) * (colours @ _LUMINANCE) + rows.of(fields.offset)
        alpha = np.clip((alpha - _FAINT) / (_SURE - _FAINT), 0, 1)
        for channel in range(3):
            front, back = rows.of(fields.front[channel]), rows.of(fields.back[channel])
            colours[..., channel] = _fused(colours[..., channel], alpha, front, back)
        finished[top:bottom, :, :3] = raster.from_unit(colours)
        finished[top:bottom, :, 3] = alpha * pixels[top:bottom, :, 3] + np.float32(0.5)
    sure = (finished[..., 3] == 255) & (pixels[..., 3] == 255)
    finished[sure] = pixels[sure]
    finished[finished[..., 3] == 0] = 0
    return finished


@dataclass(frozen=True)
class _Rows:
    """Some rows of the finished picture, on to which fields of the working size are spread."""

    top: int
    bottom: int
    height: int
    width: int

    def of(self, field: Plane) -> Plane:
        """Return these rows of a field, enlarged smoothly."""
        high, wide = field.shape
        part = (0, self.top * high / self.height, wide, self.bottom * high / self.height)
        size = (self.width, self.bottom - self.top)
        spread = Image.fromarray(field).resize(size, Image.Resampling.BILINEAR, box=part)
        return np.asarray(spread)


def _bands(height: int) -> Iterator[tuple[int, int]]:
    for top in range(0, height, _BAND):
        yield top, min(top + _BAND, height)


def _solve(pixels: Pixels, coarse: Plane) -> _Fields:
    small = raster.to_unit(raster.bleed(raster.resize(pixels, _working(pixels)))[..., :3])
    height, width = small.shape[:2]
    spread = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    wanted: Plane = np.clip(np.asarray(spread), 0, 1)
    slope, offset = _guided(small @ _LUMINANCE, wanted)
    alpha = np.clip(slope * (small @ _LUMINANCE) + offset, 0, 1)
    far = max(1, round(_FAR_SHARE * max(height, width)))
    fronts, backs = [], []
    for channel in range(3):
        colour: Plane = np.ascontiguousarray(small[..., channel])
        front, back = _around(colour, colour, alpha, far)
        fused = _fused(colour, alpha, front, back)
        front, back = _around(fused, back, alpha, _NEAR_RADIUS)
        fronts.append(front)
        backs.append(back)
    return _Fields(slope, offset, tuple(fronts), tuple(backs))


def _working(pixels: Pixels) -> Size:
    height, width = pixels.shape[:2]
    scale = min(1.0, _WORKING / max(height, width))
    return Size(width=max(1, round(width * scale)), height=max(1, round(height * scale)))


def _guided(guide: Plane, wanted: Plane) -> tuple[Plane, Plane]:
    """Return slope and offset, linear in the guide around each pixel and nearest to `wanted`."""
    radius = max(1, round(_GUIDED_SHARE * max(guide.shape)))
    mean, target = _blurred(guide, radius), _blurred(wanted, radius)
    spread = _blurred(guide * guide, radius) - mean * mean
    slope = (_blurred(guide * wanted, radius) - mean * target) / (spread + _GUIDED_EPSILON)
    return _blurred(slope, radius), _blurred(target - slope * mean, radius)


def _around(front: Plane, back: Plane, alpha: Plane, radius: int) -> tuple[Plane, Plane]:
    """Return the mean foreground and background colour around each pixel."""
    return _weighted_mean(front, alpha, radius), _weighted_mean(back, np.float32(1) - alpha, radius)


def _weighted_mean(colour: Plane, weight: Plane, radius: int) -> Plane:
    total, weights = _blurred(colour * weight, radius), _blurred(weight, radius)
    mean: Plane = np.divide(total, np.maximum(weights, 1e-5), dtype=np.float32)
    return mean


def _fused(colour: Plane, alpha: Plane, front: Plane, back: Plane) -> Plane:
    """Return the foreground colour that explains a pixel, given what is around it."""
    fused: Plane = np.clip(front + alpha * (colour - alpha * front - (1 - alpha) * back), 0, 1)
    return fused


def _blurred(plane: npt.NDArray[np.floating[Any]], radius: int) -> Plane:
    """Return the mean over squares of 2 · radius + 1 pixels, cut off at the edges."""
    blurred = plane.astype(np.float64)
    for axis in (0, 1):
        length = blurred.shape[axis]
        sums = np.insert(np.cumsum(blurred, axis=axis), 0, 0, axis=axis)
        first = np.maximum(np.arange(length) - radius, 0)
        last = np.minimum(np.arange(length) + radius + 1, length)
        counts = np.expand_dims(last - first, 1 - axis)
        blurred = (sums.take(last, axis=axis) - sums.take(first, axis=axis)) / counts
    return blurred.astype(np.float32)

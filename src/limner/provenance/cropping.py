"""Finding the place of a cropped picture in the one it was cut from, by the watermark's pattern.

The pattern is known, so it can be looked for: the part is tried at many widths and heights, for
each of which one correlation tells how well it fits at every place. The best place is then
refined edge by edge.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product
from operator import itemgetter

import numpy as np
import numpy.typing as npt

from limner.provenance.carrier import (
    FASTEST,
    PATTERN,
    SIDE,
    Lens,
    Plane,
    bands,
    cosines,
    evened,
    resample,
)
from limner.provenance.coding import Values

_GRID = 128
"""Points a side of the coarse grid; the pattern has no finer waves."""

_FINE = 512
"""Points a side, at most, that the part is brought to before it is placed."""

_REACH = 1.0
_NARROWEST = 95
_STEP = 2
"""Widths and heights tried, in points of the coarse grid: one wave in this is still in step."""

_CONVINCING = 5.3
"""A fit is followed up from this many standard deviations on; by chance, 5 is hardly reached."""

_TRIED = 3
_REFINEMENTS = (1.5, 0.75, 0.4)
"""By how much edges are moved, in grid points, coarse to fine."""


@dataclass(frozen=True)
class _Crop:
    """Where a part lies in the whole, in points of the grid of `SIDE`."""

    left: float
    top: float
    right: float
    bottom: float


def find_crop(plane: Plane) -> Iterator[Values]:
    """Yield the values of a picture seen as a part of a larger one, better and better placed.

    Yields nothing where the pattern is not found.
    """
    plane = resample(plane, *(min(length, _FINE) for length in reversed(plane.shape)))
    for crop in _likely(plane):
        best, values = crop, _values(plane, crop)
        yield values
        for step in _REFINEMENTS:
            best, values = _refined(plane, best, values, step)
            yield values


def _likely(plane: Plane) -> list[_Crop]:
    coarse = resample(plane, *(min(length, _GRID) for length in reversed(plane.shape)))
    sides = range(_GRID, _NARROWEST - 1, -_STEP)
    fits = [_fit(coarse, *size) for size in product(sides, sides)]
    fits.sort(key=itemgetter(0), reverse=True)
    return [crop for fit, crop in fits[:_TRIED] if fit > _CONVINCING]


def _fit(coarse: Plane, columns: int, rows: int) -> tuple[float, _Crop]:
    """Return how well a part of this size fits at its best place, and that place."""
    even = evened(resample(coarse, columns, rows), _REACH)
    waves = np.fft.rfft2(even.quick * even.ease, (_GRID, _GRID))
    # Only the phase of each wave counts: the picture's own strong waves would drown the rest.
    phases = waves.conj() / (np.abs(waves) + np.float32(1e-9))
    surface = np.fft.irfft2(phases * _pattern(), (_GRID, _GRID))
    places = surface[: _GRID - rows + 1, : _GRID - columns + 1]
    top, left = divmod(int(places.argmax()), places.shape[1])
    scale = SIDE / _GRID
    crop = _Crop(left * scale, top * scale, (left + columns) * scale, (top + rows) * scale)
    return float(places[top, left] / (surface.std() + 1e-12)), crop


@lru_cache(maxsize=1)
def _pattern() -> npt.NDArray[np.complex64]:
    """Return the spectrum of the known pattern on the coarse grid."""
    layout = bands()
    heights = np.zeros(FASTEST * FASTEST, np.float32)
    known = layout.values == PATTERN
    heights[layout.places[known]] = layout.signs[known]
    waves = cosines(_GRID)[:FASTEST]
    plane = waves.T @ heights.reshape(FASTEST, FASTEST) @ waves
    return np.fft.rfft2(plane).astype(np.complex64)


def _values(plane: Plane, crop: _Crop) -> Values:
    """Return the values of a part that lies so: those of the whole grid points inside it."""
    rows, columns = plane.shape
    left, top = int(np.ceil(crop.left)), int(np.ceil(crop.top))
    right, bottom = int(np.floor(crop.right)), int(np.floor(crop.bottom))
    across, down = columns / (crop.right - crop.left), rows / (crop.bottom - crop.top)
    box = (
        max((left - crop.left) * across, 0.0),
        max((top - crop.top) * down, 0.0),
        min((right - crop.left) * across, float(columns)),
        min((bottom - crop.top) * down, float(rows)),
    )
    part = resample(plane, right - left, bottom - top, box)
    return Lens(part, left, top).gather(part)


def _refined(plane: Plane, crop: _Crop, values: Values, step: float) -> tuple[_Crop, Values]:
    """Move one edge after the other for as long as the pattern shows more clearly."""
    better = True
    while better:
        better = False
        for edge, by in product(("left", "top", "right", "bottom"), (step, -step)):
            place = getattr(crop, edge) + by
            if not 0 <= place <= SIDE:
                continue
            moved = replace(crop, **{edge: place})
            tried = _values(plane, moved)
            if tried[PATTERN] > values[PATTERN]:
                crop, values, better = moved, tried, True
    return crop, values

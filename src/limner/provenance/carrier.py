"""What carries the watermark: the waves of a picture, evened out so that no edge outshouts them.

A picture's luminance, brought to 256 × 256 whatever its own shape, is freed of its slow changes,
divided by its local activity, and taken apart into cosine waves. Each wave has a sign and belongs
to one value of the code word, or to the known pattern by which a cropped picture is found again.
A value is the signed sum of its waves.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

from limner.families.family import Pixels
from limner.provenance import coding
from limner.provenance.coding import Values

Plane: TypeAlias = npt.NDArray[np.floating[Any]]
"""Rows × columns of luminance, 0 to 255, or of what is made of it."""

SIDE = 256
"""Rows and columns of the grid that every picture is brought to."""

PATTERN = coding.LENGTH
"""The place of the known pattern among the values that are gathered."""

FASTEST = 127
"""Waves run up to this many half periods across the picture."""

_SLOWEST = 6
_FROM_AXES = 4
"""Waves that run almost straight across or down are left out: frames and horizons fill them."""

_PATTERN_FROM = 30
_PATTERN_TO = 90
"""Between these half periods, every other wave belongs to the known pattern."""

REACH = 2.0
"""The width (sigma) in grid points of what counts as local."""

_CALM = 1.0
"""Activity below this many levels counts as none."""

_LOST = 1.0
_DIM = 4.0
"""Up to `_LOST` levels from black or white nothing counts, from `_DIM` further on all does."""

_LEAST_EASE = 1e-6

_SPECTRUM_REACH = 4.0
_SPECTRUM_FLOOR = 0.25
_SEED = 7
_STRIP = 256
_LUMINANCE = np.array((0.299, 0.587, 0.114), dtype=np.float32)
"""The share of red, green and blue (ITU-R BT.601), as JPEG and WebP weigh them."""


def luminance(pixels: Pixels) -> Plane:
    """Return the luminance of a picture laid over white."""
    plane = np.empty(pixels.shape[:2], np.float32)
    for top in range(0, len(pixels), _STRIP):
        strip = pixels[top : top + _STRIP]
        alpha = strip[..., 3].astype(np.float32) / 255
        plane[top : top + _STRIP] = strip[..., :3] @ _LUMINANCE * alpha + 255 * (1 - alpha)
    return plane


def resample(
    plane: Plane,
    columns: int,
    rows: int,
    box: tuple[float, float, float, float] | None = None,
) -> Plane:
    """Return a plane, or the part of it in `box`, in so many columns and rows."""
    scaled = Image.fromarray(plane).resize((columns, rows), Image.Resampling.BICUBIC, box)
    return np.asarray(scaled, dtype=np.float32)


@dataclass(frozen=True)
class Bands:
    """Which waves carry what: their places in the plane of waves, signs, and values."""

    places: npt.NDArray[np.int64]
    signs: Values
    values: npt.NDArray[np.int64]


@lru_cache(maxsize=1)
def bands() -> Bands:
    """Return the fixed layout: drawn once from a generator frozen by NEP 19."""
    half_periods = np.arange(FASTEST)
    down, across = half_periods[:, None], half_periods[None]
    radius = np.hypot(down, across)
    used = (radius >= _SLOWEST) & (radius < FASTEST)
    used &= np.minimum(down, across) >= _FROM_AXES
    pattern = used & (radius >= _PATTERN_FROM) & (radius < _PATTERN_TO)
    pattern &= (down + across) % 2 == 0
    of_word = np.flatnonzero(used & ~pattern)
    of_word = of_word[np.argsort(radius.ravel()[of_word], kind="stable")]
    drawn = np.random.RandomState(_SEED)
    rounds = -(-len(of_word) // coding.LENGTH)
    values = np.concatenate([drawn.permutation(coding.LENGTH) for _ in range(rounds)])
    of_pattern = np.flatnonzero(pattern)
    places = np.concatenate([of_word, of_pattern])
    signs = drawn.randint(0, 2, len(places)).astype(np.float32) * 2 - 1
    known = np.full(len(of_pattern), PATTERN)
    return Bands(places, signs, np.concatenate([values[: len(of_word)], known]))


@lru_cache(maxsize=4)
def cosines(side: int) -> Plane:
    """Return the matrix of the orthonormal cosine transform (DCT-II): waves × points."""
    waves, points = np.arange(side)[:, None], np.arange(side)[None]
    matrix = np.cos(np.pi * (points + 0.5) * waves / side) * np.sqrt(2 / side)
    matrix[0] /= np.sqrt(2)
    rounded: Plane = matrix.astype(np.float32)
    return rounded


@lru_cache(maxsize=256)
def blurring(length: int, reach: float) -> Plane:
    """Return the matrix that takes the Gaussian mean around each of `length` points."""
    points = np.arange(length)
    weights = np.exp(-0.5 * ((points[:, None] - points[None]) / reach) ** 2)
    means: Plane = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    return means


@dataclass(frozen=True)
class Evened:
    """A plane without its slow changes, and by what to multiply it to even it out."""

    quick: Plane
    activity: Plane
    """How much the plane changes around each point, in levels."""

    ease: Plane


def evened(plane: Plane, reach: float = REACH) -> Evened:
    """Return a plane taken apart for gathering.

    Where it is as good as black or white nothing can be hidden, and what is there is noise of
    encoders: it counts for nothing.
    """
    rows, columns = (blurring(length, reach) for length in plane.shape)
    slow = rows @ plane @ columns.T
    quick = plane - slow
    activity = np.sqrt(np.maximum(rows @ (quick * quick) @ columns.T, 0))
    shade = np.clip((np.minimum(slow, 255 - slow) - _LOST) / _DIM, _LEAST_EASE, 1)
    return Evened(quick, activity, shade / np.square(activity + _CALM))


class Lens:
    """A way to see a plane's values that stays the same while the plane is changed a little.

    `plane` is the whole grid, or the part of it whose first point is `left`, `top`.
    """

    def __init__(self, plane: Plane, left: int = 0, top: int = 0) -> None:
        rows, columns = plane.shape
        waves = cosines(SIDE)[:FASTEST]
        self._down, self._across = waves[:, top : top + rows], waves[:, left : left + columns]
        self._rows, self._columns = blurring(rows, REACH), blurring(columns, REACH)
        even = evened(plane)
        self.activity, self.ease = even.activity, even.ease
        heights = self._waves(plane)
        around = blurring(FASTEST, _SPECTRUM_REACH)
        power = around @ (heights * heights) @ around.T
        layout = bands()
        level = np.sqrt(power.ravel()[layout.places] + _SPECTRUM_FLOOR**2)
        self._weights = layout.signs / level

    @property
    def power(self) -> Values:
        """How strongly each value answers to its waves: the sum of their weights squared."""
        return _sums(self._weights**2)

    def gather(self, plane: Plane) -> Values:
        """Return the values in a plane: those of the code word, then that of the pattern."""
        return _sums(self._waves(plane).ravel()[bands().places] * self._weights)

    def spread(self, values: Values) -> Plane:
        """Return the plane that changes the gathered values most: the adjoint of `gather`."""
        layout = bands()
        heights = np.zeros(FASTEST * FASTEST, np.float32)
        heights[layout.places] = values[layout.values] * self._weights
        plane = self._down.T @ heights.reshape(FASTEST, FASTEST) @ self._across * self.ease
        return plane - self._rows.T @ plane @ self._columns

    def _waves(self, plane: Plane) -> Plane:
        quick = plane - self._rows @ plane @ self._columns.T
        return self._down @ (quick * self.ease) @ self._across.T


def _sums(heights: Values) -> Values:
    """Return for each value the sum over its waves."""
    return np.bincount(bands().values, heights, minlength=PATTERN + 1).astype(np.float32)

"""A fingerprint that survives re-encoding and resizing: the PDQ hash of a picture.

Source: “The TMK+PDQF video-hashing algorithm and the PDQ image-hashing algorithm”, Facebook,
2019. The reference blurs the whole picture twice along both axes and then looks at 64 x 64 of
its pixels; since all of that is linear, here each axis is one matrix from its pixels to those 64.
The bits are the same.
"""

from functools import lru_cache
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

from limner.families import raster
from limner.families.family import Pixels

ALIKE = 31
"""Up to this many different bits of 256, two pictures look similar."""

_SAME, _SAME_UNSEEN = 20, 8
_CORRELATED = 0.98
"""What makes a likeness near certain: bits apart, pixels that go together; see `is_same`."""

_PLAIN = 2.0
"""A picture whose colours differ by less (of 255) has nothing to be recognised by."""

_BITS = 256
_SIDE = 64
_KEPT = 16
_STRIP = 256
"""Rows that are worked on at a time, so that a large picture takes no more memory."""

_LUMINANCE = np.array((0.299, 0.587, 0.114))
"""The share of red, green and blue (ITU-R BT.601)."""

_Matrix: TypeAlias = npt.NDArray[np.float64]


def fingerprint(pixels: Pixels) -> str:
    """Return the PDQ hash of a picture: 64 hexadecimal digits.

    What is transparent counts as white. A picture without structure, all of one colour, has a
    fingerprint that says nothing.
    """
    height, width = pixels.shape[:2]
    down, across = _reduction(height), _reduction(width).T
    small = np.zeros((_SIDE, _SIDE))
    for top in range(0, height, _STRIP):
        strip = raster.over(pixels[top : top + _STRIP])[..., :3] @ _LUMINANCE
        small += down[:, top : top + _STRIP] @ (strip @ across)
    waves = _waves()
    coefficients = (waves @ small @ waves.T).ravel()
    middle = np.partition(coefficients, _BITS // 2 - 1)[_BITS // 2 - 1]
    return np.packbits((coefficients > middle)[::-1]).tobytes().hex()


def distance(a: str, b: str) -> int:
    """Return how many of the 256 bits of two fingerprints differ.

    Pictures that have nothing to do with each other differ in about 128.
    """
    return (int(a, 16) ^ int(b, 16)).bit_count()


def is_same(apart: int, alike: float | None, structure: float) -> bool:
    """Whether one picture is near certain to be a copy of another, by its likeness alone.

    `apart` are the bits in which the fingerprints differ, `alike` the correlation of the pixels,
    None where those of the other are not there, and `structure` that of the picture with itself.

    Measured on 398 of Vellum's pictures, flat ones on plain ground, among which fingerprints say
    least, and on 153 paintings and photographs: of 90,631 pairs, none of different seeds was taken
    for the same, and six of the same seed and nearly the same words were. Of copies of Vellum's
    saved as JPEG 75, JPEG 50 and WebP 60, 1 %, 4 % and 1 % were not recognised, of the others none.
    """
    if not structure:
        return False
    if alike is None:
        return apart <= _SAME_UNSEEN
    return apart <= _SAME and alike >= _CORRELATED


def correlation(a: Pixels, b: Pixels, side: int = _SIDE) -> float:
    """Return how far the colours of two pictures go together, from -1 to 1 (alike).

    Both are made `side` pixels wide and high first, as they lie; brightness and contrast do not
    count. It is 0 where one of them is plain.
    """
    first, second = _small(a, side), _small(b, side)
    spread = float(first.std() * second.std())
    if min(first.std(), second.std()) < _PLAIN:
        return 0.0
    return float((first * second).mean()) / spread


def _small(pixels: Pixels, side: int) -> _Matrix:
    """Return a picture of `side` x `side` pixels over white, less its mean colour."""
    shown = Image.fromarray(np.ascontiguousarray(raster.over(pixels)[..., :3]))
    small = np.asarray(shown.resize((side, side), Image.Resampling.BOX), np.float64)
    centred: _Matrix = small - small.mean(axis=(0, 1))
    return centred


def _reduction(length: int) -> _Matrix:
    """Return the matrix that blurs `length` values twice and picks 64 of them.

    Each blur takes the mean of a window: a 128th of the length, rounded up, cut short at the
    ends; one of even length lies one value further on.
    """
    window = -(-length // (2 * _SIDE))
    ahead = (window + 2) // 2
    positions = np.arange(length)
    starts = np.maximum(positions + ahead - window, 0)
    ends = np.minimum(positions + ahead, length)
    picked = ((np.arange(_SIDE) + 0.5) * length / _SIDE).astype(int)
    weights = np.zeros((length, _SIDE))
    weights[picked, np.arange(_SIDE)] = 1
    for _ in range(2):
        shared = weights / (ends - starts)[:, None]
        steps = np.zeros((length + 1, _SIDE))
        np.add.at(steps, starts, shared)
        np.subtract.at(steps, ends, shared)
        weights = steps.cumsum(axis=0)[:-1]
    return weights.T


@lru_cache(maxsize=1)
def _waves() -> _Matrix:
    """Return the cosines 1 to 16 of a 64-point DCT (the constant one is left out)."""
    orders = np.arange(1, _KEPT + 1)[:, None]
    places = 2 * np.arange(_SIDE)[None, :] + 1
    waves: _Matrix = np.sqrt(2 / _SIDE) * np.cos(np.pi / (2 * _SIDE) * orders * places)
    return waves

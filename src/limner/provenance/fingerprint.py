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

from limner.families import raster
from limner.families.family import Pixels

ALIKE = 31
"""Up to this many different bits of 256, two fingerprints are taken for the same picture."""

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

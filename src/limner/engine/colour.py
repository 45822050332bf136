"""How far apart two colours look: CIE L*a*b* and the CIEDE2000 difference."""

import numpy as np
import numpy.typing as npt

from limner.families import raster
from limner.families.family import Pixels

Floats = npt.NDArray[np.float64]

_TO_XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)
_WHITE = np.array([0.95047, 1.0, 1.08883])
_FAR = 25.0**7


def differences(one: Pixels, other: Pixels) -> Floats:
    """Return how far apart two pictures of one size look at each pixel, H × W, in CIEDE2000.

    Both are laid on white. About 1 is the least that an eye can see side by side.
    """
    return ciede2000(lab(raster.over(one)), lab(raster.over(other)))


def lab(pixels: Pixels) -> Floats:
    """Return CIE L*a*b* (D65) of opaque sRGB pixels, H × W × 3. IEC 61966-2-1, CIE 15."""
    encoded = pixels[..., :3].astype(np.float64) / 255
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    ratio = linear @ _TO_XYZ.T / _WHITE
    root = np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = root[..., 0], root[..., 1], root[..., 2]
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def ciede2000(one: Floats, other: Floats) -> Floats:
    """Return the CIEDE2000 difference of L*a*b* colours along the last axis.

    Sharma, Wu, Dalal: The CIEDE2000 color-difference formula, 2005; equation numbers are theirs.
    """
    l1, a1, b1 = (one[..., channel] for channel in range(3))
    l2, a2, b2 = (other[..., channel] for channel in range(3))
    chroma = (np.hypot(a1, b1) + np.hypot(a2, b2)) / 2  # (2), (3)
    grow = 1.5 - 0.5 * np.sqrt(chroma**7 / (chroma**7 + _FAR))  # 1 + G of (4)
    c1, c2 = np.hypot(grow * a1, b1), np.hypot(grow * a2, b2)  # (5), (6)
    h1 = np.degrees(np.arctan2(b1, grow * a1)) % 360  # (7)
    h2 = np.degrees(np.arctan2(b2, grow * a2)) % 360
    coloured = c1 * c2 != 0
    turn = np.where(coloured, (h2 - h1 + 180) % 360 - 180, 0.0)  # (10)
    hue = 2 * np.sqrt(c1 * c2) * np.sin(np.radians(turn / 2))  # (11)
    lightness, mean_chroma = (l1 + l2) / 2, (c1 + c2) / 2
    mean_hue = np.where(coloured, _mean_angle(h1, h2), h1 + h2)  # (14)
    weight = (
        1
        - 0.17 * np.cos(np.radians(mean_hue - 30))
        + 0.24 * np.cos(np.radians(2 * mean_hue))
        + 0.32 * np.cos(np.radians(3 * mean_hue + 6))
        - 0.20 * np.cos(np.radians(4 * mean_hue - 63))
    )  # (15)
    rotation = 60 * np.exp(-(((mean_hue - 275) / 25) ** 2))  # twice (16)
    reach = 2 * np.sqrt(mean_chroma**7 / (mean_chroma**7 + _FAR))  # (17)
    offset = (lightness - 50) ** 2
    light = (l2 - l1) / (1 + 0.015 * offset / np.sqrt(20 + offset))  # (18)
    colour = (c2 - c1) / (1 + 0.045 * mean_chroma)  # (19)
    tone = hue / (1 + 0.015 * mean_chroma * weight)  # (20)
    squares = light**2 + colour**2 + tone**2
    squares -= np.sin(np.radians(rotation)) * reach * colour * tone  # (21), (22)
    found: Floats = np.sqrt(np.maximum(squares, 0))
    return found


def _mean_angle(one: Floats, other: Floats) -> Floats:
    total, apart = one + other, np.abs(one - other)
    wrapped = np.where(total < 360, (total + 360) / 2, (total - 360) / 2)
    mean: Floats = np.where(apart <= 180, total / 2, wrapped)
    return mean

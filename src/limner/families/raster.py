"""Pure operations on Pixels: straight RGBA arrays, height × width × 4, 8 bits, sRGB."""

import hashlib
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

from limner.domain.recipe import Size
from limner.families.family import Pixels

Colour: TypeAlias = tuple[int, int, int]
"""Red, green and blue, each 0 to 255."""

Planes: TypeAlias = npt.NDArray[np.float32]
"""A picture as networks see it: channels × height × width, premultiplied, in [-1, 1]."""

WHITE: Colour = (255, 255, 255)

_TRUSTED_ALPHA = 32.0
"""From this alpha (of 255) on, a pixel's colour is precise enough to be taken as it is."""


def size_of(pixels: Pixels) -> Size:
    """Return the width and height of a picture."""
    height, width = pixels.shape[:2]
    return Size(width=width, height=height)


def is_opaque(pixels: Pixels) -> bool:
    """Whether every pixel is fully opaque."""
    return bool((pixels[..., 3] == 255).all())


def resize(pixels: Pixels, size: Size) -> Pixels:
    """Return the picture at exactly `size`: Lanczos, with colours weighted by their alpha.

    The colours of transparent pixels do not bleed into visible ones.
    """
    if size == size_of(pixels):
        return pixels.copy()
    # Pillow premultiplies RGBA for the filter and divides again after it.
    scaled = Image.fromarray(pixels).resize((size.width, size.height), Image.Resampling.LANCZOS)
    return np.array(scaled)


def over(pixels: Pixels, colour: Colour = WHITE) -> Pixels:
    """Return the picture laid over a plain colour, fully opaque."""
    alpha = pixels[..., 3:].astype(np.uint16)
    background = np.asarray(colour, dtype=np.uint16)
    mixed = (pixels[..., :3] * alpha + background * (255 - alpha) + 127) // 255
    flat = np.full_like(pixels, 255)
    flat[..., :3] = mixed
    return flat


def fit(pixels: Pixels, size: Size) -> Pixels:
    """Return the whole picture, scaled to fit inside `size` and centred in it.

    The rest is transparent if anything in the picture is, else the median colour of its border.
    """
    inner = size_of(pixels).fitted(size)
    canvas = np.zeros((size.height, size.width, 4), dtype=np.uint8)
    if is_opaque(pixels):
        canvas[...] = (*_border_colour(pixels), 255)
    left, top = (size.width - inner.width) // 2, (size.height - inner.height) // 2
    canvas[top : top + inner.height, left : left + inner.width] = resize(pixels, inner)
    return canvas


def cover(pixels: Pixels, size: Size) -> Pixels:
    """Return the middle of a picture, scaled so that it covers all of `size`."""
    whole = size_of(pixels)
    inner = size.fitted(whole)
    top, left = (whole.height - inner.height) // 2, (whole.width - inner.width) // 2
    return resize(pixels[top : top + inner.height, left : left + inner.width], size)


def bleed(pixels: Pixels) -> Pixels:
    """Return the picture with the colours of its visible pixels continued under transparency.

    Alpha stays. The more transparent a pixel, the more of its colour comes from around it.
    """
    if is_opaque(pixels):
        return pixels.copy()
    weight = pixels[..., 3:].astype(np.float32)
    around = _pull(pixels[..., :3] * weight, weight)
    trust = np.minimum(weight / _TRUSTED_ALPHA, 1)
    filled = pixels.copy()
    filled[..., :3] = pixels[..., :3] * trust + around * (1 - trust) + 0.5
    return filled


def region(mask: Pixels) -> npt.NDArray[np.bool_]:
    """Return which pixels a mask marks for change: the white ones (red of 128 or more)."""
    return mask[..., 0] >= 128


def pixel_digest(pixels: Pixels) -> str:
    """Return the sha256 (hex) that names what a picture looks like, whatever file holds it.

    Digested are `RGBA8`, width and height as big-endian 32-bit integers, then the straight RGBA
    rows, in which the unseen colours of fully transparent pixels count as black.
    """
    height, width = pixels.shape[:2]
    seen = np.where(pixels[..., 3:] == 0, np.uint8(0), pixels)
    hashed = hashlib.sha256(b"RGBA8")
    hashed.update(width.to_bytes(4, "big") + height.to_bytes(4, "big"))
    hashed.update(np.ascontiguousarray(seen).data)
    return hashed.hexdigest()


def to_unit(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Return 8-bit values as floats from 0 to 1."""
    return pixels.astype(np.float32) / np.float32(255)


def from_unit(values: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """Return floats from 0 to 1 (others are clipped) as 8-bit values, rounded to nearest."""
    return (np.clip(values, 0, 1) * np.float32(255) + np.float32(0.5)).astype(np.uint8)


def _border_colour(pixels: Pixels) -> Colour:
    edges = (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1])
    median = np.median(np.concatenate(edges)[:, :3], axis=0)
    red, green, blue = (round(float(value)) for value in median)
    return red, green, blue


def _pull(
    colours: npt.NDArray[np.float32], weight: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """Return at each pixel the mean colour of the smallest block of pixels that has a weight.

    `colours` (height × width × 3) come multiplied by `weight` (height × width × 1). Blocks are
    1, 2, 4, … pixels wide.
    """
    height, width = weight.shape[:2]
    mean = np.divide(colours, np.maximum(weight, 1e-6), dtype=np.float32)
    if max(height, width) == 1 or weight.min() > 0:
        return mean
    coarse = _pull(_halve(colours), _halve(weight))
    near = coarse.repeat(2, axis=0).repeat(2, axis=1)[:height, :width]
    return np.where(weight > 0, mean, near)


def _halve(plane: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    height, width = plane.shape[:2]
    even = np.pad(plane, ((0, height % 2), (0, width % 2), (0, 0)))
    return np.asarray(even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2])


def to_planes(pixels: Pixels) -> Planes:
    """Return a premultiplied picture, 4 × H × W in [-1, 1], of straight RGBA bytes."""
    unit = pixels.astype(np.float32) / 255
    premultiplied = np.concatenate([unit[..., :3] * unit[..., 3:], unit[..., 3:]], axis=-1)
    return (premultiplied * 2 - 1).transpose(2, 0, 1).astype(np.float32)


def from_planes(planes: Planes) -> Pixels:
    """Return straight RGBA bytes of a premultiplied picture, 4 × H × W in [-1, 1]."""
    unit = np.clip((planes.transpose(1, 2, 0) + 1) / 2, 0, 1)
    alpha = unit[..., 3:]
    colour = np.clip(unit[..., :3] / np.maximum(alpha, 1e-3), 0, 1)
    pixels: Pixels = np.rint(np.concatenate([colour, alpha], axis=-1) * 255).astype(np.uint8)
    pixels[pixels[..., 3] == 0] = 0
    return pixels

"""Turning a picture of flat art into an SVG drawing: few colours, smooth outlines."""

import io
import re
from itertools import product

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from limner.domain.recipe import Size
from limner.families import raster
from limner.families.family import Pixels

Colours = npt.NDArray[np.uint8]
"""Colours along the last axis, as red, green and blue."""

_COLOURS = 48
_ALIKE = 10
"""Colours that differ by less in every channel (of 255) become one."""

_SOLID = 240
"""Below this alpha a pixel's colour may be of an edge, and is taken from the solid ones beside."""

_REACH = 4
"""How far a pixel looks, in pixels, for the even ground it belongs to."""

_MAJORITY = 7
"""Side in pixels of the neighbourhood in which lone pixels give way to the others."""

_SPECKLE = 8
"""Patches up to this many pixels wide are left out."""

_COARSEST = 512
_FINEST = 1_024
"""The longer side is brought between these: below, curves are coarse; above, nothing is won."""


def trace(pixels: Pixels) -> str:
    """Return the paths of a drawing of the picture, as the inside of an `<svg>` element.

    Their coordinates are those of `traced_size`. Each pixel is drawn opaque or, where its alpha
    is under 128, not at all.
    """
    import vtracer

    flat = _flattened(raster.resize(pixels, traced_size(raster.size_of(pixels))))
    if not flat[..., 3].any():
        return ""
    file = io.BytesIO()
    Image.fromarray(flat).save(file, "PNG", compress_level=1)
    drawing: str = vtracer.convert_raw_image_to_svg(
        file.getvalue(),
        img_format="png",
        color_precision=8,
        layer_difference=0,
        filter_speckle=_SPECKLE,
        path_precision=1,
    )
    return "\n".join(re.findall(r"<path [^>]*/>", drawing))


def outline(ink: Image.Image) -> str:
    """Return the paths of what is white in a grey picture, in its pixels, with no fill given."""
    import vtracer

    file = io.BytesIO()
    Image.eval(ink, lambda level: 0 if level >= 128 else 255).save(file, "PNG", compress_level=1)
    drawing: str = vtracer.convert_raw_image_to_svg(
        file.getvalue(), img_format="png", colormode="binary", filter_speckle=1, path_precision=1
    )
    paths = re.findall(r"<path [^>]*/>", drawing)
    return "\n".join(re.sub(r' fill="[^"]*"', "", path) for path in paths)


def traced_size(size: Size) -> Size:
    """Return the size a picture is traced at: its own, unless that is too coarse or too fine."""
    longest = max(size.width, size.height)
    scale = min(max(longest, _COARSEST), _FINEST) / longest
    return Size(
        width=max(1, round(size.width * scale)),
        height=max(1, round(size.height * scale)),
    )


def _flattened(pixels: Pixels) -> Pixels:
    """Return the picture in few colours that meet in clear edges, opaque or nothing."""
    opaque = pixels[..., 3] >= 128
    flat = np.zeros_like(pixels)
    if not opaque.any():
        return flat
    solid = pixels.copy()
    if (pixels[..., 3] >= _SOLID).any():
        solid[pixels[..., 3] < _SOLID, 3] = 0
    even = _evened(raster.bleed(solid)[..., :3])
    palette = Image.fromarray(even[opaque][None]).quantize(
        _COLOURS, method=Image.Quantize.MEDIANCUT, kmeans=2
    )
    indexed = Image.fromarray(even).quantize(palette=palette, dither=Image.Dither.NONE)
    colours = np.array(palette.getpalette(), dtype=np.uint8).reshape(-1, 3)
    merged = _merged(colours, np.bincount(np.asarray(indexed)[opaque], minlength=len(colours)))
    calm = Image.fromarray(merged[np.asarray(indexed)]).filter(ImageFilter.ModeFilter(_MAJORITY))
    flat[opaque, :3] = colours[np.asarray(calm)[opaque]]
    flat[opaque, 3] = 255
    return flat


def _evened(colours: Colours) -> Colours:
    """Return each pixel as the mean of the most even of the four squares it is a corner of.

    Soft edges become hard ones and grain goes, while edges stay where they are. Kuwahara et
    al., Processing of RI-angiocardiographic images, 1976.
    """
    height, width = colours.shape[:2]
    padded = np.pad(colours, ((_REACH, _REACH), (_REACH, _REACH), (0, 0)), mode="edge")
    values = padded.astype(np.float64)
    means = _square_means(values)
    spread = _square_means((values**2).sum(axis=2, keepdims=True))[..., 0] - (means**2).sum(axis=2)
    least = np.full((height, width), np.inf)
    evened = np.zeros((height, width, 3))
    for down, right in product((0, _REACH), repeat=2):
        place = slice(down, down + height), slice(right, right + width)
        better = spread[place] < least
        least[better] = spread[place][better]
        evened[better] = means[place][better]
    rounded: Colours = (evened + 0.5).astype(np.uint8)
    return rounded


def _square_means(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the means of all squares of `_REACH` + 1 pixels, by their top left corners."""
    side = _REACH + 1
    sums = np.pad(values, ((1, 0), (1, 0), (0, 0))).cumsum(axis=0).cumsum(axis=1)
    corners = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
    means: npt.NDArray[np.float64] = corners / side**2
    return means


def _merged(colours: Colours, counts: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
    """Return for each colour's index that of the commonest colour like it, or its own."""
    becomes = np.arange(len(colours), dtype=np.uint8)
    kept: list[int] = []
    for index in np.argsort(-counts, kind="stable").tolist():
        distances = np.abs(colours[kept].astype(int) - colours[index]).max(axis=1, initial=0)
        alike = np.flatnonzero(distances < _ALIKE)
        if len(alike):
            becomes[index] = kept[alike[0]]
        else:
            kept.append(index)
    return becomes

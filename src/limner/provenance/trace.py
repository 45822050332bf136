"""Turning a picture of flat art into an SVG drawing: few colours, smooth outlines."""

import io
import re

import numpy as np
from PIL import Image, ImageFilter

from limner.domain.recipe import Size
from limner.families import raster
from limner.families.family import Pixels

_COLOURS = 32
_SOLID = 240
"""Below this alpha a pixel's colour may be of an edge, and is taken from the solid ones beside."""

_MEDIAN = 5
_MAJORITY = 7
"""Sides in pixels of the neighbourhoods in which lone pixels give way to the others."""

_SPECKLE = 8
"""Patches up to this many pixels wide are left out."""

_COARSEST = 512
_FINEST = 2_048
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


def traced_size(size: Size) -> Size:
    """Return the size a picture is traced at: its own, unless that is too coarse or too fine."""
    longest = max(size.width, size.height)
    scale = min(max(longest, _COARSEST), _FINEST) / longest
    return Size(
        width=max(1, round(size.width * scale)),
        height=max(1, round(size.height * scale)),
    )


def _flattened(pixels: Pixels) -> Pixels:
    """Return the picture in at most `_COLOURS` colours, without lone pixels or half alpha."""
    opaque = pixels[..., 3] >= 128
    flat = np.zeros_like(pixels)
    if not opaque.any():
        return flat
    solid = pixels.copy()
    if (pixels[..., 3] >= _SOLID).any():
        solid[pixels[..., 3] < _SOLID, 3] = 0
    coloured = Image.fromarray(raster.bleed(solid)[..., :3])
    smooth = coloured.filter(ImageFilter.MedianFilter(_MEDIAN))
    seen = np.asarray(smooth)[opaque]
    palette = Image.fromarray(seen[None]).quantize(
        _COLOURS, method=Image.Quantize.MEDIANCUT, kmeans=2
    )
    indexed = smooth.quantize(palette=palette, dither=Image.Dither.NONE)
    calm = Image.fromarray(np.asarray(indexed)).filter(ImageFilter.ModeFilter(_MAJORITY))
    colours = np.zeros((256, 3), dtype=np.uint8)
    listed = np.array(palette.getpalette(), dtype=np.uint8).reshape(-1, 3)
    colours[: len(listed)] = listed
    flat[..., :3] = colours[np.asarray(calm)]
    flat[..., 3] = 255
    flat[~opaque] = 0
    return flat

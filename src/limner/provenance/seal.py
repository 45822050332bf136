"""Sealing: finished pixels and their Recipe become the file that is kept.

Everything that is written into a picture is written here, in one order, and nothing rewrites
the file afterwards.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from limner.domain.errors import InvalidOption, InvalidSize
from limner.domain.recipe import FileFormat, Recipe
from limner.families import raster
from limner.families.family import Pixels
from limner.provenance.metadata import RECIPE_KEY, recipe_text, xmp_description, xmp_packet
from limner.provenance.trace import trace, traced_size

_WEBP_LONGEST = 16_383
_JPEG_LONGEST = 65_500
_JPEG_QUALITY = 92


@dataclass(frozen=True)
class Sealed:
    """A finished file, and the digest of the pixels it was made from (before any loss)."""

    file: bytes
    media_type: str
    pixel_digest: str


def seal(pixels: Pixels, recipe: Recipe) -> Sealed:
    """Turn finished pixels into a file in the Recipe's format that carries the Recipe.

    The same pixels and Recipe give the same bytes. Raises InvalidOption for transparent pixels
    in a format without transparency and InvalidSize where the format holds none so large.
    """
    file = _WRITERS[recipe.format](pixels, recipe)
    return Sealed(file, recipe.format.media_type, raster.pixel_digest(pixels))


def encode_png(pixels: Pixels) -> bytes:
    """Return pixels as a plain PNG file in sRGB."""
    return _write_png(pixels, _srgb())


def _srgb() -> PngInfo:
    written = PngInfo()
    written.add(b"sRGB", b"\x00")
    return written


def _write_png(pixels: Pixels, written: PngInfo) -> bytes:
    file = io.BytesIO()
    _image(pixels).save(file, "PNG", pnginfo=written)
    return file.getvalue()


def _png(pixels: Pixels, recipe: Recipe) -> bytes:
    written = _srgb()
    written.add_itxt(RECIPE_KEY, recipe_text(recipe))
    written.add_itxt("XML:com.adobe.xmp", xmp_packet(recipe).decode())
    return _write_png(pixels, written)


def _webp(pixels: Pixels, recipe: Recipe) -> bytes:
    _check_longest(pixels, _WEBP_LONGEST, "WebP")
    file = io.BytesIO()
    _image(pixels).save(file, "WEBP", lossless=True, method=4, xmp=xmp_packet(recipe))
    return file.getvalue()


def _jpeg(pixels: Pixels, recipe: Recipe) -> bytes:
    if not raster.is_opaque(pixels):
        raise InvalidOption("jpeg has no transparency. Use png or webp, or a plain background.")
    _check_longest(pixels, _JPEG_LONGEST, "JPEG")
    file = io.BytesIO()
    _image(pixels).save(
        file, "JPEG", quality=_JPEG_QUALITY, subsampling="4:4:4", xmp=xmp_packet(recipe)
    )
    return file.getvalue()


def _svg(pixels: Pixels, recipe: Recipe) -> bytes:
    size = raster.size_of(pixels)
    drawn = traced_size(size)
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{size.width}" height="{size.height}"'
        f' viewBox="0 0 {drawn.width} {drawn.height}">\n'
        f"<metadata>{xmp_description(recipe)}</metadata>\n"
        f"{trace(pixels)}\n"
        "</svg>\n"
    ).encode()


def _image(pixels: Pixels) -> Image.Image:
    return Image.fromarray(pixels[..., :3] if raster.is_opaque(pixels) else pixels)


def _check_longest(pixels: Pixels, longest: int, name: str) -> None:
    size = raster.size_of(pixels)
    if max(size.width, size.height) > longest:
        raise InvalidSize(
            f"{name} holds at most {longest:,} pixels a side, and this picture is {size}. Use png."
        )


_WRITERS: MappingProxyType[FileFormat, Callable[[Pixels, Recipe], bytes]] = MappingProxyType(
    {FileFormat.PNG: _png, FileFormat.WEBP: _webp, FileFormat.JPEG: _jpeg, FileFormat.SVG: _svg}
)

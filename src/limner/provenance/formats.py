"""Writing picture files: pixels, what is said of them, and the colours they are meant in."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any

from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo

from limner.domain.errors import InvalidOption, InvalidSize
from limner.domain.recipe import FileFormat
from limner.families import raster
from limner.families.family import Pixels
from limner.provenance.trace import trace, traced_size

_JPEG_QUALITY, _AVIF_QUALITY = 92, 90
_LONGEST = {FileFormat.WEBP: 16_383, FileFormat.JPEG: 65_500, FileFormat.AVIF: 65_535}
_EXIF, _USER_COMMENT, _DESCRIPTION, _XMP = 0x8769, 0x9286, 270, 700
_DATE = slice(24, 36)
"""Where an ICC profile says when it was made (ICC.1:2022, 7.2)."""


@dataclass(frozen=True)
class Notes:
    """What is written into a file beside its pixels.

    `xmp` is an RDF description; `settings` the text that other tools read their settings from;
    `texts` are (keyword, text) pairs for PNG. `profile` is the ICC profile of the pixels, None
    for sRGB. `drawing` are SVG elements, in pixels, that lie on top of a drawing.
    """

    xmp: str = ""
    settings: str = ""
    texts: tuple[tuple[str, str], ...] = ()
    profile: bytes | None = None
    drawing: str = ""

    @property
    def packet(self) -> bytes:
        """The XMP packet (ISO 16684-1)."""
        return (
            '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
            f'<x:xmpmeta xmlns:x="adobe:ns:meta/">{self.xmp}</x:xmpmeta>'
            '<?xpacket end="r"?>'
        ).encode()


def encode(pixels: Pixels, file_format: FileFormat, notes: Notes) -> bytes:
    """Return pixels as a file; the same pixels and notes give the same bytes.

    Raises InvalidOption for transparent pixels in a format without transparency and InvalidSize
    where the format holds none so large.
    """
    longest, size = _LONGEST.get(file_format), raster.size_of(pixels)
    if longest is not None and max(size.width, size.height) > longest:
        raise InvalidSize(
            f"{file_format.common_name} holds at most {longest:,} pixels a side, and this picture "
            f"is {size}. Use png."
        )
    if not file_format.has_alpha and not raster.is_opaque(pixels):
        raise InvalidOption(
            f"{file_format.value} has no transparency. Use png or webp, or a plain background."
        )
    return _WRITERS[file_format](pixels, notes)


def encode_png(pixels: Pixels) -> bytes:
    """Return pixels as a plain PNG file in sRGB."""
    return _png(pixels, Notes())


@cache
def srgb_profile() -> bytes:
    """Return a small ICC profile of sRGB, the same on every day."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[_DATE] = bytes.fromhex("07ea 0001 0001 0000 0000 0000".replace(" ", ""))
    return bytes(profile)


def _png(pixels: Pixels, notes: Notes) -> bytes:
    written, options = PngInfo(), {}
    if notes.profile is None:
        written.add(b"sRGB", b"\x00")
    else:
        options["icc_profile"] = notes.profile
    for keyword, text in notes.texts:
        written.add_itxt(keyword, text)
    if notes.settings:
        written.add_itxt("parameters", notes.settings)
    if notes.xmp:
        written.add_itxt("XML:com.adobe.xmp", notes.packet.decode())
    return _saved(pixels, "PNG", pnginfo=written, **options)


def _webp(pixels: Pixels, notes: Notes) -> bytes:
    return _saved(pixels, "WEBP", lossless=True, method=4, **_noted(notes))


def _jpeg(pixels: Pixels, notes: Notes) -> bytes:
    options = {"quality": _JPEG_QUALITY, "subsampling": "4:4:4"}
    return _saved(pixels, "JPEG", **options, **_noted(notes))


def _avif(pixels: Pixels, notes: Notes) -> bytes:
    options = {"quality": _AVIF_QUALITY, "subsampling": "4:4:4", "speed": 6, "max_threads": 1}
    return _saved(pixels, "AVIF", **options, **_noted(notes))


def _tiff(pixels: Pixels, notes: Notes) -> bytes:
    # Pillow writes no EXIF folder into a compressed TIFF, so the settings are its description,
    # as bytes: of text, Pillow would keep ASCII alone.
    tags = Image.Exif()
    tags[_XMP] = notes.packet
    if notes.settings:
        tags[_DESCRIPTION] = notes.settings.encode()
    profile = notes.profile or srgb_profile()
    return _saved(pixels, "TIFF", compression="tiff_adobe_deflate", exif=tags, icc_profile=profile)


def _svg(pixels: Pixels, notes: Notes) -> bytes:
    size = raster.size_of(pixels)
    drawn = traced_size(size)
    across, down = drawn.width / size.width, drawn.height / size.height
    on_top = f'<g transform="scale({across:g} {down:g})">{notes.drawing}</g>\n'
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{size.width}" height="{size.height}"'
        f' viewBox="0 0 {drawn.width} {drawn.height}">\n'
        f"<metadata>{notes.xmp}</metadata>\n"
        f"{trace(pixels)}\n"
        f"{on_top if notes.drawing else ''}"
        "</svg>\n"
    ).encode()


def _noted(notes: Notes) -> dict[str, Any]:
    """Return the options by which Pillow writes notes into JPEG, WebP and AVIF."""
    options: dict[str, Any] = {
        "xmp": notes.packet,
        "icc_profile": notes.profile or srgb_profile(),
    }
    if notes.settings:
        exif = Image.Exif()
        comment = b"UNICODE\x00" + notes.settings.encode("utf-16-be", "replace")
        exif.get_ifd(_EXIF)[_USER_COMMENT] = comment
        # As bytes: Pillow takes EXIF that has a folder and no tag of its own for empty.
        options["exif"] = exif.tobytes()
    return options


def _saved(pixels: Pixels, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    visible = pixels[..., :3] if raster.is_opaque(pixels) else pixels
    Image.fromarray(visible).save(file, kind, **options)
    return file.getvalue()


_WRITERS: MappingProxyType[FileFormat, Callable[[Pixels, Notes], bytes]] = MappingProxyType(
    {
        FileFormat.PNG: _png,
        FileFormat.WEBP: _webp,
        FileFormat.JPEG: _jpeg,
        FileFormat.TIFF: _tiff,
        FileFormat.AVIF: _avif,
        FileFormat.SVG: _svg,
    }
)

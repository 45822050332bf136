"""Reading picture files from outside: any common format, upright, in sRGB, or refused."""

import io
import re
import struct
import threading
import warnings
import zlib
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageCms, UnidentifiedImageError

from limner.domain.errors import InvalidImage
from limner.domain.recipe import Size
from limner.families import raster
from limner.families.family import Pixels

ACCEPTED = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
"""The formats that are read, as Pillow names them. Of an animation, the first frame."""

_ACCEPTED_TEXT = "Limner reads PNG, JPEG, WebP, GIF, BMP, TIFF and AVIF pictures."

_ORIENTATION = 0x0112
_FIRST_ELEMENT = re.compile(rb"<(?!!--)(?:[A-Za-z_][\w.-]{0,60}:)?([A-Za-z]+)[\s/>]")
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation (TIFF 6.0, tag 274) → what turns the picture upright."""

_LOOKS_LIKE = (
    (b"<svg", "an SVG drawing"),
    (b"<!doctype html", "a web page"),
    (b"<html", "a web page"),
    (b"<?xml", "an XML text"),
    (b"%pdf", "a PDF document"),
    (b"pk\x03\x04", "a ZIP archive"),
    (b"\x80\x02", "a Python pickle"),
    (b"\x80\x03", "a Python pickle"),
    (b"\x80\x04", "a Python pickle"),
    (b"\x80\x05", "a Python pickle"),
    (b"\x7felf", "a program"),
    (b"mz", "a program"),
    (b"8bps", "a Photoshop document"),
)

_HEIC_BRANDS = frozenset(
    {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}
)
"""Brands of pictures in HEVC and of ones in a codec not said (ISO/IEC 23008-12, annex B)."""

_MOST_BRANDS = 256
"""Bytes of the brands of a file of boxes (ISO/IEC 14496-12, 4.3) that are looked at."""

_UNREADABLE = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    NotImplementedError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
    ImageCms.PyCMSError,
)
"""What Pillow's decoders have been seen to raise, or may, for files made to harm them."""


class _Quiet:
    """Keeps Pillow's warnings about odd files from the console: errors say what matters.

    The filters of the `warnings` module belong to the whole process, and restoring them is not
    safe from two threads at once. So who comes first sets ours in front, who leaves last takes
    it away, and between them any number of threads decode at once.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._filters = ExitStack()

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._filters.enter_context(warnings.catch_warnings())
                warnings.filterwarnings("ignore", module=r"PIL(\.|$)")
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._filters.close()


_QUIET = _Quiet()


@dataclass(frozen=True)
class Limits:
    """The most that is taken in: bytes of the file, pixels of the picture."""

    bytes: int = 100_000_000
    pixels: int = 64_000_000


@dataclass(frozen=True)
class Own:
    """The colours of a picture as its file has them, in the RGB profile that came with it."""

    pixels: Pixels
    profile: bytes


@dataclass(frozen=True)
class Picture:
    """A picture from a file: upright, in sRGB.

    `own` is set where the file is in another RGB profile.
    """

    pixels: Pixels
    media_type: str
    own: Own | None = None

    @property
    def size(self) -> Size:
        """Width and height in pixels."""
        return raster.size_of(self.pixels)


DEFAULT_LIMITS = Limits()


def is_drawing(file: bytes) -> bool:
    """Whether a file is a drawing (SVG), which has no pixels to be read."""
    start = file[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    begins = start.startswith((b"<?xml", b"<svg", b"<!doctype svg", b"<!--"))
    opening = _FIRST_ELEMENT.search(file[:4096])
    return begins and opening is not None and opening[1].lower() == b"svg"


def brands_of(file: bytes) -> frozenset[bytes]:
    """Return the brands of a file made of boxes, as AVIF and HEIC are; none of any other."""
    if file[4:8] != b"ftyp":
        return frozenset()
    listed = file[8 : int.from_bytes(file[:4], "big")][:_MOST_BRANDS]
    return frozenset(listed[at : at + 4] for at in range(0, len(listed), 4))


def is_heic(file: bytes) -> bool:
    """Whether a file is an HEIC picture, whose pixels cannot be read here."""
    brands = brands_of(file)
    return b"avif" not in brands and not brands.isdisjoint(_HEIC_BRANDS)


def read_picture(file: bytes, limits: Limits = DEFAULT_LIMITS) -> Picture:
    """Read a picture file.

    Turned upright by its EXIF orientation, converted to sRGB by its ICC profile, 16-bit and
    CMYK brought to 8-bit RGB. Raises InvalidImage, saying what is wrong and what is accepted,
    for anything that is no picture, is damaged, or is beyond the limits; those are checked
    before any pixel is decoded.
    """
    check_bytes(file, limits)
    with _QUIET:
        try:
            return _decode(file, limits)
        except UnidentifiedImageError as error:
            raise InvalidImage(f"{_guess(file)} {_ACCEPTED_TEXT}") from error
        except Image.DecompressionBombError as error:
            raise InvalidImage(_too_many_pixels("The picture", limits)) from error
        except _UNREADABLE as error:
            raise InvalidImage(
                "The picture is damaged or cut off, or its content is made in a way that cannot "
                f"be read. Save it again as PNG or JPEG. {_ACCEPTED_TEXT}"
            ) from error


def read_mask(file: bytes, size: Size, limits: Limits = DEFAULT_LIMITS) -> Pixels:
    """Read a mask for a picture of `size`; return it in opaque white (to change) and black.

    White is where the luminance is 128 or more; in a mask painted in one colour on nothing,
    where its alpha is. Raises InvalidImage for an unreadable mask, one of another size, and one
    that marks nothing.
    """
    picture = read_picture(file, limits)
    if picture.size != size:
        raise InvalidImage(
            f"The mask is {picture.size} and the picture {size} pixels. Make a mask of the "
            "picture's size: white where it should change, black elsewhere."
        )
    marked = _marked(picture.pixels)
    if not marked.any():
        raise InvalidImage(
            "The mask marks nothing. Paint white where the picture should change, black elsewhere."
        )
    mask = np.zeros_like(picture.pixels)
    mask[marked] = 255
    mask[..., 3] = 255
    return mask


def _marked(pixels: Pixels) -> np.ndarray:
    alpha = pixels[..., 3]
    seen = pixels[alpha > 0][:, :3]
    if not raster.is_opaque(pixels) and (not len(seen) or int(np.ptp(seen, axis=0).max()) <= 8):
        marked: np.ndarray = alpha >= 128
        return marked
    flat = Image.fromarray(raster.over(pixels, (0, 0, 0))[..., :3])
    luminance: np.ndarray = np.asarray(flat.convert("L")) >= 128
    return luminance


def check_bytes(file: bytes, limits: Limits = DEFAULT_LIMITS) -> None:
    """Raise InvalidImage for an empty file and for one of too many bytes."""
    if not file:
        raise InvalidImage(f"The file is empty. {_ACCEPTED_TEXT}")
    if len(file) > limits.bytes:
        raise InvalidImage(
            f"The file has {len(file) / 1e6:.0f} MB; the most is {limits.bytes / 1e6:.0f} MB. "
            "Save it smaller."
        )


def _too_many_pixels(what: str, limits: Limits) -> str:
    return (
        f"{what} has too many pixels; the most is {limits.pixels / 1e6:.0f} megapixels. "
        "Make it smaller."
    )


def _guess(file: bytes) -> str:
    if is_heic(file):
        return "This is an HEIC picture, and its pixels cannot be read. Save it as JPEG or PNG."
    start = file[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    for magic, name in _LOOKS_LIKE:
        if start.startswith(magic):
            return f"This is no picture but {name}, whatever its name ends in."
    return "This is no picture that can be recognised."


def _decode(file: bytes, limits: Limits) -> Picture:
    with Image.open(io.BytesIO(file), formats=ACCEPTED) as opened:
        width, height = opened.size
        if width < 1 or height < 1:
            raise InvalidImage(f"The picture is {width}x{height} pixels: there is nothing in it.")
        if width > 65_535 or height > 65_535 or width * height > limits.pixels:
            raise InvalidImage(_too_many_pixels(f"A picture of {width}x{height} pixels", limits))
        media_type = Image.MIME[opened.format or ""]
        opened.load()
        orientation = _orientation(opened)
        profile = opened.info.get("icc_profile")
        image = _to_eight_bits(opened)
        profile = profile if isinstance(profile, bytes) else b""
        converted = _through_profile(image, profile)
    pixels = _upright(converted or image, orientation)
    if converted is None or image.mode not in ("RGB", "RGBA"):
        return Picture(pixels, media_type)
    return Picture(pixels, media_type, Own(_upright(image, orientation), profile))


def _upright(image: Image.Image, orientation: int) -> Pixels:
    turned = image.convert("RGBA")
    if orientation in _UPRIGHT:
        turned = turned.transpose(_UPRIGHT[orientation])
    return np.array(turned)


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation; damaged EXIF counts as none, the picture being whole."""
    try:
        value = image.getexif().get(_ORIENTATION)
    except _UNREADABLE:
        return 1
    return value if isinstance(value, int) else 1


def _to_eight_bits(image: Image.Image) -> Image.Image:
    if image.mode == "F":
        raise InvalidImage(
            "The picture holds floating-point numbers. Save it with 8 or 16 bits per channel."
        )
    if image.mode == "I" or image.mode.startswith("I;16"):
        values = np.asarray(image).astype(np.int64).clip(0, 65_535)
        return Image.fromarray(((values * 255 + 32_767) // 65_535).astype(np.uint8))
    if image.mode in ("1", "P", "PA", "La", "RGBa", "LA") or "transparency" in image.info:
        return image.convert("RGBA")
    return image


def _through_profile(image: Image.Image, profile: bytes) -> Image.Image | None:
    """Return the picture in sRGB, or None where its profile is that, broken or of another kind."""
    alpha = image.getchannel("A") if image.mode == "RGBA" else None
    colours = image.convert("RGB") if alpha is not None else image
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if not profile or "sRGB" in ImageCms.getProfileDescription(source):
            return None
        converted = ImageCms.profileToProfile(
            colours,
            source,
            ImageCms.createProfile("sRGB"),
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            outputMode="RGB",
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None
    if converted is not None and alpha is not None:
        converted.putalpha(alpha)
    return converted

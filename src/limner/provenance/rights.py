"""Whose a picture is, as its file says: kept when the picture is worked on."""

import io
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from PIL import ExifTags, Image

from limner.provenance.intake import ACCEPTED
from limner.provenance.texts import read_texts
from limner.provenance.xmp import read_items

DUBLIN_CORE = "http://purl.org/dc/elements/1.1/"
_LONGEST = 1000
_MOST = 20
_ALL = 4000
"""Characters of all creators together: the XMP of a JPEG holds 64 KB."""


@dataclass(frozen=True)
class Rights:
    """Who made a picture (`dc:creator`), and the notice on its copyright (`dc:rights`)."""

    creators: tuple[str, ...] = ()
    notice: str = ""

    def __bool__(self) -> bool:
        return bool(self.creators or self.notice)


def read_rights(file: bytes) -> Rights:
    """Return whose a picture is by its XMP, else by its EXIF; never raises.

    XMP: Dublin Core. EXIF: Artist, several parted by semicolons (Exif 3.0, 4.6.5), and Copyright,
    where the editor's notice follows the photographer's after a zero byte.
    """
    packet = read_texts(file).xmp
    creators = read_items(packet, DUBLIN_CORE, "creator")
    notices = read_items(packet, DUBLIN_CORE, "rights")
    artist, copyright_ = _exif(file)
    written = tuple(filter(None, (one.strip() for one in artist.split(";"))))
    notice = notices[0] if notices else ", ".join(filter(None, map(str.strip, copyright_)))
    return Rights(tuple(_within(creators or written)), notice[:_LONGEST])


def _within(creators: Sequence[str]) -> Iterator[str]:
    """Yield names as long as there are not too many, or too long, for what a file holds."""
    left = _ALL
    for one in creators[:_MOST]:
        name = one[: min(_LONGEST, left)]
        left -= len(name)
        if name:
            yield name


def _exif(file: bytes) -> tuple[str, list[str]]:
    try:
        with Image.open(io.BytesIO(file), formats=ACCEPTED) as image:
            tags = image.getexif()
            artist, notice = tags.get(ExifTags.Base.Artist), tags.get(ExifTags.Base.Copyright)
    except Exception:  # noqa: BLE001 - Pillow's parsers raise anything on damaged metadata
        return "", []
    return _text(artist), _text(notice).split("\0")


def _text(value: object) -> str:
    """Return an EXIF value as text, in which what no file may hold is left out."""
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    if not isinstance(text, str):
        return ""
    with suppress(UnicodeError):  # Pillow reads as Latin-1 what most programs write as UTF-8
        text = text.encode("latin-1").decode("utf-8")
    return "".join(letter for letter in text.strip("\0 ") if letter.isprintable() or letter == "\0")

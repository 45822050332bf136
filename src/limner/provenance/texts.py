"""The texts that a picture file carries beside its pixels, read from its bytes.

No decoder meets the file, nothing is looked up by its contents' own say-so beyond its end, and
what is compressed is unpacked up to a limit only. Damage ends the reading where it is: what
stood before it counts.
"""

import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from limner.provenance.boxes import box_items

MOST_TEXT = 8_000_000
"""The most bytes that one text may have, unpacked; longer ones are left out."""

MOST_IN_ALL = 32_000_000
"""The most bytes that all texts of a file may have, unpacked."""

_MOST_ENTRIES = 1_000
"""The most entries of an EXIF directory that are looked at."""

_PNG = b"\x89PNG\r\n\x1a\n"
_EXIF_MARK = b"Exif\x00\x00"
_XMP_MARK = b"http://ns.adobe.com/xap/1.0/\x00"
_PNG_XMP = "XML:com.adobe.xmp"
_EXIF_FOLDER, _USER_COMMENT, _XMP_TAG = 0x8769, 0x9286, 700
_TEXT_TAGS = (_EXIF_FOLDER, _USER_COMMENT, _XMP_TAG)
_BYTES, _ASCII, _UNDEFINED = 1, 2, 7
_PACKET = re.compile(rb"<(x:xmpmeta|rdf:RDF)[\s>]")


@dataclass
class Texts:
    """What was found: PNG texts by keyword, EXIF texts, the EXIF user comment, the XMP packet."""

    chunks: dict[str, str] = field(default_factory=dict)
    exif: list[str] = field(default_factory=list)
    comment: str | None = None
    xmp: bytes | None = None
    room: int = field(default=MOST_IN_ALL, repr=False)
    """Bytes that may still be taken."""


def read_texts(file: bytes) -> Texts:
    """Return the texts of a PNG, JPEG, WebP, TIFF, AVIF, HEIC or SVG file, or any with XMP in it.

    Never raises: a file of another kind, or a damaged one, has what could be found, perhaps
    nothing.
    """
    texts = Texts()
    if file.startswith(_PNG):
        _read_png(file, texts)
    elif file.startswith(b"\xff\xd8"):
        _read_jpeg(file, texts)
    elif file[:4] == b"RIFF" and file[8:12] == b"WEBP":
        _read_webp(file, texts)
    elif file[:4] in (b"II*\x00", b"MM\x00*"):
        _read_exif(file, texts)
    elif file[4:8] == b"ftyp":
        _read_boxes(file, texts)
    else:
        texts.xmp = _packet_in(file)
    return texts


def _read_png(file: bytes, texts: Texts) -> None:
    for kind, content in _png_chunks(file):
        if kind == b"eXIf":
            _read_exif(content, texts)
            continue
        keyword, _, rest = content.partition(b"\x00")
        text = _unpacked(kind, rest, texts)
        name = keyword.decode("latin-1")
        if text is None:
            continue
        if name == _PNG_XMP:
            texts.xmp = texts.xmp or text
        else:
            texts.chunks.setdefault(name, _decoded(text))


def _png_chunks(file: bytes) -> Iterator[tuple[bytes, bytes]]:
    position = len(_PNG)
    while position + 12 <= len(file):
        (length,) = struct.unpack_from(">I", file, position)
        kind = file[position + 4 : position + 8]
        if kind == b"IEND" or position + 12 + length > len(file):
            return
        if kind in (b"tEXt", b"zTXt", b"iTXt", b"eXIf"):
            yield kind, file[position + 8 : position + 8 + length]
        position += 12 + length


def _unpacked(kind: bytes, rest: bytes, texts: Texts) -> bytes | None:
    """Return the text of a chunk after its keyword; None where it is damaged or too long."""
    packed = kind == b"zTXt"
    if packed:
        rest = rest[1:]
    elif kind == b"iTXt":
        packed = rest[:1] == b"\x01"
        rest = rest[2:].split(b"\x00", 2)[-1]
    most = min(texts.room, MOST_TEXT)
    if not packed:
        texts.room -= min(len(rest), most)
        return rest if len(rest) <= most else None
    unpacking = zlib.decompressobj()
    try:
        text = unpacking.decompress(rest, most) if most > 0 else b""
    except zlib.error:
        return None
    texts.room -= len(text)
    return text if unpacking.eof else None


def _read_jpeg(file: bytes, texts: Texts) -> None:
    position = 2
    while position + 4 <= len(file) and file[position] == 0xFF:
        marker = file[position + 1]
        if marker == 0xFF:
            position += 1
            continue
        if marker == 0xDA:
            return
        (length,) = struct.unpack_from(">H", file, position + 2)
        content = file[position + 4 : position + 2 + length]
        if marker == 0xE1 and content.startswith(_EXIF_MARK):
            _read_exif(content[len(_EXIF_MARK) :], texts)
        elif marker == 0xE1 and content.startswith(_XMP_MARK):
            texts.xmp = texts.xmp or content[len(_XMP_MARK) :]
        position += 2 + max(length, 2)


def _read_webp(file: bytes, texts: Texts) -> None:
    position = 12
    while position + 8 <= len(file):
        (length,) = struct.unpack_from("<I", file, position + 4)
        kind = file[position : position + 4]
        content = file[position + 8 : position + 8 + length] if kind in (b"EXIF", b"XMP ") else b""
        if kind == b"EXIF":
            _read_exif(content.removeprefix(_EXIF_MARK), texts)
        elif kind == b"XMP " and len(content) <= MOST_TEXT:
            texts.xmp = texts.xmp or content
        position += 8 + length + length % 2


def _read_boxes(file: bytes, texts: Texts) -> None:
    for kind, content in box_items(file, MOST_TEXT):
        if kind == "Exif":
            # ISO/IEC 23008-12, A.2.1: four bytes say how far behind them the TIFF header is.
            (ahead,) = struct.unpack(">I", content[:4].rjust(4, b"\x00"))
            _read_exif(content[4 + ahead :], texts)
        elif kind == "application/rdf+xml":
            texts.xmp = texts.xmp or content


def _read_exif(tiff: bytes, texts: Texts) -> None:
    """Read the first directory of a TIFF structure and the EXIF directory it points to."""
    order = {b"II*\x00": "<", b"MM\x00*": ">"}.get(tiff[:4])
    if order is None or len(tiff) < 8:
        return
    (start,) = struct.unpack_from(f"{order}I", tiff, 4)
    folder = None
    for tag, kind, content in _entries(tiff, start, order, texts):
        if tag == _EXIF_FOLDER and len(content) == 4:
            (folder,) = struct.unpack(f"{order}I", content)
        elif tag == _XMP_TAG and kind in (_BYTES, _UNDEFINED):
            texts.xmp = texts.xmp or content
        elif kind == _ASCII:
            texts.exif.append(_decoded(content))
    for tag, _, content in _entries(tiff, folder, order, texts) if folder is not None else ():
        if tag == _USER_COMMENT:
            texts.comment = texts.comment or _comment(content)


_WIDTHS = {_BYTES: 1, _ASCII: 1, 3: 2, 4: 4, 5: 8, 6: 1, _UNDEFINED: 1, 8: 2, 9: 4, 10: 8, 13: 4}


def _entries(tiff: bytes, start: int, order: str, texts: Texts) -> Iterator[tuple[int, int, bytes]]:
    """Yield tag, type and content of each entry of a directory (TIFF 6.0, section 2)."""
    if start + 2 > len(tiff):
        return
    (count,) = struct.unpack_from(f"{order}H", tiff, start)
    for index in range(min(count, _MOST_ENTRIES)):
        place = start + 2 + 12 * index
        if place + 12 > len(tiff):
            return
        tag, kind, number = struct.unpack_from(f"{order}HHI", tiff, place)
        length = _WIDTHS.get(kind, 0) * number
        at = place + 8
        if length > 4:
            (at,) = struct.unpack_from(f"{order}I", tiff, at)
        wanted = kind == _ASCII or tag in _TEXT_TAGS
        if not (wanted and 0 < length <= min(MOST_TEXT, len(tiff) - at, texts.room)):
            continue
        texts.room -= length
        yield tag, kind, tiff[at : at + length]


def _comment(content: bytes) -> str:
    """Return an EXIF user comment: eight bytes name its code (EXIF 2.32, 4.6.5)."""
    code, text = content[:8], content[8:]
    if not code.startswith(b"UNICODE"):
        return _decoded(text if code[:5] in (b"ASCII", b"\x00\x00\x00\x00\x00") else content)
    if text[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return _clean(text.decode("utf-16", "replace"))
    # The standard leaves the order of the two bytes open, and tools differ whatever order the
    # file itself has. Right is the one in which more of the letters are plain ones.
    first, second = text[:4_000:2], text[1:4_000:2]
    big = first.count(0) >= second.count(0)
    return _clean(text.decode("utf-16-be" if big else "utf-16-le", "replace"))


def _decoded(text: bytes) -> str:
    """Return a text in UTF-8, as most tools write it, or Latin-1, as the standards have it."""
    try:
        return _clean(text.decode())
    except UnicodeDecodeError:
        return _clean(text.decode("latin-1"))


def _clean(text: str) -> str:
    return text.rstrip("\x00")


def _packet_in(file: bytes) -> bytes | None:
    """Return an XMP packet that stands in a file as it is: XMP is made to be found so."""
    opening = _PACKET.search(file)
    if opening is None:
        return None
    closing = b"</" + opening[1] + b">"
    end = file.find(closing, opening.start(), opening.start() + MOST_TEXT)
    return file[opening.start() : end + len(closing)] if end >= 0 else None

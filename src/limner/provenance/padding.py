"""What lies in a manifest store but under no signature: the padding around each signature.

A signature box (COSE_Sign1, RFC 9052) has an unprotected header, which nothing signs. The C2PA
specification lets writers put padding there, all zeros, and time stamps and
revocation answers, which carry signatures of their own. Whatever else stands there was put there
by anyone.
"""

import base64
import re
import struct
from collections.abc import Iterator

from limner.provenance.boxes import file_boxes

_DESCRIPTION = b"jumdc2pa\x00\x11\x00\x10\x80\x00\x00\xaa\x00\x38\x9b\x71"
"""The start of the description of a manifest store (JUMBF, ISO 19566-5)."""

_IN_SVG = re.compile(rb"<c2pa:manifest[^>]*>([A-Za-z0-9+/=]+)<")
_IN_GIF = b"\x21\xff\x0bC2PA_GIF\x01\x00\x00"
_MOST_BRANDS = 128
_HEADS = 12
"""The bytes before it: the head of the store, the length of the description."""

_SIGNATURE = b"c2pa.signature"
_PARTS = (b"c2pa.assertions", b"c2pa.claim", b"c2pa.credentials", b"c2pa.databoxes", _SIGNATURE)
_LEVELS: tuple[tuple[bytes, ...], ...] = ((b"c2pa",), (), _PARTS)
"""How the labels of the boxes inside each other may begin: store, manifests, their parts."""

_TOGGLES = 0x1F
"""The bits of a description that have a meaning."""

_NIL = b"\xf6"
_SIGN1 = (b"\xd2\x84", b"\x84")
_PADDING = ("pad", "pad2")
_SIGNED_OTHERWISE = ("sigTst", "sigTst2", "rVals", "x5chain", 33)
_DEEPEST = 16
_MOST_ENTRIES = 1_000
_MOST_BOXES = 10_000


def is_padding_touched(file: bytes) -> bool:
    """Whether a file's manifests hold bytes that no signature covers, beyond padding of zeros.

    Never raises. Boxes that do not fit into each other were touched, too; forms of JUMBF and CBOR
    that C2PA's writers do not use are left to the reader of manifests.
    """
    try:
        return _hides(file) or any(
            _is_touched(box)
            for store in _stores(file)
            for box in _signatures(store, 0, len(store), 0)
        )
    except NotImplementedError:
        return False
    except (ValueError, struct.error):
        return True


def _stores(file: bytes) -> Iterator[bytes]:
    content = _segments(file) if file.startswith(b"\xff\xd8") else file
    if file.startswith(b"GIF8"):
        content = _blocks(file)
    written = _IN_SVG.search(file)
    if written:
        content = base64.b64decode(written[1], validate=True)
    place = content.find(_DESCRIPTION)
    start = place - _HEADS
    if start >= 0:
        (length,) = struct.unpack_from(">I", content, start)
        yield content[start : start + length]


def _segments(file: bytes) -> bytes:
    """Return the JUMBF boxes of a JPEG: each segment after the first repeats their head."""
    parts, place = [], 2
    while place + 4 <= len(file) and file[place] == 0xFF and file[place + 1] != 0xDA:
        (length,) = struct.unpack_from(">H", file, place + 2)
        content = file[place + 4 : place + 2 + length]
        if file[place + 1] == 0xEB and content.startswith(b"JP"):
            first = content[4:8] == b"\x00\x00\x00\x01"
            parts.append(content[8:] if first else content[16:])
        place += 2 + max(length, 2)
    return b"".join(parts)


def _hides(file: bytes) -> bool:
    """Whether a file of boxes holds anything in those boxes that C2PA leaves out of its hash.

    These are, at the top: the brands, free space and the index of a film (`mfra`), which no
    picture has (seen in what c2pa's own writers exclude).
    """
    if file[4:8] != b"ftyp":
        return False
    brands = 0
    for kind, (start, end) in file_boxes(file, 0, len(file)):
        brands += end - start if kind == b"ftyp" else 0
        full = kind in (b"free", b"skip") and any(file[start:end])
        if full or kind == b"mfra" or brands > _MOST_BRANDS or (kind == b"ftyp" and start != 8):
            return True
    return False


def _blocks(file: bytes) -> bytes:
    """Return what a GIF's block of C2PA holds: pieces that each stand after their length."""
    parts, place = [], file.find(_IN_GIF) + len(_IN_GIF)
    while place >= len(_IN_GIF) and place < len(file) and file[place]:
        parts.append(file[place + 1 : place + 1 + file[place]])
        place += 1 + file[place]
    return b"".join(parts)


def _boxes(content: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield the kind of each box between two places, and where its content starts and ends."""
    for _ in range(_MOST_BOXES):
        if start == end:
            return
        length, kind = struct.unpack_from(">I4s", content, start)
        if length in (0, 1):
            raise NotImplementedError("a box without a length of its own")
        if length < 8 or start + length > end:
            raise ValueError("beyond the end")
        yield kind, start + 8, start + length
        start += length


def _signatures(store: bytes, start: int, end: int, depth: int) -> Iterator[bytes]:
    """Yield the content of each signature box, of the manifests of ingredients too.

    The store holds manifests, and each of these what is named in `_PARTS`; what is inside those
    is hashed, the signature apart.
    """
    label = b""
    for kind, begin, stop in _boxes(store, start, end):
        if kind == b"jumd":
            label = _label(store[begin:stop], depth)
        elif label.startswith(_SIGNATURE):
            if kind != b"cbor":
                raise ValueError("a signature of another kind")
            yield store[begin:stop]
        elif kind == b"jumb" and depth < len(_LEVELS):
            yield from _signatures(store, begin, stop, depth + 1)


def _label(description: bytes, depth: int) -> bytes:
    """Return the label in a description box; raise ValueError for one not of C2PA."""
    kind, toggles, rest = description[:16], description[16:17], description[17:]
    label, end, _ = rest.partition(b"\x00")
    known = _LEVELS[depth - 1] if depth else ()
    if not kind or not end or not toggles or toggles[0] & ~_TOGGLES:
        raise ValueError("no description")
    if known and not label.startswith(known):
        raise ValueError("a box that C2PA does not know")
    return label


def _is_touched(box: bytes) -> bool:
    """Whether a COSE_Sign1 has more in its unprotected header than may stand there."""
    opening = next((one for one in _SIGN1 if box.startswith(one)), None)
    if opening is None:
        raise ValueError("no signature")
    reader = _Reader(box, len(opening))
    reader.skip()
    kind, count = reader.head()
    if kind != _MAP or count > _MOST_ENTRIES:
        raise ValueError("no header")
    for _ in range(count):
        key = reader.key()
        start = reader.place
        reader.skip()
        if key in _PADDING:
            if any(_Reader(box, start).string()):
                return True
        elif key not in _SIGNED_OTHERWISE:
            return True
    detached = box[reader.place : reader.place + 1] == _NIL
    reader.skip()
    reader.skip()
    return not detached or reader.place != len(box)


_NUMBER, _BYTES, _TEXT, _ARRAY, _MAP, _TAG = 0, 2, 3, 4, 5, 6
"""Major types of CBOR (RFC 8949, section 3.1); 1, a negative number, is skipped like 0."""


class _Reader:
    """A place in some CBOR; what is cut off raises ValueError."""

    def __init__(self, content: bytes, place: int) -> None:
        self._content = content
        self.place = place

    def head(self) -> tuple[int, int]:
        """Read the head of an item: its major type and its number or length."""
        first = self._take(1)[0]
        kind, short = first >> 5, first & 31
        if short < 24:
            return kind, short
        if short > 27:
            raise NotImplementedError("an item without a length of its own")
        return kind, int.from_bytes(self._take(1 << (short - 24)), "big")

    def string(self) -> bytes:
        """Read a string of bytes or of text."""
        kind, length = self.head()
        if kind not in (_BYTES, _TEXT):
            raise ValueError("no string")
        return self._take(length)

    def key(self) -> str | int | None:
        """Read the key of an entry: a text or a number."""
        start = self.place
        kind, number = self.head()
        if kind == _TEXT:
            return self._take(number).decode("utf-8", "replace")
        if kind == _NUMBER:
            return number
        self.place = start
        self.skip()
        return None

    def skip(self, depth: int = 0) -> None:
        """Read one item with all that is inside."""
        kind, number = self.head()
        if kind in (_BYTES, _TEXT):
            self._take(number)
            return
        inside = {_ARRAY: number, _MAP: 2 * number, _TAG: 1}.get(kind, 0)
        if inside > _MOST_ENTRIES or depth > _DEEPEST:
            raise ValueError("too deep or too much")
        for _ in range(inside):
            self.skip(depth + 1)

    def _take(self, length: int) -> bytes:
        taken = self._content[self.place : self.place + length]
        if len(taken) < length:
            raise ValueError("beyond the end")
        self.place += length
        return taken

"""The items of a file made of boxes (ISO/IEC 14496-12 and 23008-12): AVIF and HEIC."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

_MOST_BOXES = 10_000
_MOST_ITEMS = 1_000
_MOST_EXTENTS = 1_000


@dataclass
class _Reader:
    """A place in some bytes; reading beyond their end raises ValueError."""

    content: bytes
    place: int = 0

    def take(self, length: int) -> bytes:
        taken = self.content[self.place : self.place + length]
        if len(taken) < length:
            raise ValueError("beyond the end")
        self.place += length
        return taken

    def number(self, length: int) -> int:
        return int.from_bytes(self.take(length), "big")

    def word(self) -> str:
        end = self.content.index(b"\x00", self.place)
        text = self.content[self.place : end].decode("latin-1")
        self.place = end + 1
        return text


def box_items(file: bytes, most: int) -> Iterator[tuple[str, bytes]]:
    """Yield the kind and the content of each item that is not a picture: EXIF, XMP.

    The kind is the item's type, of a `mime` item its media type. Items of more than `most`
    bytes in all, and those that lie beyond the end, are left out, and damage ends the reading.
    """
    meta = next((place for kind, place in file_boxes(file, 0, len(file)) if kind == b"meta"), None)
    if meta is None:
        return
    inside = dict(file_boxes(file, meta[0] + 4, meta[1]))
    if b"iinf" not in inside or b"iloc" not in inside:
        return
    stored = memoryview(file)[slice(*inside.get(b"idat", (0, 0)))]
    room = most
    try:
        kinds = dict(_kinds(file[slice(*inside[b"iinf"])]))
        for item, method, extents in _places(_Reader(file[slice(*inside[b"iloc"])])):
            kind = kinds.get(item)
            within = memoryview(file) if method == 0 else stored
            content = _joined(within, extents, room) if kind and method in (0, 1) else None
            if kind and content is not None:
                room -= len(content)
                yield kind, content
    except ValueError:
        return


def file_boxes(file: bytes, start: int, end: int) -> Iterator[tuple[bytes, tuple[int, int]]]:
    """Yield the kind of each box between two places, and where its content starts and ends."""
    for _ in range(_MOST_BOXES):
        if start + 8 > end:
            return
        length, kind = struct.unpack_from(">I4s", file, start)
        head = 8
        if length == 1 and start + 16 <= end:
            (length,) = struct.unpack_from(">Q", file, start + 8)
            head = 16
        elif length == 0:
            length = end - start
        if length < head or start + length > end:
            return
        yield kind, (start + head, start + length)
        start += length


def _kinds(iinf: bytes) -> Iterator[tuple[int, str]]:
    """Yield the id and the kind of each item that is EXIF or has a media type."""
    reader = _Reader(iinf)
    version = reader.number(4) >> 24
    reader.number(2 if version == 0 else 4)
    for kind, (start, end) in file_boxes(iinf, reader.place, len(iinf)):
        entry = _Reader(iinf[start:end])
        version = entry.number(4) >> 24
        if kind != b"infe" or version not in (2, 3):
            continue
        item = entry.number(2 if version == 2 else 4)
        entry.number(2)
        named = entry.take(4)
        entry.word()
        if named == b"Exif":
            yield item, "Exif"
        elif named == b"mime":
            yield item, entry.word()


def _places(reader: _Reader) -> Iterator[tuple[int, int, list[tuple[int, int]]]]:
    """Yield of each item its id, how it is stored, and (start, length) of its parts."""
    version = reader.number(4) >> 24
    sizes = reader.number(2)
    offset_size, length_size, base_size, index_size = ((sizes >> by) & 15 for by in (12, 8, 4, 0))
    count = reader.number(2 if version < 2 else 4)
    for _ in range(min(count, _MOST_ITEMS)):
        item = reader.number(2 if version < 2 else 4)
        method = reader.number(2) & 15 if version else 0
        reader.number(2)
        base = reader.number(base_size)
        extents = []
        for _ in range(min(reader.number(2), _MOST_EXTENTS)):
            reader.number(index_size if version else 0)
            start = base + reader.number(offset_size)
            extents.append((start, reader.number(length_size)))
        yield item, method, extents


def _joined(within: memoryview, extents: list[tuple[int, int]], most: int) -> bytes | None:
    if sum(length for _, length in extents) > most:
        return None
    parts = [within[start : start + length] for start, length in extents]
    whole = all(len(part) == length for part, (_, length) in zip(parts, extents, strict=True))
    return b"".join(parts) if whole else None

"""Picture files with texts in them, written as other tools write them."""

import io
import json
import struct
import zlib
from typing import Any

from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

EXIF_FOLDER, USER_COMMENT, MAKE, MODEL = 0x8769, 0x9286, 0x010F, 0x0110


def picture(width: int = 8, height: int = 6) -> Image.Image:
    return Image.new("RGB", (width, height), (200, 90, 30))


def png(*, packed: bool = False, **texts: str) -> bytes:
    """Return a PNG with text chunks; `packed` ones are compressed."""
    written = PngInfo()
    for keyword, text in texts.items():
        written.add_text(keyword, text, zip=packed)
    file = io.BytesIO()
    picture().save(file, "PNG", pnginfo=written)
    return file.getvalue()


def with_comment(kind: str, text: str, *, big: bool = True) -> bytes:
    """Return a picture whose EXIF user comment holds a text in UTF-16."""
    exif = Image.Exif()
    encoded = text.encode("utf-16-be" if big else "utf-16-le")
    exif.get_ifd(EXIF_FOLDER)[USER_COMMENT] = b"UNICODE\x00" + encoded
    return with_exif(kind, exif)


def with_tags(kind: str, tags: dict[int, str]) -> bytes:
    """Return a picture with EXIF texts by their tags."""
    exif = Image.Exif()
    for tag, text in tags.items():
        exif[tag] = text
    return with_exif(kind, exif)


def with_exif(kind: str, exif: Image.Exif) -> bytes:
    file = io.BytesIO()
    # As bytes: Pillow takes EXIF that has a folder and no tag of its own for empty.
    picture().save(file, kind, exif=exif.tobytes())
    return file.getvalue()


def with_xmp(kind: str, packet: str) -> bytes:
    """Return a picture with an XMP packet."""
    file = io.BytesIO()
    options: dict[str, Any] = {"xmp": packet.encode()}
    if kind == "PNG":
        written = PngInfo()
        written.add_itxt("XML:com.adobe.xmp", packet)
        options = {"pnginfo": written}
    if kind == "TIFF":
        exif = Image.Exif()
        exif[700] = packet.encode()
        options = {"exif": exif}
    picture().save(file, kind, **options)
    return file.getvalue()


def bombed_png(keyword: str, unpacked: int, count: int = 1) -> bytes:
    """Return a PNG whose small compressed texts unpack to `unpacked` bytes each."""
    packed = zlib.compress(b" " * unpacked, 9)
    body = keyword.encode() + b"\x00\x00" + packed
    chunk = struct.pack(">I", len(body)) + b"zTXt" + body + struct.pack(">I", 0)
    plain = png()
    return plain[:33] + chunk * count + plain[33:]


def deep_json(depth: int = 100_000) -> str:
    return '{"a":' * depth + "1" + "}" * depth


def graph_text(**nodes: tuple[str, dict[str, Any]]) -> str:
    """Return a ComfyUI graph: node id → (class, inputs)."""
    return json.dumps(
        {name: {"class_type": kind, "inputs": inputs} for name, (kind, inputs) in nodes.items()}
    )


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)
"""Anything that JSON, as Python reads it, can hold."""

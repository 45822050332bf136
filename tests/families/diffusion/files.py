"""Weight files made for tests: a true header, and tensors that take no room."""

import json
import math
import struct
from collections.abc import Mapping
from pathlib import Path

Shapes = Mapping[str, tuple[int, ...]]

BITS = {"F32": 32, "F16": 16, "BF16": 16, "F8_E4M3": 8, "U8": 8, "I8": 8, "F4": 4}
GGUF_TYPES = {"F32": (0, 1, 4), "F16": (1, 1, 2), "Q8_0": (8, 32, 34), "Q4_K": (12, 256, 144)}


def header(
    shapes: Shapes,
    metadata: Mapping[str, str] | None = None,
    dtype: str = "F16",
    dtypes: Mapping[str, str] | None = None,
) -> tuple[bytes, int]:
    """Return a safetensors header with its length in front, and the bytes that follow it."""
    entries: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
    end = 0
    for name, shape in shapes.items():
        kind = (dtypes or {}).get(name, dtype)
        begin, end = end, end + math.prod(shape) * BITS[kind] // 8
        entries[name] = {"dtype": kind, "shape": list(shape), "data_offsets": [begin, end]}
    text = json.dumps(entries).encode()
    return struct.pack("<Q", len(text)) + text, end


def save(
    path: Path,
    shapes: Shapes,
    metadata: Mapping[str, str] | None = None,
    dtype: str = "F16",
    dtypes: Mapping[str, str] | None = None,
) -> Path:
    """Write a whole safetensors file whose tensors are a hole of zeros; return its path."""
    first, rest = header(shapes, metadata, dtype, dtypes)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(first)
        file.truncate(len(first) + rest)
    return path


def _text(value: str) -> bytes:
    raw = value.encode()
    return struct.pack("<Q", len(raw)) + raw


def gguf_header(
    shapes: Shapes, metadata: Mapping[str, str] | None = None, dtype: str = "Q4_K"
) -> tuple[bytes, int]:
    """Return a GGUF header, padded, and the bytes that follow it. Vectors are F32, as is usual."""
    words = ("a", "bc")
    parts = [b"GGUF", struct.pack("<IQQ", 3, len(shapes), len(metadata or {}) + 3)]
    for key, value in (metadata or {}).items():
        if "orig_shape" in key:
            sides = [int(one) for one in value.split(",")]
            parts.append(_text(key) + struct.pack(f"<IIQ{len(sides)}i", 9, 5, len(sides), *sides))
        else:
            parts.append(_text(key) + struct.pack("<I", 8) + _text(value))
    parts.append(_text("tokenizer.ggml.tokens") + struct.pack("<IIQ", 9, 8, len(words)))
    parts.extend(_text(word) for word in words)
    parts.append(_text("tokenizer.ggml.scores") + struct.pack("<IIQ20f", 9, 6, 20, *[0.5] * 20))
    parts.append(_text("general.file_type") + struct.pack("<II", 4, 15))
    offset = 0
    for name, shape in shapes.items():
        kind, weights, block = GGUF_TYPES[dtype if len(shape) > 1 else "F32"]
        parts.append(_text(name) + struct.pack("<I", len(shape)))
        parts.append(struct.pack(f"<{len(shape)}Q", *reversed(shape)))
        parts.append(struct.pack("<IQ", kind, offset))
        offset += -(-math.prod(shape) // weights) * block
        offset += -offset % 32
    text = b"".join(parts)
    return text + b"\0" * (-len(text) % 32), offset


def save_gguf(
    path: Path, shapes: Shapes, metadata: Mapping[str, str] | None = None, dtype: str = "Q4_K"
) -> Path:
    """Write a whole GGUF file whose tensors are a hole of zeros; return its path."""
    first, rest = gguf_header(shapes, metadata, dtype)
    with path.open("wb") as file:
        file.write(first)
        file.truncate(len(first) + rest)
    return path

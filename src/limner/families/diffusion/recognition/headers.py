"""Reading the header of a weight file: which tensors it holds, and what was written beside them.

Nothing but the header is read, and never more of it than `LONGEST_HEADER`. Pickled files are
refused unopened.
"""

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from limner.domain.errors import WeightsRejected
from limner.families.checkpoint import PICKLED, looks_pickled
from limner.families.diffusion.recognition.gguf import MAGIC, read_gguf
from limner.families.diffusion.recognition.tensors import LONGEST_NAME, MOST_TENSORS, Header, Tensor

PICKLES = PICKLED | {".bin"}
"""Endings of pickled weights of diffusion models; elsewhere `.bin` is something else."""

LONGEST_HEADER = 100_000_000
"""Bytes; the format's own limit."""

_MOST_MARKS = 3_000_000
"""Commas and brackets of a header. One of 100 MB of them would fill gigabytes when parsed."""

_BITS = {
    "BF16": 16, "BOOL": 8, "C64": 64, "F16": 16, "F32": 32, "F64": 64, "F8_E4M3": 8,
    "F8_E4M3FNUZ": 8, "F8_E5M2": 8, "F8_E5M2FNUZ": 8, "F8_E8M0": 8, "F4": 4, "F6_E2M3": 6,
    "F6_E3M2": 6, "I16": 16, "I32": 32, "I64": 64, "I8": 8, "U16": 16, "U32": 32, "U64": 64,
    "U8": 8,
}  # fmt: skip


def read_header(path: Path) -> Header:
    """Return the header of a safetensors or GGUF file.

    Raises WeightsRejected with the reason where the file is pickled, damaged, of another format
    or not to be read at all.
    """
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            return _read(file, size, path)
    except OSError as error:
        reason = error.strerror or error
        raise WeightsRejected(f"{path.name} cannot be read: {reason}.") from error


def _read(file: BinaryIO, size: int, path: Path) -> Header:
    head = file.read(9)
    first = head[:8]
    file.seek(len(first))
    if first[:4] == MAGIC:
        file.seek(0)
        return read_gguf(file, size, path.name)
    if path.suffix.lower() in PICKLES or looks_pickled(head):
        raise WeightsRejected(
            f"{path.name} is a pickled file: opening it can run any program on this machine, so "
            "Limner never does. Get the same model as .safetensors."
        )
    if len(first) < 8:
        raise WeightsRejected(f"{path.name} is no model: it has {size} bytes. Get it again.")
    if first.startswith((b"<!DOCTYP", b"<html", b"version ")):
        raise WeightsRejected(
            f"{path.name} is a web page or a pointer to the model, not the model. Get it again "
            "from where the real file is."
        )
    return _read_safetensors(file, size, path.name, int.from_bytes(first, "little"))


def _read_safetensors(file: BinaryIO, size: int, name: str, length: int) -> Header:
    if length > LONGEST_HEADER or length < 2:
        raise WeightsRejected(f"{name} is neither a safetensors nor a GGUF file.")
    raw = file.read(length)
    if len(raw) < length:
        raise WeightsRejected(
            f"{name} ends within its header ({size} bytes are here): it was not copied whole. "
            "Get it again."
        )
    entries = _parse(raw, name)
    metadata = _metadata(entries.pop("__metadata__", {}))
    if len(entries) > MOST_TENSORS:
        raise WeightsRejected(f"{name} names {len(entries)} tensors: no model has that many.")
    tensors: dict[str, Tensor] = {}
    end = 0
    for key, entry in entries.items():
        if len(key) > LONGEST_NAME or not isinstance(entry, dict):
            raise _damaged(name, key)
        tensors[key], last = _tensor(name, key, entry)
        end = max(end, last)
    missing = max(0, 8 + length + end - size)
    return Header("safetensors", tensors, metadata, missing)


def _parse(raw: bytes, name: str) -> dict[str, object]:
    if raw.count(b",") + raw.count(b"[") + raw.count(b"{") > _MOST_MARKS:
        raise WeightsRejected(f"{name} has a header that no model needs. It was not read.")
    try:
        entries = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise WeightsRejected(
            f"{name} is neither a safetensors nor a GGUF file, or is damaged: its header cannot "
            "be read. Get it again."
        ) from error
    if not isinstance(entries, dict):
        raise WeightsRejected(f"{name} is damaged: its header is no table. Get it again.")
    return entries


def _metadata(entry: object) -> Mapping[str, str]:
    if not isinstance(entry, dict):
        return {}
    return {key: value for key, value in entry.items() if isinstance(value, str)}


def _tensor(name: str, key: str, entry: Mapping[str, object]) -> tuple[Tensor, int]:
    """Return a tensor and where it ends, counted from the end of the header."""
    dtype, shape = entry.get("dtype"), _counts(entry.get("shape"))
    offsets = _counts(entry.get("data_offsets"))
    if not isinstance(dtype, str) or len(dtype) > 20:
        raise _damaged(name, key)
    if shape is None or offsets is None or len(offsets) != 2 or len(shape) > 16:
        raise _damaged(name, key)
    begin, end = offsets
    bits = _BITS.get(dtype)
    if begin > end or (bits is not None and (end - begin) * 8 != math.prod(shape) * bits):
        raise _damaged(name, key)
    return Tensor(dtype, shape), end


def _counts(entry: object) -> tuple[int, ...] | None:
    """Return a list of numbers from 0 to what a file can hold, or None if it is none."""
    if not isinstance(entry, list):
        return None
    counts = tuple(
        one for one in entry if type(one) is int and 0 <= one <= _LARGEST
    )  # bool is an int, and no size
    return counts if len(counts) == len(entry) else None


_LARGEST = 2**53


def _damaged(name: str, key: str) -> WeightsRejected:
    return WeightsRejected(
        f"{name} is damaged: its header does not say what {key[:80]} is. Get it again."
    )

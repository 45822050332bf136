"""Reading the header of a GGUF file: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.

Our own reader, because the `gguf` package maps the whole file and trusts its counts.
"""

import math
import os
import struct
from collections.abc import Mapping
from typing import BinaryIO

from limner.domain.errors import WeightsRejected
from limner.families.diffusion.recognition.tensors import LONGEST_NAME, MOST_TENSORS, Header, Tensor

MAGIC = b"GGUF"

FIRST_SHAPE = "comfy.gguf.orig_shape."
"""What stands before a tensor's name where the shape is written that it had at first."""

_LONGEST = 100_000_000
_MOST_ITEMS = 2_000_000
"""Entries of all lists together. A vocabulary has 300 000, and each is walked one by one."""
_LONGEST_TEXT = 65_536
"""Bytes of one text that is kept; longer ones are passed over."""

_UINT32, _STRING, _ARRAY, _UINT64 = 4, 8, 9, 10
_NUMBERS = {
    0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q",
    12: "<d",
}  # fmt: skip

_KINDS = {
    0: ("F32", 1, 4), 1: ("F16", 1, 2), 2: ("Q4_0", 32, 18), 3: ("Q4_1", 32, 20),
    6: ("Q5_0", 32, 22), 7: ("Q5_1", 32, 24), 8: ("Q8_0", 32, 34), 9: ("Q8_1", 32, 40),
    10: ("Q2_K", 256, 84), 11: ("Q3_K", 256, 110), 12: ("Q4_K", 256, 144),
    13: ("Q5_K", 256, 176), 14: ("Q6_K", 256, 210), 15: ("Q8_K", 256, 292),
    16: ("IQ2_XXS", 256, 66), 17: ("IQ2_XS", 256, 74), 18: ("IQ3_XXS", 256, 98),
    19: ("IQ1_S", 256, 50), 20: ("IQ4_NL", 32, 18), 21: ("IQ3_S", 256, 110),
    22: ("IQ2_S", 256, 82), 23: ("IQ4_XS", 256, 136), 24: ("I8", 1, 1), 25: ("I16", 1, 2),
    26: ("I32", 1, 4), 27: ("I64", 1, 8), 28: ("F64", 1, 8), 29: ("IQ1_M", 256, 56),
    30: ("BF16", 1, 2), 34: ("TQ1_0", 256, 54), 35: ("TQ2_0", 256, 66), 39: ("MXFP4", 32, 17),
    40: ("NVFP4", 64, 36), 41: ("Q1_0", 128, 18),
}  # fmt: skip
"""Number format → (name, weights in a block, bytes of a block)."""


def read_gguf(file: BinaryIO, size: int, name: str) -> Header:
    """Return the header of a GGUF file of `size` bytes, opened at its start.

    Numbers and texts of the metadata are kept as text, lists only where they are shapes. Raises
    WeightsRejected where the file is damaged or of an unknown version.
    """
    try:
        return _Reader(file, size).read()
    except (struct.error, ValueError, OverflowError) as error:
        raise WeightsRejected(f"{name} is a damaged GGUF file: {error}. Get it again.") from error


class _Reader:
    """Walks one header, and never past its bounds."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self._size = min(size, _LONGEST)
        self._whole = size
        self._items = 0

    def read(self) -> Header:
        magic, version = self._take(4), self._count(_UINT32)
        if magic != MAGIC or version not in (2, 3):
            raise ValueError(f"its version is {version}, and only 2 and 3 are known")
        tensor_count, entry_count = self._count(_UINT64), self._count(_UINT64)
        if tensor_count > MOST_TENSORS or entry_count > MOST_TENSORS:
            raise ValueError("it names more tensors than any model has")
        metadata: dict[str, str] = {}
        for _ in range(entry_count):
            key = self._name()
            value = self._value(self._count(_UINT32))
            if value is not None:
                metadata[key] = value
        tensors, end = self._tensors(tensor_count, metadata)
        alignment = _alignment(metadata)
        start = -(-self._file.tell() // alignment) * alignment
        return Header("gguf", tensors, metadata, max(0, start + end - self._whole))

    def _tensors(self, count: int, metadata: Mapping[str, str]) -> tuple[dict[str, Tensor], int]:
        tensors: dict[str, Tensor] = {}
        end = 0
        for _ in range(count):
            name = self._name()
            dimensions = self._count(_UINT32)
            if dimensions > 8:
                raise ValueError(f"a tensor has {dimensions} dimensions")
            # ggml counts dimensions from the innermost.
            shape = tuple(self._count(_UINT64) for _ in range(dimensions))[::-1]
            kind, offset = self._count(_UINT32), self._count(_UINT64)
            dtype, weights, block = _KINDS.get(kind, (f"type {kind}", 1, 0))
            end = max(end, offset + -(-math.prod(shape) // weights) * block)
            tensors[name] = Tensor(dtype, _first_shape(name, metadata) or shape)
        return tensors, end

    def _value(self, kind: int) -> str | None:
        """Return a number or a short text as text; pass over anything else."""
        if kind == _STRING:
            length = self._count(_UINT64)
            if length <= _LONGEST_TEXT:
                return self._take(length).decode(errors="replace")
            self._pass(length)
            return None
        if kind == _ARRAY:
            return self._array()
        return str(self._number(kind))

    def _array(self) -> str | None:
        kind, count = self._count(_UINT32), self._count(_UINT64)
        self._items += count
        if self._items > _MOST_ITEMS:
            raise ValueError("it holds lists longer than any model needs")
        if kind == _STRING:
            for _ in range(count):
                self._pass(self._count(_UINT64))
            return None
        if kind not in _NUMBERS:
            raise ValueError("it holds a list of an unknown kind")
        if count > 8:
            self._pass(count * struct.calcsize(_NUMBERS[kind]))
            return None
        return ",".join(str(self._number(kind)) for _ in range(count))

    def _name(self) -> str:
        length = self._count(_UINT64)
        if length > LONGEST_NAME:
            raise ValueError("a name in it is too long")
        return self._take(length).decode(errors="replace")

    def _count(self, kind: int) -> int:
        return int(self._number(kind))

    def _number(self, kind: int) -> int | float:
        layout = _NUMBERS.get(kind)
        if layout is None:
            raise ValueError("it holds a value of an unknown kind")
        value: int | float = struct.unpack(layout, self._take(struct.calcsize(layout)))[0]
        return value

    def _take(self, count: int) -> bytes:
        self._within(count)
        return self._file.read(count)

    def _pass(self, count: int) -> None:
        self._within(count)
        self._file.seek(count, os.SEEK_CUR)

    def _within(self, count: int) -> None:
        if self._file.tell() + count > self._size:
            raise ValueError("it ends within its header")


def _alignment(metadata: Mapping[str, str]) -> int:
    text = metadata.get("general.alignment", "32")
    alignment = int(text)
    if not 0 < alignment <= 65_536:
        raise ValueError(f"its alignment is {text}")
    return alignment


def _first_shape(name: str, metadata: Mapping[str, str]) -> tuple[int, ...] | None:
    """Return the shape a tensor had before ComfyUI-GGUF flattened it, where that is written."""
    text = metadata.get(f"{FIRST_SHAPE}{name}")
    return tuple(int(one) for one in text.split(",")) if text else None

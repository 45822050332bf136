"""What a header says: the tensors of a file, and the words written beside them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

MOST_TENSORS = 200_000
"""More than this in one file are no model we know."""

LONGEST_NAME = 500
"""Bytes of the name of a tensor or of an entry."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor: its number format as the file names it, and its shape, outermost first."""

    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Header:
    """What a weight file says of itself; `missing` bytes of it are not here."""

    format: Literal["safetensors", "gguf"]
    tensors: Mapping[str, Tensor]
    metadata: Mapping[str, str] = field(default_factory=dict)
    missing: int = 0


class Part:
    """Tensors under names that do not depend on what the part is called within its file."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self.tensors = tensors

    def has(self, *names: str) -> bool:
        """Whether every one of these tensors is there."""
        return all(name in self.tensors for name in names)

    def holds(self, pattern: str) -> bool:
        """Whether a name begins as this regular expression says."""
        begins = re.compile(pattern).match
        return any(begins(name) for name in self.tensors)

    def count(self, prefix: str) -> int:
        """How many blocks are numbered under `prefix`: one more than the highest number."""
        numbered = re.compile(re.escape(prefix) + r"\.(\d{1,4})\.").match
        return max(
            (int(found[1]) + 1 for name in self.tensors if (found := numbered(name))), default=0
        )

    def dimensions(self, name: str) -> int:
        """How many dimensions a tensor has; 0 where it is absent."""
        return len(self.tensors[name].shape) if name in self.tensors else 0

    def rows(self, name: str) -> int:
        """The first dimension of a tensor; 0 where it is absent."""
        shape = self.tensors[name].shape if name in self.tensors else ()
        return shape[0] if shape else 0

    def inputs(self, layer: str) -> int:
        """How many features a linear layer or convolution takes; 0 where it is absent.

        bitsandbytes packs a matrix of 4-bit numbers into one column of bytes; its other side is
        known from the bias.
        """
        weight = self.tensors.get(f"{layer}.weight")
        if weight is None or len(weight.shape) < 2:
            return 0
        outputs = self.rows(f"{layer}.bias")
        if weight.dtype == "U8" and weight.shape[1] == 1 and outputs:
            return weight.shape[0] * 2 // outputs
        return weight.shape[1]

    def under(self, *prefixes: str) -> "Part":
        """Return what stands under the first of the prefixes that any name has."""
        for prefix in prefixes:
            inner = {
                name.removeprefix(prefix): tensor
                for name, tensor in self.tensors.items()
                if name.startswith(prefix)
            }
            if inner:
                return Part(inner)
        return Part({})

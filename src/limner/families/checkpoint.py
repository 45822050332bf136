"""What a checkpoint file holds, told from its headers, and its digest."""

import hashlib
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from limner.domain.card import NOT_STATED, ModelCard, WeightFile

PICKLED = frozenset({".ckpt", ".dill", ".joblib", ".pickle", ".pkl", ".pt", ".pth", ".t7"})
"""File names' endings that mean: opening it may run any program. They are never opened."""

_GRAPH = 7
_GRAPH_INPUT = 11
_GRAPH_OUTPUT = 12
_VALUE_NAME = 1
_VARINT, _FIXED_64, _LENGTH, _FIXED_32 = 0, 1, 2, 5


_MOST_FIELDS = 200_000
"""More fields than this in one message are no network we know."""


@dataclass(frozen=True)
class OnnxGraph:
    """The names of an ONNX network's inputs and outputs, in order."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def looks_pickled(head: bytes) -> bool:
    """Whether a file begins as pickles do, bare (protocol 2 to 5) or in torch's archive.

    The length of a safetensors header may begin with the same bytes; then a table follows it.
    """
    if head[:2] in (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"):
        return head[8:9] != b"{"
    return head[:4] == b"PK\x03\x04"


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file's bytes as 64 hexadecimal digits."""
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def local_file(path: Path, sha256: Callable[[Path], str]) -> WeightFile:
    """Describe a file on this machine as a weight without any source."""
    size = path.stat().st_size
    return WeightFile(name=path.name, sha256=sha256(path), bytes=size, sources=())


def own_name(path: Path) -> str:
    """Return what a model at a path is called: the file's or folder's name as plain letters.

    A snapshot in a hub cache is called as its repository.
    """
    whole = path.absolute()
    name = whole.name
    stem = name if path.is_dir() else Path(name).stem
    repository = whole.parent.parent.name
    if whole.parent.name == "snapshots" and repository.startswith("models--"):
        stem = repository.split("--", 2)[-1]
    plain = unicodedata.normalize("NFKD", stem).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9._+-]+", "-", plain).strip("-.") or "model"


def card_of(files: Sequence[WeightFile], known: Sequence[ModelCard]) -> ModelCard:
    """Return the card of files on this machine: the known one with the same bytes, or a new one.

    `known` are the cards of one family, all of one capability; the first is the pattern for a
    checkpoint that nobody has published a card for.
    """
    digests = {file.sha256 for file in files}
    for card in known:
        if {file.sha256 for file in card.files} == digests:
            return card.model_copy(update={"files": tuple(files)})
    stem = Path(files[0].name).stem
    changes = {
        "name": stem,
        "title": stem,
        "summary": f"A {known[0].family} network of your own.",
        "variant": "own",
        "files": tuple(files),
        "licence": NOT_STATED,
        "homepage": "",
    }
    return known[0].model_copy(update=changes)


def read_onnx_graph(path: Path) -> OnnxGraph | None:
    """Return the inputs and outputs of an ONNX file, or None if it is not one.

    Walks the protobuf fields of https://onnx.ai/onnx/repo-docs/IR.html and skips the weights.
    """
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            graph = next(
                (span for number, span in _fields(file, 0, size) if number == _GRAPH), None
            )
            if graph is None:
                return None
            ends: dict[int, list[str]] = {_GRAPH_INPUT: [], _GRAPH_OUTPUT: []}
            for number, span in list(_fields(file, *graph)):
                if number in ends:
                    ends[number].append(_name(file, span))
    except (OSError, ValueError):
        return None
    return OnnxGraph(tuple(ends[_GRAPH_INPUT]), tuple(ends[_GRAPH_OUTPUT]))


def _name(file: BinaryIO, span: tuple[int, int]) -> str:
    for number, (start, end) in _fields(file, *span):
        if number == _VALUE_NAME and end - start <= 256:
            file.seek(start)
            return file.read(end - start).decode()
    raise ValueError("an input or output has no name")


def _fields(file: BinaryIO, start: int, end: int) -> Iterator[tuple[int, tuple[int, int]]]:
    """Yield (field number, (start, end)) of every length-delimited field of a message."""
    position = start
    for _ in range(_MOST_FIELDS):
        if position == end:
            return
        file.seek(position)
        tag = _varint(file)
        number, kind = tag >> 3, tag & 7
        if kind == _LENGTH:
            length = _varint(file)
            position = file.tell()
            if position + length > end:
                raise ValueError("a field reaches over the end of its message")
            yield number, (position, position + length)
            position += length
        else:
            position = _skip(file, kind)
    raise ValueError("not a network: too many fields, or a field reaches over the end")


def _skip(file: BinaryIO, kind: int) -> int:
    """Pass over a field of fixed length; return where the next one starts."""
    if kind == _VARINT:
        _varint(file)
        return file.tell()
    if kind in (_FIXED_64, _FIXED_32):
        return file.tell() + (8 if kind == _FIXED_64 else 4)
    raise ValueError("not a protobuf field")


def _varint(file: BinaryIO) -> int:
    value = 0
    for shift in range(0, 70, 7):
        byte = file.read(1)
        if not byte:
            raise ValueError("the file ends within a number")
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return value
    raise ValueError("a number is longer than 64 bits")

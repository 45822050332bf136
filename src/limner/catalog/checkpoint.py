"""A checkpoint that the user points at: which family it belongs to, or why it is refused."""

import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from limner.catalog.disk import storage_errors
from limner.catalog.trees import WEIGHTS
from limner.domain.card import ModelCard
from limner.domain.errors import ModelNotFound, WeightsRejected
from limner.families.checkpoint import PICKLED, looks_pickled
from limner.families.diffusion.recognition.finding import Kind
from limner.families.diffusion.recognition.layouts import recognise_file
from limner.families.family import Family, Hash

_LOOK_AT = 1_000
"""The most files of a folder that are looked at for pickles."""


def recognise(path: Path, families: Iterable[Family], sha256_of: Hash) -> ModelCard:
    """Return the card of the checkpoint at `path`, a file or a folder.

    Raises WeightsRejected for a pickle, whatever its name, and ModelNotFound when no family
    knows the checkpoint, saying what it is if that can be told. A folder is refused for its
    pickles only when no family knows it: one may lie unread beside good weights.
    """
    if path.is_file() and _is_pickle(path):
        raise _never(path)
    for family in families:
        card = family.recognise(path, sha256_of)
        if card is not None:
            _check_files(card)
            return card
    if path.is_dir():
        for inner in _files_in(path):
            if _is_pickle(inner):
                raise _never(inner)
    raise _unknown(path)


def _unknown(path: Path) -> ModelNotFound:
    """Return the error for what no family knows as a model; it says what it is, if anyone can."""
    if path.suffix.lower() in WEIGHTS and path.is_file():
        found = recognise_file(path)
        if found.kind is not Kind.UNKNOWN:
            return ModelNotFound(f"{path} is not usable by itself: {found.reason}")
    return ModelNotFound(
        f"{path} is not a checkpoint of any model family that Limner knows. `limner models list` "
        "shows what it runs."
    )


def _check_files(card: ModelCard) -> None:
    for file in card.files:
        if Path(file.name).suffix.lower() in PICKLED:
            raise _never(Path(file.name))


def _never(path: Path) -> WeightsRejected:
    return WeightsRejected(
        f"{path} is a pickle, which can run any program when it is read: such weights are never "
        "unpickled. Use the model's .safetensors or .onnx files instead."
    )


def _files_in(folder: Path) -> Iterator[Path]:
    with storage_errors(folder):
        for index, inner in enumerate(folder.rglob("*")):
            if index == _LOOK_AT:
                return
            if inner.is_file():
                yield inner


def _is_pickle(path: Path) -> bool:
    if path.suffix.lower() in PICKLED:
        return True
    with storage_errors(path), path.open("rb") as stream:
        head = stream.read(9)
    if head[:2] == b"PK":  # any archive; torch's holds a pickle
        return _holds_pickle(path)
    return looks_pickled(head)


def _holds_pickle(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as opened:
            return any(name.endswith(".pkl") for name in opened.namelist())
    except zipfile.BadZipFile:
        return False

"""Models of other programs, found where they lie: their folders are walked and nothing is copied.

ComfyUI, AUTOMATIC1111's web UI and its descendants, InvokeAI, and hub caches, whose `snapshots`
are links to `blobs` (https://huggingface.co/docs/huggingface_hub/guides/manage-cache).
"""

import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TypeAlias

from limner.catalog.programs import LISTED, folders_of, roots_of
from limner.domain.errors import InvalidRequest, WeightsRejected
from limner.families.diffusion.recognition.finding import Finding, Kind
from limner.families.diffusion.recognition.folders import (
    INDEX,
    SHARDS,
    read_weights,
    recognise_folder,
    recognise_shards,
)
from limner.families.diffusion.recognition.headers import PICKLES
from limner.families.diffusion.recognition.layouts import (
    cut_short,
    names_of,
    recognise,
    recognise_file,
)

MOST = 200_000
"""Files and folders that one scan looks at."""

WEIGHTS = frozenset({".safetensors", ".sft", ".gguf", *PICKLES})
"""Endings of the files that a scan looks into."""

_SKIPPED = frozenset({"__pycache__", "node_modules", "site-packages", "venv"})
"""Folders, besides hidden ones, that hold programs and no models."""

_HUB = re.compile(r"(models|datasets|spaces|kernels)--.+")
"""What a hub cache calls the folder of a repository."""

_SHARD = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})(\.\w+)?\.(?P<ending>\w+)")

_Identity: TypeAlias = tuple[int, int] | str


@dataclass(frozen=True)
class Entry:
    """A file or folder that a scan came upon, and what it is."""

    path: Path
    found: Finding


def scan(
    folders: Sequence[Path],
    most: int = MOST,
    recall: Callable[[Path], Finding | None] = lambda _: None,
) -> Iterator[Entry]:
    """Yield every model, part and adapter in these folders, each once, in an order that stays.

    A folder may be that of a whole program, of which only the folders of models are walked, and
    those its `extra_model_paths.yaml` lists. Links are followed. A diffusers folder is one entry,
    and so are the shards of one model. What cannot be read, and what is refused, are entries with
    the reason; never raises for what lies in the folders. After `most` files and folders the
    scan ends, and its last entry says so. `recall` says what a file is that was found before, and
    None for one that should be read.
    """
    walk = _Walk(most, recall)
    for folder in folders:
        yield from walk.program(folder)
        if walk.full:
            return


class _Walk:
    """One scan: what it has seen, and how much more it may look at."""

    def __init__(self, most: int, recall: Callable[[Path], Finding | None]) -> None:
        self._recall = recall
        self.full = False
        self._most = self._left = most
        self._seen: set[_Identity | frozenset[_Identity]] = set()

    def program(self, folder: Path) -> Iterator[Entry]:
        """Yield what is in the folder of a program, or in any other."""
        roots = list(roots_of(folder))
        listed = folder / LISTED
        if roots != [folder] and listed.is_file():
            try:
                roots.extend(folders_of(listed))
            except InvalidRequest as error:
                yield _refused(listed, error.message)
        for root in roots:
            yield from self.under(root)
            if self.full:
                return

    def under(self, root: Path) -> Iterator[Entry]:
        """Yield what is in a folder and below, the files of a folder before its folders."""
        if root.suffix.lower() in WEIGHTS and _is_file(root):
            yield from self._loose(root.parent, [root.name])
            return
        waiting = [root]
        while waiting:
            folder = waiting.pop()
            try:
                files, inner = self._listing(folder)
            except OSError as error:
                yield _refused(folder, f"This folder cannot be read: {error.strerror or error}.")
                continue
            if self.full:
                yield _refused(
                    folder,
                    f"The scan ended here: it had looked at {self._most:,} files and folders. "
                    "Name folders that hold models alone.",
                )
                return
            whole = INDEX in files
            if whole:
                yield from self._pipeline(folder, inner)
            yield from self._loose(folder, files)
            if not whole:
                waiting.extend(reversed([folder / name for name in _ordered(folder, inner)]))

    def _listing(self, folder: Path) -> tuple[list[str], list[str]]:
        """Return the names of the files and folders in a folder, none if it was seen before."""
        if not self._is_new(_identity(folder)):
            return [], []
        with os.scandir(folder) as entries:
            found = list(islice(entries, self._left + 1))
        if len(found) > self._left:
            self.full = True
            return [], []
        self._left -= len(found)
        files: list[str] = []
        inner: list[str] = []
        for entry in sorted(found, key=lambda one: one.name):
            if not entry.name.startswith(".") and entry.name not in _SKIPPED:
                (inner if _is_folder(entry) else files).append(entry.name)
        return files, inner

    def _pipeline(self, folder: Path, inner: Iterable[str]) -> Iterator[Entry]:
        """Yield a diffusers folder, unless its weights are those of one that was seen."""
        weights = frozenset(_weights_of(folder, inner))
        if not weights or self._is_new(weights):
            yield Entry(folder, recognise_folder(folder))

    def _loose(self, folder: Path, files: Sequence[str]) -> Iterator[Entry]:
        """Yield the weight files that lie in a folder; shards of one model are one."""
        lists = [name for name in files if SHARDS.fullmatch(name)]
        stems = [name.partition(".safetensors.index")[0] for name in lists]
        for name in lists:
            yield from self._model(folder / name, recognise_shards)
        groups: dict[tuple[str, ...], list[Path]] = {}
        for name in files:
            path, shard = folder / name, _SHARD.fullmatch(name)
            if path.suffix.lower() not in WEIGHTS or _is_ncnn(name, files):
                continue
            if shard and any(f"{shard['stem']}.".startswith(f"{stem}.") for stem in stems):
                continue
            key = shard.group("stem", "count", "ending") if shard else (name,)
            groups.setdefault(key, []).append(path)
        for paths in groups.values():
            yield from self._model(paths[0], partial(_recognise_model, paths))

    def _model(self, path: Path, recognise_it: Callable[[Path], Finding]) -> Iterator[Entry]:
        """Yield what one file, or the first of a model's, is; nothing if it was seen before."""
        try:
            status = path.stat()
        except OSError:
            if self._is_new(str(path)):
                yield _refused(path, f"{path.name} is a link to a file that is not here.")
            return
        # Opening a named pipe would wait for ever.
        if stat.S_ISREG(status.st_mode) and self._is_new(_identity(path)):
            yield Entry(path, self._recall(path) or recognise_it(path))

    def _is_new(self, what: _Identity | frozenset[_Identity]) -> bool:
        """Whether this was not seen before; it is from now on."""
        new = what not in self._seen
        self._seen.add(what)
        return new


def _refused(path: Path, reason: str) -> Entry:
    return Entry(path, Finding(Kind.REFUSED, reason))


def _identity(path: Path) -> _Identity:
    """Return what tells a file or folder from all others, whatever name it was reached by."""
    status = path.stat()
    if status.st_ino == 0:  # some network drives number nothing
        return str(path.resolve())
    return status.st_dev, status.st_ino


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        return False


def _is_ncnn(name: str, files: Sequence[str]) -> bool:
    """Whether a `.bin` is one of ncnn's, which lie beside their `.param` and are not pickled."""
    return name.endswith(".bin") and f"{name[:-4]}.param" in files


def _ordered(folder: Path, inner: Sequence[str]) -> Sequence[str]:
    """Return the folders to walk within a folder, in order.

    Of a repository in a hub cache those are its snapshots, the one that `main` refers to first.
    """
    if folder.name == "snapshots" and _HUB.fullmatch(folder.parent.name):
        main = _read_reference(folder.parent / "refs" / "main")
        return sorted(inner, key=lambda name: (name != main, name))
    if not _HUB.fullmatch(folder.name) or "snapshots" not in inner:
        return inner
    return ("snapshots",) if folder.name.startswith("models--") else ()


def _read_reference(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(200).decode("ascii", "replace").strip()
    except OSError:
        return ""


def _weights_of(folder: Path, inner: Iterable[str]) -> Iterator[_Identity]:
    """Yield what tells the weight files in the parts of a diffusers folder from all others."""
    for name in inner:
        try:
            with os.scandir(folder / name) as entries:
                paths = [Path(entry.path) for entry in islice(entries, 1_000)]
            yield from (_identity(path) for path in paths if path.suffix == ".safetensors")
        except OSError:  # recognising says what is wrong
            continue


def _recognise_model(paths: list[Path], path: Path) -> Finding:
    """Return what a file is, or what shards are together that no list names."""
    shard = _SHARD.fullmatch(path.name)
    if shard is None or shard["ending"] != "safetensors":
        return recognise_file(path)
    absent = int(shard["count"]) - len(paths)
    if absent > 0:
        reason = f"{path.name} is one of {shard['count'].lstrip('0')} shards, and {absent} of them"
        return Finding(Kind.REFUSED, f"{reason} are not here. Get them too.")
    try:
        header = read_weights(tuple(paths))
    except WeightsRejected as error:
        return Finding(Kind.REFUSED, error.message)
    found = recognise(header, *names_of(path.with_name(f"{shard['stem']}.safetensors")))
    return cut_short(found, header.missing) if header.missing else found

"""Blobs: files named by the sha256 of their content, in a directory."""

import hashlib
import os
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from limner.domain.errors import StorageFailed
from limner.domain.recipe import Sha256
from limner.store.failures import files_at

STALE_SECONDS = 600.0
"""Older than this, a partial file was left by a process that died, not by one at work."""

_ID = re.compile(r"[0-9a-f]{64}")
_CAN_SYNC_FOLDERS = os.name != "nt"


class Blobs:
    """A directory of blobs: `ab/cd/<sha256>`, and `partial/` for those being written.

    A blob is there whole or not at all, also after a power cut: written aside, flushed to the
    disk, renamed, and the folders flushed. Methods raise StorageFailed or a kind of it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._partial = folder / "partial"

    def put(self, content: bytes) -> Sha256:
        """Keep this content durably and return its id. Mends a damaged blob of the same id."""
        blob = hashlib.sha256(content).hexdigest()
        target = self.path(blob)
        with files_at(self.folder):
            if not _holds(target, content):
                self._write(target, content)
            # Also for a blob that was there: whoever wrote it may not have come this far yet.
            for folder in (target.parent, target.parent.parent, self.folder):
                _sync_folder(folder)
        return blob

    def read(self, blob: Sha256) -> bytes:
        """Return the content of a blob, checked against its id."""
        path = self.path(blob)
        try:
            with files_at(self.folder):
                content = path.read_bytes()
        except StorageFailed as failure:
            if isinstance(failure.__cause__, FileNotFoundError):
                raise StorageFailed(
                    f"The file {path} is missing from the library. Put it back from a copy."
                ) from failure
            raise
        if hashlib.sha256(content).hexdigest() != blob:
            raise StorageFailed(
                f"The file {path} is damaged: its content is not what was kept. Put it back from "
                "a copy, or draw the picture again from its recipe."
            )
        return content

    def path(self, blob: Sha256) -> Path:
        """Return where a blob is, or would be."""
        return self.folder / blob[:2] / blob[2:4] / blob

    def exists(self, blob: Sha256) -> bool:
        """Whether a blob of this id is here; its content is not looked at."""
        with files_at(self.folder):
            return self.path(blob).is_file()

    def remove(self, blob: Sha256) -> None:
        """Remove a blob; nothing happens if it is not here."""
        with files_at(self.folder):
            self.path(blob).unlink(missing_ok=True)

    def sweep(self) -> int:
        """Remove the partial files that dead processes left; return how many."""
        swept = 0
        for path in _listing(self._partial):
            # Another process may sweep too, or the file may be another user's.
            with suppress(OSError):
                if time.time() - path.stat().st_mtime > STALE_SECONDS:
                    path.unlink()
                    swept += 1
        return swept

    def settled(self) -> Iterator[Sha256]:
        """Yield the ids of all blobs but the newest, which may be part of work in progress."""
        for first in _listing(self.folder):
            for second in _listing(first) if len(first.name) == 2 else ():
                for path in _listing(second):
                    if _ID.fullmatch(path.name) and _age(path) > STALE_SECONDS:
                        yield path.name

    def _write(self, target: Path, content: bytes) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        self._partial.mkdir(exist_ok=True)
        partial = self._partial / f"{target.name}.{uuid4().hex}"
        try:
            with partial.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(target)
        finally:
            # After the rename there is nothing left under the old name.
            with suppress(OSError):
                partial.unlink(missing_ok=True)


def _holds(path: Path, content: bytes) -> bool:
    try:
        return path.read_bytes() == content
    except FileNotFoundError:
        return False


def _sync_folder(folder: Path) -> None:
    if not _CAN_SYNC_FOLDERS:
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _listing(folder: Path) -> list[Path]:
    try:
        with files_at(folder):
            return sorted(folder.iterdir())
    except StorageFailed as failure:
        if isinstance(failure.__cause__, FileNotFoundError | NotADirectoryError):
            return []
        raise


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0

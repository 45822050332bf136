"""The disk under the catalog: hashing, locks between processes, and what goes wrong."""

import errno
import glob
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath

from limner.domain.errors import StorageFull, WeightsRejected, storage_failure
from limner.families import checkpoint

if sys.platform == "win32":
    import msvcrt

    def _lock_now(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock_now(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


_OTHERWISE = "choose another home folder with --home or LIMNER_HOME"
_HELD = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES, errno.EDEADLK)
_LOOK_AGAIN = 0.1
_LEFT_BEHIND = 3600
"""Seconds after which what was being written will not be finished any more."""


@contextmanager
def storage_errors(place: Path) -> Iterator[None]:
    """Turn what the operating system says about `place` into the error tree."""
    try:
        yield
    except OSError as error:
        raise storage_failure(error, place, _OTHERWISE) from error


def full(place: Path, needed: int | None = None) -> StorageFull:
    """Return the error of a full disk; `needed` is in bytes."""
    need = "" if needed is None else f" {needed / 1e6:.0f} MB are needed."
    return StorageFull(f"The disk that holds {place} is full.{need} Make room, or {_OTHERWISE}.")


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file's bytes as 64 hex digits."""
    with storage_errors(path):
        return checkpoint.sha256_of(path)


def write_whole(path: Path, content: bytes) -> None:
    """Replace a file at once, or leave it as it was, also in a power cut; raises OSError.

    What a process left here that was stopped in the middle of it long ago is swept up.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}")
    try:
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        sync_folder(path.parent)
    finally:
        part.unlink(missing_ok=True)
        _sweep(path)


def _sweep(path: Path) -> None:
    for left in path.parent.glob(f".{glob.escape(path.name)}.*-*"):
        with suppress(OSError):
            if time.time() - left.stat().st_mtime > _LEFT_BEHIND:
                left.unlink()


def put_aside(path: Path) -> Path:
    """Rename a file that cannot be made sense of, so that another can take its place.

    Returns where it is now: beside, `.damaged` at the end of its name. Raises OSError.
    """
    aside = path.with_name(f"{path.name}.damaged")
    path.replace(aside)
    return aside


def sync_folder(folder: Path) -> None:
    """Make a rename in this folder outlast a power cut, where the system can."""
    if sys.platform == "win32":  # a folder cannot be opened there
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def inside(folder: Path, name: str) -> Path:
    """Return `folder`/`name`; raise WeightsRejected if that would lie outside the folder."""
    relative = PurePosixPath(name)
    parts = relative.parts
    if relative.is_absolute() or not parts or ".." in parts or "\\" in name or ":" in name:
        raise WeightsRejected(
            f"The model names a file outside its folder: “{name}”. Its card is wrong or hostile; "
            "do not use it."
        )
    return folder.joinpath(*parts)


@contextmanager
def locked(path: Path, wait: Callable[[], None]) -> Iterator[None]:
    """Hold the lock file `path` against other processes and threads.

    `wait` is called every tenth of a second while someone else holds it, and may raise. The
    system frees the lock of a process that dies.
    """
    with storage_errors(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        while not _taken(descriptor, path):
            wait()
            time.sleep(_LOOK_AGAIN)
        yield
    finally:
        os.close(descriptor)


def _taken(descriptor: int, path: Path) -> bool:
    with storage_errors(path):
        try:
            _lock_now(descriptor)
        except OSError as error:
            if error.errno not in _HELD:
                raise
            return False
    return True

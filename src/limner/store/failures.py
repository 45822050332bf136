"""How failures of the disk and of the database become words a person can act on."""

import errno
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy.exc import DatabaseError

from limner.domain.errors import LibraryBusy, StorageFailed, storage_failure

_OTHERWISE = "choose another home folder with --home or LIMNER_HOME"
_ROOM_TO_WORK = 256 * 1024
"""Bytes SQLite needs free to work at all: below this, an input/output error means a full disk."""


def file_failure(error: OSError, folder: Path) -> StorageFailed:
    """Return the error to raise for an OSError met under a folder of the library."""
    return storage_failure(error, folder, _OTHERWISE)


def database_failure(error: DatabaseError, file: Path) -> StorageFailed | None:
    """Return the error to raise for a failure of SQLite, or None if it is a mistake of ours."""
    code = _code(error)
    if is_locked(error):
        return LibraryBusy(
            f"The library {file} is held by another process. Wait until that one has finished, "
            "then try again."
        )
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return StorageFailed(
            f"The library file {file} is damaged or is not a library ({error.orig}). Nothing in it "
            "was changed. Put back a copy of it, or move it away and start a new library."
        )
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM):
        return file_failure(OSError(errno.EROFS, "read-only"), file.parent)
    if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN):
        return _out_of_reach(code, error, file)
    return None


def is_locked(error: DatabaseError) -> bool:
    """Whether another process held the database for longer than SQLite waits."""
    return _code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


@contextmanager
def files_at(folder: Path) -> Iterator[None]:
    """Raise StorageFailed, or a kind of it, for every OSError in the block."""
    try:
        yield
    except OSError as error:
        raise file_failure(error, folder) from error


@contextmanager
def database_at(file: Path) -> Iterator[None]:
    """Raise StorageFailed, or a kind of it, for every failure of SQLite in the block."""
    try:
        yield
    except DatabaseError as error:
        failure = database_failure(error, file)
        if failure is None:
            raise
        raise failure from error


def _code(error: DatabaseError) -> int | None:
    extended = getattr(error.orig, "sqlite_errorcode", None)
    return extended & 0xFF if isinstance(extended, int) else None  # the low byte is the kind


def _out_of_reach(code: int, error: DatabaseError, file: Path) -> StorageFailed:
    if code == sqlite3.SQLITE_FULL or _free_bytes(file.parent) < _ROOM_TO_WORK:
        return file_failure(OSError(errno.ENOSPC, "full"), file.parent)
    return StorageFailed(
        f"The library file {file} could not be read or written ({error.orig}). Check that the "
        "disk is there and healthy and that this user may use the folder."
    )


def _free_bytes(folder: Path) -> int:
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return _ROOM_TO_WORK

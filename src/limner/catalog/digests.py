"""Digests of large files: read once, then known until the file changes."""

import hashlib
import json
import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from limner.catalog.disk import sha256_of, storage_errors, write_whole
from limner.domain.event import Hashing
from limner.families.family import Watch

SMALL = 64 * 1024 * 1024
"""Bytes up to which a file is read every time: it takes no longer than to look it up."""

_CHUNK = 4 * 1024 * 1024
_EVERY = 0.1
"""Seconds between two events."""

_Known: TypeAlias = dict[str, list[object]]


@dataclass
class Digests:
    """The sha256 of files, kept in a JSON file: path → [bytes, time, inode, sha256].

    A large file of unchanged size, time of change (ns) and inode is not read again: hashing
    24 GB at every start would take longer than drawing. `limner models verify` reads it all.
    """

    kept: Path
    _known: _Known | None = field(default=None, init=False)
    _heard: threading.local = field(default_factory=threading.local, init=False, repr=False)

    @contextmanager
    def told(self, watch: Watch) -> Iterator[None]:
        """Tell how far the reading of large files is, in this thread, and heed the token."""
        before = self._watch
        self._heard.watch = watch
        try:
            yield
        finally:
            self._heard.watch = before

    @property
    def _watch(self) -> Watch | None:
        watch: Watch | None = getattr(self._heard, "watch", None)
        return watch

    def of(self, path: Path) -> str:
        """Return the sha256 of a file as 64 hexadecimal digits.

        Raises StorageFailed, and Cancelled where `told` was given a token.
        """
        with storage_errors(path):
            whole = path.resolve()
            status = whole.stat()
        if status.st_size <= SMALL:
            return sha256_of(whole)
        return self._look_up(str(whole), _stamp(status)) or self.read(path)

    def read(self, path: Path) -> str:
        """As `of`, but the file is read whatever is known of it, and known from then on."""
        with storage_errors(path):
            whole = path.resolve()
            status = whole.stat()
        watch = self._watch if status.st_size > SMALL else None
        found = sha256_of(whole) if watch is None else _read_telling(path, watch)
        self._know(whole, status, found)
        return found

    def note(self, path: Path, sha256: str) -> None:
        """Know a file whose bytes have just been hashed as they were written."""
        with suppress(OSError):
            whole = path.resolve()
            self._know(whole, whole.stat(), sha256)

    def _know(self, whole: Path, status: os.stat_result, sha256: str) -> None:
        if status.st_size > SMALL and self._look_up(str(whole), _stamp(status)) != sha256:
            self._remember(str(whole), [*_stamp(status), sha256])

    def _look_up(self, path: str, stamp: list[int]) -> str | None:
        if self._known is None:
            self._known = self._read()
        entry = self._known.get(path)
        return str(entry[3]) if entry is not None and entry[:3] == stamp else None

    def _remember(self, path: str, entry: list[object]) -> None:
        """Write what is known together with what other processes have learned meanwhile."""
        self._known = {**self._read(), path: entry}
        text = json.dumps(self._known, indent=0, sort_keys=True)
        with suppress(OSError):  # on a full or read-only disk it is only read again
            self.kept.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self.kept, text.encode())

    def _read(self) -> _Known:
        try:
            found = json.loads(self.kept.read_bytes())
        except (OSError, ValueError, RecursionError):
            return {}
        return _entries(found) if isinstance(found, dict) else {}


def _stamp(status: os.stat_result) -> list[int]:
    return [status.st_size, status.st_mtime_ns, status.st_ino]


def _read_telling(path: Path, watch: Watch) -> str:
    sha256 = hashlib.sha256()
    done, told = 0, 0.0
    with storage_errors(path), path.open("rb") as file:
        total = path.stat().st_size
        while chunk := file.read(_CHUNK):
            watch.token.check()
            sha256.update(chunk)
            done += len(chunk)
            now = time.monotonic()
            if now - told >= _EVERY or done >= total:
                told = now
                watch.tell(Hashing(path.name, done, total))
    return sha256.hexdigest()


def _entries(found: Mapping[str, object]) -> _Known:
    return {
        path: entry
        for path, entry in found.items()
        if isinstance(entry, list) and len(entry) == 4 and _is_sha256(entry[3])
    }


def _is_sha256(text: object) -> bool:
    return isinstance(text, str) and len(text) == 64 and set(text) <= set("0123456789abcdef")

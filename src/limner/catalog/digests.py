"""Digests of large files: read once, then known until the file changes."""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from limner.catalog.disk import sha256_of, storage_errors, write_whole

SMALL = 64 * 1024 * 1024
"""Bytes up to which a file is read every time: it takes no longer than to look it up."""

_Known: TypeAlias = dict[str, list[object]]


@dataclass
class Digests:
    """The sha256 of files, kept in a JSON file: path → [bytes, time, inode, sha256].

    A large file of unchanged size, time of change (ns) and inode is not read again: hashing
    24 GB at every start would take longer than drawing. `limner models verify` reads it all.
    """

    kept: Path
    _known: _Known | None = field(default=None, init=False)

    def of(self, path: Path) -> str:
        """Return the sha256 of a file as 64 hexadecimal digits; raises StorageFailed."""
        with storage_errors(path):
            whole = path.resolve()
            status = whole.stat()
        if status.st_size <= SMALL:
            return sha256_of(whole)
        stamp = [status.st_size, status.st_mtime_ns, status.st_ino]
        found = self._look_up(str(whole), stamp)
        if found is None:
            found = sha256_of(whole)
            self._remember(str(whole), [*stamp, found])
        return found

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


def _entries(found: Mapping[str, object]) -> _Known:
    return {
        path: entry
        for path, entry in found.items()
        if isinstance(entry, list) and len(entry) == 4 and _is_sha256(entry[3])
    }


def _is_sha256(text: object) -> bool:
    return isinstance(text, str) and len(text) == 64 and set(text) <= set("0123456789abcdef")

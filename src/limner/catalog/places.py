"""Where the user's own models lie: paths that were used or added, kept in a file."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from limner.catalog.disk import locked, put_aside, storage_errors, write_whole
from limner.domain.errors import StorageFailed

_MOST = 10_000
"""Paths that are kept; the oldest are forgotten first."""


@dataclass(frozen=True)
class Places:
    """Paths of models, and of folders that hold models, in a JSON file: a list of texts."""

    kept: Path

    def paths(self) -> tuple[Path, ...]:
        """Return the paths, the one added last first; those that are gone are among them."""
        try:
            return self._read()
        except (OSError, ValueError, RecursionError):
            return ()

    def add(self, path: Path) -> None:
        """Keep a path; one that is kept already comes first again. Raises StorageFailed."""
        with self._changing() as before:
            self._put([whole_path(path), *(one for one in before if one != whole_path(path))])

    def note(self, path: Path) -> None:
        """Keep a path where the disk lets us: a model that was only used needs no more."""
        if self.paths()[:1] != (whole_path(path),):
            with suppress(StorageFailed):
                self.add(path)

    def forget(self, path: Path) -> bool:
        """Keep a path no longer; return whether it was kept. Raises StorageFailed."""
        if whole_path(path) not in self.paths():
            return False
        with self._changing() as before:
            self._put([one for one in before if one != whole_path(path)])
        return True

    @contextmanager
    def _changing(self) -> Iterator[tuple[Path, ...]]:
        """Give the paths, which no other process changes meanwhile; damaged ones are put aside."""
        lock = self.kept.with_name(f".{self.kept.name}.lock")
        with locked(lock, lambda: None), storage_errors(self.kept):
            try:
                before = self._read()
            except (ValueError, RecursionError):
                put_aside(self.kept)
                before = ()
            yield before

    def _read(self) -> tuple[Path, ...]:
        """Return the paths, none where nothing is kept; raises OSError, ValueError."""
        try:
            found = json.loads(self.kept.read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            return ()
        if not isinstance(found, list):
            raise ValueError("a list is kept here")  # noqa: TRY004 - as JSON that is none
        return tuple(Path(text) for text in found if isinstance(text, str) and text)

    def _put(self, paths: list[Path]) -> None:
        text = json.dumps([str(path) for path in paths[:_MOST]], indent=0)
        write_whole(self.kept, text.encode())


def whole_path(path: Path) -> Path:
    """Return the whole path; a link stays a link."""
    return Path(os.path.abspath(path.expanduser()))  # noqa: PTH100 - Path.resolve would follow links

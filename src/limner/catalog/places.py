"""Where the user's own models lie: paths that were used or added, kept in a file."""

import json
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from limner.catalog.disk import storage_errors, write_whole

_MOST = 10_000
"""Paths that are kept; the oldest are forgotten first."""


@dataclass(frozen=True)
class Places:
    """Paths of models, and of folders that hold models, in a JSON file: a list of texts."""

    kept: Path

    def paths(self) -> tuple[Path, ...]:
        """Return the paths, the one added last first; those that are gone are among them."""
        try:
            found = json.loads(self.kept.read_bytes())
        except (OSError, ValueError, RecursionError):
            return ()
        texts = found if isinstance(found, list) else []
        return tuple(Path(text) for text in texts if isinstance(text, str) and text)

    def add(self, path: Path) -> None:
        """Keep a path; one that is kept already comes first again. Raises StorageFailed."""
        whole = whole_path(path)
        others = [one for one in self.paths() if one != whole]
        self._write([whole, *others][:_MOST])

    def note(self, path: Path) -> None:
        """Keep a path where the disk lets us: a model that was only used needs no more."""
        if self.paths()[:1] != (whole_path(path),):
            with suppress(OSError):
                self._put(
                    [whole_path(path), *(one for one in self.paths() if one != whole_path(path))]
                )

    def forget(self, path: Path) -> bool:
        """Keep a path no longer; return whether it was kept. Raises StorageFailed."""
        whole, before = whole_path(path), self.paths()
        left = [one for one in before if one != whole]
        if len(left) < len(before):
            self._write(left)
        return len(left) < len(before)

    def _write(self, paths: list[Path]) -> None:
        with storage_errors(self.kept):
            self._put(paths)

    def _put(self, paths: list[Path]) -> None:
        self.kept.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps([str(path) for path in paths[:_MOST]], indent=0)
        write_whole(self.kept, text.encode())


def whole_path(path: Path) -> Path:
    """Return the whole path; a link stays a link."""
    return Path(os.path.abspath(path.expanduser()))  # noqa: PTH100 - Path.resolve would follow links

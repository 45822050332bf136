"""A weight file on its way: it takes its final name only when its bytes are the pinned ones."""

import hashlib
import os
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from limner.catalog.disk import storage_errors, sync_folder
from limner.domain.card import WeightFile
from limner.domain.errors import PullFailed
from limner.domain.event import CancelToken

CHUNK = 1 << 18


class Part:
    """The bytes of a file so far, beside their final place, hashed as they come.

    The hash in its name keeps a part of other weights from being continued. It stays on disk
    when a pull is cut off, and the next one goes on from it.
    """

    def __init__(self, target: Path, file: WeightFile) -> None:
        self.file = file
        self.received = 0
        self._target = target
        self._path = part_path(target, file)
        with storage_errors(self._path):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._stream = self._path.open("a+b")
        self._sha256 = hashlib.sha256()
        self._continue()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with storage_errors(self._path):
            self._stream.close()
            if self.received == 0:
                self._path.unlink(missing_ok=True)

    @property
    def complete(self) -> bool:
        """Whether as many bytes as pinned are here."""
        return self.received == self.file.bytes

    def write(self, chunk: bytes) -> None:
        """Append bytes; raise PullFailed when there are more than pinned."""
        if self.received + len(chunk) > self.file.bytes:
            self.restart()
            raise PullFailed(f"it is larger than the {self.file.bytes:,} bytes pinned")
        with storage_errors(self._path):
            self._stream.write(chunk)
        self._sha256.update(chunk)
        self.received += len(chunk)

    def restart(self) -> None:
        """Drop what is here and begin again."""
        with storage_errors(self._path):
            self._stream.seek(0)
            self._stream.truncate()
        self._sha256 = hashlib.sha256()
        self.received = 0

    def fill(self, stream: IO[bytes], token: CancelToken) -> None:
        """Begin again from a whole stream and finish."""
        self.restart()
        while chunk := stream.read(CHUNK):
            token.check()
            self.write(chunk)
        self.finish()

    def finish(self) -> Path:
        """Flush to disk and take the final name; raise PullFailed, and begin again, if wrong."""
        actual = self._sha256.hexdigest()
        if not self.complete or actual != self.file.sha256:
            size = self.received
            self.restart()
            raise PullFailed(
                f"its {size:,} bytes are not the {self.file.bytes:,} pinned (sha256 "
                f"{actual[:12]}… instead of {self.file.sha256[:12]}…)"
            )
        with storage_errors(self._target):
            self._stream.flush()
            os.fsync(self._stream.fileno())
            self._stream.close()  # an open file cannot be renamed everywhere
            self._path.replace(self._target)
            sync_folder(self._target.parent)
        return self._target

    def _continue(self) -> None:
        with storage_errors(self._path):
            self._stream.seek(0)
            while chunk := self._stream.read(CHUNK):
                self._sha256.update(chunk)
                self.received += len(chunk)
        if self.received > self.file.bytes:
            self.restart()


def part_path(target: Path, file: WeightFile) -> Path:
    """Return where the bytes of `target` are gathered."""
    return target.with_name(f"{target.name}.{file.sha256[:12]}.part")

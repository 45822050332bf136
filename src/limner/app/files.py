"""Files the maker asked for, outside the library: written whole or not at all."""

import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from limner.domain.errors import InvalidImage, NotFound, StorageFailed, storage_failure

MOST_BYTES = 100_000_000
"""The most bytes of one file that are read into memory."""

OTHERWISE = "choose another folder with --out"


def write_file(path: Path, content: bytes) -> Path:
    """Write `content` to `path` through a temporary file beside it; return the path.

    Raises StorageFull, StorageReadOnly or StorageFailed; then what was at `path` is untouched.
    """
    with _beside(path, content) as part:
        part.replace(path)
    return path


def write_new(path: Path, content: bytes) -> bool:
    """Write `content` to `path`, unless something is there; return whether it was written.

    Nothing that another process writes there at the same time is lost. Raises as `write_file`.
    """
    with _beside(path, content) as part:
        try:
            os.link(part, path)
        except FileExistsError:
            return False
        except OSError:  # a disk that knows no links
            if path.exists():
                return False
            part.replace(path)
    return True


@contextmanager
def _beside(path: Path, content: bytes) -> Iterator[Path]:
    """Yield a file with the content in the folder of `path`; what is left of it is removed."""
    part = path.parent / f".limner-{secrets.token_hex(8)}{path.suffix[:16]}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with part.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            yield part
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise storage_failure(error, path, OTHERWISE) from error


def read_file(path: Path, most: int = MOST_BYTES) -> bytes:
    """Return a file's bytes; raise NotFound or StorageFailed saying why it cannot be read.

    A file of more than `most` bytes is not read at all: InvalidImage. Nor is a pipe or a device,
    which may never end: StorageFailed.
    """
    try:
        mode = path.stat().st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            raise StorageFailed(
                f"{path} is a pipe or a device, not a file. Save what comes from it as a file "
                "first."
            )
        with path.open("rb") as file:
            large = os.fstat(file.fileno()).st_size > most
            content = b"" if large else file.read(most + 1)
    except FileNotFoundError as error:
        raise NotFound(f"There is no file {path}. Check the path.") from error
    except OSError as error:
        raise StorageFailed(
            f"{path} could not be read: {error.strerror or error}. Check the path."
        ) from error
    if large or len(content) > most:
        raise InvalidImage(
            f"{path} is larger than {most // 1_000_000} MB, more than Limner reads of one file. "
            "Make it smaller first."
        )
    return content


def file_stem(prompt: str, limit: int = 48) -> str:
    """Return a file name stem made of the words of a prompt."""
    words = re.sub(r"[^\w]+", "-", prompt.lower(), flags=re.UNICODE).strip("-_")
    return words[:limit].rstrip("-_") or "picture"


def free_paths(path: Path) -> Iterator[Path]:
    """Yield those of `path`, path-2, path-3, … that do not exist yet."""
    for number in count(1):
        candidate = path if number == 1 else path.with_stem(f"{path.stem}-{number}")
        if not candidate.exists():
            yield candidate

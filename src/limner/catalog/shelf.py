"""Where weights lie, and whether they are what they claim to be."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib.resources import files
from pathlib import Path

from limner.catalog.digests import Digests
from limner.catalog.disk import inside
from limner.domain.card import ModelCard, PackagedSource, WeightFile
from limner.families.family import Hash

PACKAGE = Path(str(files("limner")))
"""The folder of the installed package: packaged weights are read in place."""


class Presence(StrEnum):
    """How a model is present."""

    BUILT_IN = "built in"
    HERE = "here"
    ABSENT = "can be pulled"
    DAMAGED = "damaged"


class FileState(StrEnum):
    """What was found where a weight file should be."""

    GOOD = "good"
    MISSING = "missing"
    DIFFERS = "differs"


@dataclass(frozen=True)
class Verdict:
    """What verifying one weight file found: where it lies, and the sha256 of its bytes."""

    file: WeightFile
    state: FileState
    path: Path | None = None
    sha256: str | None = None


class Shelf:
    """The places a model's files may lie: the package, the home folder, a path of the user's.

    In the home folder a file lies at `<card name>/<file name>`. Any place will do: what counts
    is that the bytes have the pinned sha256.
    """

    def __init__(self, home_models: Path) -> None:
        self._home = home_models
        self.digests = Digests(home_models / "digests.json")
        self._elsewhere: dict[str, Path] = {}

    def remember(self, paths: Mapping[str, Path]) -> None:
        """Know other places of files from now on: sha256 → path."""
        self._elsewhere.update(paths)

    def target(self, card: ModelCard, file: WeightFile) -> Path:
        """Return where a pulled file is kept."""
        return inside(self.folder(card), file.name)

    def folder(self, card: ModelCard) -> Path:
        """Return the folder of a model's pulled files."""
        return inside(self._home, card.name)

    def examine(self, card: ModelCard, file: WeightFile) -> Verdict:
        """Read every byte of a file and compare its sha256 with the pinned one."""
        return examine(file, self._places(card, file), self.digests.read)

    def look(self, card: ModelCard, file: WeightFile) -> Verdict:
        """As `examine`, but a large file that has not changed since it was read counts as read."""
        return examine(file, self._places(card, file), self.digests.of)

    def presence(self, card: ModelCard) -> Presence:
        """Tell how a model is present, from the sizes of its files alone."""
        sizes = [self._sizes(card, file) for file in card.files]
        if all(file.bytes in found for file, found in zip(card.files, sizes, strict=True)):
            return Presence.BUILT_IN if built_in(card) else Presence.HERE
        if any(
            found and file.bytes not in found for file, found in zip(card.files, sizes, strict=True)
        ):
            return Presence.DAMAGED
        return Presence.DAMAGED if built_in(card) else Presence.ABSENT

    def _sizes(self, card: ModelCard, file: WeightFile) -> list[int]:
        return [place.stat().st_size for place in self._places(card, file) if place.is_file()]

    def _places(self, card: ModelCard, file: WeightFile) -> list[Path]:
        packaged = [
            inside(PACKAGE, source.path)
            for source in file.sources
            if isinstance(source, PackagedSource)
        ]
        elsewhere = self._elsewhere.get(file.sha256)
        return [*packaged, self.target(card, file), *([elsewhere] if elsewhere else [])]


def examine(file: WeightFile, places: Sequence[Path], sha256: Hash) -> Verdict:
    """Return the first of these places that holds the pinned bytes, or what is wrong there."""
    verdict = Verdict(file, FileState.MISSING)
    for place in places:
        if not place.is_file():
            continue
        actual = sha256(place)
        if actual == file.sha256:
            return Verdict(file, FileState.GOOD, place, actual)
        verdict = Verdict(file, FileState.DIFFERS, place, actual)
    return verdict


def built_in(card: ModelCard) -> bool:
    """Whether every file of a model comes inside the package."""
    return all(is_packaged(file) for file in card.files)


def is_packaged(file: WeightFile) -> bool:
    """Whether a file comes inside the package."""
    return any(isinstance(source, PackagedSource) for source in file.sources)

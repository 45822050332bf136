"""The catalog: find a model, verify it, pull it, remove it."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from pathlib import Path

from pydantic import ValidationError

from limner.catalog.checkpoint import recognise
from limner.catalog.client import ArchiveSource, archive_name
from limner.catalog.collection import Collection, Found
from limner.catalog.disk import inside, locked, storage_errors
from limner.catalog.part import part_path
from limner.catalog.pins import Pinning, Pins, commit_of, terms
from limner.catalog.places import Places
from limner.catalog.pull import Pull, Ways, lock_of, waiting
from limner.catalog.repository import Asked, parse, published_as
from limner.catalog.shelf import (
    PACKAGE,
    FileState,
    Presence,
    Shelf,
    Verdict,
    built_in,
    examine,
    is_packaged,
)
from limner.catalog.statements import Statements
from limner.catalog.wire import Hub
from limner.domain.card import Installed, Licence, ModelCard, NpmSource, WeightFile, WheelSource
from limner.domain.errors import (
    InvalidOption,
    InvalidRequest,
    LibraryBusy,
    LimnerError,
    ModelNotFound,
    ModelUnavailable,
    PullFailed,
    WeightsRejected,
)
from limner.domain.event import CancelToken, Happening, Notice
from limner.domain.naming import close_to
from limner.families.family import Family, Watch

_DOWNLOADS = ".downloads"
_PINS = ".pins"


class Catalog:
    """Which models are here, where they come from, and that they are what they claim.

    Pulled weights lie at `home_models/<card name>/<file name>`, packaged ones stay inside the
    installed package. `hub` is the address of a model hub, None for no hub, and `token` opens
    gated repositories there; `offline` keeps pulls from going out at all. Building a catalog
    touches neither the disk nor the network.
    """

    def __init__(
        self,
        home_models: Path,
        families: Mapping[str, Family],
        hub: str | None,
        offline: bool = False,
        token: str | None = None,
    ) -> None:
        self.families = families
        self._home = home_models
        self._shelf = Shelf(home_models)
        self.places = Places(home_models / "places.json")
        self.collection = Collection(home_models / "found.json", self.places, families)
        self._statements = Statements(home_models / "licences.json")
        self._pins = Pins(home_models / _PINS, self._shelf, families)
        reached = Hub(hub, token) if hub else None
        self._ways = Ways(home_models / _DOWNLOADS, reached, offline)

    def cards(self) -> tuple[ModelCard, ...]:
        """Return the cards of all models known by name: those Limner knows, and pinned ones."""
        return (*self._known(), *map(self._pins.settled, self._pins.all()))

    def names(self) -> tuple[str, ...]:
        """Return the names that `find` knows, as quickly as can be: nothing is looked through."""
        known = (*self._known(), *self._pins.all())
        return (*(card.name for card in known), *self.collection.names())

    def own(self) -> tuple[ModelCard, ...]:
        """Return cards of the user's own models, from headers alone: `find` knows their digests.

        Pulled from a hub, or in a place of theirs; what cannot be read any more is left out.
        """
        cards = list(map(self._pins.settled, self._pins.all()))
        for found in self.found():
            with suppress(ValidationError):  # not usable, or written by another Limner
                card = ModelCard.model_validate_json(found.described)
                said = self._statements.at(found.path)
                cards.append(card.model_copy(update={"licence": said or card.licence}))
        return tuple(cards)

    def found(self) -> tuple[Found, ...]:
        """Return what lies in the user's places, under the terms that were stated of it."""
        return tuple(
            one
            if (said := self._statements.at(one.path)) is None
            else replace(one, licence=said.spdx, commercial=said.commercial)
            for one in self.collection.all()
        )

    def state_licence(self, name: str, licence: Licence | None) -> ModelCard:
        """Keep what the user states of the licence of a model; None takes it back.

        Returns the card under those terms. Raises InvalidRequest for a model that Limner itself
        knows the terms of, and what `find` raises.
        """
        card = self.may_state(name)
        lies = self.collection.named(card.name)
        path = _existing(name) or next((one.path for one in lies), None)
        self._statements.state(card, None if path is None else path.absolute(), licence)
        return self.find(name)

    def may_state(self, name: str) -> ModelCard:
        """Return the card of a model whose licence can be stated; raises as `state_licence`."""
        if name in {card.name for card in self._known()}:
            raise InvalidRequest(
                f"Limner knows the licence of {name}, and nobody can state another one."
            )
        return self.find(name)

    def telling(self, watch: Watch) -> AbstractContextManager[None]:
        """Tell, while this is entered, how far the reading of large files is (in this thread)."""
        return self._shelf.digests.told(watch)

    def identify(self, found: Found) -> ModelCard:
        """Return the card of what was found, every file read; see `find` for what it raises."""
        return self._find_at(found.path)

    def find(self, name: str, weights: str | None = None) -> ModelCard:
        """Return the card of a model by its name, or by the path of its file or folder.

        One that was used by its path is known by its name from then on. A checkpoint at a path
        is verified at once. Among several of one name, the one with the digest `weights` is
        taken. Raises ModelNotFound, InvalidOption for a name that several have, and
        WeightsRejected for pickles and for bytes that are not those of the card.
        """
        cards = {card.name: card for card in self._known()}
        if name in cards:
            return cards[name]
        pinned = self._pins.get(name)
        if pinned is not None:
            return self._statements.on(self._pins.settled(pinned))
        path = _existing(name)
        if path is not None:
            try:
                return self._use_at(path, tuple(cards.values()))
            except ModelNotFound:
                # A folder of pictures may be called as a model that lies elsewhere.
                if not self.collection.named(name):
                    raise
        if "/" in name or "\\" in name:
            return self._find_repository(name)
        return self._find_own(name, weights)

    def _find_repository(self, name: str) -> ModelCard:
        """Return what was pulled from a repository of this name; raises ModelNotFound."""
        with suppress(InvalidOption):
            pinned = self._pins.of(parse(name))
            if pinned is not None:
                return self._statements.on(self._pins.settled(pinned))
        raise ModelNotFound(
            f"There is no file or folder {name[:200]}. Give the path of a checkpoint, or a "
            "name that `limner models list` shows; a repository of a model hub is brought here by "
            "`limner models pull OWNER/NAME`."
        )

    def _use_at(self, path: Path, cards: Sequence[ModelCard]) -> ModelCard:
        card = self._find_at(path)
        known = any(one.weights_digest == card.weights_digest for one in cards)
        pulled = path.resolve().is_relative_to(self._home.resolve())
        if not (known or pulled or self.collection.holds(path)):
            self.places.note(path)
        return card

    def _find_own(self, name: str, weights: str | None) -> ModelCard:
        found = self.collection.named(name)
        if len(found) == 1:
            return self._find_at(found[0].path)
        if not found:
            useless = self.collection.unusable(name)
            if useless is not None:
                raise WeightsRejected(f"{useless.path} is not usable by itself: {useless.reason}")
            raise self._unknown(name)
        for one in found if weights else ():
            card = self._find_at(one.path)
            if card.weights_digest == weights:
                return card
        paths = "".join(f"\n  - {one.path}" for one in found)
        raise InvalidOption(
            f"{len(found)} models are called {name[:100]}. Give the path of the one you mean:"
            f"{paths}"
        )

    def _unknown(self, name: str) -> LimnerError:
        published = published_as(name, self.families.values())
        if published is not None:
            first = ", once you have agreed to its terms there" if published.gated else ""
            return ModelUnavailable(
                f"{published.title} is not here. `limner models pull {name}` gets it{first}; "
                "`limner models add PATH` tells Limner of it where you have it already."
            )
        close = close_to(name, self.names())
        hint = f" Did you mean {' or '.join(close)}?" if close else ""
        return ModelNotFound(
            f"No model is called “{name[:100]}”.{hint} `limner models list` shows them all; "
            "`limner models add PATH` tells Limner of yours."
        )

    def request(self, asked: Asked, variant: str | None, watch: Watch) -> ModelCard:
        """Return the card of a model in a hub's repository, pinned as it is there now.

        One that was pinned before stays as it is, and nobody is asked. Raises ModelNotFound,
        InvalidOption, WeightsRejected, PullFailed and StorageFailed.
        """
        pinned = self._pins.of(asked)
        if pinned is not None:
            if not commit_of(pinned).startswith(asked.revision) or variant:
                raise InvalidOption(
                    f"{pinned.name} is pinned at commit {commit_of(pinned)[:12]} of "
                    f"{asked.repository}. To have another revision or variant, remove it first: "
                    f"`limner models remove {pinned.name}`."
                )
            return pinned
        hub = self._ways.hub
        if self._ways.offline or hub is None:
            reason = "Limner is set to stay offline" if self._ways.offline else "no hub is set"
            raise PullFailed(
                f"{asked.repository} cannot be pulled: {reason}. `limner models add PATH` takes a "
                "copy that is on this machine."
            )
        with locked(self._ways.downloads / "pins.lock", waiting(asked.repository, watch)):
            # Under the lock: another process may have pinned it, or taken its name, meanwhile.
            pinned = self._pins.of(asked)
            if pinned is None:
                return Pinning(hub, self._pins, watch).run(asked, variant, self.names())
        return self.request(asked, variant, watch)

    def recognise(self, card: ModelCard) -> ModelCard:
        """Return the card of a pulled model as its family knows it; raises why none does."""
        return self._statements.on(self._pins.recognised(self._as_pinned(card)))

    def installed(self, card: ModelCard) -> bool:
        """Tell whether all files of a model are here, by their sizes alone."""
        return self.status(card) in (Presence.BUILT_IN, Presence.HERE)

    def status(self, card: ModelCard) -> Presence:
        """Tell how a model is present, by the sizes of its files alone; see `verify`."""
        with storage_errors(self._shelf.folder(card)):
            return self._shelf.presence(card)

    def verify(self, card: ModelCard) -> tuple[Verdict, ...]:
        """Read every byte of a model's files and return a verdict for each; see `telling`."""
        as_pulled = self._as_pinned(card)
        return tuple(self._shelf.examine(as_pulled, file) for file in as_pulled.files)

    def locate(self, card: ModelCard) -> Installed:
        """Return where a model's files lie, each verified by its sha256.

        Small files are read every time, large ones when they have changed.

        Raises ModelUnavailable when one is absent and WeightsRejected when its bytes differ.
        """
        found = _installed(card, tuple(self._shelf.look(card, file) for file in card.files))
        return replace(found, lenders=self.lenders)

    def pull(
        self,
        card: ModelCard,
        tell: Callable[[Happening], None],
        token: CancelToken,
        again: bool = False,
    ) -> Installed:
        """Bring a model's files here, trying the sources of each in order, and verify them.

        What was cut off goes on where it stopped; what is here stays. Files whose bytes differ
        are replaced only with `again`; otherwise they raise WeightsRejected. Raises PullFailed
        with the reason of every source, StorageFailed and Cancelled.
        """
        with self.telling(Watch(tell, token)):
            return self._pulled(self._as_pinned(card), Watch(tell, token), again)

    def _pulled(self, card: ModelCard, watch: Watch, again: bool) -> Installed:
        watch.tell(_licence_of(card))
        verdicts = self.verify(card)
        wanted = _not_good(verdicts)
        if not wanted:
            return _installed(card, verdicts)
        with locked(self._lock_of(card), waiting(card.name, watch)):
            # Again, under the lock: another process may have brought them meanwhile.
            verdicts = tuple(self._shelf.examine(card, file) for file in wanted)
            for verdict in verdicts:
                if verdict.state is FileState.DIFFERS and not again:
                    raise _rejected(card, verdict)
            Pull(card, self._shelf, self._ways, watch).run(_not_good(verdicts))
            installed = self.locate(card)
        for source in self._spare_archives(card):
            self._drop(source, waiting(source.package, watch))
        return installed

    def remove(self, card: ModelCard) -> None:
        """Delete a model's pulled files and what an unfinished pull of it left behind.

        Raises InvalidRequest for a model that comes with Limner, ModelUnavailable when nothing
        of it is here, and LibraryBusy while it is being pulled.
        """
        if built_in(card):
            raise InvalidRequest(f"{card.name} comes with Limner and cannot be removed.")
        card = self._as_pinned(card)
        paths = self._leavings(card)
        archives = [source for source in _archives_of(card) if self._kept(source).is_file()]
        pinned = self._pins.get(card.name) == card
        own = next((one for one in self.collection.named(card.name)), None)
        if not (paths or archives or pinned) and own is not None:
            raise InvalidRequest(
                f"{card.name} is yours and stays: it lies at {own.path}. `limner models forget "
                "PATH` makes Limner forget the place that it is in."
            )
        if not (paths or archives or pinned):
            raise ModelUnavailable(f"Nothing of {card.name} is here to remove.")
        with locked(self._lock_of(card), _busy(card.name)):
            for path in paths:
                _delete(path)
            _tidy(self._shelf.folder(card))
            if pinned:
                self._pins.forget(card)
        for source in archives:
            self._drop(source, _busy(source.package))

    def _known(self) -> tuple[ModelCard, ...]:
        return tuple(card for family in self.families.values() for card in family.cards())

    def _as_pinned(self, card: ModelCard) -> ModelCard:
        """Return the card as it was pinned, with its files as they lie in the repository."""
        pinned = self._pins.get(card.name)
        if pinned is None or {one.sha256 for one in card.files} - {
            one.sha256 for one in pinned.files
        }:
            return card
        return pinned

    def _find_at(self, path: Path) -> ModelCard:
        card = recognise(path, self.families.values(), self._shelf.digests.of)
        folder = path if path.is_dir() else path.parent
        paths = {file.name: inside(folder, file.name) for file in card.files}
        if path.is_file() and len(paths) == 1:
            paths = dict.fromkeys(paths, path)
        for file in card.files:
            verdict = examine(file, [paths[file.name]], self._shelf.digests.of)
            if verdict.state is FileState.MISSING:
                raise ModelUnavailable(f"{paths[file.name]} is missing; {card.title} needs it.")
            if verdict.state is FileState.DIFFERS:
                raise WeightsRejected(
                    f"{_difference(verdict)} It is not the {card.title} it looks like; get it "
                    "from its publisher again."
                )
        self._shelf.remember({file.sha256: paths[file.name] for file in card.files})
        return self._statements.on(card)

    def lenders(self) -> tuple[Path, ...]:
        """Return the models that are here and may lend parts, the user's own first."""
        return (*self.collection.lenders(), *self._pins.lenders())

    def _lock_of(self, card: ModelCard) -> Path:
        return inside(self._ways.downloads, f"{card.name}.lock")

    def _spare_archives(self, card: ModelCard) -> list[ArchiveSource]:
        """Return the archives of a card that no other absent model could come from."""
        wanted = {
            archive_name(source)
            for other in self._known()
            if not self.installed(other)
            for source in _archives_of(other)
        }
        return [source for source in _archives_of(card) if archive_name(source) not in wanted]

    def _kept(self, source: ArchiveSource) -> Path:
        return self._ways.downloads / archive_name(source)

    def _drop(self, source: ArchiveSource, wait: Callable[[], None]) -> None:
        archive = self._kept(source)
        if archive.is_file():
            with locked(lock_of(archive), wait):
                _delete(archive)

    def _leavings(self, card: ModelCard) -> list[Path]:
        targets = [(self._shelf.target(card, file), file) for file in card.files]
        paths = [path for target, file in targets for path in (target, part_path(target, file))]
        return [path for path in paths if path.is_file()]


def _not_good(verdicts: Sequence[Verdict]) -> list[WeightFile]:
    return [verdict.file for verdict in verdicts if verdict.state is not FileState.GOOD]


def _installed(card: ModelCard, verdicts: Sequence[Verdict]) -> Installed:
    paths: dict[str, Path] = {}
    for verdict in verdicts:
        if verdict.state is FileState.DIFFERS:
            raise _rejected(card, verdict)
        if verdict.path is None:
            raise _absent(card, verdict.file)
        paths[verdict.file.name] = verdict.path
    return Installed(card, paths)


def _existing(name: str) -> Path | None:
    """Return the path of a file or folder of that name, if there is one."""
    if not name:  # to Path, that is the current folder
        return None
    path = Path(name).expanduser()
    try:
        return path if path.exists() else None
    except (OSError, ValueError):  # too long for a path, or not one
        return None


def _archives_of(card: ModelCard) -> list[ArchiveSource]:
    found = {
        archive_name(source): source
        for file in card.files
        for source in file.sources
        if isinstance(source, WheelSource | NpmSource)
    }
    return list(found.values())


def _busy(what: str) -> Callable[[], None]:
    def wait() -> None:
        raise LibraryBusy(f"{what} is being pulled. Wait for it or stop it, then try again.")

    return wait


def _delete(path: Path) -> None:
    with storage_errors(path):
        path.unlink(missing_ok=True)


def _tidy(folder: Path) -> None:
    """Remove the folders that are empty now; what the user put there stays."""
    inner = sorted((path for path in folder.rglob("*") if path.is_dir()), reverse=True)
    for path in (*inner, folder):
        with suppress(OSError):
            path.rmdir()


def _licence_of(card: ModelCard) -> Notice:
    licence = card.licence
    told = f"{card.name}: {terms(licence)}. {licence.attribution} {licence.url}"
    return Notice("licence", told.rstrip())


def _difference(verdict: Verdict) -> str:
    return (
        f"{verdict.path} is not what it should be: its sha256 is {(verdict.sha256 or '')[:12]}…, "
        f"pinned is {verdict.file.sha256[:12]}…. It was not loaded."
    )


def _rejected(card: ModelCard, verdict: Verdict) -> WeightsRejected:
    if not verdict.file.sources and not is_packaged(verdict.file):
        return WeightsRejected(
            f"{verdict.path} has changed since {card.name} was asked for. Its pictures can be "
            "drawn again only with the weights that drew them: put those back, or draw anew."
        )
    cure = (
        "Install limner again."
        if verdict.path is not None and verdict.path.is_relative_to(PACKAGE)
        else f"`limner models pull {card.name} --again` replaces it, `limner models remove "
        f"{card.name}` removes it."
    )
    return WeightsRejected(f"{_difference(verdict)} {cure}")


def _absent(card: ModelCard, file: WeightFile) -> ModelUnavailable:
    if is_packaged(file):
        return ModelUnavailable(
            f"{file.name} of {card.name} is missing from the installed package. Install limner "
            "again."
        )
    if not file.sources:
        return ModelUnavailable(
            f"{file.name} of {card.name} is not where it was. Put it back, or tell Limner where "
            "it lies now: `limner models add PATH`."
        )
    return ModelUnavailable(
        f"The weights of {card.name} are not here ({card.bytes / 1e6:.1f} MB). Run `limner "
        f"models pull {card.name}`."
    )

"""Models of hub repositories, pinned: commit, size and sha256 of every file, kept in the home."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

from pydantic import ValidationError

from limner.catalog.checkpoint import recognise
from limner.catalog.disk import inside, storage_errors, write_whole
from limner.catalog.repository import (
    Asked,
    Listing,
    fetch_small,
    list_files,
    published_as,
)
from limner.catalog.selection import (
    CONFIG,
    is_weights,
    needs_index,
    of_descriptions,
    of_file,
    of_network,
    of_pipeline,
)
from limner.catalog.shelf import Presence, Shelf
from limner.catalog.wire import Hub
from limner.domain.capability import Capability
from limner.domain.card import UNSTATED, HubSource, Licence, ModelCard, WeightFile
from limner.domain.errors import InvalidOption, LimnerError
from limner.domain.event import Notice
from limner.families.diffusion.recognition.folders import INDEX
from limner.families.family import Family, Watch

_LONGEST = 16 * 1024 * 1024


@dataclass(frozen=True)
class Pins:
    """Cards of pinned models, each in a JSON file; and what those that are here can do."""

    folder: Path
    shelf: Shelf
    families: Mapping[str, Family]

    def all(self) -> tuple[ModelCard, ...]:
        """Return the pinned cards, in order of their names; a damaged one is none."""
        names = sorted(path.stem for path in self.folder.glob("*.json"))
        return tuple(card for name in names if (card := self.get(name)) is not None)

    def get(self, name: str) -> ModelCard | None:
        """Return the pinned card of a name; whether letters are large or small does not count."""
        lowered = f"{name}.json".lower()
        path = next(
            (one for one in self.folder.glob("*.json") if one.name.lower() == lowered), None
        )
        if path is None:
            return None
        try:
            if path.stat().st_size > _LONGEST:
                return None
            card = ModelCard.model_validate_json(path.read_bytes())
        except (OSError, ValidationError):
            return None
        return card if card.name == path.stem else None

    def of(self, asked: Asked) -> ModelCard | None:
        """Return the card that was pinned of a repository, or of the file of it that is asked."""
        cards = [
            card
            for card in self.all()
            if repository_of(card) == asked.repository.lower()
            and is_described(card) is asked.descriptions
        ]
        if asked.file:
            alone = (card for card in cards if [one.name for one in card.files] == [asked.file])
            return next(alone, None)
        cards.sort(key=lambda card: -len(card.files))
        return cards[0] if len(cards) == 1 or (cards and len(cards[0].files) > 1) else None

    def lenders(self) -> tuple[Path, ...]:
        """Return the folders and single files of pinned models, which may lend parts."""
        return tuple(
            self.shelf.folder(card)
            if len(card.files) > 1
            else self.shelf.target(card, card.files[0])
            for card in self.all()
        )

    def pin(self, card: ModelCard) -> None:
        """Keep a card; raises StorageFailed."""
        path = self.folder / f"{card.name}.json"
        with storage_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, card.model_dump_json(indent=0).encode())

    def forget(self, card: ModelCard) -> None:
        """Keep a card no longer."""
        path = self.folder / f"{card.name}.json"
        with storage_errors(path):
            path.unlink(missing_ok=True)

    def settled(self, pinned: ModelCard) -> ModelCard:
        """Return the card of a pinned model as its family knows it, where its files are here."""
        if self.shelf.presence(pinned) is not Presence.HERE:
            return pinned
        try:
            return self.recognised(pinned)
        except LimnerError:
            return pinned

    def recognised(self, pinned: ModelCard) -> ModelCard:
        """Return the card of a pinned model that is here as its family knows it.

        Read from headers: every file counts as what it was pinned as; loading verifies that.
        Raises ModelNotFound or WeightsRejected where no family draws with it.
        """
        places = {self.shelf.target(pinned, file): file for file in pinned.files}
        whole = {INDEX, CONFIG} & {file.name for file in pinned.files}
        start = self.shelf.folder(pinned) if whole else next(iter(places))

        def pinned_hash(path: Path) -> str:
            return places[path].sha256 if path in places else self.shelf.digests.of(path)

        card = recognise(start, self.families.values(), pinned_hash)
        self.shelf.remember({file.sha256: path for path, file in places.items()})
        sources = {file.sha256: file.sources for file in pinned.files}
        files = tuple(
            file.model_copy(update={"sources": sources.get(file.sha256, ())}) for file in card.files
        )
        changes = {
            "name": pinned.name,
            "files": files,
            "homepage": pinned.homepage,
            "licence": _stricter(pinned.licence, card.licence),
        }
        return card.model_copy(update=changes)


@dataclass(frozen=True)
class Pinning:
    """Asks a hub what a repository holds, and pins what a model of it needs."""

    hub: Hub
    pins: Pins
    watch: Watch

    def run(self, asked: Asked, variant: str | None, taken: Iterable[str]) -> ModelCard:
        """Return the new pin of what is asked; `taken` are names that other models have.

        Small files, which the hub lists no sha256 of, are here then. Raises ModelNotFound,
        InvalidOption, WeightsRejected and PullFailed.
        """
        listing = self._listing(asked)
        if listing.gated:
            self.watch.tell(_gated(listing, self.hub))
        fetched: dict[str, bytes] = {}

        def small(name: str) -> bytes:
            fetched[name] = fetch_small(self.hub, listing, name, self.watch.token)
            return fetched[name]

        names = _choose(listing, asked, variant, small)
        wanted = names[0] if len(names) == 1 else listing.repository
        if asked.descriptions:
            wanted = f"{listing.repository}-descriptions"
        name = _name(wanted, listing, taken)
        for each in names:
            inside(self.pins.folder, each)
            if each not in fetched and not listing.files[each].sha256:
                small(each)
        files = tuple(_file(listing, each, fetched) for each in names)
        card = _card(name, listing, files, self.hub)
        for file in files:
            if file.name in fetched:
                _put(self.pins.shelf.target(card, file), fetched[file.name])
        self.pins.pin(card)
        return card

    def _listing(self, asked: Asked) -> Listing:
        """Return what a repository holds, on the terms that Limner knows, else as it states."""
        listing = list_files(self.hub, asked, self.watch.token)
        known = published_as(asked.repository, self.pins.families.values())
        return listing if known is None else replace(listing, licence=known.licence)


def commit_of(card: ModelCard) -> str:
    """Return the commit that a card is pinned to; empty where it is of no hub."""
    return next((one.revision for one in _sources(card)), "")


def repository_of(card: ModelCard) -> str:
    """Return the repository that a card is pinned to, in lower case; empty where there is none."""
    return next((one.repository.lower() for one in _sources(card)), "")


def is_described(card: ModelCard) -> bool:
    """Whether a pinned card has the descriptions of a model alone, and no weights."""
    return not any(is_weights(file.name) for file in card.files)


def _sources(card: ModelCard) -> Iterator[HubSource]:
    every = (source for file in card.files for source in file.sources)
    return (source for source in every if isinstance(source, HubSource))


def _choose(
    listing: Listing, asked: Asked, variant: str | None, small: Callable[[str], bytes]
) -> tuple[str, ...]:
    if asked.descriptions:
        if asked.file or variant or not needs_index(listing):
            raise InvalidOption(
                "--descriptions is for whole diffusers folders: name no file of one and no "
                "--variant, and leave it out for other repositories."
            )
        return of_descriptions(listing, small(INDEX))
    if not asked.file and needs_index(listing):
        return of_pipeline(listing, small(INDEX), variant)
    if not asked.file and CONFIG in listing.files:
        return of_network(listing, variant)
    if variant:
        raise InvalidOption("A single file has no variants. Leave --variant out.")
    return of_file(listing, asked.file)


def _name(wanted: str, listing: Listing, taken: Iterable[str]) -> str:
    """Return what a model is called: as its file or repository, unless another is called so."""
    stem = Path(wanted).stem if wanted in listing.files else wanted.partition("/")[2]
    plain = re.sub(r"[^A-Za-z0-9._+-]+", "-", stem).strip("-.") or "model"
    if plain.lower() not in {name.lower() for name in taken}:
        return plain
    owner = listing.repository.partition("/")[0]
    longer = f"{owner}-{plain}"
    if longer.lower() in {name.lower() for name in taken}:
        longer = f"{longer}-{listing.commit[:7]}"
    return longer


def _file(listing: Listing, name: str, fetched: Mapping[str, bytes]) -> WeightFile:
    listed, content = listing.files[name], fetched.get(name)
    return WeightFile(
        name=name,
        sha256=listed.sha256 if content is None else sha256(content).hexdigest(),
        bytes=listed.bytes if content is None else len(content),
        sources=(listing.source(name),),
    )


def _card(name: str, listing: Listing, files: tuple[WeightFile, ...], hub: Hub) -> ModelCard:
    weighs = any(is_weights(file.name) for file in files)
    return ModelCard(
        name=name,
        title=listing.repository if weighs else f"Descriptions of {listing.repository}",
        summary=f"{listing.repository} at {listing.commit[:12]}.",
        family="",
        variant="",
        files=files,
        licence=listing.licence,
        homepage=hub.page(listing.repository),
        capability=Capability(tasks=()),
    )


def terms(licence: Licence) -> str:
    """Return what a licence is called and allows, for people."""
    if licence.spdx == UNSTATED:
        return "no licence is stated, commercial use is not allowed"
    allowed = "is allowed" if licence.commercial else "is not allowed"
    return f"{licence.spdx}, commercial use {allowed}"


def _gated(listing: Listing, hub: Hub) -> Notice:
    return Notice(
        "gated",
        f"{listing.repository} asks for consent to its terms ({terms(listing.licence)}), which "
        f"are at {hub.page(listing.repository)}.",
    )


def _put(path: Path, content: bytes) -> None:
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, content)


def _stricter(said: Licence, known: Licence) -> Licence:
    """Return the terms that count: who made more of a model cannot allow more than its makers."""
    if said.spdx == UNSTATED or (known.spdx != UNSTATED and not known.commercial):
        return known if known.spdx != UNSTATED else said
    return said

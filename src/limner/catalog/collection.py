"""What lies in the user's places: found once, kept, and found anew when a folder has changed."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from itertools import chain, islice
from pathlib import Path

from limner.catalog.checkpoint import recognise
from limner.catalog.disk import write_whole
from limner.catalog.places import Places, whole_path
from limner.catalog.programs import folders_of, missing_of, roots_of
from limner.catalog.trees import WEIGHTS, Entry, scan
from limner.domain.card import UNSTATED, ModelCard
from limner.domain.errors import InvalidRequest, LimnerError, ModelNotFound, WeightsRejected
from limner.families.checkpoint import own_name
from limner.families.diffusion.recognition.finding import Finding, Kind
from limner.families.family import Family

_MOST_FOLDERS = 20_000
"""Folders of one place whose changes are watched."""

_LISTS = (".yaml", ".yml")

_PARTS = frozenset(
    {
        Kind.LENDER,
        Kind.AUTOENCODER,
        Kind.PREVIEW,
        Kind.TEXT_ENCODER,
        Kind.IMAGE_ENCODER,
        Kind.EMBEDDING,
    }
)

_LENDING = frozenset({Kind.LENDER, Kind.AUTOENCODER, Kind.TEXT_ENCODER})

_UNREAD = "0" * 64
"""The sha256 of every file while only headers are read."""


@dataclass(frozen=True)
class Found:
    """A file or folder in one of the user's places, and what it is.

    `usable` says whether `--model` or `--adapter` takes its name; `reason` says what it is, or
    why it is not usable. `bytes` is what it takes on the disk, `changed` when it did last (ns),
    `described` its card as JSON, whose digests are not true.
    """

    name: str
    path: Path
    kind: str
    family: str
    variant: str
    bytes: int
    licence: str
    commercial: bool
    usable: bool
    reason: str
    changed: int = 0
    described: str = field(default="", repr=False)


class Collection:
    """Everything in the user's places. What was found is kept, with when each folder changed."""

    def __init__(self, kept: Path, places: Places, families: Mapping[str, Family]) -> None:
        self.places = places
        self._kept = kept
        self._families = families

    def add(self, path: Path) -> tuple[Found, ...]:
        """Keep a place and return what is in it.

        Raises ModelNotFound where there is nothing that could be a model, WeightsRejected for a
        single file that is refused, InvalidRequest for a list of folders that cannot be read, and
        StorageFailed.
        """
        place = whole_path(path)
        if not is_here(place):
            raise ModelNotFound(f"There is no file or folder {path}. Check the path.")
        found = self._look_through(place)
        if not found:
            raise ModelNotFound(
                f"{path} holds no model, part or adapter that Limner knows of. Give the file or "
                "folder of a model, or the folder of ComfyUI, A1111, Forge or InvokeAI."
            )
        if place.is_file() and [one.kind for one in found] == [Kind.REFUSED]:
            raise WeightsRejected(found[0].reason)
        self.places.add(place)
        self._keep({str(place): _Kept(found, _stamps(place, found))})
        return found

    def forget(self, path: Path) -> bool:
        """Keep a place no longer; return whether it was kept. Raises StorageFailed."""
        if not self.places.forget(path):
            return False
        self._keep({})
        return True

    def all(self) -> tuple[Found, ...]:
        """Return everything in the places, those that changed looked through again."""
        kept = self._read()
        anew: dict[str, _Kept] = {}
        for place in self.places.paths():
            before = kept.get(str(place))
            if not is_here(place) or (before is not None and not before.is_stale()):
                continue
            with suppress(LimnerError):  # a list of folders that cannot be read any more
                found = self._look_through(place, before.found if before else ())
                anew[str(place)] = _Kept(found, _stamps(place, found))
        if anew:
            self._keep(anew)
        return self._distinct({**kept, **anew})

    def named(self, name: str) -> tuple[Found, ...]:
        """Return what is usable under a name; places are looked through again only if nothing is.

        The case of letters counts only where two names differ by nothing else.
        """
        found = _called(name, self._distinct(self._read()))
        return found or _called(name, self.all())

    def lenders(self) -> tuple[Path, ...]:
        """Return what in the places may lend parts of it, in order of their names."""
        return tuple(
            one.path
            for one in self.all()
            if one.kind in _LENDING or (one.usable and one.kind == Kind.PIPELINE)
        )

    def names(self) -> tuple[str, ...]:
        """Return the names of what was usable when the places were last looked through."""
        return tuple(one.name for one in self._distinct(self._read()) if one.usable)

    def unusable(self, name: str) -> Found | None:
        """Return what is called so in the places and cannot be used, with the reason."""
        wanted = name.lower()
        return next(
            (
                one
                for one in self._distinct(self._read())
                if not one.usable and wanted in (one.name.lower(), one.path.name.lower())
            ),
            None,
        )

    def missing(self, path: Path) -> tuple[Path, ...]:
        """Return the folders that a list of folders names and that are not here."""
        place = whole_path(path)
        if place.suffix.lower() not in _LISTS or not place.is_file():
            return ()
        return missing_of(place)

    def within(self, path: Path) -> tuple[Found, ...]:
        """Return what was found in a place, or at or under a path in one."""
        wanted, every = whole_path(path), self.all()
        kept = self._read().get(str(wanted))
        if kept is not None and wanted in self.places.paths():
            return tuple(one for one in kept.found if is_here(one.path))
        return tuple(one for one in every if one.path.is_relative_to(wanted))

    def holds(self, path: Path) -> bool:
        """Whether a path lies in a place that is kept."""
        looked_for = whole_path(path)
        return any(looked_for.is_relative_to(place) for place in self.places.paths())

    def _look_through(self, place: Path, before: Sequence[Found] = ()) -> tuple[Found, ...]:
        """Return what is in a place; usable files of `before` that did not change are not read."""
        known = {
            one.path: one
            for one in before
            if one.usable and one.path.is_file() and one.changed == _changed(one.path)
        }
        if place.suffix.lower() in _LISTS and place.is_file():
            return self._looked(folders_of(place), known)
        card = None
        with suppress(LimnerError):
            card = recognise(place, self._families.values(), lambda _: _UNREAD)
        if card is not None:
            return (_usable(place, card, _kind_of(card)),)
        if place.is_file() and place.suffix.lower() not in WEIGHTS:
            return ()
        return self._looked([place], known)

    def _looked(self, folders: Sequence[Path], known: Mapping[Path, Found]) -> tuple[Found, ...]:
        def recall(path: Path) -> Finding | None:
            one = known.get(whole_path(path))
            return None if one is None else Finding(Kind(one.kind), one.reason, one.family)

        found: dict[Path, Found] = {}
        for entry in scan(folders, recall=recall):
            one = known.get(whole_path(entry.path)) or self._found(entry)
            found.setdefault(one.path, one)
        return tuple(found.values())

    def _found(self, entry: Entry) -> Found:
        kind, family = entry.found.kind, entry.found.family
        seen = Found(
            name=own_name(entry.path),
            path=whole_path(entry.path),
            kind=kind,
            family=family,
            variant=entry.found.variant,
            bytes=_size(entry.path),
            licence=UNSTATED,
            commercial=False,
            usable=False,
            reason=entry.found.reason,
        )
        if kind is Kind.REFUSED or kind in _PARTS:
            return seen
        reasons = []
        for path in _ways_in(entry.path):
            try:
                card = recognise(path, self._likely(kind, family), lambda _: _UNREAD)
            except ModelNotFound:
                continue
            except LimnerError as error:
                reasons.append(error.message)
                continue
            return _usable(whole_path(path), card, kind)
        return replace(seen, reason=_told_once(seen.reason, *reasons))

    def _likely(self, kind: str, family: str) -> Sequence[Family]:
        """Return the families to ask, the one that will most likely know first."""
        first = "adapter" if kind == Kind.ADAPTER else family
        return sorted(self._families.values(), key=lambda one: one.name != first)

    def _distinct(self, kept: Mapping[str, "_Kept"]) -> tuple[Found, ...]:
        """Return what was found in the places and is still there, each path once."""
        every = chain.from_iterable(
            kept[str(place)].found for place in self.places.paths() if str(place) in kept
        )
        found = {one.path: one for one in every if is_here(one.path)}
        return tuple(sorted(found.values(), key=lambda one: (one.name.lower(), str(one.path))))

    def _keep(self, anew: Mapping[str, "_Kept"]) -> None:
        """Write what was found, where the disk lets us: it can be found again."""
        places = {str(place) for place in self.places.paths()}
        both = {**self._read(), **anew}
        content = {
            "limner": version("limner"),
            "places": {
                place: {"folders": one.stamps, "found": [_written(entry) for entry in one.found]}
                for place, one in both.items()
                if place in places
            },
        }
        with suppress(OSError):
            self._kept.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self._kept, json.dumps(content, indent=0).encode())

    def _read(self) -> dict[str, "_Kept"]:
        """Return what was found before; nothing where another Limner found it."""
        try:
            content = json.loads(self._kept.read_bytes())
            if content["limner"] != version("limner"):
                return {}
            return {
                str(place): _Kept(
                    tuple(Found(**{**one, "path": Path(one["path"])}) for one in entry["found"]),
                    {str(folder): int(time) for folder, time in entry["folders"].items()},
                )
                for place, entry in content["places"].items()
            }
        except (OSError, ValueError, RecursionError, KeyError, TypeError, AttributeError):
            return {}


@dataclass(frozen=True)
class _Kept:
    """What was found in a place, and when its folders had changed then (ns)."""

    found: tuple[Found, ...]
    stamps: Mapping[str, int]

    def is_stale(self) -> bool:
        return any(_changed(Path(folder)) != time for folder, time in self.stamps.items())


def _told_once(*reasons: str) -> str:
    """Return reasons one after the other, without those that another tells with more."""
    every = tuple(dict.fromkeys(reasons))

    def told(one: str) -> bool:
        said = one.rstrip(".").lower()
        return any(said in more.lower() for more in every if more != one)

    return " ".join(one for one in every if not told(one))


def _written(found: Found) -> dict[str, object]:
    return {**asdict(found), "path": str(found.path)}


def _called(name: str, found: Iterable[Found]) -> tuple[Found, ...]:
    """Return what is usable and has a name, by its card or by its path."""
    usable = [one for one in found if one.usable]
    exact = tuple(one for one in usable if name in (one.name, own_name(one.path)))
    return exact or tuple(one for one in usable if one.name.lower() == name.lower())


def _usable(path: Path, card: ModelCard, kind: str) -> Found:
    """Return what a family knows as a model."""
    return Found(
        name=card.name,
        path=path,
        kind=kind,
        family=_family_of(card),
        variant=card.variant if card.capability.tasks else "",
        bytes=card.bytes,
        licence=card.licence.spdx,
        commercial=card.licence.commercial,
        usable=True,
        reason=card.summary,
        changed=_changed(path) or 0,
        described=card.model_dump_json(),
    )


def _family_of(card: ModelCard) -> str:
    """Return the family that a model is of or for; that of an adapter where it can be told."""
    able = card.capability
    if able.adapting:
        return able.adapts
    return able.steers or card.family


def _kind_of(card: ModelCard) -> Kind:
    able = card.capability
    if able.adapting:
        return Kind.ADAPTER
    if able.steers:
        return Kind.CONTROL
    if able.refers:
        return Kind.REFERENCE
    return Kind.PIPELINE if able.tasks and len(card.files) > 1 else Kind.CHECKPOINT


def _ways_in(path: Path) -> Iterator[Path]:
    """Yield what a family may know a model by: its file or folder, or the folder of its config."""
    yield path
    if path.is_file() and (path.parent / "config.json").is_file():
        yield path.parent


def _stamps(place: Path, found: Sequence[Found]) -> dict[str, int]:
    """Return when the folders of a place changed that could hold something new."""
    folders = {place: None, **dict.fromkeys(one.path.parent for one in found)}
    roots: tuple[Path, ...] = ()
    if place.suffix.lower() in _LISTS and place.is_file():
        with suppress(InvalidRequest):
            roots = folders_of(place)
    elif place.is_dir():
        roots = roots_of(place)
    for root in islice(chain.from_iterable(map(_folders, roots)), _MOST_FOLDERS):
        folders[root] = None
    return {str(folder): time for folder in folders if (time := _changed(folder)) is not None}


def _folders(root: Path) -> Iterator[Path]:
    for folder, inner, _ in os.walk(root):
        inner[:] = [name for name in inner if not name.startswith(".")]
        yield Path(folder)


def _changed(path: Path) -> int | None:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return None


def is_here(path: Path) -> bool:
    """Whether there is something at a path that can be told to be there."""
    try:
        return path.exists()
    except OSError:
        return False


def _size(path: Path) -> int:
    """Return the bytes of a file, or of the weights in a folder."""
    try:
        if path.is_file():
            return path.stat().st_size
        inner = islice(path.rglob("*"), _MOST_FOLDERS)
        return sum(one.stat().st_size for one in inner if one.is_file())
    except OSError:
        return 0

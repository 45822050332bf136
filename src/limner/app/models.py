"""The use cases on models: choose, list, add, forget, pull, verify, remove."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from shlex import quote

from limner.catalog.catalog import Catalog
from limner.catalog.collection import Found, is_here
from limner.catalog.digests import SMALL
from limner.catalog.pins import commit_of
from limner.catalog.repository import parse, published_as
from limner.catalog.shelf import built_in
from limner.domain.card import Installed, Licence, ModelCard
from limner.domain.errors import InvalidOption, InvalidRequest, ModelNotFound, ModelUnavailable
from limner.domain.event import CancelToken, Happening, Notice
from limner.domain.naming import close_to
from limner.domain.recipe import AdapterRef, ModelRef, Task
from limner.families.family import Borrows, Family, Watch

_FIRST_CHOICE = {
    Task.TEXT_TO_IMAGE: "vellum",
    Task.IMAGE_TO_IMAGE: "vellum",
    Task.INPAINT: "vellum",
    Task.OUTPAINT: "vellum",
    Task.UPSCALE: "realesr-fast",
    Task.ERASE: "migan",
    Task.CUTOUT: "u2netp",
}

_JUDGE = "open-nsfw"


@dataclass
class Models:
    """Models by name and task; the one place that decides which model does a task unasked."""

    catalog: Catalog
    offline: bool = False

    def __post_init__(self) -> None:
        self._chosen: dict[str, ModelCard] = {}

    @property
    def families(self) -> Mapping[str, Family]:
        """Every installed family by name."""
        return self.catalog.families

    def choose(self, name: str | None, task: Task) -> ModelCard:
        """Return the card that does a task: the one named (or at a path), or the first choice.

        Raises ModelNotFound, or InvalidOption where the named model does not do the task.
        """
        name = name or _FIRST_CHOICE.get(task)
        if name is None:
            raise InvalidOption(
                f"No model inside Limner does {task.value}. Name one that does, or its folder."
            )
        card = self._usable(name)
        if card.capability.uses and not (card.capability.tasks or card.capability.judges):
            raise InvalidOption(
                f"{card.name} draws nothing by itself: it is {', '.join(card.capability.uses)}. "
                "Name a model with --model, and this beside it."
            )
        if not card.capability.supports(task):
            every = (*self.catalog.cards(), *self.catalog.own())
            can = dict.fromkeys(one.name for one in every if one.capability.supports(task))
            raise InvalidOption(
                f"{card.name} does not do {task.value}. These do: {', '.join(can)}."
            )
        self._chosen[card.weights_digest] = card
        return card

    def named(self, name: str) -> ModelCard:
        """Return the card of a name or path; a Recipe may name it from now on."""
        card = self._usable(name)
        self._chosen[card.weights_digest] = card
        return card

    def _usable(self, name: str, weights: str | None = None) -> ModelCard:
        card = self.catalog.find(name, weights)
        if card.family:
            return card
        if self.catalog.installed(card):
            return self.catalog.recognise(card)
        raise ModelUnavailable(
            f"{card.name} is not here whole. Run `limner models pull {card.name}`."
        )

    def own(self) -> tuple[ModelCard, ...]:
        """The cards of the models that people have told Limner of, from headers alone.

        Only what `named` returns has true digests.
        """
        return self.catalog.own()

    def names(self) -> tuple[str, ...]:
        """Return the names of all models and adapters that are known."""
        return (*self.catalog.names(), *(one.name for one in self.found() if one.usable))

    def found(self) -> tuple[Found, ...]:
        """Return what lies in the user's places, usable or not."""
        return self.catalog.found()

    def add(self, path: Path) -> tuple[Found, ...]:
        """Tell Limner of a file, a folder or a list of folders; return what lies there.

        Raises ModelNotFound where that is nothing, WeightsRejected for a file that is refused.
        """
        found = self.catalog.collection.add(path)
        lenders = self.catalog.lenders()
        return tuple(self._told(one, lenders) for one in found)

    def _told(self, found: Found, lenders: Sequence[Path]) -> Found:
        """Return what was found, its reason saying what it lacks to be drawn with."""
        family = self.catalog.families.get(found.family)
        if not (found.usable and isinstance(family, Borrows)):
            return found
        return replace(found, reason=family.lacks(found.path, lenders) or found.reason)

    def within(self, path: Path) -> tuple[Found, ...]:
        """Return what lies at a path, in one of the user's places; raises ModelNotFound."""
        found = self.catalog.collection.within(path)
        if not found:
            raise ModelNotFound(
                f"{path} is not among the places of your models. `limner models add {path}` makes "
                "it one."
            )
        return found

    def takes_reading(self, found: Sequence[Found]) -> bool:
        """Whether there are usable files large enough that their digests are kept once read."""
        return any(one.usable and one.bytes > SMALL for one in found)

    def identify(
        self, found: Sequence[Found], tell: Callable[[Happening], None], token: CancelToken
    ) -> None:
        """Read what is usable now, so that its first use need not; raises Cancelled."""
        with self.telling(tell, token):
            for one in found:
                if one.usable:
                    self.catalog.identify(one)

    def telling(
        self, tell: Callable[[Happening], None], token: CancelToken
    ) -> AbstractContextManager[None]:
        """Tell, while this is entered, how far the reading of large files is (in this thread)."""
        return self.catalog.telling(Watch(tell, token))

    def state_licence(self, name: str, licence: Licence | None) -> ModelCard:
        """Keep what a person states of the licence of a model of theirs; None takes it back.

        It counts for exactly these weights. Raises InvalidRequest for a model whose terms Limner
        knows itself, ModelNotFound and WeightsRejected as `named` does, and StorageFailed.
        """
        card = self.catalog.state_licence(name, licence)
        self._chosen[card.weights_digest] = card
        return card

    def forget(self, path: Path) -> None:
        """Know a place no longer; its files stay. A model that is a place goes by its name, too.

        Raises ModelNotFound for one that is not kept, InvalidRequest for what lies in one.
        """
        collection = self.catalog.collection
        if not collection.forget(path):
            lies = collection.named(str(path))
            if len(lies) == 1 and collection.forget(lies[0].path):
                return
            within = lies[0].path if lies else path
            for place in self.catalog.places.paths():
                if within.absolute().is_relative_to(place):
                    raise InvalidRequest(
                        f"{path} is in {place}, which Limner looks through as a whole. `limner "
                        f"models forget {quote(str(place))}` forgets all that is in it."
                    )
            places = "".join(f"\n  - {one}" for one in self.catalog.places.paths())
            known = f" These are known:{places}" if places else " None is known."
            raise ModelNotFound(f"{path} is not among the places of your models.{known}")

    def adapter(self, text: str, model: ModelCard) -> AdapterRef:
        """Return the adapter for a model that `FILE[:WEIGHT[:TEXT_WEIGHT]]` names, or its name.

        The weight is 1 unless it is said; that in the text encoders is the same unless it is
        said. One that may be for several families is tried on by the model when it draws. Raises
        ModelNotFound, WeightsRejected, or InvalidOption for a weight that is no number, for what
        is no adapter, or one for another family.
        """
        name, weight, text_weight = _split_weights(text)
        try:
            card = self._usable(name)
        except ModelNotFound as error:
            if is_here(Path(name)):
                raise
            raise self._no_adapter(name) from error
        fitting = card.capability.adapting
        if not fitting:
            raise InvalidOption(f"{name} is a model, not an adapter. Name it with --model.")
        if model.capability.adapters and model.family not in fitting:
            raise InvalidOption(
                f"{card.name} is an adapter for {' or '.join(fitting)}; {model.name} is "
                f"{model.family}. Choose an adapter for this family, or a model of that one."
            )
        self._chosen[card.weights_digest] = card
        return AdapterRef(
            name=card.name,
            sha256=card.weights_digest,
            weight=weight,
            text_weight=text_weight,
        )

    def _no_adapter(self, name: str) -> InvalidOption | ModelNotFound:
        """Return why nothing is called so: a weight that is none, a file or a name that is not."""
        file, colon, weight = name.rpartition(":")
        if colon and len(file) > 1 and not set(weight) & set("/\\."):
            return InvalidOption(
                f"The weight of {file[:200]} must be a number, not “{weight[:40]}”. Write it like "
                f"{file[:200]}:0.8."
            )
        if set(name) & set("/\\"):
            return ModelNotFound(
                f"There is no file {name[:200]}. Give the file of an adapter, or the name of one "
                "that `limner models list` shows."
            )
        cards = (*self.catalog.cards(), *self.own())
        adapters = [one.name for one in cards if one.capability.adapting]
        close = close_to(name, adapters)
        hint = f" Did you mean {' or '.join(close)}?" if close else ""
        return ModelNotFound(
            f"No adapter is called “{name[:100]}”.{hint} `limner models list` shows those that are "
            "here; `limner models add PATH` tells Limner of yours."
        )

    def request(
        self,
        name: str,
        variant: str | None,
        tell: Callable[[Happening], None],
        token: CancelToken,
        descriptions: bool = False,
    ) -> ModelCard:
        """Return the card to pull: by a known name, or `OWNER/NAME[@REVISION][:FILE]` of the hub.

        A repository is pinned at its commit, and told of; with `descriptions`, without weights. A
        published model goes by the name of its repository alone, too. Raises InvalidOption,
        ModelNotFound and PullFailed.
        """
        known = published_as(name, self.catalog.families.values())
        here = known is None or name in self.catalog.names()
        if "/" not in name and here and not descriptions:
            if variant:
                raise InvalidOption(
                    f"--variant is for a repository that is not here yet; {name} has the files "
                    "that it was pinned with."
                )
            return self.catalog.find(name)
        asked = replace(parse(known.repository if known else name), descriptions=descriptions)
        card = self.catalog.request(asked, variant, Watch(tell, token))
        size, unit = (card.bytes / 1e9, "GB") if card.bytes >= 1e7 else (card.bytes / 1e6, "MB")
        tell(
            Notice(
                "pinned",
                f"{card.name} is {asked.repository} at commit {commit_of(card)[:12]}: "
                f"{len(card.files)} files, {size:.2f} {unit}.",
            )
        )
        return card

    def judge(self) -> ModelCard:
        """Return the card of the model that judges finished pictures."""
        return self.catalog.find(_JUDGE)

    def card_of(self, ref: ModelRef) -> ModelCard:
        """Return the card a Recipe names, with exactly the weights it names.

        Raises ModelNotFound, or ModelUnavailable where the weights are not the same.
        """
        card = self._chosen.get(ref.sha256) or self._usable(ref.name, ref.sha256)
        if card.weights_digest != ref.sha256:
            own = not all(file.sources or built_in(card) for file in card.files)
            cure = "Put those weights back" if own else "Install the version of Limner that made it"
            raise ModelUnavailable(
                f"This Recipe was made with other weights of {ref.name} ({ref.sha256[:12]}…) than "
                f"those known here ({card.weights_digest[:12]}…). {cure}, or draw the prompt anew."
            )
        return card

    def locate(self, ref: ModelRef) -> Installed:
        """Return the verified weights a Recipe names; what the engine asks."""
        return self.catalog.locate(self.card_of(ref))

    def make_ready(
        self, ref: ModelRef, tell: Callable[[Happening], None], token: CancelToken
    ) -> None:
        """Pull a model's weights if they are not here, unless fetching is switched off."""
        card = self.card_of(ref)
        if not self.catalog.installed(card) and not self.offline:
            self.catalog.pull(card, tell, token)


_MOST_WEIGHT = 10.0


def _split_weights(text: str) -> tuple[str, float, float | None]:
    """Split `FILE:0.8:0.4` into the file, its weight, and that in the text encoders if another.

    A colon that no number follows belongs to the file.
    """
    rest, last = _split_weight(text)
    name, first = _split_weight(rest)
    if first is None:
        return rest, 1.0 if last is None else last, None
    return name, first, None if last == first else last


def _split_weight(text: str) -> tuple[str, float | None]:
    """Split `FILE:0.8` into its parts, None where there is no number."""
    name, colon, number = text.rpartition(":")
    try:
        weight = float(number) if colon and name else None
    except ValueError:
        weight = None
    if weight is None:
        return text, None
    if not -_MOST_WEIGHT <= weight <= _MOST_WEIGHT:
        raise InvalidOption(
            f"The weight of {name} must be {-_MOST_WEIGHT:g} to {_MOST_WEIGHT:g}, not {number}."
        )
    return name, weight

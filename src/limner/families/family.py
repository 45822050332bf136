"""The Family seam: recognise a checkpoint, load it, perform recipes with it.

Families are found through the entry-point group `limner.families`; the built-in ones register
there like any other. Nothing here, and nothing a family imports at its top level, loads a
runtime: that happens in `load`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from limner.domain.card import Installed, Licence, ModelCard
from limner.domain.event import CancelToken, Happening
from limner.domain.recipe import InputRole, Recipe, Size, Task

Hash = Callable[[Path], str]
"""Returns the sha256 of a file as 64 hexadecimal digits; what did not change is not read twice."""

Pixels = npt.NDArray[np.uint8]
"""A picture: height × width × 4, straight (not premultiplied) RGBA, 8 bits, sRGB."""


def _keep_all(_: int) -> None:
    return


def _tell_nobody(_: Happening) -> None:
    return


@dataclass(frozen=True)
class Placement:
    """Where and how a model runs: what the engine decided, not the Recipe.

    `make_room` lets other models go until that many bytes are free, or none is left to go; it may
    be called while the model draws, too, which stays. `size`
    is what is drawn first, None where that is not known; `tell` is told what had to be done.
    `beside` are the files of what takes part in what is drawn first: ControlNets, what sees
    references, adapters. Room is left for them. `shown` is how many pictures a model that
    sees by itself reads with the one it draws first.
    """

    threads: int
    make_room: Callable[[int], None] = _keep_all
    size: Size | None = None
    tell: Callable[[Happening], None] = _tell_nobody
    beside: tuple[Path, ...] = ()
    shown: int = 0


def count_shown(recipe: Recipe) -> int:
    """Return how many pictures a model that sees by itself reads with the one it draws."""
    return len(recipe.references) + (recipe.task is Task.EDIT)


@dataclass(frozen=True)
class Order:
    """One Recipe with its pictures and the models that take part in it, ready to be performed.

    `controls`, `references` and `regions` (the masks of a layout, None for a box) are in the
    order of the Recipe's. `parts` holds the files of its adapters, ControlNets and kin (file
    name → path) by their weights digests.
    """

    recipe: Recipe
    inputs: Mapping[InputRole, Pixels] = field(default_factory=dict)
    controls: tuple[Pixels, ...] = ()
    references: tuple[Pixels, ...] = ()
    regions: tuple[Pixels | None, ...] = ()
    parts: Mapping[str, Mapping[str, Path]] = field(default_factory=dict)

    def file_of(self, part: str) -> Path:
        """Return the file of a part that is one file, by its weights digest."""
        return next(iter(self.parts[part].values()))


@dataclass(frozen=True)
class Watch:
    """How a model tells what happens and learns that it should stop.

    `index` of the first order is `first`: a model numbers its events `first + position`.
    """

    tell: Callable[[Happening], None]
    token: CancelToken
    first: int = 0


class Outgrown(MemoryError):
    """A model in memory lacks room for a picture that it could draw, were it loaded for it."""


class Held(Protocol):
    """What is true of anything held in memory, whatever it does."""

    @property
    def bytes(self) -> int:
        """Memory it holds, in bytes, as near as can be told."""

    def close(self) -> None:
        """Give the memory back."""


@runtime_checkable
class LoadedModel(Held, Protocol):
    """A model in memory that draws. Used from one thread at a time."""

    @property
    def libraries(self) -> tuple[tuple[str, str], ...]:
        """The libraries that decide its numbers, as (name, version)."""

    @property
    def dtype(self) -> str:
        """The number format it computes in."""

    @property
    def device(self) -> str:
        """Where it computes: `cpu`, `cuda` or another of torch's names."""

    @property
    def fitting(self) -> str:
        """How it was made to fit into memory where that may change pixels, else empty."""

    def perform(self, orders: Sequence[Order], watch: Watch) -> list[Pixels]:
        """Draw every order, all of one native size and step count; see `Order` and `Watch`.

        The pixels of an order do not depend on the others, unless its Recipe asks for a way of
        drawing that may change them. Checks the token at
        least once per step and raises Cancelled. Raises MemoryError where memory runs out, Outgrown
        where loading it anew would help, OutOfMemory where that is known to be of no use,
        WeightsRejected where a part does not fit, InvalidRequest for what cannot be drawn.
        """


@runtime_checkable
class Judge(Held, Protocol):
    """A model in memory that draws nothing and looks. Used from one thread at a time."""

    def score(self, pixels: Pixels) -> float:
        """Return how unsafe a picture looks, from 0 to 1."""


class Family(Protocol):
    """A kind of model that Limner can run."""

    @property
    def name(self) -> str:
        """The family's name, as cards give it."""

    def cards(self) -> tuple[ModelCard, ...]:
        """The cards of the models of this family that Limner knows by name."""

    def recognise(self, path: Path, sha256_of: Hash, /) -> ModelCard | None:
        """Return the card of a checkpoint of this family, or None; no runtime is loaded.

        What it is is read from headers alone; only then are its files hashed.
        """

    def load(self, installed: Installed, placement: Placement, /) -> LoadedModel | Judge:
        """Load verified weights into memory: to draw, or to judge where the card says so.

        Raises MemoryError or OutOfMemory where they do not fit, WeightsRejected where they are
        not what their card says, ModelUnavailable where a library or a part is not here, and
        InvalidRequest for a card that takes part only beside a model.
        """


@dataclass(frozen=True)
class Published:
    """A repository of a model hub (`OWNER/NAME`) in which a model's makers published it.

    A gated one asks for an account and consent.
    """

    repository: str
    title: str
    licence: Licence
    gated: bool = False


@runtime_checkable
class Publishes(Family, Protocol):
    """A family whose models were published on a model hub, and go by the names they have there."""

    def published(self) -> tuple[Published, ...]:
        """Where its models were published, and on which terms."""


@runtime_checkable
class Plans(Family, Protocol):
    """A family whose models may be too large for a machine: it tells what drawing would take."""

    def plan(self, installed: Installed, size: Size, /) -> tuple[str, ...]:
        """Return how a model would be drawn with here at a native size, line by line.

        Nothing of the model is loaded. Raises ModelUnavailable where a part is not here, and
        WeightsRejected where its description makes no sense.
        """


@runtime_checkable
class Computes(Family, Protocol):
    """A family whose models lie in the memory of a device, where this machine has one."""

    def device_memory(self) -> int | None:
        """Return the bytes of that memory; None where models lie in the machine's own."""


@runtime_checkable
class Borrows(Family, Protocol):
    """A family whose models may lie in files that lack parts, which others lend."""

    def lacks(self, path: Path, lenders: Sequence[Path], /) -> str:
        """Return what a file lacks to be drawn with and how to get it; empty where nothing.

        `lenders` are the models that may lend. Nothing of the model is loaded.
        """


def discover() -> dict[str, Family]:
    """Return every installed family by name."""
    families: dict[str, Family] = {}
    for entry in entry_points(group="limner.families"):
        family: Family = entry.load()
        families[family.name] = family
    return families

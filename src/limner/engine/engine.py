"""The Engine seam: what performs Recipes, wherever it runs."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from limner.domain.asset import Environment
from limner.domain.recipe import ModelRef
from limner.families.family import Order, Pixels, Watch


@dataclass(frozen=True)
class Drawn:
    """A finished picture: the position of its order, its pixels, and how it was made.

    `seconds` is the wall time of its own finishing and of its share of the batch it was drawn in;
    `drift` the largest colour difference (CIEDE2000) to the input outside the mask, if it has one.
    """

    index: int
    pixels: Pixels
    environment: Environment
    seconds: float
    drift: float | None = None


@dataclass(frozen=True)
class Resident:
    """A model that is held in memory, and how many bytes it holds."""

    name: str
    bytes: int


class Engine(Protocol):
    """Performs orders and holds the models that do it."""

    def perform(self, orders: Sequence[Order], watch: Watch) -> Iterator[Drawn]:
        """Draw every order, yielding each picture as soon as it is finished.

        Pictures come in the order asked. Raises Cancelled within a step of the token being
        set; pictures yielded before stand.
        """

    def judge(self, model: ModelRef, pixels: Pixels, watch: Watch) -> float:
        """Return how unsafe a model finds a picture, from 0 to 1.

        Raises InvalidRequest for a model that draws instead.
        """

    def residents(self) -> tuple[Resident, ...]:
        """The models in memory, least recently used first."""

    def close(self) -> None:
        """Let every model go."""

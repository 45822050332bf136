"""Draws with exported weights, by the product's own code, for sheets and evaluation."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from limner.domain.card import Installed
from limner.domain.errors import WeightsRejected
from limner.domain.event import CancelToken, Happening
from limner.domain.recipe import Draft, Size
from limner.families import raster
from limner.families.family import LoadedModel, Order, Pixels, Placement, Watch
from limner.families.vellum.facts import Facts, fact_of, read_facts
from limner.families.vellum.family import FAMILY

_AT_ONCE = 8


@dataclass(frozen=True)
class Wish:
    """One picture to draw. `style` is an index among the styles of the weights."""

    prompt: str
    style: int
    seed: int = 0


@dataclass(frozen=True)
class Manner:
    """How pictures are drawn."""

    steps: int = 20
    guidance: float = 2.5
    sampler: str = "euler"


class Artist:
    """Exported weights in memory. `folder` holds denoiser, encoder, tokenizer and facts.

    Raises WeightsRejected where it holds no export.
    """

    def __init__(self, folder: Path, threads: int = 1) -> None:
        card = FAMILY.recognise(folder, lambda path: fact_of(path).sha256)
        if card is None:
            raise WeightsRejected(f"{folder} holds no export of Vellum.")
        self.facts: Facts = read_facts(folder)
        self._card = card
        files = {file.name: folder / file.name for file in card.files}
        self._model: LoadedModel = FAMILY.load(Installed(card, files), Placement(threads))

    def draw(self, wishes: Sequence[Wish], manner: Manner | None = None) -> list[Pixels]:
        """Return one picture for each wish, of the native size."""
        drawn: list[Pixels] = []
        for first in range(0, len(wishes), _AT_ONCE):
            orders = [self._order(wish, manner or Manner()) for wish in wishes[first:][:_AT_ONCE]]
            drawn += self._model.perform(orders, Watch(unheard, CancelToken()))
        native = Size(width=self.facts.pixels, height=self.facts.pixels)
        return [raster.resize(one, native) for one in drawn]

    def _order(self, wish: Wish, manner: Manner) -> Order:
        draft = Draft(
            prompt=wish.prompt,
            steps=manner.steps,
            guidance=manner.guidance,
            sampler=manner.sampler,
            extras=(("style", self.facts.styles[wish.style]),),
        )
        return Order(self._card.capability.resolve(draft, self._card.ref, wish.seed))


def unheard(_: Happening) -> None:
    """Take note of nothing that happens."""

"""What the network draws for one order: one picture, or several that are put together."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from limner.domain.composition import Region
from limner.families import raster
from limner.families.family import Order, Pixels
from limner.families.vellum.lexicon import Reading
from limner.families.vellum.scene import Scene
from limner.families.vellum.stage import Bounds, laid_in, nothing, set_up

_STRIDE = 0x9E3779B97F4A7C15
"""What the seeds of things drawn for one picture lie apart: odd, so that none comes twice."""


@dataclass(frozen=True)
class Row:
    """One picture for the network: the words it hears, the noise it begins with, its guidance."""

    order: Order
    words: str
    seed: int
    guidance: float


@dataclass(frozen=True)
class Job:
    """An order with the rows drawn for it: of its prompt, then one for each region of its layout.

    Where the prompt is a scene, there is a row for each kind of thing in it; where it is empty
    beside a layout, none.
    """

    order: Order
    text: str
    replaced: tuple[tuple[str, str], ...]
    scene: Scene | None
    rows: tuple[Row, ...]

    @classmethod
    def of(
        cls, order: Order, reading: Reading, scene: Scene | None, placed: Sequence[str]
    ) -> "Job":
        """Return the job for an order; `placed` are the words heard for each of its regions."""
        recipe = order.recipe
        guidance = recipe.guidance or 1.0
        if scene is not None:
            words = list(scene.words)
        else:
            words = [] if placed and not reading.text else [reading.text]
        weights = [1.0] * len(words) + [region.weight for region in recipe.layout]
        rows = tuple(
            Row(order, told, (recipe.seed + turn * _STRIDE) % 2**64, _leaning(guidance, weight))
            for turn, (told, weight) in enumerate(zip([*words, *placed], weights, strict=True))
        )
        replaced = reading.replaced if scene is None else scene.replaced
        return cls(order, reading.text, replaced, scene, rows)

    def finished(self, drawn: Sequence[Pixels]) -> Pixels:
        """Return the picture of the order from those of its rows."""
        recipe = self.order.recipe
        regions = recipe.layout
        own, placed = drawn[: len(drawn) - len(regions)], drawn[len(drawn) - len(regions) :]
        if self.scene is not None:
            picture = set_up(self.scene, own, recipe.size)
        else:
            picture = own[0] if own else nothing(recipe.size)
        if not regions:
            return picture
        masks = self.order.regions or (None,) * len(regions)
        bounds = [_bounds(one, mask) for one, mask in zip(regions, masks, strict=True)]
        return laid_in(picture, placed, bounds, recipe.size)


def _leaning(guidance: float, weight: float) -> float:
    """Return the guidance of a region: its weight times as far from a picture of nothing."""
    return 1 + (guidance - 1) * weight


def _bounds(region: Region, mask: Pixels | None) -> Bounds:
    """Return where a region lies, in parts of the picture: its box, or what its mask covers."""
    if region.box is not None:
        return region.box.left, region.box.top, region.box.right, region.box.bottom
    if mask is None:
        return 0.0, 0.0, 1.0, 1.0
    rows, columns = np.nonzero(raster.region(mask))
    height, width = mask.shape[:2]
    if not len(rows):
        return 0.0, 0.0, 1.0, 1.0
    return (
        int(columns.min()) / width,
        int(rows.min()) / height,
        (int(columns.max()) + 1) / width,
        (int(rows.max()) + 1) / height,
    )
